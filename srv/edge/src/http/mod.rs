//! HTTP/1.1 and HTTP/2: a request comes in, an instance is claimed, the request goes out on a
//! connection of that instance's pool, and the answer comes back as it is made.

mod answer;
mod body;
mod choose;
mod copy;
mod dial;
mod flight;
mod forward;
mod guard;
mod head;
mod host;
mod index;
mod lent;
mod outgoing;
mod plain;
mod pool;
mod rest;
mod scan;
mod secure;
mod send;
mod serve;
mod streams;
#[cfg(test)]
pub(crate) mod test;
mod tunnel;

pub(crate) use choose::{TRIES_MAX, Tried, choose};
pub(crate) use head::Scheme;
pub(crate) use index::Index;
pub(crate) use pool::{Dialled, Pool};
pub(crate) use serve::{Taken, accept, begin, serve};
