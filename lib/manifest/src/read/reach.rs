//! Keys that tie a service to what is around it: `route`, `volume`, `constraint`.

use crate::args::Args;
use crate::error::quoted;
use crate::kinds::{Constraint, Route, Volume, VolumeSource};
use crate::limits::{HOST_CHARS_MAX, LABEL_CHARS_MAX, ROUTE_BYTES_MAX, SIZE_BYTES_MAX};
use crate::paths::check_path;
use crate::version::check_name;

pub(super) fn route(args: &mut Args<'_>) -> Option<Route> {
    if args.flag("tcp") {
        let port = args.port()?;
        args.once(&format!("tcp {port}"))?;
        return Some(Route::Tcp { port });
    }
    let host = args.word()?.to_lowercase();
    if !is_host(&host) {
        return args.wrong(format!(
            "{} is not a host; write a name such as app.example.com, *.example.com or *",
            quoted(&host)
        ));
    }
    let path = args.word()?;
    let visible = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
    if !path.starts_with('/') || !visible || path.len() > ROUTE_BYTES_MAX {
        return args.wrong(format!("{} is not a path prefix; begin it with /", quoted(path)));
    }
    // Most clients send no such path, and an edge compares paths as they come.
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    let segments = path.strip_suffix('/').unwrap_or(path).split('/').skip(1);
    if let Some(segment) = segments.into_iter().find(|segment| odd(segment)) {
        let what = if segment.is_empty() { "an empty segment" } else { segment };
        args.warn(&format!(
            "{} has {what}, and only requests that say it so are served by it; leave it out",
            quoted(path)
        ));
    }
    // A prefix is of whole segments: /api and /api/ are one.
    let path = match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    };
    args.once(&format!("{host} {path}"))?;
    let websocket = args.flag("websocket");
    Some(Route::Http { host, path, websocket })
}

pub(super) fn volume(args: &mut Args<'_>) -> Option<Volume> {
    let word = args.word()?;
    let dir = word.strip_prefix("host:");
    let checked = match dir {
        Some(dir) => check_path(dir),
        None => check_name(word),
    };
    if let Err(error) = checked {
        return args.wrong(error);
    }
    let path = clean(&args.path()?);
    if let Some(why) = taken(&path) {
        return args.wrong(format!("{} is {why}; choose another path", quoted(&path)));
    }
    args.once(&path)?;
    let source = match dir {
        Some(dir) => VolumeSource::Host { dir: whole(clean(dir)), read_only: args.flag("ro") },
        None => {
            let (ephemeral, shared) = (args.flag("ephemeral"), args.flag("shared"));
            let size_bytes = match args.more() {
                true => Some(args.size(1, SIZE_BYTES_MAX)?),
                false => None,
            };
            // Paths begin with / and names do not, so that both are told apart.
            args.once(word)?;
            VolumeSource::Named { name: word.to_owned(), ephemeral, shared, size_bytes }
        }
    };
    Some(Volume { source, path })
}

/// A path without doubled slashes, dots and a slash at its end: one path, one version.
fn clean(path: &str) -> String {
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.fold(String::new(), |all, part| all + "/" + part)
}

/// The root has its slash.
fn whole(path: String) -> String {
    if path.is_empty() { "/".to_owned() } else { path }
}

/// Why no volume can be at a path of an instance; below `/etc` one can.
fn taken(path: &str) -> Option<&'static str> {
    let below =
        |dir: &str| path.strip_prefix(dir).is_some_and(|it| it.is_empty() || it.starts_with('/'));
    match path {
        "" => Some("the root of the instance, which is the image's"),
        "/etc" => Some("where hosts and resolv.conf are written"),
        _ if below("/config") || below("/secret") => Some("where config and secret are"),
        _ if ["/proc", "/sys", "/dev"].into_iter().any(below) => Some("the kernel's"),
        _ => None,
    }
}

pub(super) fn constraint(args: &mut Args<'_>) -> Option<Constraint> {
    let word = args.word()?;
    let constraint = match word {
        "spread" => Constraint::Spread { label: label(args)? },
        "affinity" => Constraint::Affinity { service: args.name()? },
        "anti-affinity" => Constraint::AntiAffinity { service: args.name()? },
        _ => comparison(args, word)?,
    };
    args.once(&format!("{constraint:?}"))?;
    Some(constraint)
}

fn comparison(args: &mut Args<'_>, word: &str) -> Option<Constraint> {
    let Some((label, value)) = word.split_once('=') else {
        let usage = args.key.words;
        return args.wrong(format!("{} is not a constraint; write {usage}", quoted(word)));
    };
    let (label, equal) = match label.strip_suffix('!') {
        Some(label) => (label, false),
        None => (label, true),
    };
    if !is_label(label) || !is_label(value) {
        return args.wrong(not_a_label(word));
    }
    let (label, value) = (label.to_owned(), value.to_owned());
    Some(match equal {
        true => Constraint::Equal { label, value },
        false => Constraint::NotEqual { label, value },
    })
}

fn label(args: &mut Args<'_>) -> Option<String> {
    let word = args.word()?;
    if is_label(word) { Some(word.to_owned()) } else { args.wrong(not_a_label(word)) }
}

fn not_a_label(word: &str) -> String {
    format!(
        "{} is not of labels and values; use 1 to {LABEL_CHARS_MAX} of A-Z, a-z, 0-9, ., _, / \
         and -",
        quoted(word)
    )
}

fn is_label(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    (1..=LABEL_CHARS_MAX).contains(&text.len()) && text.bytes().all(known)
}

/// A host name of letters, digits and dashes (RFC 1123, 2.1), whose first label may be `*`.
fn is_host(host: &str) -> bool {
    let rest = match host.strip_prefix('*') {
        Some("") => return true,
        Some(rest) => match rest.strip_prefix('.') {
            Some(rest) => rest,
            None => return false,
        },
        None => host,
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    host.len() <= HOST_CHARS_MAX
        && rest.split('.').all(|label| {
            (1..=LABEL_CHARS_MAX).contains(&label.len())
                && label.bytes().all(known)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}
