//! The choice: capacity, then spread, then best fit, then name.

use std::cmp::Reverse;

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
/// service; of those, the fullest, so that large instances find room elsewhere; of those, the
/// first by name, so that the same nodes always give the same answer.
///
/// # Errors
/// A refusal a node, in the order given, when none fits; empty when there are no nodes.
pub fn place(nodes: &[Node], want: Resources) -> Result<&Node, Vec<Refusal>> {
    let fitting = nodes.iter().filter(|node| node.reasons(want).is_empty());
    fitting
        .min_by_key(|node| (node.instances, Reverse(node.fullness(want)), &node.name))
        .ok_or_else(|| {
            let refusal =
                |node: &Node| Refusal { node: node.name.clone(), reasons: node.reasons(want) };
            nodes.iter().map(refusal).collect()
        })
}

/// How many of `count` further instances fit, all alike. Where each of them goes makes no
/// difference to the number.
#[must_use]
pub fn room(nodes: &[Node], want: Resources, count: u32) -> u32 {
    let fits = nodes.iter().map(|node| node.room(want));
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
        if !self.accepting {
            return vec![Reason::NotAccepting];
        }
        let free = self.free();
        let cpu = (want.cpu_milli > free.cpu_milli).then_some(Reason::Cpu {
            wants_milli: want.cpu_milli,
            free_milli: free.cpu_milli,
            of_milli: self.capacity.cpu_milli,
        });
        let memory = (want.memory_bytes > free.memory_bytes).then_some(Reason::Memory {
            wants_bytes: want.memory_bytes,
            free_bytes: free.memory_bytes,
            of_bytes: self.capacity.memory_bytes,
        });
        cpu.into_iter().chain(memory).collect()
    }

    /// How many such instances fit.
    fn room(&self, want: Resources) -> u64 {
        if !self.accepting {
            return 0;
        }
        let free = self.free();
        let by_cpu = free.cpu_milli.checked_div(want.cpu_milli).map_or(u64::MAX, u64::from);
        let by_memory = free.memory_bytes.checked_div(want.memory_bytes).unwrap_or(u64::MAX);
        by_cpu.min(by_memory)
    }

    /// How full the node would be with one more instance: millionths of its cores plus millionths
    /// of its memory, so that neither counts more because its unit is smaller.
    fn fullness(&self, want: Resources) -> u128 {
        const WHOLE: u128 = 1_000_000;
        let share = |used: u64, more: u64, of: u64| {
            (u128::from(used) + u128::from(more)) * WHOLE / u128::from(of.max(1))
        };
        let (has, reserved) = (self.capacity, self.reserved);
        let cpu = [reserved.cpu_milli, want.cpu_milli, has.cpu_milli].map(u64::from);
        share(cpu[0], cpu[1], cpu[2])
            + share(reserved.memory_bytes, want.memory_bytes, has.memory_bytes)
    }
}
