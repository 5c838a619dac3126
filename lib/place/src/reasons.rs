//! Everything that stands against a node: what decides whether it fits, and what people are told.

use manifest::Constraint;

use crate::error::Error;
use crate::fleet::{Fleet, Kept, WantId};
use crate::machine::{Machine, State};
use crate::nodes::Post;
use crate::place::Resources;
use crate::refusal::{Reason, Refusal};
use crate::told::told;
use crate::want::Want;

impl Fleet {
    /// Every node that one more instance does not fit on, in the order of names, with all that
    /// stands against it.
    ///
    /// # Errors
    /// The want is not declared.
    pub fn refusals(&self, want: WantId) -> Result<Vec<Refusal>, Error> {
        let kept = self.kept(want)?;
        let refusal = |slot: &u32| {
            let reasons: Vec<Reason> = self.reasons(kept, *slot).collect();
            let node = || self.nodes.at(*slot).machine.name.clone();
            (!reasons.is_empty()).then(|| Refusal { node: node(), reasons })
        };
        Ok(self.nodes.slots().iter().filter_map(refusal).collect())
    }

    /// The same in one line that stays short whatever the number of nodes.
    ///
    /// # Errors
    /// The want is not declared.
    pub fn why(&self, want: WantId) -> Result<String, Error> {
        Ok(told(&self.refusals(want)?))
    }

    pub(crate) fn fits(&self, kept: &Kept, slot: u32) -> bool {
        self.reasons(kept, slot).next().is_none()
    }

    fn reasons(&self, kept: &Kept, slot: u32) -> impl Iterator<Item = Reason> {
        let post = self.nodes.at(slot);
        let closed = post.machine.state != State::Accepting;
        let others = (!closed).then(|| {
            let lacks = lacks(kept.want.needs, post.free(), post.machine.capacity);
            labels(&kept.want, &post.machine).chain(lacks).chain(self.beyond(kept, slot))
        });
        closed
            .then_some(Reason::State(post.machine.state))
            .into_iter()
            .chain(others.into_iter().flatten())
    }

    /// What can stand against a node whose labels, cores and memory suit.
    pub(crate) fn beyond(&self, kept: &Kept, slot: u32) -> impl Iterator<Item = Reason> {
        let post = self.nodes.at(slot);
        let node = kept.want.node_shunned().filter(|name| *name == post.machine.name);
        let node = node.map(|name| Reason::Unwanted {
            label: crate::NODE_LABEL.to_owned(),
            has: name.to_owned(),
        });
        let taken = kept.want.ports.iter().filter(|port| post.ports.binary_search(port).is_ok());
        let taken = taken.map(|port| Reason::Port(*port));
        node.chain(taken).chain(self.volumes(kept, post, slot)).chain(self.neighbours(kept, slot))
    }

    fn volumes(&self, kept: &Kept, post: &Post, slot: u32) -> impl Iterator<Item = Reason> {
        let home = |name: &String| self.volumes.get(name);
        let elsewhere = kept.want.bound().filter_map(move |volume| {
            let home = home(&volume.name).filter(|home| home.slot != slot)?;
            let node = self.nodes.at(home.slot).machine.name.clone();
            Some(Reason::Elsewhere { volume: volume.name.clone(), node })
        });
        let bound = self.bound_bytes(kept, slot);
        let wants_bytes = bound.saturating_add(kept.want.own_bytes());
        let free_bytes = post.free_volume_bytes();
        let of_bytes = post.machine.volume_bytes;
        let full = (wants_bytes > free_bytes).then_some(Reason::Volumes {
            wants_bytes,
            free_bytes,
            of_bytes,
        });
        elsewhere.chain(full)
    }

    /// Bytes by which its lasting volumes would have to be made, or to grow, on a node.
    pub(crate) fn bound_bytes(&self, kept: &Kept, slot: u32) -> u64 {
        kept.want.bound().fold(0, |sum: u64, volume| {
            let has = match self.volumes.get(&volume.name) {
                Some(home) if home.slot != slot => volume.bytes,
                Some(home) => home.bytes,
                None => 0,
            };
            sum.saturating_add(volume.bytes.saturating_sub(has))
        })
    }

    /// Services with an instance here that must not be beside it, each once; but its own when its
    /// own constraint says so already.
    fn shunned(&self, kept: &Kept, slot: u32) -> Vec<u32> {
        let mut services = Vec::new();
        for want in &self.services.at(kept.service).shunned_by {
            let Some(shuns) = &self.wants[*want as usize] else { continue };
            let told = shuns.service == kept.service && kept.apart.contains(&kept.service);
            if !told && shuns.seats.at(slot) > 0 && !services.contains(&shuns.service) {
                services.push(shuns.service);
            }
        }
        services
    }

    fn neighbours(&self, kept: &Kept, slot: u32) -> impl Iterator<Item = Reason> {
        let here = move |other: &&u32| self.services.at(**other).counts.at(slot) > 0;
        let name = |other: &u32| self.services.at(*other).name.clone();
        let near = kept.near.iter().filter(move |other| !self.is_first(kept, **other));
        let lacks = near.filter(move |other| !here(other)).map(move |one| Reason::Lacks(name(one)));
        let beside = kept.apart.iter().filter(here).map(move |one| Reason::Beside(name(one)));
        let shunned = self.shunned(kept, slot).into_iter();
        lacks.chain(beside).chain(shunned.map(move |service| Reason::Shunned(name(&service))))
    }
}

fn labels(want: &Want, machine: &Machine) -> impl Iterator<Item = Reason> {
    want.constraints.iter().filter_map(|constraint| match constraint {
        Constraint::Equal { label, value } => {
            let has = machine.label(label);
            (has != Some(value)).then(|| Reason::Label {
                label: label.clone(),
                wants: value.clone(),
                has: has.map(str::to_owned),
            })
        }
        Constraint::NotEqual { label, value } if label != crate::NODE_LABEL => {
            let unwanted = machine.label(label) == Some(value);
            unwanted.then(|| Reason::Unwanted { label: label.clone(), has: value.clone() })
        }
        Constraint::NotEqual { .. }
        | Constraint::Spread { .. }
        | Constraint::Affinity { .. }
        | Constraint::AntiAffinity { .. } => None,
    })
}

/// What is lacking of cores and memory.
pub(crate) fn lacks(
    wants: Resources,
    free: Resources,
    of: Resources,
) -> impl Iterator<Item = Reason> {
    let cpu = (wants.cpu_milli > free.cpu_milli).then_some(Reason::Cpu {
        wants_milli: wants.cpu_milli,
        free_milli: free.cpu_milli,
        of_milli: of.cpu_milli,
    });
    let memory = (wants.memory_bytes > free.memory_bytes).then_some(Reason::Memory {
        wants_bytes: wants.memory_bytes,
        free_bytes: free.memory_bytes,
        of_bytes: of.memory_bytes,
    });
    cpu.into_iter().chain(memory)
}
