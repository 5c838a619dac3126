//! The edge: holds the sockets that users connect to, passes their requests on to instances, and
//! answers for the names of services. What it knows is one table, swapped whole.
//!
//! Never: decides who is healthy; keeps state that is not rebuilt from the table; blocks a
//! request on the control plane.

mod access;
mod backend;
mod dns;
mod drain;
mod error;
mod gate;
#[cfg(test)]
mod gate_test;
mod http;
mod limits;
mod live;
mod metrics;
mod swap;
mod sync;
mod table;
mod tcp;
mod users;
mod worker;

pub use error::Error;
