//! Which node an instance goes to, and why it goes to no other.
//!
//! [`Fleet`] holds nodes, what is wanted and where instances are, in an index that is asked
//! without looking at every node; [`place`] and [`room`] answer by the same laws for a short list
//! of nodes. The laws, each borne by a test of that sentence:
//!
//! 1. No node gets more than it has: cores, memory, room for volumes, and each port once.
//! 2. Constraints hold where an instance is placed, and anti-affinity holds for both sides.
//! 3. An instance goes where its volume is, or nowhere.
//! 4. A node that is closed, drained, suspect or lost gets nothing new.
//! 5. Instances of a service spread: over the values of each label it names, in that order, and
//!    then over nodes; of what fits, one with the fewest is taken.
//! 6. Who leaves is not counted for its successor, which stays on its node among equals.
//! 7. Among equals the node with the least left over is taken, and then the first by name.
//! 8. The same nodes, wants and instances give the same answer, in whatever order they came.
//! 9. What is placed is reserved at once, and what is removed is given back exactly.
//! 10. A node is refused with everything that stands against it, and only with what is true.
//!
//! Never: performs anything, does I/O, draws chance, or looks at a clock.

mod choose;
mod classes;
mod counts;
mod error;
mod fleet;
mod free;
mod machine;
mod nodes;
mod place;
mod reasons;
mod refusal;
mod room;
mod row;
mod seats;
mod services;
#[cfg(test)]
mod tests;
mod told;
mod volumes;
mod want;

pub use error::Error;
pub use fleet::{Fleet, WantId};
pub use free::CORE_BYTES;
pub use machine::{Machine, NODE_LABEL, State};
pub use place::{Node, Resources, place, room};
pub use refusal::{Reason, Refusal};
pub use told::{TOLD_BYTES_MAX, told};
pub use want::{Volume, Want};
