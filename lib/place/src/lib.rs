//! Which node an instance goes to, and a reason for every node that is refused.
//!
//! Never: performs anything, remembers anything, or looks at a clock; the same nodes and the
//! same want give the same answer.

mod place;
mod refusal;
#[cfg(test)]
mod tests;

pub use place::{Node, Resources, place, room};
pub use refusal::{Reason, Refusal};
