//! Names of services and instances, answered from a snapshot that changes with the routes.
//! Everything else is asked of the machine's resolvers.
//!
//! Nobody asks the listeners whether they answer by a new table before it is acknowledged: all of
//! a process read the value that the routes are in, so that the store of a table is the proof; of
//! an older process that still answers at the same sockets, nothing has drained before it has taken
//! the table too (`follow::ledger`).
//!
//! Never: answers for anybody but this host and its bridge; keeps a name that the table has not;
//! answers an answer.

mod allowed;
#[cfg(test)]
mod asking;
mod chance;
mod crowd;
mod desk;
mod figures;
mod forward;
mod label;
mod names;
mod peer;
mod query;
mod rcode;
mod record;
mod reply;
mod resolvers;
mod server;
mod tcp;
mod udp;
mod zone;

pub(crate) use desk::Source;
pub(crate) use names::Names;
pub(crate) use resolvers::Resolvers;
pub(crate) use server::{Listener, Server};
