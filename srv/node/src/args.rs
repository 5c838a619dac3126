//! The words after `deployfs node`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg;
use lexopt::ValueExt;
use network::Cidr;

use crate::error::{Error, Result};

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The state directory.
    pub(crate) state: PathBuf,
    /// The addresses of the bridge; none: free ones.
    pub(crate) net: Option<Cidr>,
    /// Print every 9P message.
    pub(crate) trace: bool,
    /// Say more.
    pub(crate) verbose: bool,
}

/// Reads the words.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options> {
    let mut words = lexopt::Parser::from_args(args);
    let usage = |error: lexopt::Error| Error::Usage(error.to_string());
    let (mut state, mut net, mut trace, mut verbose) = (None, None, false, false);
    while let Some(word) = words.next().map_err(usage)? {
        match word {
            Arg::Short('r') => state = Some(PathBuf::from(words.value().map_err(usage)?)),
            Arg::Long("net") => {
                let text = words.value().and_then(|value| value.string()).map_err(usage)?;
                net = Some(text.parse::<Cidr>().map_err(|error| Error::Usage(error.to_string()))?);
            }
            Arg::Short('D') => trace = true,
            Arg::Short('v') => verbose = true,
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(usage(word.unexpected())),
        }
    }
    let state = state.ok_or_else(|| Error::Usage("no state directory: give -r".to_owned()))?;
    if state.is_relative() {
        // It would be another one wherever the node is started.
        return Err(Error::Usage(format!("-r {}: give an absolute path", state.display())));
    }
    Ok(Options { state, net, trace, verbose })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, expected: Result<(&str, bool, bool, bool), &str>) {
        let got = parse(words.split_whitespace().map(OsString::from));
        match (got, expected) {
            (Ok(options), Ok((state, net, trace, verbose))) => {
                assert_eq!(options.state, PathBuf::from(state));
                let rest = (options.net.is_some(), options.trace, options.verbose);
                assert_eq!(rest, (net, trace, verbose), "{words}");
            }
            (Err(error), Err(text)) => {
                let error = error.to_string();
                assert!(error.contains(text) && error.contains("usage: "), "{words}: {error}");
                // A server shows the last line its node has said.
                assert_eq!(error.lines().count(), 1, "{words}: {error}");
            }
            (got, expected) => panic!("{words}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn the_words_are_read() {
        check("-r /s", Ok(("/s", false, false, false)));
        check("-r /s --net 10.1.0.0/16 -D -v", Ok(("/s", true, true, true)));
        check("-vDr /s", Ok(("/s", false, true, true)));
        check("", Err("no state directory"));
        check("-r", Err("missing argument"));
        check("-r /s --net x", Err("bad address range"));
        check("-r /s --net 10.232.0.5/16", Err("bad address range"));
        check("-r here", Err("-r here: give an absolute path"));
        check("-r /s extra", Err("extra"));
        check("-r /s -x", Err("-x"));
    }
}
