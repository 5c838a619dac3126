//! All that the processes of one edge hand to each other: sockets by the place they are for, and
//! the lock.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::Arc;

use super::bind;
use super::talk::Door;

/// What a descriptor is for. Its text is a line of a talk; texts of addresses are those of the
/// words, so that a process that was given the same words knows its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The lock of the state directory: held for as long as any process has it open.
    Lock,
    /// Where the next edge asks for all this.
    Up,
    /// The edge's own file tree.
    Tree,
    /// HTTP.
    Http(String),
    /// HTTP over TLS.
    Https(String),
    /// Names, by datagrams.
    Datagrams(String),
    /// Names, by streams.
    Streams(String),
    /// Plain streams of a route.
    Tcp(u16),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Lock => f.write_str("lock"),
            Place::Up => f.write_str("up"),
            Place::Tree => f.write_str("tree"),
            Place::Http(text) => write!(f, "http {text}"),
            Place::Https(text) => write!(f, "https {text}"),
            Place::Datagrams(text) => write!(f, "dns {text}"),
            Place::Streams(text) => write!(f, "dns-tcp {text}"),
            Place::Tcp(port) => write!(f, "tcp {port}"),
        }
    }
}

/// A text that is no place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Place, NoPlace> {
        match text.split_once(' ') {
            None if text == "lock" => Ok(Place::Lock),
            None if text == "up" => Ok(Place::Up),
            None if text == "tree" => Ok(Place::Tree),
            Some(("http", text)) => Ok(Place::Http(text.to_owned())),
            Some(("https", text)) => Ok(Place::Https(text.to_owned())),
            Some(("dns", text)) => Ok(Place::Datagrams(text.to_owned())),
            Some(("dns-tcp", text)) => Ok(Place::Streams(text.to_owned())),
            Some(("tcp", port)) => port.parse().map(Place::Tcp).map_err(|_| NoPlace),
            Some(_) | None => Err(NoPlace),
        }
    }
}

/// The descriptors, and why some that are wanted are not there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sockets {
    there: BTreeMap<Place, Arc<OwnedFd>>,
    missing: BTreeMap<Place, String>,
}

impl Sockets {
    /// The descriptor for a place.
    pub(crate) fn get(&self, place: &Place) -> Option<Arc<OwnedFd>> {
        self.there.get(place).cloned()
    }

    /// Where the next edge asks for everything.
    pub(crate) fn door(&self) -> Option<Door> {
        let socket = self.get(&Place::Up)?;
        socket.try_clone().and_then(Door::over).ok()
    }

    /// All there are.
    pub(crate) fn there(&self) -> impl Iterator<Item = (&Place, &Arc<OwnedFd>)> {
        self.there.iter()
    }

    /// Places without a descriptor, and why.
    pub(crate) fn missing(&self) -> impl Iterator<Item = (&Place, &str)> {
        self.missing.iter().map(|(place, why)| (place, why.as_str()))
    }

    /// Why there is none for a place.
    pub(crate) fn why(&self, place: &Place) -> Option<&str> {
        self.missing.get(place).map(String::as_str)
    }

    /// Takes a descriptor, in place of one there may have been.
    pub(crate) fn put(&mut self, place: Place, socket: OwnedFd) {
        self.missing.remove(&place);
        self.there.insert(place, Arc::new(socket));
    }

    /// Takes a descriptor that others have too.
    pub(crate) fn put_shared(&mut self, place: Place, socket: Arc<OwnedFd>) {
        self.missing.remove(&place);
        self.there.insert(place, socket);
    }

    /// There is none, and why.
    pub(crate) fn miss(&mut self, place: Place, why: String) {
        self.there.remove(&place);
        self.missing.insert(place, why);
    }

    /// Lets the descriptor go.
    pub(crate) fn close(&mut self, place: &Place) {
        self.missing.remove(place);
        self.there.remove(place);
    }

