//! Why a node cannot take an instance.

/// A node that was refused; Display is `node-1: cpu: wants 0.5, 0.25 free of 2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The node's name.
    pub node: String,
    /// Everything that stands against it, never empty.
    pub reasons: Vec<Reason>,
}

/// What stands against a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It takes no new instances: it is being drained, or nothing is heard of it.
    NotAccepting,
    /// Not enough cores, in thousandths.
    Cpu {
        /// What the instance reserves.
        wants_milli: u32,
        /// What nobody has reserved.
        free_milli: u32,
        /// What the node has.
        of_milli: u32,
    },
    /// Not enough memory.
    Memory {
        /// What the instance reserves.
        wants_bytes: u64,
        /// What nobody has reserved.
        free_bytes: u64,
        /// What the node has.
        of_bytes: u64,
    },
}
