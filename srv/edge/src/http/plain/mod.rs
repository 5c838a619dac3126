//! The short way of plain requests: without a body, and with nothing in their heads that asks
//! for more than an answer. They are most of what is asked, and pass as bytes, from one buffer
//! to another; every other request goes the long way, as does one that could not be sent.
//!
//! What is not surely plain, is not: this way may only be as strict as the other, or stricter.

mod ask;
mod body;
mod reply;
mod talk;
#[cfg(test)]
mod test;
mod turn;
mod wire;

pub(super) use talk::{After, talk};
pub(super) use wire::Wire;

/// Fields of a head, as many as the long way takes.
const FIELDS_MAX: usize = 100;

/// What an instance said wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bad(&'static str);
