//! The words after `deployfs edge`.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};
use ninep::dial::Address;

use crate::access;
use crate::acme::Settings;
use crate::error::Error;
use crate::network::Network;
use crate::process::bind;
use crate::process::sockets::Wanted;

/// Where `deployfs` serves unless told otherwise.
const SERVER: &str = "unix!/run/deploy/deploy.sock";
/// The edge's name unless told otherwise.
const NAME: &str = "main";
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 63;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The state directory.
    pub(crate) state: PathBuf,
    /// What `deployfs` knows this edge by.
    pub(crate) name: String,
    /// Where `deployfs` serves, tried in turn.
    pub(crate) servers: Vec<Address>,
    /// Where users are served.
    pub(crate) wanted: Wanted,
    /// The directory of certificates.
    pub(crate) certs: Option<PathBuf>,
    /// From whom certificates are ordered.
    pub(crate) acme: Option<Settings>,
    /// Proxies whose word about users holds.
    pub(crate) trust: Vec<Network>,
    /// Where the access log is.
    pub(crate) access: access::Place,
    /// Print every 9P message.
    pub(crate) trace: bool,
    /// Say more.
    pub(crate) verbose: bool,
    /// This is the process that serves: its input is the talk with the one that keeps it.
    pub(crate) worker: bool,
}

/// Reads the words.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Error> {
    let mut words = Parser::from_args(args);
    let (mut state, mut servers) = (None, Vec::new());
    let mut options = Options {
        state: PathBuf::new(),
        name: NAME.to_owned(),
        servers: Vec::new(),
        wanted: Wanted::default(),
        certs: None,
        acme: None,
        trust: Vec::new(),
        access: access::Place::default(),
        trace: false,
        verbose: false,
        worker: false,
    };
    let (mut contact, mut ca) = (None, None);
    while let Some(word) = words.next().map_err(usage)? {
        match word {
            Arg::Short('r') => state = Some(PathBuf::from(text(&mut words)?)),
            Arg::Short('n') => options.name = name(text(&mut words)?)?,
            Arg::Short('s') => servers.push(text(&mut words)?),
            Arg::Long("http") => options.wanted.http = place(text(&mut words)?)?,
            Arg::Long("https") => options.wanted.https = place(text(&mut words)?)?,
            Arg::Long("dns") => options.wanted.dns.extend(names(&text(&mut words)?)?),
            Arg::Long("certs") => options.certs = Some(PathBuf::from(text(&mut words)?)),
            Arg::Long("access-log") => options.access = log(&text(&mut words)?)?,
            Arg::Long("trust") => options.trust.extend(proxies(&text(&mut words)?)?),
            Arg::Long("acme") => options.acme = Some(authority(text(&mut words)?)?),
            Arg::Long("acme-contact") => contact = Some(text(&mut words)?),
            Arg::Long("acme-ca") => ca = Some(PathBuf::from(text(&mut words)?)),
            Arg::Short('D') => options.trace = true,
            Arg::Short('v') => options.verbose = true,
            Arg::Long("worker") => options.worker = true,
            Arg::Short(_) | Arg::Long(_) | Arg::Value(_) => return Err(usage(word.unexpected())),
        }
    }
    options.state = state.ok_or_else(|| Error::Usage("no state directory: give -r".into()))?;
    match &mut options.acme {
        // Proofs are asked for in the clear.
        Some(_) if options.wanted.http.is_none() || options.wanted.https.is_none() => {
            return Err(Error::Usage("--acme needs --http and --https".to_owned()));
        }
        Some(acme) => (acme.contact, acme.ca) = (contact, ca),
        None if contact.is_some() || ca.is_some() => {
            return Err(Error::Usage("--acme-contact and --acme-ca belong to --acme".to_owned()));
        }
        None => {}
    }
    if options.certs.is_none() && options.acme.is_none() {
        // Nobody could answer there, and a connection that is taken and not answered is worse
        // than none.
        options.wanted.https = None;
    }
    if servers.is_empty() {
        servers.push(SERVER.to_owned());
    }
    for text in servers {
        options.servers.push(text.parse().map_err(|why| Error::Usage(format!("-s: {why}")))?);
    }
    Ok(options)
}

fn usage(error: lexopt::Error) -> Error {
    Error::Usage(error.to_string())
}

fn text(words: &mut Parser) -> Result<String, Error> {
    words.value().and_then(|value| value.string()).map_err(usage)
}

fn name(text: String) -> Result<String, Error> {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    match (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fine) {
        true if !text.starts_with('.') => Ok(text),
        _ => Err(Error::Usage(format!("-n {text}: 1 to {NAME_BYTES_MAX} letters, digits, -_."))),
    }
}

fn authority(url: String) -> Result<Settings, Error> {
    Settings::at(url).map_err(|why| Error::Usage(format!("--acme {why}")))
}

fn place(text: String) -> Result<Option<String>, Error> {
    if text == "-" {
        return Ok(None);
    }
    bind::addresses(&text).map_err(Error::Usage)?;
    Ok(Some(text))
}

fn log(text: &str) -> Result<access::Place, Error> {
    access::Place::read(text).map_err(Error::Usage)
}

