//! Rolling: start new → healthy → routed and acknowledged → old out of the routes → acknowledged →
//! drained → stopped → pause → next; and turned round where there is no room for the surge.

use crate::answers::serves;
use crate::instance::{Again, Instance, Stage};
use crate::state::{How, Step};
use crate::turn::Turn;
use crate::{Id, Kind, Version};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The instances that hold places, measured against the aim.
pub(crate) struct Parts {
    /// Those that the aim counts.
    pub(crate) kept: Vec<Id>,
    /// Those to be retired, the first to go first.
    pub(crate) surplus: Vec<Id>,
    /// A version for each one to be started.
    pub(crate) missing: Vec<Version>,
}

impl Turn<'_> {
    /// Brings a rolling change onwards by what may be done now.
    pub(crate) fn roll(&mut self) {
        if self.s.paused() {
            return;
        }
        self.drop_idle();
        let parts = self.parts();
        match self.s.aim.step {
            Step::Between { until } => self.next_batch(&parts, until),
            Step::Surging => self.surged(&parts),
            Step::Retiring => self.retired(&parts),
        }
    }

    /// Surplus that serves nothing is in nobody's way twice: it goes at once (a never-healthy
    /// instance of a superseded version is replaced at once).
    pub(crate) fn drop_idle(&mut self) {
        for id in self.parts().surplus {
            let Some(i) = self.s.instances.get_mut(&id) else { continue };
            i.again = Again::No;
            if !i.is_routed() {
                self.dismiss(id);
                self.changed = true;
            }
        }
    }

    /// Begins a batch: new ones where they are missing and there is room, else old ones leave.
    fn next_batch(&mut self, parts: &Parts, until: u64) {
        let held = parts.kept.len() + parts.surplus.len();
        let short = (self.s.aim.floor as usize).saturating_sub(held);
        if until > self.now && short == 0 {
            return;
        }
        if until > 0 {
            self.rested();
        }
        if self.surge(parts) {
            self.s.aim.step = Step::Surging;
        } else if self.may_retire(parts) {
            // Nothing is to stay: then all go at once.
            let last = parts.kept.is_empty() && parts.missing.is_empty();
            let many = if last { usize::MAX } else { self.s.aim.batch as usize };
            self.retire(&parts.surplus, many);
            self.s.aim.step = Step::Retiring;
        } else if self.excess(parts) > 0 {
            self.retire(&parts.surplus, self.excess(parts));
            self.s.aim.step = Step::Retiring;
        }
    }

    /// The way back began with the surge of the way there still in place, and so without room for
    /// its own: so many leave first, law 1 permitting.
    fn excess(&self, parts: &Parts) -> usize {
        if parts.missing.is_empty() || self.any_leaving() {
            return 0;
        }
        let held = parts.kept.len() + parts.surplus.len();
        let over = held.saturating_sub(self.s.aim.most as usize);
        let serve = self.s.instances.values().filter(|i| serves(i)).count();
        let spare = serve.saturating_sub(self.s.aim.floor as usize);
        over.min(spare).min(self.s.aim.batch as usize)
    }

    /// An old batch may leave without a new one before it: all new ones serve already, or there
    /// is no room for a surge.
    fn may_retire(&self, parts: &Parts) -> bool {
        let turned = self.s.aim.how == How::TurnRound && !self.any_leaving();
        !parts.surplus.is_empty()
            && (parts.missing.is_empty() || turned)
            && self.at_ease(&parts.kept)
    }

    /// New ones were started: when all serve, as many old ones leave as are too many.
    fn surged(&mut self, parts: &Parts) {
        if !self.s.instances.values().any(Instance::is_routed) && self.surge(parts) {
            return;
        }
        if !self.at_ease(&self.not_at_rest(&parts.kept)) {
            return;
        }
        let batch = self.s.aim.batch as usize;
        let held = parts.kept.len() + parts.surplus.len();
        let many = if parts.missing.is_empty() {
            batch
        } else {
            held.saturating_sub(self.s.aim.most as usize).min(batch)
        };
        if many > 0 && !parts.surplus.is_empty() && self.at_ease(&parts.kept) {
            self.retire(&parts.surplus, many);
            self.s.aim.step = Step::Retiring;
        } else {
            self.close_batch(parts);
        }
    }

    /// Old ones were sent away: when all are gone, the batch is over, or its new ones start.
    fn retired(&mut self, parts: &Parts) {
        if self.any_leaving() {
            return;
        }
        if self.s.aim.how == How::TurnRound && self.surge(parts) {
            self.s.aim.step = Step::Surging;
        } else {
            self.close_batch(parts);
        }
    }

    /// Ends a batch; a pause follows when there is another.
    fn close_batch(&mut self, parts: &Parts) {
        let more = !parts.missing.is_empty() || !parts.surplus.is_empty();
        let pause = if more { self.s.aim.pause_ms } else { 0 };
        let until = if pause > 0 { self.now.saturating_add(pause) } else { 0 };
        self.s.aim.step = Step::Between { until };
        self.changed = true;
    }

    /// Starts what is missing: a batch of it, or as much as brings the floor back, or all of it
    /// when nothing serves; never more than law 2 allows. Says whether it started any.
    fn surge(&mut self, parts: &Parts) -> bool {
        let aim = &self.s.aim;
        let held = parts.kept.len() + parts.surplus.len();
        let short = (aim.floor as usize).saturating_sub(held);
        let batch = aim.batch as usize;
        let extra = if aim.how == How::TurnRound { 0 } else { batch };
        let there = self.s.instances.values().filter(|i| !i.is_gone() && !i.is_at_rest()).count();
        let room = (aim.most as usize).saturating_add(extra).saturating_sub(there);
        let served = self.s.instances.values().any(Instance::is_routed);
        let at_once = if served { batch.max(short) } else { usize::MAX };
        let many = parts.missing.len().min(room).min(at_once);
        for &version in parts.missing.iter().take(many) {
            self.create(version);
        }
        many > 0
    }

    /// Sends the first of the surplus away, out of the routes first.
    pub(crate) fn retire(&mut self, surplus: &[Id], many: usize) {
        for &id in surplus.iter().take(many) {
            self.dismiss(id);
        }
    }

    /// All of them serve, or have ended as they may. A place that was given up is not: what works
    /// does not leave for it.
    pub(crate) fn at_ease(&self, kept: &[Id]) -> bool {
        kept.iter()
            .filter_map(|id| self.s.instances.get(id))
            .all(|i| serves(i) || i.stage == Stage::Ended && i.was_healthy)
    }

    /// Those of them that are not done with, one way or the other.
    pub(crate) fn not_at_rest(&self, kept: &[Id]) -> Vec<Id> {
        let moves = |id: &&Id| self.s.instances.get(id).is_some_and(|i| !i.is_at_rest());
        kept.iter().filter(moves).copied().collect()
    }

    /// Somebody is on the way out for good.
    pub(crate) fn any_leaving(&self) -> bool {
        self.s.instances.values().any(|i| i.is_leaving() && i.again == Again::No)
    }

    /// Measures what holds places against the aim: of each version the best are kept.
    pub(crate) fn parts(&self) -> Parts {
        let mut ours: BTreeMap<Version, Vec<&Instance>> = BTreeMap::new();
        let mut surplus: Vec<&Instance> = Vec::new();
        for i in self.s.instances.values().filter(|i| i.holds()) {
            if self.s.is_wanted(i) && !self.outlives_its_health(i) {
                ours.entry(i.version).or_default().push(i);
            } else {
                surplus.push(i);
            }
        }
        let mut parts = Parts { kept: Vec::new(), surplus: Vec::new(), missing: Vec::new() };
        for (&version, &count) in &self.s.aim.counts {
            let mut have = ours.remove(&version).unwrap_or_default();
            have.sort_by_key(|i| (worth(i), i.number));
            let kept = have.len().min(count as usize);
            surplus.extend(have.split_off(kept));
            parts.missing.extend((kept..count as usize).map(|_| version));
            parts.kept.extend(have.iter().map(|i| i.id));
        }
        surplus.sort_by_key(|i| (serves(i), self.turn_to_go(i)));
        parts.surplus = surplus.iter().map(|i| i.id).collect();
        parts
    }

    /// It fails its probes, and stays in the routes as the last backend: its successor comes first.
    /// Where nothing may run beside it, it stays as it is.
    fn outlives_its_health(&self, i: &Instance) -> bool {
        self.s.aim.how != How::Replace
            && !self.s.is_stateful(i.version)
            && !self.s.paused()
            && i.is_routed()
            && !i.healthy
            && i.again == Again::No
    }

    /// Among the surplus: the lowest place goes first in an update, the newest in a rollback and
    /// when a version has too many.
    fn turn_to_go(&self, i: &Instance) -> i64 {
        let back = self.s.update.as_ref().is_some_and(|u| u.kind == Kind::Rollback);
        let number = i64::from(i.number);
        if back || self.s.is_wanted(i) { -number } else { number }
    }
}

/// How much an instance is worth keeping: less is more.
fn worth(i: &Instance) -> u8 {
    match i.stage {
        Stage::Serving | Stage::Routing { .. } if i.healthy => 0,
        Stage::Serving | Stage::Routing { .. } => 1,
        Stage::Leaving { .. } | Stage::Draining { .. } | Stage::Stopping => 2,
        Stage::Settled => 3,
        Stage::Checking { .. } => 4,
        Stage::Starting => 5,
        Stage::Ready => 6,
        Stage::Placing => 7,
        Stage::Waiting { .. } => 8,
        Stage::Ended => 9,
        Stage::GaveUp => 10,
        Stage::Exited | Stage::Forgetting => 11,
    }
}