    /// Lets all of them go for which that does not hold.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Place) -> bool) {
        self.missing.retain(|place, _| keep(place));
        self.there.retain(|place, _| keep(place));
    }

    /// Where it really is, with the port that the system chose.
    pub(crate) fn address(&self, place: &Place) -> Option<SocketAddr> {
        self.get(place).and_then(|socket| bind::local(&socket).ok())
    }

    /// Binds what the words want and is not there. A port that is in use ends nothing: the edge
    /// goes on without it, and says so.
    pub(crate) fn want(&mut self, wanted: &Wanted) {
        let keep = |place: &Place| match place {
            Place::Lock | Place::Up | Place::Tree | Place::Tcp(_) => true,
            Place::Http(text) => wanted.http.as_ref() == Some(text),
            Place::Https(text) => wanted.https.as_ref() == Some(text),
            Place::Datagrams(text) | Place::Streams(text) => wanted.dns.contains(text),
        };
        self.retain(keep);
        let streams = wanted.http.iter().map(|text| (Place::Http(text.clone()), text));
        let secure = wanted.https.iter().map(|text| (Place::Https(text.clone()), text));
        for (place, text) in streams.chain(secure) {
            if self.get(&place).is_none() {
                match bind::stream(text) {
                    Ok(socket) => self.put(place, socket),
                    Err(why) => self.miss(place, why.to_string()),
                }
            }
        }
        for text in &wanted.dns {
            let places = (Place::Datagrams(text.clone()), Place::Streams(text.clone()));
            if self.get(&places.0).is_some() && self.get(&places.1).is_some() {
                continue;
            }
            match bind::names(text) {
                Ok((datagrams, streams)) => {
                    self.put(places.0, datagrams);
                    self.put(places.1, streams);
                }
                Err(why) => self.miss(places.0, why.to_string()),
            }
        }
    }

    /// Binds the port of a route, on the addresses that HTTP has.
    pub(crate) fn want_port(&mut self, wanted: &Wanted, port: u16) {
        let beside = wanted.http.as_deref().unwrap_or(":0");
        match bind::stream_beside(beside, port) {
            Ok(socket) => self.put(Place::Tcp(port), socket),
            Err(why) => self.miss(Place::Tcp(port), why.to_string()),
        }
    }
}

/// Where the words want the edge to be; texts of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// HTTP; none: not at all.
    pub(crate) http: Option<String>,
    /// HTTP over TLS.
    pub(crate) https: Option<String>,
    /// Names.
    pub(crate) dns: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_as_it_prints() {
        let text = || "127.0.0.1:0".to_owned();
        let all = [
            (Place::Lock, "lock"),
            (Place::Up, "up"),
            (Place::Tree, "tree"),
            (Place::Http(text()), "http 127.0.0.1:0"),
            (Place::Https(text()), "https 127.0.0.1:0"),
            (Place::Datagrams(text()), "dns 127.0.0.1:0"),
            (Place::Streams(text()), "dns-tcp 127.0.0.1:0"),
            (Place::Tcp(5432), "tcp 5432"),
        ];
        for (place, text) in all {
            assert_eq!(place.to_string(), text);
            assert_eq!(text.parse(), Ok(place));
        }
        for bad in ["", "http", "tcp x", "udp 1"] {
            assert_eq!(bad.parse::<Place>(), Err(NoPlace));
        }
    }

    #[test]
    fn what_is_there_is_kept_what_is_not_wanted_goes_and_a_taken_port_is_said() {
        let mut sockets = Sockets::default();
        let text = || Some("127.0.0.1:0".to_owned());
        let dns = vec!["127.0.0.1:0".to_owned()];
        let mut wanted = Wanted { http: text(), https: text(), dns };
        sockets.want(&wanted);
        let http = Place::Http("127.0.0.1:0".into());
        let first = sockets.address(&http).unwrap();
        assert_eq!(sockets.there().count(), 4);
        wanted.dns.clear();
        wanted.https = Some(first.to_string());
        sockets.want(&wanted);
        assert_eq!(sockets.address(&http), Some(first));
        let missing: Vec<String> = sockets.missing().map(|(p, w)| format!("{p}: {w}")).collect();
        assert_eq!(missing, [format!("https {first}: Address already in use (os error 98)")]);
        assert_eq!(sockets.there().count(), 1);
    }
}
