//! Where a file server is, and how to get there: Plan 9 dial strings, listening, connecting.
//!
//! A dial string is `network!rest` (Plan 9's dial(2)): `unix!/run/deploy/deploy.sock`,
//! `tcp!localhost!564`. `tls!host!port` and `ssh!user@host` are read and printed as well, but
//! nothing here dials them yet; `connect` and `listen` say so.
//!
//! Never: trusts what a peer says about itself. Who is on a unix socket is what the kernel says;
//! nobody on TCP has a name, therefore TCP listens on loopback only.

mod address;
mod connect;
pub(crate) mod groups;
mod listen;
mod stream;

pub use address::{Address, SERVICE_PORT};
pub use connect::connect;
pub(crate) use listen::Arrival;
pub use listen::{Listener, listen};
pub use stream::{Peer, Stream};

use std::io;

/// The longest path a unix socket can have, in bytes: `sun_path` of unix(7) has 108 and the last
/// is a NUL.
pub const SOCKET_PATH_MAX: usize = 107;

/// Why an address could not be read, listened on or reached.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The text is no dial string.
    #[error("bad address {0:?}: {1}")]
    Syntax(String, &'static str),
    /// The transport is understood but not there yet.
    #[error("{0}: {1} is not supported yet: use unix!path or tcp!host!port")]
    NotYet(Address, &'static str),
    /// A unix socket path that does not fit into `sun_path`.
    #[error("{0}: the path has {1} bytes, a unix socket has room for {SOCKET_PATH_MAX}")]
    PathTooLong(Address, usize),
    /// Somebody answers at the address already.
    #[error("{0}: already served")]
    Served(Address),
    /// Another process is making the same socket at this moment.
    #[error("{0}: another server is just starting there")]
    Starting(Address),
    /// Something that is not a socket is in the way.
    #[error("{0}: there is a file of that name that is not a socket: remove it")]
    NotSocket(Address),
    /// TCP carries no identity, so only this machine may be served over it.
    #[error("{0}: tcp is served on loopback only: use tcp!127.0.0.1!port")]
    NotLoopback(Address),
    /// The other side did not answer in time.
    #[error("{0}: no answer within {1} s")]
    Slow(Address, u64),
    /// The system refused.
    #[error("{}: {}", .0, crate::error::words(.1))]
    Io(Address, io::Error),
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        let kind = match &error {
            DialError::Syntax(..) | DialError::PathTooLong(..) | DialError::NotLoopback(..) => {
                io::ErrorKind::InvalidInput
            }
            DialError::NotYet(..) => io::ErrorKind::Unsupported,
            DialError::Served(..) | DialError::Starting(..) => io::ErrorKind::AddrInUse,
            DialError::NotSocket(..) => io::ErrorKind::AlreadyExists,
            DialError::Slow(..) => io::ErrorKind::TimedOut,
            DialError::Io(_, inner) => inner.kind(),
        };
        io::Error::new(kind, error)
    }
}
