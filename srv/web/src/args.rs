//! The words after `deployfs web`.

use crate::error::Error;
use lexopt::{Arg, Parser, ValueExt as _};
use ninep::dial::Address;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The state directory.
    pub(crate) state: PathBuf,
    /// Where the tree is.
    pub(crate) server: Address,
    /// Where requests are taken.
    pub(crate) listen: SocketAddr,
    /// Where the token is; none: whoever asks is known by his socket.
    pub(crate) token: Option<PathBuf>,
    /// Whose members may write.
    pub(crate) group: String,
    /// Tell more.
    pub(crate) verbose: bool,
}

/// Reads the words.
///
/// # Errors
/// [`Error::Usage`], also for a place that others reach and no token.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Options, Error> {
    let usage = |error: lexopt::Error| Error::Usage(error.to_string());
    let mut words = Parser::from_args(words);
    let (mut state, mut server, mut listen, mut token) = (None, None, None, None);
    let (mut group, mut verbose) = (String::from("deploy"), false);
    while let Some(word) = words.next().map_err(usage)? {
        let text = |words: &mut Parser| words.value().and_then(|it| it.string()).map_err(usage);
        match word {
            Arg::Short('r') => state = Some(PathBuf::from(text(&mut words)?)),
            Arg::Short('s') => {
                let address = text(&mut words)?.parse::<Address>();
                server = Some(address.map_err(|why| Error::Usage(format!("-s: {why}")))?);
            }
            Arg::Short('g') => group = text(&mut words)?,
            Arg::Long("listen") => listen = Some(place(&text(&mut words)?)?),
            Arg::Long("token") => token = Some(PathBuf::from(text(&mut words)?)),
            // By it a server tells a door of another build from its own.
            Arg::Long("build") => drop(text(&mut words)?),
            Arg::Short('v') => verbose = true,
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(usage(word.unexpected())),
        }
    }
    let missing = |what: &str| Error::Usage(format!("{what} is missing"));
    let options = Options {
        state: state.ok_or_else(|| missing("-r"))?,
        server: server.ok_or_else(|| missing("-s"))?,
        listen: listen.ok_or_else(|| missing("--listen"))?,
        token,
        group,
        verbose,
    };
    match options.token.is_none() && !options.listen.ip().is_loopback() {
        true => Err(Error::Usage(format!(
            "{} is reached by others: give a token with --token, or listen on 127.0.0.1",
            options.listen
        ))),
        false => Ok(options),
    }
}

/// `HOST:PORT`, or `:PORT` on loopback.
fn place(text: &str) -> Result<SocketAddr, Error> {
    let wrong = || Error::Usage(format!("--listen {text}: say ADDRESS:PORT or :PORT"));
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let ip = match host {
        "" | "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host.trim_matches(['[', ']']).parse().map_err(|_| wrong())?,
    };
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options, Error> {
        parse(words.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_port_alone_is_on_loopback() {
        for (listen, want) in [
            (":8099", "127.0.0.1:8099"),
            ("localhost:1", "127.0.0.1:1"),
            ("[::1]:8099", "[::1]:8099"),
            ("127.0.0.2:0", "127.0.0.2:0"),
        ] {
            let options = read(&format!("-r /s -s unix!/a --listen {listen}")).unwrap();
            assert_eq!(options.listen.to_string(), want);
        }
    }

    #[test]
    fn a_place_that_others_reach_needs_a_token() {
        let words = "-r /s -s unix!/a --listen 0.0.0.0:8099";
        let error = read(words).unwrap_err().to_string();
        assert!(error.starts_with("0.0.0.0:8099 is reached by others: give a token"), "{error}");
        let options = read(&format!("{words} --token /t")).unwrap();
        assert_eq!(options.token, Some(PathBuf::from("/t")));
    }

    #[test]
    fn words_that_make_no_sense_are_refused_in_one_line_with_the_usage() {
        for (words, text) in [
            ("", "-r is missing"),
            ("-r /s -s unix!/a", "--listen is missing"),
            ("-r /s -s here --listen :1", "-s: bad address"),
            ("-r /s -s unix!/a --listen 80", "--listen 80: say"),
            ("-r /s -s unix!/a --listen box:80", "--listen box:80: say"),
            ("-r /s more", "more"),
        ] {
            let error = read(words).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("usage: "), "{words}: {error}");
            assert_eq!(error.lines().count(), 1);
        }
    }
}
