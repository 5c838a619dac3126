//! A service that goes, and a turn that is taken back because it could not be saved.
//!
//! Law: a turn that could not be saved has changed nothing, neither what is saved of a service nor
//! what is not.

use crate::arrival::Order;
use crate::record::Record;
use crate::turn::Turn;
use crate::world::{Service, World, container};
use std::sync::Arc;

impl World {
    /// Forgets a service, but for the numbers that are never used twice.
    pub(crate) fn delete(&mut self, name: &str, turn: &mut Turn) {
        let Some(service) = self.services.remove(name) else { return };
        for id in service.kept.keys() {
            turn.orders.push(Order::DropLog { container: container(name, *id) });
        }
        if !service.record.versions.is_empty() {
            self.forget_grants(name, turn);
        }
        self.gone.extend(service.record.numbers().map(|numbers| (name.to_string(), numbers)));
        turn.ended.push(Arc::clone(&service.events));
        let (record, failures) = (Record::clone(&service.record), service.failures.clone());
        turn.touched.entry(name.to_string()).or_insert(Some(record));
        turn.kept.entry(name.to_string()).or_insert_with(|| service.kept.clone());
        turn.failures.entry(name.to_string()).or_insert(failures);
        // One that was made and removed again in the same turn never was.
        turn.removed.entry(name.to_string()).or_insert(service);
    }

    /// Takes back everything a turn did: it could not be saved.
    pub fn undo(&mut self, turn: &mut Turn) {
        self.unsaved = false;
        for order in &turn.orders {
            if let Order::Push { name, .. } = order {
                self.node.pushing.remove(name);
            }
            if let Order::Collect { .. } = order {
                self.node.collecting = false;
            }
        }
        for (name, before) in &turn.touched {
            let Some(record) = before else {
                // Its numbers are those it was made with: nothing else can have changed them.
                self.delete(name, &mut Turn::default());
                self.pulls.end(name);
                continue;
            };
            if let Some(service) = turn.removed.remove(name) {
                self.gone.remove(name);
                self.services.insert(name.clone(), service);
            }
            let fresh = || Service::new(name, record.clone());
            let service = self.services.entry(name.clone()).or_insert_with(fresh);
            *service.record = record.clone();
            service.parse_manifests(name);
            self.waits_on(name, turn.now);
        }
        if let Some(before) = turn.secrets.take() {
            self.secrets = before;
        }
        // The node was not told to drop any of them.
        for (name, before) in &turn.kept {
            if let Some(service) = self.services.get_mut(name) {
                service.kept.clone_from(before);
            }
        }
        for (name, before) in &turn.volumes {
            match before {
                Some(volume) => self.volumes.insert(name.clone(), volume.clone()),
                None => self.volumes.remove(name),
            };
        }
        for (number, before) in &turn.tasks {
            match before {
                Some(task) => self.tasks.all.insert(*number, task.clone()),
                None => self.tasks.all.remove(number),
            };
        }
        for (job, before) in &turn.jobs {
            match before {
                Some(before) => self.jobs.insert(job.clone(), before.clone()),
                None => self.jobs.remove(job),
            };
        }
        for (name, before) in &turn.failures {
            if let Some(service) = self.services.get_mut(name) {
                service.failures.clone_from(before);
            }
        }
    }
}
