//! The processes of an edge: one that holds the sockets, one that serves, and for a while those
//! that end what they began.
//!
//! ```text
//! supervisor ── sockets, lock ──▶ worker ── 9P ──▶ deployfs
//!      ▲                             ▲
//!      │ STATE/edge.up: take over    │ STATE/edge/PID.sock: what do you still hold?
//! the next supervisor             the next worker
//! ```
//!
//! Kill either and the other goes on: the supervisor starts the next worker, connections wait at
//! the sockets meanwhile; the worker starts the next supervisor, which takes over from it.

pub(crate) mod bind;
mod crew;
pub(crate) mod front;
mod handover;
pub(crate) mod leave;
mod orphan;
mod served;
pub(crate) mod session;
pub(crate) mod sockets;
mod state;
pub(crate) mod supervisor;
mod talk;
mod totals;
pub(crate) mod worker;
