//! Why a node cannot take an instance.

use std::fmt;

use manifest::units::{show_cpu, show_size};

use crate::machine::State;

/// A node that was refused; Display is `node-1: cpu: wants 0.5, 0.25 free of 2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The node's name.
    pub node: String,
    /// Everything that stands against it, never empty.
    pub reasons: Vec<Reason>,
}

/// What stands against a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It takes no new instances; nothing else is told of it then.
    State(State),
    /// A label has not the value it must have.
    Label {
        /// The label.
        label: String,
        /// What it must be.
        wants: String,
        /// What it is.
        has: Option<String>,
    },
    /// A label has a value it must not have.
    Unwanted {
        /// The label.
        label: String,
        /// What it is.
        has: String,
    },
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
    /// A port of the node that another instance has.
    Port(u16),
    /// A volume that is on another node.
    Elsewhere {
        /// The volume.
        volume: String,
        /// Where it is.
        node: String,
    },
    /// Not enough room for volumes.
    Volumes {
        /// What the instance's volumes reserve beyond what they have.
        wants_bytes: u64,
        /// What no volume has reserved.
        free_bytes: u64,
        /// What the node has for volumes.
        of_bytes: u64,
    },
    /// A service it must be beside has no instance here.
    Lacks(String),
    /// A service it must not be beside has an instance here.
    Beside(String),
    /// A service that must not be beside it has an instance here.
    Shunned(String),
}

impl Reason {
    /// What kind of reason it is, in a word or two.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::State(_) => "not accepting",
            Reason::Label { .. } | Reason::Unwanted { .. } => "labels",
            Reason::Cpu { .. } => "cpu",
            Reason::Memory { .. } => "memory",
            Reason::Port(_) => "ports",
            Reason::Elsewhere { .. } => "volume elsewhere",
            Reason::Volumes { .. } => "volumes",
            Reason::Lacks(_) => "affinity",
            Reason::Beside(_) | Reason::Shunned(_) => "anti-affinity",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.reasons.iter().map(Reason::to_string).collect();
        write!(f, "{}: {}", self.node, reasons.join("; "))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::State(state) => write!(f, "{state}"),
            Reason::Label { label, wants, has: None } => {
                write!(f, "label {label}={wants} missing")
            }
            Reason::Label { label, wants, has: Some(has) } => {
                write!(f, "label {label}: wants {wants}, is {has}")
            }
            Reason::Unwanted { label, has } => write!(f, "label {label}={has} not wanted"),
            Reason::Cpu { wants_milli, free_milli, of_milli } => {
                let [wants, free, of] = [wants_milli, free_milli, of_milli].map(|n| show_cpu(*n));
                write!(f, "cpu: wants {wants}, {free} free of {of}")
            }
            Reason::Memory { wants_bytes, free_bytes, of_bytes } => {
                sizes(f, "memory", [wants_bytes, free_bytes, of_bytes])
            }
            Reason::Port(port) => write!(f, "port {port} taken"),
            Reason::Elsewhere { volume, node } => write!(f, "volume {volume} is on {node}"),
            Reason::Volumes { wants_bytes, free_bytes, of_bytes } => {
                sizes(f, "volumes", [wants_bytes, free_bytes, of_bytes])
            }
            Reason::Lacks(service) => write!(f, "affinity: no instance of {service}"),
            Reason::Beside(service) => write!(f, "anti-affinity: has an instance of {service}"),
            Reason::Shunned(service) => write!(f, "anti-affinity of {service}, which is here"),
        }
    }
}

fn sizes(f: &mut fmt::Formatter<'_>, what: &str, sizes: [&u64; 3]) -> fmt::Result {
    let [wants, free, of] = sizes.map(|bytes| show_size(*bytes));
    write!(f, "{what}: wants {wants}, {free} free of {of}")
}
