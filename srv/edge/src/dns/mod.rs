//! Names of services and instances, answered from a snapshot that changes with the routes.
//! Everything else is asked of the machine's resolvers.
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
#[cfg_attr(not(test), expect(dead_code, reason = "for whoever waits for names to change"))]
mod verify;
mod zone;

pub(crate) use desk::Source;
pub(crate) use names::Names;
pub(crate) use resolvers::Resolvers;
pub(crate) use server::{Listener, Server};
