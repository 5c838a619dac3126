//! The choice from a short list of nodes, whose reservations somebody else has summed up.

use crate::machine::State;
use crate::reasons::lacks;
use crate::refusal::{Reason, Refusal};
use crate::want::{Volume, Want};
use std::collections::BTreeMap;

/// Cores and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_milli: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

/// A node as placement sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name; two nodes never share one.
    pub name: String,
    /// What it has.
    pub capacity: Resources,
    /// What the instances on it, of all services, have reserved. It may be more than the
    /// capacity, when a machine came back smaller; nothing is free then.
    pub reserved: Resources,
    /// Bytes that volumes may have.
    pub volume_bytes: u64,
    /// The lasting volumes on it, and the bytes that each may grow to.
    pub volumes: BTreeMap<String, u64>,
    /// Bytes of the volumes that instances on it have for themselves.
    pub own_bytes: u64,
    /// Instances on it of the service that is placed.
    pub instances: u32,
    /// Whether it takes new instances.
    pub accepting: bool,
}

/// The node for one more instance: of those with room, one with the fewest instances of this
/// service; of those, the one with the least left over, so that large instances find room
/// elsewhere; of those, the first by name, so that the same nodes always give the same answer.
/// Of a want its cores, memory and volumes are looked at; constraints and ports are a fleet's.
///
/// # Errors
/// A refusal a node, in the order given, when none fits; empty when there are no nodes.
pub fn place<'a>(nodes: &'a [Node], want: &Want) -> Result<&'a Node, Vec<Refusal>> {
    let fitting = nodes.iter().filter(|node| node.reasons(want, nodes).is_empty());
    fitting.min_by_key(|node| (node.instances, node.free().weight(), &node.name)).ok_or_else(|| {
        let refusal =
            |node: &Node| Refusal { node: node.name.clone(), reasons: node.reasons(want, nodes) };
        nodes.iter().map(refusal).collect()
    })
}

/// How many of `count` further instances fit, all alike. Where each of them goes makes no
/// difference to the number, but that all go where the first makes their volume.
#[must_use]
pub fn room(nodes: &[Node], want: &Want, count: u32) -> u32 {
    let fits = nodes.iter().map(|node| node.times(want, nodes));
    let made = |name: &String| nodes.iter().any(|node| node.volumes.contains_key(name));
    let binds = want.bound().any(|volume| !made(&volume.name));
    let all = match binds {
        true => fits.max().unwrap_or(0),
        false => fits.fold(0_u64, u64::saturating_add),
    };
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

    /// Bytes that no volume has reserved.
    fn free_volume_bytes(&self) -> u64 {
        let lasting =
            self.volumes.values().fold(self.own_bytes, |sum, one| sum.saturating_add(*one));
        self.volume_bytes.saturating_sub(lasting)
    }

    /// Bytes by which lasting volumes would have to be made, or to grow, here.
    fn bound_bytes(&self, want: &Want) -> u64 {
        let more = |volume: &Volume| {
            volume.bytes.saturating_sub(self.volumes.get(&volume.name).copied().unwrap_or(0))
        };
        want.bound().map(more).fold(0, u64::saturating_add)
    }

    /// How many such instances it can take.
    fn times(&self, want: &Want, nodes: &[Node]) -> u64 {
        if !self.reasons(want, nodes).is_empty() {
            return 0;
        }
        let bytes = self.free_volume_bytes().saturating_sub(self.bound_bytes(want));
        let by_volumes = bytes.checked_div(want.own_bytes()).unwrap_or(u64::MAX);
        want.needs.times_in(self.free()).min(by_volumes)
    }

    /// Everything that stands against one more instance.
    fn reasons(&self, want: &Want, nodes: &[Node]) -> Vec<Reason> {
        if !self.accepting {
            return vec![Reason::State(State::Closed)];
        }
        let elsewhere = want.bound().filter_map(|volume| {
            let has = |node: &&Node| node.volumes.contains_key(&volume.name);
            let home = nodes.iter().find(has).filter(|_| !has(&self))?;
            Some(Reason::Elsewhere { volume: volume.name.clone(), node: home.name.clone() })
        });
        let wants_bytes = self.bound_bytes(want).saturating_add(want.own_bytes());
        let (free_bytes, of_bytes) = (self.free_volume_bytes(), self.volume_bytes);
        let full = (wants_bytes > free_bytes).then_some(Reason::Volumes {
            wants_bytes,
            free_bytes,
            of_bytes,
        });
        lacks(want.needs, self.free(), self.capacity).chain(elsewhere).chain(full).collect()
    }
}
