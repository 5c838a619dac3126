//! Why a node cannot take an instance.

use std::fmt;

use manifest::units::{show_cpu, show_size};

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

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.reasons.iter().map(Reason::to_string).collect();
        write!(f, "{}: {}", self.node, reasons.join("; "))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Reason::NotAccepting => f.write_str("takes no new instances"),
            Reason::Cpu { wants_milli, free_milli, of_milli } => {
                let [wants, free, of] = [wants_milli, free_milli, of_milli].map(show_cpu);
                write!(f, "cpu: wants {wants}, {free} free of {of}")
            }
            Reason::Memory { wants_bytes, free_bytes, of_bytes } => {
                let (wants, of) = (show_size(wants_bytes), show_size(of_bytes));
                write!(f, "memory: wants {wants}, {} free of {of}", show_size(free_bytes))
            }
        }
    }
}
