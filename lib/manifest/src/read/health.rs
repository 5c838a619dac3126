//! The words of `health`.

use crate::args::Args;
use crate::error::quoted;
use crate::kinds::Health;
use crate::limits::PATH_BYTES_MAX;
use crate::paths::check_path;

#[derive(Clone, Copy)]
enum Kind {
    Http,
    Tcp,
    Exec,
    File,
}

const KINDS: [(&str, Kind); 4] =
    [("http", Kind::Http), ("tcp", Kind::Tcp), ("exec", Kind::Exec), ("file", Kind::File)];

pub(super) fn health(args: &mut Args<'_>) -> Option<Health> {
    if let Some(path) = args.bare_path() {
        return match check_path(path) {
            Ok(()) => Some(Health::File { path: path.to_owned() }),
            Err(error) => args.wrong(error),
        };
    }
    match args.choice(&KINDS)? {
        Kind::Http => {
            let path = http_path(args)?;
            Some(Health::Http { path, port: maybe_port(args)? })
        }
        Kind::Tcp => Some(Health::Tcp { port: maybe_port(args)? }),
        Kind::Exec => Some(Health::Exec { argv: args.rest()? }),
        Kind::File => Some(Health::File { path: args.path()? }),
    }
}

fn maybe_port(args: &mut Args<'_>) -> Option<Option<u16>> {
    if args.more() { args.port().map(Some) } else { Some(None) }
}

/// A request's target in origin form (RFC 9112, 3.2.1).
fn http_path(args: &mut Args<'_>) -> Option<String> {
    let word = args.word()?;
    let visible = word.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if word.starts_with('/') && visible && word.len() <= PATH_BYTES_MAX {
        return Some(word.to_owned());
    }
    args.wrong(format!(
        "{} is not a request's path; begin it with / and write blanks and the like as %20",
        quoted(word)
    ))
}
