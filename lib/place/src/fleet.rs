//! Nodes, what is wanted and where instances are, kept so that a choice is found quickly.

use std::collections::BTreeMap;

use crate::classes::Classes;
use crate::counts::Counts;
use crate::error::Error;
use crate::machine::{Machine, State};
use crate::nodes::Nodes;
use crate::place::Resources;
use crate::seats::Seat;
use crate::services::Services;
use crate::volumes::Home;
use crate::want::Want;

/// A want that was declared: what all instances of one version share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantId(pub(crate) u32);

/// Nodes and instances. It is a value: whoever decides keeps it in step with what he has saved,
/// or makes it anew from that, and asks it.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    pub(crate) nodes: Nodes,
    pub(crate) classes: Classes,
    pub(crate) services: Services,
    pub(crate) wants: Vec<Option<Box<Kept>>>,
    pub(crate) volumes: BTreeMap<String, Home>,
    pub(crate) instances: BTreeMap<u64, Seat>,
    vacant: Vec<u32>,
}

/// A want with what is looked up for it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) want: Want,
    pub(crate) service: u32,
    pub(crate) filter: u32,
    /// Services it must be beside.
    pub(crate) near: Vec<u32>,
    /// Services it must not be beside.
    pub(crate) apart: Vec<u32>,
    /// Its own instances a node; kept where `apart` is not empty.
    pub(crate) seats: Counts,
    pub(crate) instances: u32,
    pub(crate) retired: bool,
}

impl Fleet {
    /// A fleet without nodes.
    #[must_use]
    pub fn new() -> Fleet {
        Fleet::default()
    }

    /// A node that is new, or has changed in whatever way; what is on it stays.
    pub fn join(&mut self, machine: Machine) {
        let known = self.nodes.find(&machine.name);
        if let Some(slot) = known {
            self.unlist(slot);
            let old = std::mem::replace(&mut self.nodes.at_mut(slot).machine, machine);
            if old.labels != self.nodes.at(slot).machine.labels {
                return self.sort();
            }
            return self.list(slot);
        }
        let slot = self.nodes.add(machine);
        let class = self.classes.of(&self.nodes.at(slot).machine);
        self.nodes.at_mut(slot).class = class;
        self.list(slot);
    }

    /// Whether a node takes new instances from now on.
    ///
    /// # Errors
    /// There is no such node.
    pub fn set_state(&mut self, node: &str, state: State) -> Result<(), Error> {
        let slot = self.slot(node)?;
        self.unlist(slot);
        self.nodes.at_mut(slot).machine.state = state;
        self.list(slot);
        Ok(())
    }

    /// A node is gone for good, and with it its volumes and instances, which are answered.
    ///
    /// # Errors
    /// There is no such node.
    pub fn leave(&mut self, node: &str) -> Result<Vec<u64>, Error> {
        let slot = self.slot(node)?;
        let gone = self.instances_at(slot);
        for instance in &gone {
            self.remove(*instance)?;
        }
        self.volumes.retain(|_, home| home.slot != slot);
        self.unlist(slot);
        self.nodes.drop(slot);
        Ok(gone)
    }

