//! What every instance of one version of a service needs.

use manifest::{Constraint, Manifest, Network, VolumeSource};

use crate::machine::NODE_LABEL;
use crate::place::Resources;

/// What an instance needs, and where it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The service it is an instance of; its instances spread.
    pub service: String,
    /// Cores and memory.
    pub needs: Resources,
    /// TCP ports of the node itself that it listens on.
    pub ports: Vec<u16>,
    /// Volumes, each name once.
    pub volumes: Vec<Volume>,
    /// Where it may run, all of which must hold.
    pub constraints: Vec<Constraint>,
}

/// A volume an instance needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Its name: the same name is the same volume, for whatever service.
    pub name: String,
    /// Whether it may be lost: then it is made anew with each instance and binds none to a node.
    pub ephemeral: bool,
    /// Bytes it may grow to, which are reserved.
    pub bytes: u64,
}

impl Want {
    /// What a manifest asks for. A port counts only on the node's own network; a directory of the
    /// node binds to none, for whether it is there only the node knows.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Want {
        let on_node = manifest.network == Network::Host;
        let volumes = manifest.volumes.iter().filter_map(|volume| match &volume.source {
            VolumeSource::Named { name, ephemeral, size_bytes, .. } => Some(Volume {
                name: name.clone(),
                ephemeral: *ephemeral,
                bytes: size_bytes.unwrap_or(0),
            }),
            VolumeSource::Host { .. } => None,
        });
        Want {
            service: manifest.name.clone(),
            needs: Resources { cpu_milli: manifest.cpu_milli, memory_bytes: manifest.memory_bytes },
            ports: manifest.port.filter(|_| on_node).into_iter().collect(),
            volumes: volumes.collect(),
            constraints: manifest.constraints.clone(),
        }
    }

    /// Volumes that bind to a node.
    pub(crate) fn bound(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.iter().filter(|volume| !volume.ephemeral)
    }

    /// Bytes of volumes that every instance has for itself.
    pub(crate) fn own_bytes(&self) -> u64 {
        let own = self.volumes.iter().filter(|volume| volume.ephemeral);
        own.fold(0, |sum, volume| sum.saturating_add(volume.bytes))
    }

    /// Labels over whose values its instances spread; over nodes they do last, whoever says so.
    pub(crate) fn spread(&self) -> impl Iterator<Item = &str> {
        self.constraints.iter().filter_map(|constraint| match constraint {
            Constraint::Spread { label } if label != NODE_LABEL => Some(label.as_str()),
            Constraint::Equal { .. }
            | Constraint::NotEqual { .. }
            | Constraint::Spread { .. }
            | Constraint::Affinity { .. }
            | Constraint::AntiAffinity { .. } => None,
        })
    }

    /// The node it names.
    pub(crate) fn node(&self) -> Option<&str> {
        self.constraints.iter().find_map(|constraint| match constraint {
            Constraint::Equal { label, value } if label == NODE_LABEL => Some(value.as_str()),
            Constraint::Equal { .. }
            | Constraint::NotEqual { .. }
            | Constraint::Spread { .. }
            | Constraint::Affinity { .. }
            | Constraint::AntiAffinity { .. } => None,
        })
    }

    /// Nodes it must not be on by name.
    pub(crate) fn node_shunned(&self) -> impl Iterator<Item = &str> {
        self.constraints.iter().filter_map(|constraint| match constraint {
            Constraint::NotEqual { label, value } if label == NODE_LABEL => Some(value.as_str()),
            Constraint::Equal { .. }
            | Constraint::NotEqual { .. }
            | Constraint::Spread { .. }
            | Constraint::Affinity { .. }
            | Constraint::AntiAffinity { .. } => None,
        })
    }

    /// Services it must be beside, and services it must not be beside.
    pub(crate) fn others(&self) -> impl Iterator<Item = (&str, bool)> {
        self.constraints.iter().filter_map(|constraint| match constraint {
            Constraint::Affinity { service } => Some((service.as_str(), true)),
            Constraint::AntiAffinity { service } => Some((service.as_str(), false)),
            Constraint::Equal { .. } | Constraint::NotEqual { .. } | Constraint::Spread { .. } => {
                None
            }
        })
    }
}
