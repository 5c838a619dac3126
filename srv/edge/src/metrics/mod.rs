//! Figures of routes and instances. Each worker counts in a shard of its own, so that counting
//! is a plain store; who reads adds the shards up.

mod counts;
mod cuts;
mod figures;
pub(crate) mod flights;
mod histogram;
mod lines;
mod refused;
mod text;

pub(crate) use counts::Counts;
pub(crate) use cuts::{Cuts, Reason};
pub(crate) use figures::{Class, Figures};
pub(crate) use flights::Flights;
pub(crate) use lines::lines;
pub(crate) use refused::{Refused, Want};
pub(crate) use text::{rest, text};
