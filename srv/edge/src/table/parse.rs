//! From the text of `/routes` to a table, or to the first line that is wrong.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Backend, Host, Options, Place, Route, TIME_MS_MAX, Table};
use crate::Error;

/// Routes a table may have.
const ROUTES_MAX: usize = 100_000;
/// Bytes a line may have: a thousand instances fit.
const LINE_BYTES_MAX: usize = 128 * 1024;
/// Bytes a name of a host may have (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;
/// Bytes a path may have.
const PATH_BYTES_MAX: usize = 1024;

impl Table {
    /// The table that `text` says. One broken line spoils all of it: half a table would send
    /// requests to the wrong service.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
        let (_, first) = lines.next().unwrap_or((1, ""));
        let mut table = Self { generation: generation(first).map_err(at(1))?, ..Self::default() };
        let mut places = BTreeSet::new();
        for (number, line) in lines {
            if number > ROUTES_MAX + 1 {
                return Err(at(number)(format!("more than {ROUTES_MAX} routes")));
            }
            let place = table.add(line).map_err(at(number))?;
            if !places.insert(place) {
                return Err(at(number)("this host and path had a line before".into()));
            }
        }
        Ok(table)
    }

    /// Takes one line; gives what no other line may begin with.
    fn add(&mut self, line: &str) -> Result<String, String> {
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("longer than {LINE_BYTES_MAX} bytes"));
        }
        let mut words = line.split_ascii_whitespace();
        let mut word = |what: &str| words.next().ok_or_else(|| format!("{what} is missing"));
        let (host, path) = (word("host")?, word("path")?);
        let (service, options) = (name(word("service")?)?, options(word("options")?)?);
        let place = place(host, path)?;
        let mut backends = Vec::new();
        for text in words {
            let backend = backend(text)?;
            let id = Arc::clone(&backend.id);
            if backends.contains(&id) {
                return Err(format!("instance {id} is there twice"));
            }
            match self.backends.get(&id) {
                Some(known) if *known != backend => {
                    return Err(format!("instance {id} was another one in a line before"));
                }
                Some(_) => {}
                None => {
                    self.backends.insert(Arc::clone(&id), backend);
                }
            }
            backends.push(id);
        }
        let unique = match &place {
            Place::Http { .. } | Place::Tcp { .. } => format!("{place:?}"),
            Place::Nowhere => format!("- {service}"),
        };
        self.routes.push(Route { place, service: service.into(), options, backends });
        Ok(unique)
    }
}

fn at(line: usize) -> impl FnOnce(String) -> Error {
    move |what| Error::Table { line, what }
}

fn generation(line: &str) -> Result<u64, String> {
    let number = line.strip_prefix("generation ").ok_or("begins with `generation NUMBER`")?;
    number.parse().map_err(|_| format!("`{number}` is no generation"))
}

fn place(host: &str, path: &str) -> Result<Place, String> {
    match (host, path) {
        ("-", "-") => Ok(Place::Nowhere),
        ("tcp", port) => match port.parse() {
            Ok(0) | Err(_) => Err(format!("`{port}` is no port: 1 to 65535")),
            Ok(port) => Ok(Place::Tcp { port }),
        },
        (host, path) => Ok(Place::Http { host: self::host(host)?, path: self::path(path)?.into() }),
    }
}

fn host(text: &str) -> Result<Host, String> {
    let lower = text.to_ascii_lowercase();
    match lower.strip_prefix("*.") {
        _ if lower == "*" => Ok(Host::Any),
        Some(suffix) => Ok(Host::Suffix(domain(suffix)?.into())),
        None => Ok(Host::Exact(domain(&lower)?.into())),
    }
}

/// A name of a host; an IPv6 address stands in brackets, as in a URI.
fn domain(text: &str) -> Result<&str, String> {
    let fine = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-._[:]".contains(&c);
    let labels = !text.is_empty() && text.split('.').all(|label| !label.is_empty());
    if labels && text.len() <= HOST_BYTES_MAX && text.bytes().all(fine) {
        return Ok(text);
    }
    Err(format!("`{text}` is no host: a name, `*.` and a name, or `*`"))
}

/// A path without its last slash, so that `/api/` and `/api` are one prefix.
fn path(text: &str) -> Result<&str, String> {
    if !text.starts_with('/') || text.len() > PATH_BYTES_MAX || text.contains(['?', '#']) {
        return Err(format!("`{text}` is no path: begins with `/`, without query"));
    }
    match text.trim_end_matches('/') {
        "" => Ok("/"),
        path => Ok(path),
    }
}

fn name(text: &str) -> Result<&str, String> {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    match text.bytes().all(fine) && text != "-" {
        true => Ok(text),
        false => Err(format!("`{text}` is no name")),
    }
}

/// What the words ask for. A word that is not known is left alone: a newer server may have sent it,
/// and a table that is refused for it would leave requests with instances that are gone.
fn options(text: &str) -> Result<Options, String> {
    let (mut options, mut holds) = (Options::default(), false);
    for word in text.split(',').filter(|_| text != "-") {
        let (key, value) = word.split_once('=').map_or((word, None), |(k, v)| (k, Some(v)));
        match (key, value) {
            ("websocket", None) => options.websocket = true,
            ("hold", None) => holds = true,
            ("hold", Some(ms)) => options.hold = Some(time(word, ms)?),
            ("h2", None) => options.h2 = true,
            ("drain", Some(ms)) => options.drain = time(word, ms)?,
            _ if is_option(word) => {}
            _ => return Err(format!("`{word}` is no option: KEY or KEY=VALUE")),
        }
    }
    if holds {
        options.hold = options.hold.or(Some(options.drain));
    }
    Ok(options)
}

fn time(word: &str, ms: &str) -> Result<Duration, String> {
    match ms.parse() {
        Ok(ms) if ms <= TIME_MS_MAX => Ok(Duration::from_millis(ms)),
        _ => Err(format!("`{word}`: milliseconds, at most {TIME_MS_MAX}")),
    }
}

fn is_option(word: &str) -> bool {
    let fine = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_=".contains(&c);
    word.bytes().all(fine) && word.starts_with(|c: char| c.is_ascii_lowercase())
}

fn backend(text: &str) -> Result<Backend, String> {
    let wrong = || format!("`{text}` is no backend: NUMBER/ID/VERSION=ADDRESS:PORT");
    let (names, address) = text.split_once('=').ok_or_else(wrong)?;
    let mut names = names.split('/');
    let (Some(number), Some(id), Some(version), None) =
        (names.next(), names.next(), names.next(), names.next())
    else {
        return Err(wrong());
    };
    Ok(Backend {
        number: number.parse().map_err(|_| wrong())?,
        id: name(id)?.into(),
        version: name(version)?.into(),
        address: address.parse().map_err(|_| wrong())?,
    })
}
