//! A node as it is told to a fleet.

use std::collections::BTreeMap;
use std::fmt;

use crate::place::Resources;

/// The label every node has: its own name.
pub const NODE_LABEL: &str = "node";

/// A node: what it is, and whether it takes anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its name; two nodes never share one. It is also the label [`NODE_LABEL`].
    pub name: String,
    /// Cores and memory that instances may have.
    pub capacity: Resources,
    /// Bytes that volumes may have.
    pub volume_bytes: u64,
    /// What constraints speak of: those people gave it, and what it says of itself, such as its
    /// architecture.
    pub labels: BTreeMap<String, String>,
    /// Whether it takes new instances.
    pub state: State,
}

/// Whether a node takes new instances; those it has stay counted in every state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It does.
    #[default]
    Accepting,
    /// Somebody said that it shall not.
    Closed,
    /// Its instances are brought elsewhere.
    Draining,
    /// Nothing was heard of it for a while.
    Suspect,
    /// Nothing was heard of it for so long that its instances are placed elsewhere.
    Lost,
}

impl Machine {
    /// What a label says of it.
    pub(crate) fn label(&self, label: &str) -> Option<&str> {
        match label {
            NODE_LABEL => Some(&self.name),
            _ => self.labels.get(label).map(String::as_str),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Accepting => "accepting",
            State::Closed => "takes no new instances",
            State::Draining => "is drained",
            State::Suspect => "is suspect: nothing heard of it",
            State::Lost => "is lost",
        })
    }
}
