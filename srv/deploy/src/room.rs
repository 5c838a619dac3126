//! Whether a change fits, found out before anything is touched, and in which way it can be made:
//! with the whole surge, with a smaller one, or turned round, one ending before one starts.

use crate::world::{World, plus};
use manifest::{Manifest, Outcome, Update};
use place::{Node, Refusal, Want};
use rollout::Version;

/// How a change that fits is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Instances replaced at a time; never more than there are to be.
    pub batch: u32,
    /// One ends before one starts, for want of room for a surge.
    pub turn_round: bool,
    /// All that run end before new ones start, for the sake of a volume.
    pub alone: bool,
}

impl Way {
    /// The manifest's own way.
    #[must_use]
    pub fn full(manifest: &Manifest) -> Way {
        let batch = manifest.batch().min(manifest.replicas).max(1);
        Way { batch, turn_round: false, alone: false }
    }

    /// What people are told when it is another way than the manifest's.
    #[must_use]
    pub fn note(self, manifest: &Manifest) -> Option<String> {
        if self.alone {
            manifest.strategy_note().map(|why| format!("replaces all at once: {why}"))
        } else if self.turn_round {
            Some("no room for the surge: stops before it starts, one at a time".to_string())
        } else if self != Way::full(manifest) {
            Some(format!("no room for the whole surge: batch {} instead", self.batch))
        } else {
            None
        }
    }
}

impl World {
    /// The nodes as placement sees them, for instances of that service; `replaced_by` is the
    /// version that is started only when all others of the service have ended.
    #[must_use]
    pub fn nodes(&self, service: &str, replaced_by: Option<Version>) -> Vec<Node> {
        let node = &self.node;
        if node.name.is_empty() {
            return Vec::new();
        }
        let (mut reserved, mut own_bytes) = self.tasks.reserved();
        let mut instances = 0;
        for (name, other) in &self.services {
            let its_own = name == service;
            let its = other.reserved(&node.name, replaced_by.filter(|_| its_own));
            reserved = plus(reserved, its.sum);
            own_bytes += its.own_bytes;
            instances += if its_own { its.instances } else { 0 };
        }
        let (name, capacity, accepting) = (node.name.clone(), node.capacity, node.up);
        let (volume_bytes, volumes) = (node.volume_bytes, self.volumes_on(&node.name));
        vec![Node {
            name,
            capacity,
            reserved,
            volume_bytes,
            volumes,
            own_bytes,
            instances,
            accepting,
        }]
    }

    /// The way a change can be made, or why it cannot.
    ///
    /// # Errors
    /// There is no room, and what is lacking where.
    pub fn way(&self, name: &str, manifest: &Manifest, change: Outcome) -> Result<Way, String> {
        let full = Way::full(manifest);
        let service = self.services.get(name);
        let runs = service.map_or(0, |s| s.record.rollout.replicas().1);
        let growth = manifest.replicas.saturating_sub(runs);
        let replaces = manifest.strategy() == Update::Replace && change == Outcome::Update;
        let alone = replaces && runs > 0 && manifest.strategy_note().is_some();
        let full = Way { alone, ..full };
        // A version that no instance has: all of the service's own are left out.
        let leaving = replaces.then_some(Version(u32::MAX));
        let surge = if runs == 0 || replaces || change != Outcome::Update { 0 } else { full.batch };
        let needs = if replaces { manifest.replicas } else { growth + surge };
        let nodes = self.nodes(name, leaving);
        let want = Want::of(manifest);
        let fits = place::room(&nodes, &want, needs);
        if nodes.is_empty() || fits >= needs {
            return Ok(full);
        }
        if !self.node.up {
            return Err(format!("node {} does not answer; try again when it does", self.node.name));
        }
        if surge > 0 && fits > growth {
            return Ok(Way { batch: fits - growth, ..full });
        }
        if surge > 0 && growth == 0 && manifest.replicas > 1 {
            return Ok(Way { batch: 1, turn_round: true, ..full });
        }
        let lacks = match place::place(&nodes, &want) {
            Ok(_) => format!("{fits} of {needs} more instances fit"),
            Err(refusals) => in_words(&refusals),
        };
        Err(match (runs, manifest.replicas) {
            (1.., 1) if surge > 0 => format!(
                "no room for a second instance beside the one that runs: {lacks}; make room, or \
                 say update replace"
            ),
            _ => format!("no room: {lacks}"),
        })
    }

    /// What an apply will most likely amount to, as far as that is known before its image is:
    /// the same name is taken for the same image.
    #[must_use]
    pub fn foreseen(&self, name: &str, manifest: &Manifest) -> Outcome {
        let Some(service) = self.services.get(name) else { return Outcome::Update };
        let same = service.current().filter(|(_, old)| old.image == manifest.image);
        service.change(manifest, same.map_or("another", |(edition, _)| edition.digest.as_str()))
    }
}

/// What every node lacks, in one line.
#[must_use]
pub fn in_words(refusals: &[Refusal]) -> String {
    refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
