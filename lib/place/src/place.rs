//! The choice: capacity, then spread, then best fit, then name.

use crate::refusal::Refusal;

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
    /// What the instances on it, of all services, have reserved.
    pub reserved: Resources,
    /// Instances on it of the service that is placed.
    pub instances: u32,
    /// Whether it takes new instances.
    pub accepting: bool,
}

/// The node for one more instance.
///
/// # Errors
/// A refusal a node, in the order given, when none fits; empty when there are no nodes.
pub fn place(_nodes: &[Node], _want: Resources) -> Result<&Node, Vec<Refusal>> {
    todo!()
}

/// How many of `count` further instances fit, placed one after the other as [`place`] would.
#[must_use]
pub fn room(_nodes: &[Node], _want: Resources, _count: u32) -> u32 {
    todo!()
}
