//! One event's turn: the state, the moment, the lines to tell, and the moves all rules are made of.

use crate::instance::{Again, Instance, Kept, Stage};
use crate::state::{How, Service, Stand, Update};
use crate::{Event, Fact, Id, Kind, Millis, Version};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

/// The work of one step.
pub(crate) struct Turn<'a> {
    pub(crate) s: &'a mut Service,
    pub(crate) now: Millis,
    pub(crate) facts: Vec<Fact>,
    /// Something moved since the last look: look again.
    pub(crate) changed: bool,
    /// This turn has a new route table.
    published: bool,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(s: &'a mut Service, now: Millis) -> Self {
        Turn { s, now, facts: Vec::new(), changed: false, published: false }
    }

    /// Takes the event for what it says; what follows from it is `settle`'s.
    pub(crate) fn take(&mut self, event: Event) {
        match event {
            Event::Applied { version, spec } => self.applied(version, spec),
            Event::Changed { version, spec } => self.changed(version, spec),
            Event::Paused => self.paused(None),
            Event::Resumed => self.resumed(),
            Event::Cancelled => self.cancelled(),
            Event::RolledBack { version, spec, reason } => self.turn_back(version, &spec, reason),
            Event::Restarted => self.restarted(),
            Event::InstanceRestarted { id } => self.instance_restarted(id),
            Event::InstanceStopped { id } => self.instance_stopped(id),
            Event::Stopped => self.stopped(Kind::Stop),
            Event::Removed => self.stopped(Kind::Remove),
            Event::Pulled { version } => self.pulled(version),
            Event::PullFailed { version, reason, permanent } => {
                self.pull_failed(version, reason, permanent);
            }
            Event::Placed { id, node } => self.placed(id, node),
            Event::NoRoom { id, reason } => self.no_room(id, reason),
            Event::Started { id } => self.started(id),
            Event::StartFailed { id, reason, permanent } => {
                self.start_failed(id, reason, permanent);
            }
            Event::Healthy { id, ms } => self.healthy(id, ms),
            Event::Unhealthy { id, reason } => self.unhealthy(id, reason),
            Event::Exited { id, exit } => self.exited(id, exit),
            Event::Forgotten { id } => self.forgotten(id),
            Event::Lost { id } => self.lost(id),
            Event::Served { generation } => self.served(generation),
            Event::Drained { id } => self.drained(id),
            Event::Woke => {}
        }
    }

    /// Gives the edges a new table when the backends are others, and the lines to tell.
    pub(crate) fn end(mut self) -> Vec<Fact> {
        let backends: BTreeSet<Id> =
            self.s.instances.values().filter(|i| i.is_routed()).map(|i| i.id).collect();
        let hold = self.s.aim.how == How::Replace
            && self.s.update.is_some()
            && self.s.stand == Stand::Up
            && self.s.aim.counts.values().any(|wanted| *wanted > 0)
            && backends.is_empty();
        if backends != self.s.routes.backends || hold != self.s.routes.hold {
            self.publish();
        }
        self.s.routes.backends = backends;
        self.s.routes.hold = hold;
        self.facts
    }

    /// The generation of this turn's table; every turn makes one at most (law 10).
    pub(crate) fn publish(&mut self) -> u64 {
        if !self.published {
            self.published = true;
            self.s.routes.generation += 1;
        }
        self.s.routes.generation
    }

    pub(crate) fn tell(&mut self, fact: Fact) {
        self.facts.push(fact);
    }

    /// Moves an instance to a stage.
    pub(crate) fn go(&mut self, id: Id, stage: Stage) {
        let now = self.now;
        if let Some(i) = self.s.instances.get_mut(&id) {
            i.stage = stage;
            i.since = now;
            self.changed = true;
        }
    }

    /// Plans a new instance at the next free place.
    pub(crate) fn create(&mut self, version: Version) {
        let taken = self.s.instances.values().filter(|i| !i.is_gone()).map(|i| i.number + 1);
        let number = taken.max().unwrap_or(0);
        let id = self.next_id();
        let i = Instance::new(id, number, version, Stage::Placing, self.now);
        self.s.instances.insert(id, i);
        self.changed = true;
    }

    /// Ids only grow (law 10).
    pub(crate) fn next_id(&mut self) -> Id {
        let id = self.s.next;
        self.s.next = Id(id.0 + 1);
        id
    }

    /// Sends an instance away for good, with the grace its stage asks for: out of the routes first
    /// when it is in them (law 4), stopped when it may run, forgotten when it never did.
    pub(crate) fn dismiss(&mut self, id: Id) {
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        i.again = Again::No;
        match i.stage {
            Stage::Waiting { .. } | Stage::Placing | Stage::Ready => {
                self.go(id, Stage::Forgetting);
            }
            Stage::Starting | Stage::Checking { .. } | Stage::Settled => {
                self.go(id, Stage::Stopping);
            }
            Stage::Routing { .. } | Stage::Serving => self.leave(id),
            Stage::Ended | Stage::GaveUp => {
                i.kept = Kept::Success;
                self.go(id, Stage::Exited);
            }
            Stage::Leaving { .. }
            | Stage::Draining { .. }
            | Stage::Stopping
            | Stage::Exited
            | Stage::Forgetting => {}
        }
    }

    /// Takes an instance out of the routes; drain and stop follow when the edges have let go.
    pub(crate) fn leave(&mut self, id: Id) {
        let generation = self.publish();
        self.go(id, Stage::Leaving { generation });
    }

    /// Ids of instances that a rule is about.
    pub(crate) fn ids(&self, rule: impl Fn(&Instance) -> bool) -> Vec<Id> {
        self.s.instances.values().filter(|i| rule(i)).map(|i| i.id).collect()
    }
}

impl Service {
    /// The update stands.
    pub(crate) fn paused(&self) -> bool {
        self.update.as_ref().is_some_and(|u| u.paused.is_some())
    }

    /// An update goes where it was asked to go: neither ended nor a way down.
    pub(crate) fn is_forward(&self) -> bool {
        self.update.as_ref().is_some_and(Update::is_forward)
    }

    /// An instance that the update in flight made: its failure is the update's.
    pub(crate) fn is_fresh(&self, i: &Instance) -> bool {
        self.update.as_ref().is_some_and(|u| u.is_forward() && i.id >= u.first) && self.is_wanted(i)
    }

    /// An instance of a version that is aimed at.
    pub(crate) fn is_wanted(&self, i: &Instance) -> bool {
        i.id >= self.aim.first && self.aim.counts.get(&i.version).is_some_and(|n| *n > 0)
    }

    /// Why the thing that is waited for does not come, when an instance knows.
    pub(crate) fn hindrance(&self) -> Option<&String> {
        let waits = |i: &&Instance| i.holds() && !i.is_routed();
        self.instances.values().filter(waits).find_map(|i| i.reason.as_ref())
    }
}

impl Update {
    /// It goes where it was asked to go: neither ended nor a way down.
    pub(crate) fn is_forward(&self) -> bool {
        let up = match self.kind {
            Kind::Deploy | Kind::Change | Kind::Restart | Kind::Rollback => true,
            Kind::Stop | Kind::Remove => false,
        };
        up && self.ending.is_none()
    }
}
