//! Where every message comes, by whichever way: who may ask, what is answered at once, and what
//! another has to be asked for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::allowed::Guests;
use super::chance::Chance;
use super::crowd::Crowd;
use super::figures::{Dropped, Figures};
use super::forward::Forward;
use super::names::Names;
use super::query::{Fault, NAME_BYTES_MAX, Query};
use super::rcode::Rcode;
use super::record::Kind;
use super::reply::bare;
use super::zone;

/// Connections of TCP.
const STREAMS_MAX: usize = 256;
/// The same from one address.
const STREAMS_EACH_MAX: usize = 32;

/// What is to be done with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send the answer that was written.
    Send,
    /// Nothing.
    Drop,
    /// Ask another.
    Forward,
}

/// How long an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// As long as a datagram that the sender takes.
    Datagram,
    /// As long as a length of two bytes tells.
    Stream,
}

impl Way {
    /// The bytes of the longest answer to `query`.
    pub(crate) fn bytes(self, query: &Query<'_>) -> usize {
        match self {
            Way::Datagram => query.datagram_bytes(),
            Way::Stream => usize::from(u16::MAX),
        }
    }
}

/// Where the names are found, in whatever is swapped.
pub(crate) struct Source(pub(crate) Box<dyn Fn() -> Arc<Names> + Send + Sync>);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// What all listeners share.
#[derive(Debug)]
pub(crate) struct Desk {
    names: Source,
    guests: Guests,
    /// Where we listen: what seems to come from there is forged.
    own: Vec<SocketAddr>,
    forward: Forward,
    /// Connections of TCP, of all listeners.
    pub(crate) streams: Crowd<()>,
    /// What is counted.
    pub(crate) figures: Arc<Figures>,
}

impl Desk {
    /// A desk for listeners at `own`.
    pub(crate) fn new(
        names: Source,
        guests: Guests,
        own: Vec<SocketAddr>,
        forward: Forward,
        figures: Arc<Figures>,
    ) -> Desk {
        let streams = Crowd::new(STREAMS_MAX, STREAMS_EACH_MAX);
        Desk { names, guests, own, forward, streams, figures }
    }

    /// The names as they are now; to be held for no longer than some answers take.
    pub(crate) fn names(&self) -> Arc<Names> {
        (self.names.0)()
    }

    /// Look at `message` from `peer`, and write what can be answered at once to `out`.
    pub(crate) fn take(
        &self,
        message: &[u8],
        peer: SocketAddr,
        way: Way,
        names: &Names,
        chance: &mut Chance,
        out: &mut Vec<u8>,
    ) -> Step {
        if peer.port() == 0 || self.own.contains(&peer) {
            self.figures.dropped(Dropped::Sender, 1);
            return Step::Drop;
        }
        let (kind, rcode) = match Query::read(message) {
            Err(Fault::Short) => return self.drop(Dropped::Short),
            Err(Fault::Answer) => return self.drop(Dropped::Answer),
            Ok(_) | Err(Fault::Told(_)) if !self.guests.may(peer.ip()) => {
                bare(message, Rcode::Refused, out);
                (None, Rcode::Refused)
            }
            Err(Fault::Told(rcode)) => {
                bare(message, rcode, out);
                (None, rcode)
            }
            Ok(query) => {
                let (limit, mut space) = (way.bytes(&query), [0; NAME_BYTES_MAX]);
                let key = query.key(&mut space);
                let known = zone::answer(&query, key, names, limit, chance.next(), out)
                    .or_else(|| self.forward.at_once(&query, key, limit, out));
                let Some(rcode) = known else { return Step::Forward };
                (Some(Kind::of(query.kind)), rcode)
            }
        };
        self.figures.answered(kind, rcode);
        Step::Send
    }

    /// Ask another what `message` asks, for `from`; the answer, if there is to be one.
    pub(crate) async fn ask(&self, message: &[u8], from: IpAddr, way: Way) -> Option<Vec<u8>> {
        let query = Query::read(message).ok()?;
        let mut out = Vec::new();
        let rcode = self.forward.ask(&query, from, way.bytes(&query), &mut out).await;
        self.figures.answered(Some(Kind::of(query.kind)), rcode);
        Some(out)
    }

    fn drop(&self, why: Dropped) -> Step {
        self.figures.dropped(why, 1);
        Step::Drop
    }
}

#[cfg(test)]
#[path = "desk_test.rs"]
mod tests;