/// Networks with commas between them.
fn proxies(text: &str) -> Result<Vec<Network>, Error> {
    let networks = text.split(',').map(str::parse);
    networks.collect::<Result<_, String>>().map_err(|why| Error::Usage(format!("--trust {why}")))
}

/// Addresses with commas between them; one without a port takes what is usual.
fn names(text: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for one in text.split(',').filter(|one| *one != "-" && !one.is_empty()) {
        let bare = one.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        if !bare {
            bind::addresses(one).map_err(Error::Usage)?;
        }
        found.push(one.to_owned());
    }
    Ok(found)
}

impl Options {
    /// The words for a process of this edge, from which `parse` makes the same.
    pub(crate) fn words(&self, worker: bool) -> Vec<OsString> {
        let mut words = vec!["-r".into(), self.state.clone().into_os_string()];
        let mut add = |flag: &str, text: &str| words.extend([flag.into(), text.into()]);
        add("-n", &self.name);
        self.servers.iter().for_each(|server| add("-s", &server.to_string()));
        self.wanted.http.iter().for_each(|text| add("--http", text));
        self.wanted.https.iter().for_each(|text| add("--https", text));
        self.wanted.dns.iter().for_each(|text| add("--dns", text));
        self.trust.iter().for_each(|network| add("--trust", &network.to_string()));
        self.access.word(worker).iter().for_each(|word| add("--access-log", word));
        let flags = [(self.trace, "-D"), (self.verbose, "-v"), (worker, "--worker")];
        words.extend(self.certs.iter().flat_map(|dir| ["--certs".into(), dir.into()]));
        if let Some(Settings { url, contact, ca }) = &self.acme {
            words.extend(["--acme".into(), url.into()]);
            words.extend(contact.iter().flat_map(|it| ["--acme-contact".into(), it.into()]));
            words.extend(ca.iter().flat_map(|it| ["--acme-ca".into(), it.into()]));
        }
        words.extend(flags.iter().filter(|(on, _)| *on).map(|(_, flag)| flag.into()));
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options, Error> {
        parse(words.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_words_are_read_and_passed_on() {
        let all = "-r /s -n two -s unix!/a -s tcp!127.0.0.1!5640 --http 127.0.0.1:0 --https :443 \
                   --dns 10.89.0.1,127.0.0.1:5353 --dns [::1] --certs /c --access-log /l \
                   --trust 10.0.0.0/8,fd00::/8 --trust 192.0.2.1 -D -v";
        let options = read(all).unwrap();
        assert_eq!((options.servers.len(), options.wanted.dns.len()), (2, 3));
        assert_eq!(options.trust.len(), 3);
        assert_eq!(parse(options.words(false)).unwrap(), options);
        let worker = parse(options.words(true)).unwrap();
        assert_eq!(worker, Options { worker: true, ..options });
    }

    #[test]
    fn without_words_nothing_is_listened_on_and_the_server_is_where_it_is_usual() {
        let options = read("-r /s --http - --dns -").unwrap();
        assert_eq!(options.wanted, Wanted::default());
        assert_eq!(
            (options.name.as_str(), options.servers[0].to_string()),
            ("main", SERVER.into())
        );
    }

    #[test]
    fn without_certificates_nothing_is_listened_on_for_tls() {
        assert_eq!(read("-r /s --https :443").unwrap().wanted.https, None);
        let with = read("-r /s --https :443 --certs /c").unwrap();
        assert_eq!(with.wanted.https.as_deref(), Some(":443"));
    }

    #[test]
    fn certificates_are_ordered_where_they_can_be_proven_and_served() {
        let at = "--acme https://a.example/directory";
        let all = format!("-r /s --http :80 --https :443 {at} --acme-contact a@b --acme-ca /c");
        let options = read(&all).unwrap();
        assert_eq!(parse(options.words(false)).unwrap(), options);
        assert_eq!(options.wanted.https.as_deref(), Some(":443"), "without a directory too");
        let acme = options.acme.unwrap();
        assert_eq!((acme.contact.as_deref(), acme.ca), (Some("a@b"), Some("/c".into())));
        for (words, text) in [
            (format!("-r /s --https :443 {at}"), "--acme needs --http and --https"),
            (format!("-r /s --http :80 --certs /c {at}"), "--acme needs"),
            ("-r /s --acme-ca /c".to_owned(), "belong to --acme"),
            ("-r /s --acme http://a.example/".to_owned(), "want https://"),
            ("-r /s --acme https://u@a.example/".to_owned(), "want https://"),
            ("-r /s --acme a.example".to_owned(), "want https://"),
        ] {
            let error = read(&words).unwrap_err().to_string();
            assert!(error.contains(text), "{words}: {error}");
        }
    }

    #[test]
    fn words_that_make_no_sense_are_refused_with_the_usage() {
        for (words, text) in [
            ("", "no state directory"),
            ("-r", "missing argument"),
            ("-r /s extra", "extra"),
            ("-r /s -n ..", "-n .."),
            ("-r /s --http 80", "`80`"),
            ("-r /s --dns x", "`x`"),
            ("-r /s --trust 10.0.0.0/8,x", "--trust `x` is no network"),
            ("-r /s --access-log x", "absolute path, - or none"),
            ("-r /s -s nowhere", "-s: bad address"),
        ] {
            let error = read(words).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("usage: "), "{words}: {error}");
        }
    }
}
