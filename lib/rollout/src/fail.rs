//! An update that cannot go on: pause it, abort it, or take it back.

use crate::instance::{Instance, Kept, Stage};
use crate::state::{Ending, How, Stand, Step, Update};
use crate::turn::Turn;
use crate::{Fact, Id, Kind, Millis, OnFailure, Spec, Strategy, Version};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// How long an update that is being ended waits for the node beyond the times the manifest gives:
/// what is left of the 5 s that are promised is for saving and telling it.
pub(crate) const WIND_UP_MS: u64 = 4_500;

impl Turn<'_> {
    /// Failure of a new instance, or of the update as a whole: stop it, keep its log, and do what
    /// the manifest says of the rest. A rollback is never rolled back (law 6): it is aborted.
    pub(crate) fn fail(&mut self, id: Option<Id>, reason: String) {
        match id {
            Some(id) => self.bury(id, &reason),
            None => self.keep_logs(),
        }
        let Some(update) = &self.s.update else { return };
        let to = update.to;
        let policy = match update.kind {
            Kind::Deploy => {
                to.and_then(|to| self.s.specs.get(&to)).map_or(OnFailure::Abort, |s| s.on_failure)
            }
            Kind::Change | Kind::Restart | Kind::Rollback | Kind::Stop | Kind::Remove => {
                OnFailure::Abort
            }
        };
        // What was stopped is not started to go back to.
        let up = update.before.stand == Stand::Up;
        let back = self.s.current.filter(|current| up && Some(*current) != to);
        match (policy, back.and_then(|v| Some((v, self.s.specs.get(&v)?.clone())))) {
            (OnFailure::Pause, _) => self.paused(Some(reason)),
            (OnFailure::Rollback, Some((version, spec))) => {
                self.turn_back(version, &spec, Some(reason));
            }
            (OnFailure::Rollback, None) | (OnFailure::Abort, _) => self.abort(reason),
        }
    }

    /// Stops what failed, in the order of law 4, and keeps its log until the next success.
    fn bury(&mut self, id: Id, reason: &str) {
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        i.kept = Kept::Success;
        i.reason = Some(String::from(reason));
        let told = i.is_at_rest();
        let (number, dead) = (i.number, i.exit.is_some() || i.stage == Stage::Starting);
        if dead {
            self.go(id, Stage::Exited);
        } else {
            self.dismiss(id);
        }
        if !told {
            self.tell(Fact::Failed { number, id, reason: String::from(reason) });
        }
    }

    /// When none failed but all together: the logs of those that came no further may say why.
    fn keep_logs(&mut self) {
        for id in self.ids(|i| self.s.is_fresh(i) && i.is_live() && !i.is_routed()) {
            if let Some(i) = self.s.instances.get_mut(&id) {
                i.kept = Kept::Success;
            }
        }
    }

    /// Aborts the rest and touches nothing that works: what serves stays, of whatever version;
    /// what is missing to the old number comes at the current version again.
    fn abort(&mut self, reason: String) {
        self.relabel_back();
        let Some(update) = &self.s.update else { return };
        let before = update.before.replicas;
        let replace = self.s.aim.how == How::Replace;
        let mut counts = self.staying(update);
        let mut patience = 0;
        if let Some(current) = self.s.current {
            if replace {
                counts = BTreeMap::from([(current, before)]);
            }
            let lacks = before.saturating_sub(counts.values().sum());
            *counts.entry(current).or_default() += lacks;
            if replace || lacks > 0 {
                patience = self.s.specs.get(&current).map_or(0, |spec| spec.health_deadline_ms);
            }
        }
        let by = self.wind_up(update.to).saturating_add(patience);
        self.aim_at(counts);
        if let Some(update) = &mut self.s.update {
            update.ending = Some(Ending::Failed { by });
            update.reason = Some(reason);
            update.paused = None;
        }
    }

    /// What stays of an update that is aborted: never more than were wanted, before it or by it.
    /// Its own surge is what is too many, and so is who fails its probes beside its successor.
    fn staying(&self, update: &Update) -> BTreeMap<Version, u32> {
        let before = &update.before;
        let old = before.replicas.max(before.counts.values().sum());
        let most = old.max(self.s.aim.counts.values().sum()) as usize;
        let fresh = |i: &Instance| self.s.is_fresh(i);
        let works = |i: &Instance| i.is_routed() || !i.is_at_rest() && !fresh(i);
        let mut stay: Vec<&Instance> =
            self.s.instances.values().filter(|i| i.holds() && works(i)).collect();
        stay.sort_by_key(|i| (is_sick(i), !i.is_routed(), fresh(i)));
        let mut counts: BTreeMap<Version, u32> = BTreeMap::new();
        for i in stay.into_iter().take(most) {
            let count = counts.get(&i.version).copied().unwrap_or(0);
            let places = before.counts.get(&i.version).copied().unwrap_or(0);
            if !is_sick(i) || count < places {
                counts.insert(i.version, count + 1);
            }
        }
        counts
    }

    /// When an update that is being ended has ended at the latest.
    pub(crate) fn wind_up(&self, version: Option<Version>) -> Millis {
        let spec = version.and_then(|v| self.s.specs.get(&v));
        self.now.saturating_add(spec.map_or(0, |s| s.stop_timeout_ms)).saturating_add(WIND_UP_MS)
    }

    /// Aims at something else on the way: no pauses, no instance too old for it.
    pub(crate) fn aim_at(&mut self, counts: BTreeMap<Version, u32>) {
        let stateful =
            self.s.runs_stateful() || counts.keys().any(|version| self.s.is_stateful(*version));
        let aim = &mut self.s.aim;
        if aim.how == How::Replace && !stateful {
            // Nothing that may not run beside another ever ran: no gap on the way back.
            aim.how = How::Surge;
        }
        let total = counts.values().sum();
        aim.counts = counts;
        aim.first = Id(0);
        aim.floor = aim.floor.min(total);
        aim.most = aim.most.max(total);
        aim.pause_ms = 0;
        aim.step = Step::default();
        self.changed = true;
    }

    /// Turns the update round, or begins one that goes back: no pauses, newest first, with surge.
    pub(crate) fn turn_back(&mut self, to: Version, spec: &Spec, reason: Option<String>) {
        self.relabel_back();
        let before = self.before();
        let was = self.s.update.take();
        let from = was.as_ref().map_or(self.s.failed.or(self.s.current), |u| u.to);
        self.clear_places(Instance::is_at_rest);
        let aim = self.s.aim.clone();
        self.begin(to, spec);
        self.s.aim.pause_ms = 0;
        if was.is_some() {
            // Half-way, the limits of both ways hold.
            self.s.aim.floor = self.s.aim.floor.min(aim.floor);
            self.s.aim.most = self.s.aim.most.max(aim.most);
            if self.s.runs_stateful() {
                self.s.aim.how = How::Replace;
            }
        }
        let how = self.s.aim.how;
        let strategy = if how == How::Replace { Strategy::Replace } else { Strategy::Rolling };
        self.s.update = Some(Update {
            kind: Kind::Rollback,
            from,
            to: Some(to),
            strategy,
            started: was.as_ref().map_or(self.now, |u| u.started),
            paused: None,
            reason: reason.clone(),
            ending: None,
            first: self.s.next,
            moved: self.now,
            score: i64::MIN,
            progress_deadline_ms: spec.progress_deadline_ms,
            before: was.map_or(before, |u| u.before),
        });
        self.tell(Fact::RollbackStarted { from, to, how, reason });
    }

    /// Takes back the name that a change in place gave.
    pub(crate) fn relabel_back(&mut self) {
        let Some(update) = &mut self.s.update else { return };
        let (Kind::Change, Some(from), Some(to)) = (update.kind, update.from, update.to) else {
            return;
        };
        if let Some(spec) = update.before.spec.take() {
            self.s.specs.insert(from, spec);
        }
        self.relabel(to, from);
    }

    /// Lets instances count as of another version that differs in nothing they see.
    pub(crate) fn relabel(&mut self, from: Version, to: Version) {
        for i in self.s.instances.values_mut().filter(|i| i.version == from) {
            i.version = to;
        }
        if let Some(image) = self.s.images.remove(&from) {
            self.s.images.insert(to, image);
        }
        if let Some(watch) = self.s.watch.as_mut().filter(|watch| watch.version == from) {
            watch.version = to;
        }
        if let Some(count) = self.s.aim.counts.remove(&from) {
            *self.s.aim.counts.entry(to).or_default() += count;
        }
        self.changed = true;
    }

    /// A place of the version that is gone to was given up, or ended for good: while paused, or by
    /// an instance that was there before.
    pub(crate) fn fail_given_up(&mut self) {
        if !self.s.is_forward() || self.s.paused() {
            return;
        }
        let given_up = self.ids(|i| {
            i.stage == Stage::GaveUp && self.s.is_wanted(i)
                || i.stage == Stage::Ended && self.s.is_fresh(i)
        });
        if let Some(&id) = given_up.first() {
            let reason = self.s.instances.get(&id).and_then(|i| i.reason.clone());
            self.fail(Some(id), reason.unwrap_or_default());
        }
    }
}

/// It fails its probes, and stays in the routes as the last backend.
fn is_sick(i: &Instance) -> bool {
    i.is_routed() && !i.healthy
}