    /// The nodes, in the order of their names.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.nodes.slots().iter().map(|slot| &self.nodes.at(*slot).machine)
    }

    /// What nobody has reserved of a node.
    ///
    /// # Errors
    /// There is no such node.
    pub fn free(&self, node: &str) -> Result<Resources, Error> {
        Ok(self.nodes.at(self.slot(node)?).free())
    }

    /// What instances of one version need, before any of them is placed. A port or a volume that
    /// is named twice is one.
    pub fn declare(&mut self, mut want: Want) -> WantId {
        want.ports.sort_unstable();
        want.ports.dedup();
        want.volumes.sort_by(|a, b| (&a.name, b.bytes).cmp(&(&b.name, a.bytes)));
        want.volumes.dedup_by(|second, first| second.name == first.name);
        let (filter, sort) = self.classes.filter(&want);
        let service = self.services.used(&want.service);
        let (mut near, mut apart) = (Vec::new(), Vec::new());
        for (other, beside) in want.others() {
            let other = self.services.used(other);
            if beside { near.push(other) } else { apart.push(other) }
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.wants.push(None);
            u32::try_from(self.wants.len() - 1).unwrap_or(u32::MAX)
        });
        for other in &apart {
            self.services.at_mut(*other).shunned_by.push(number);
        }
        let spreads = want.spread().next().is_some();
        let kept = Kept {
            want,
            service,
            filter,
            near,
            apart,
            seats: Counts::default(),
            instances: 0,
            retired: false,
        };
        self.wants[number as usize] = Some(Box::new(kept));
        if spreads {
            self.services.at_mut(service).spreads += 1;
        }
        if sort {
            self.sort();
        } else if spreads {
            let nodes = &self.nodes;
            self.services.at_mut(service).sort(|slot| nodes.at(slot).class);
        }
        WantId(number)
    }

    /// Nothing more is placed of this want; it is forgotten with its last instance. Its id may
    /// be given to another one then.
    ///
    /// # Errors
    /// It is not declared, or retired already.
    pub fn retire(&mut self, want: WantId) -> Result<(), Error> {
        self.kept(want)?;
        if let Some(kept) = &mut self.wants[want.0 as usize] {
            kept.retired = true;
        }
        self.forget(want.0);
        Ok(())
    }

    /// A want of which something may still be placed.
    pub(crate) fn kept(&self, want: WantId) -> Result<&Kept, Error> {
        let kept = self.wants.get(want.0 as usize).and_then(Option::as_deref);
        kept.filter(|kept| !kept.retired).ok_or(Error::NoWant(want.0))
    }

    /// Forgets a want that is retired and has no instances.
    pub(crate) fn forget(&mut self, number: u32) {
        let Some(place) = self.wants.get_mut(number as usize) else { return };
        let Some(kept) = place.take_if(|kept| kept.retired && kept.instances == 0) else { return };
        self.vacant.push(number);
        for other in &kept.apart {
            self.services.at_mut(*other).shunned_by.retain(|by| *by != number);
        }
        if kept.want.spread().next().is_some() {
            let service = self.services.at_mut(kept.service);
            service.spreads -= 1;
            if service.spreads == 0 {
                service.by_class = Vec::new();
            }
        }
        for other in kept.near.iter().chain(&kept.apart).chain([&kept.service]) {
            self.services.left(*other);
        }
        if self.classes.release(&kept.want, kept.filter) {
            self.sort();
        }
    }

    pub(crate) fn slot(&self, node: &str) -> Result<u32, Error> {
        self.nodes.find(node).ok_or_else(|| Error::NoNode(node.to_owned()))
    }

    /// Takes a node out of its class's row, before what is free on it changes.
    pub(crate) fn unlist(&mut self, slot: u32) {
        let post = self.nodes.at(slot);
        if let Some(entry) = post.entry(slot) {
            self.classes.row_mut(post.class).remove(entry.left, slot, self.nodes.ranks());
        }
    }

    /// Puts a node into its class's row, if it takes anything.
    pub(crate) fn list(&mut self, slot: u32) {
        let post = self.nodes.at(slot);
        if let Some(entry) = post.entry(slot) {
            self.classes.row_mut(post.class).insert(entry, self.nodes.ranks());
        }
    }

    /// Sorts all nodes into classes anew.
    fn sort(&mut self) {
        self.classes.clear();
        for at in 0..self.nodes.slots().len() {
            let slot = self.nodes.slots()[at];
            let class = self.classes.of(&self.nodes.at(slot).machine);
            self.nodes.at_mut(slot).class = class;
            self.list(slot);
        }
        let nodes = &self.nodes;
        for service in self.services.each_mut() {
            service.sort(|slot| nodes.at(slot).class);
        }
    }
}
