//! 9P: the wire form of 9P2000 and 9P2000.L, a session machine, a tree of synthetic files to
//! implement, a server over tokio, a client, and the ways to reach a server.
//!
//! From the wire up: [`wire`] turns bytes into messages and back, borrowing from the receive
//! buffer. [`session`] is what one connection may do (versions, fids, tags, flush, walks, rights)
//! and knows neither sockets nor clocks. [`serve`] moves bytes between sockets and sessions.
//! [`tree`] is what a file server writes to have all that. [`client`] and [`dial`] are the other
//! end.
//!
//! The crate `rs9p` gives 9P2000.L's constants and is the oracle that the codec is tested against.
//! Its server loop is not used: one blocked read and one walk stop a connection for good (it holds
//! the fid table's lock while it waits), a message of 11 bytes aborts the process (it allocates
//! what a count asks for), it speaks no 9P2000, and the loop cannot be entered from outside with
//! a connection and a peer of one's own.
//!
//! Never: knows what a deployment is; believes a name or a number that a client claims where the
//! kernel has said who the peer is; allocates by a number that came from a peer; holds a lock
//! while it waits.

pub mod client;
pub mod dial;
mod error;
mod last;
#[cfg(test)]
mod ram;
pub mod serve;
pub mod session;
mod stat;
mod text;
pub mod tree;
mod user;
pub mod wire;

pub use error::{Error, Result, numberless, words};
pub use last::LastLines;
pub use serve::{Limits, Server};
pub use stat::{Kind, Stat};
pub use text::text;
pub use tree::{Answer, How, NewFile, Open, Tree};
pub use user::{Access, User};
