//! The choice from a short list of nodes, whose reservations somebody else has summed up.

use crate::machine::State;
use crate::reasons::lacks;
use crate::refusal::{Reason, Refusal};

/// Cores and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// A node as placement sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name; two nodes never share one.
    pub name: String,
    /// What it has.
    pub capacity: Resources,
    /// What the instances on it, of all services, have reserved. It may be more than the
    /// capacity, when a machine came back smaller; nothing is free then.
    pub reserved: Resources,
    /// Instances on it of the service that is placed.
    pub instances: u32,
    /// Whether it takes new instances.
    pub accepting: bool,
}

/// The node for one more instance: of those with room, one with the fewest instances of this
/// service; of those, the one with the least left over, so that large instances find room
/// elsewhere; of those, the first by name, so that the same nodes always give the same answer.
///
/// # Errors
/// A refusal a node, in the order given, when none fits; empty when there are no nodes.
pub fn place(nodes: &[Node], want: Resources) -> Result<&Node, Vec<Refusal>> {
    let fitting = nodes.iter().filter(|node| node.accepting && want.fits(node.free()));
    fitting.min_by_key(|node| (node.instances, node.free().weight(), &node.name)).ok_or_else(|| {
        let refusal =
            |node: &Node| Refusal { node: node.name.clone(), reasons: node.reasons(want) };
        nodes.iter().map(refusal).collect()
    })
}

/// How many of `count` further instances fit, all alike. Where each of them goes makes no
/// difference to the number.
#[must_use]
pub fn room(nodes: &[Node], want: Resources, count: u32) -> u32 {
    let accepting = nodes.iter().filter(|node| node.accepting);
    let fits = accepting.map(|node| want.times_in(node.free()));
    let all = fits.fold(0_u64, |sum, fits| sum.saturating_add(fits));
    u32::try_from(all).map_or(count, |all| all.min(count))
}

impl Node {
    /// What nobody has reserved.
    fn free(&self) -> Resources {
        Resources {
            cpu_milli: self.capacity.cpu_milli.saturating_sub(self.reserved.cpu_milli),
            memory_bytes: self.capacity.memory_bytes.saturating_sub(self.reserved.memory_bytes),
        }
    }

    /// Everything that stands against one more instance.
    fn reasons(&self, want: Resources) -> Vec<Reason> {
        match self.accepting {
            true => lacks(want, self.free(), self.capacity).collect(),
            false => vec![Reason::State(State::Closed)],
        }
    }
}
