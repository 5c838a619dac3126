//! A service's record, and what it amounts to on a node: with a thousand services nobody can count
//! ten thousand instances whenever one is to be placed.
//!
//! Law: what was counted is forgotten as soon as anybody can change the record.

use crate::record::Record;
use manifest::Manifest;
use place::Resources;
use rollout::Version;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// The record; whoever borrows it to change it makes its sum be counted anew.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Book {
    record: Record,
    #[serde(skip)]
    counted: RefCell<Option<(String, Reserved)>>,
}

/// What the instances of a service have reserved on a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserved {
    /// All of them together.
    pub sum: Resources,
    /// How many they are.
    pub instances: u32,
    /// Bytes of the volumes that each has for itself.
    pub own_bytes: u64,
}

impl Book {
    /// A book of that record.
    #[must_use]
    pub fn new(record: Record) -> Book {
        Book { record, counted: RefCell::default() }
    }

    /// The record alone.
    #[must_use]
    pub fn into_record(self) -> Record {
        self.record
    }

    /// The manifests are other ones: what was counted by them no longer holds.
    pub fn forget(&mut self) {
        *self.counted.get_mut() = None;
    }

    /// What the instances have reserved on a node. Of an update that ends the old ones before it
    /// starts new ones, only those of `leaving_out`'s version count.
    #[must_use]
    pub fn reserved(
        &self,
        manifests: &BTreeMap<Version, Arc<Manifest>>,
        node: &str,
        leaving_out: Option<Version>,
    ) -> Reserved {
        if leaving_out.is_some() {
            return self.count(manifests, node, leaving_out);
        }
        let mut counted = self.counted.borrow_mut();
        match &*counted {
            Some((known, reserved)) if known == node => *reserved,
            Some(_) | None => {
                counted.insert((node.to_string(), self.count(manifests, node, None))).1
            }
        }
    }

    fn count(
        &self,
        manifests: &BTreeMap<Version, Arc<Manifest>>,
        node: &str,
        leaving_out: Option<Version>,
    ) -> Reserved {
        let mut counted = Reserved::default();
        for instance in self.record.rollout.instances().values() {
            let goes = leaving_out.is_some_and(|kept| instance.version != kept);
            let here = instance.node.as_deref() == Some(node) && !instance.is_gone() && !goes;
            if let (true, Some(manifest)) = (here, manifests.get(&instance.version)) {
                counted.sum.cpu_milli += manifest.cpu_milli;
                counted.sum.memory_bytes += manifest.memory_bytes;
                counted.instances += 1;
                counted.own_bytes += manifest.own_volume_bytes();
            }
        }
        counted
    }
}

impl Deref for Book {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

impl DerefMut for Book {
    fn deref_mut(&mut self) -> &mut Record {
        self.forget();
        &mut self.record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{Numbers, Service};
    use rollout::{Action, Event, Spec};

    #[test]
    fn what_was_counted_is_counted_anew_once_the_record_was_borrowed_to_be_changed() {
        let mut service = Service::new("web", Record::new(1, Numbers::default()));
        let manifest = manifest::parse("web", "image web:1\ncpu 0.5\nmemory 64M\n").manifest;
        service.manifests.insert(Version(1), Arc::new(manifest.unwrap()));
        let spec = Spec { replicas: 2, ..Spec::default() };
        let applied = Event::Applied { version: Version(1), spec };
        let actions = rollout::step(&mut service.record.rollout, 0, applied);
        let check = |service: &Service, node: &str, instances: u32| {
            let reserved = service.reserved(node, None);
            assert_eq!((reserved.instances, reserved.sum.cpu_milli), (instances, 500 * instances));
        };
        check(&service, "n", 0);
        let mut placed = 0;
        for action in actions {
            let Action::Place { id } = action else { continue };
            let event = Event::Placed { id, node: "n".to_string() };
            rollout::step(&mut service.record.rollout, 0, event);
            placed += 1;
            check(&service, "n", placed);
            check(&service, "m", 0);
        }
        assert_eq!(placed, 2);
        check(&service, "n", 2);
    }
}
