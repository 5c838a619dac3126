//! The table: which host and path goes to which service, and which instances serve it now.
//! Plain data, as `deployfs` publishes it in `/routes`; one is never changed, only replaced.
//!
//! ```text
//! generation 17
//! shop.example.com /api web websocket,drain=15000 0/web-17/ab12cd34ef56=10.89.0.5:8080
//! tcp 5432 db - 0/db-3/0123456789ab=10.89.0.9:5432
//! - - worker -
//! ```

mod parse;
#[cfg(test)]
mod test;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long requests to a backend that is gone may go on when the table does not say.
pub(crate) const DRAIN_DEFAULT: Duration = Duration::from_millis(30_000);
/// The longest drain or hold that a table may ask for: a day.
pub(crate) const TIME_MS_MAX: u64 = 86_400_000;

/// A whole table of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// Grows with every table that `deployfs` publishes.
    pub(crate) generation: u64,
    /// In the order of the text.
    pub(crate) routes: Vec<Route>,
    /// Every backend that some route names, by its ID.
    pub(crate) backends: BTreeMap<Arc<str>, Backend>,
}

/// One line: a place that requests come to, and who serves them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// What comes to it.
    pub(crate) place: Place,
    /// Name of the service.
    pub(crate) service: Arc<str>,
    /// How requests are treated.
    pub(crate) options: Options,
    /// IDs of the healthy instances; keys of [`Table::backends`].
    pub(crate) backends: Vec<Arc<str>>,
}

/// What comes to a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Requests of HTTP for a host and a path.
    Http {
        /// Which hosts.
        host: Host,
        /// Begins with `/`; has no `/` at its end unless it is all of it.
        path: Arc<str>,
    },
    /// Connections to a port.
    Tcp {
        /// The port that is listened on.
        port: u16,
    },
    /// Nothing: the service has only a name.
    Nowhere,
}

/// Which hosts a route is for; names are in lower case and have no dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    /// This name.
    Exact(Arc<str>),
    /// Every name that ends with a dot and this.
    Suffix(Arc<str>),
    /// Every name, and requests without one.
    Any,
}

/// How the requests of a route are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Connections may be upgraded: `websocket`.
    pub(crate) websocket: bool,
    /// New requests wait while there is no backend, each for so long at most: `hold=MS`; `hold`
    /// alone, of a server that says no more, is as long as the drain.
    pub(crate) hold: Option<Duration>,
    /// Backends speak HTTP/2 without TLS: `h2`.
    pub(crate) h2: bool,
    /// How long requests to a backend that is gone may go on: `drain=MS`.
    pub(crate) drain: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { websocket: false, hold: None, h2: false, drain: DRAIN_DEFAULT }
    }
}

/// One instance: `NUMBER/ID/VERSION=ADDRESS:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    /// Its place in the service, from 0.
    pub(crate) number: u32,
    /// Its name for its whole life, never given to another one.
    pub(crate) id: Arc<str>,
    /// The version that it runs.
    pub(crate) version: Arc<str>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}
