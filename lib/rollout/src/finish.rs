//! The end of an update: exactly one for each (law 5), and what is tidied then.

use crate::answers::serves;
use crate::instance::{Again, Instance, Kept, Stage};
use crate::outcome::{Outcome, Verdict};
use crate::state::{Ending, Stand, Watch};
use crate::turn::Turn;
use crate::{Fact, Id, Kind, Millis, Version};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Instances of updates that failed whose logs are kept until a success, of one service at most;
/// the oldest go first.
const FAILED_KEPT_MAX: usize = 3;
/// The same of all that is kept, with the log that each place keeps of its repairs.
const KEPT_MAX: usize = 16;
/// Exits prolong the watch after an update to so many times its length at most.
const WATCH_TIMES_MAX: u64 = 3;

impl Turn<'_> {
    /// Ends the update when its aim is reached, or when its last moment has come.
    pub(crate) fn finish(&mut self) {
        self.tidy();
        let settled = self.is_settled();
        let Some(update) = &self.s.update else {
            if settled {
                self.renumber();
            }
            if self.s.stand == Stand::Removing && self.s.instances.is_empty() {
                self.removed();
            }
            return;
        };
        let verdict = match (update.ending, update.kind) {
            (Some(Ending::Failed { by }), _) if settled || by <= self.now => Verdict::Failed,
            (Some(Ending::Cancelled { by }), _) if settled || by <= self.now => Verdict::Cancelled,
            (Some(_), _) => return,
            (None, _) if !settled || update.paused.is_some() => return,
            (None, Kind::Remove) if !self.s.instances.is_empty() => return,
            (None, Kind::Rollback) => Verdict::RolledBack,
            (None, Kind::Deploy | Kind::Change | Kind::Restart | Kind::Stop | Kind::Remove) => {
                Verdict::Done
            }
        };
        if verdict == Verdict::Cancelled && !settled {
            self.tell_how_far();
        }
        self.close(verdict);
    }

    /// The time for a cancel is over before all is as it was: what is on its way goes on.
    fn tell_how_far(&mut self) {
        let wanted: u32 = self.s.aim.counts.values().sum();
        let back = self.s.instances.values().filter(|i| serves(i) && self.s.is_wanted(i)).count();
        if let Some(update) = self.s.update.as_mut().filter(|_| back < wanted as usize) {
            update.reason = Some(format!("{back} of {wanted} serve as before, the rest follows"));
        }
    }

    /// Nothing is missing, nothing is too many, nothing moves.
    fn is_settled(&self) -> bool {
        let parts = self.parts();
        parts.missing.is_empty()
            && parts.surplus.is_empty()
            && !self.any_leaving()
            && self.at_ease(&self.not_at_rest(&parts.kept))
            && self.s.instances.values().all(|i| i.again == Again::No)
    }

    /// Ends the update in flight, if there is one, with this verdict.
    pub(crate) fn close(&mut self, verdict: Verdict) {
        if self.is_settled() {
            self.renumber();
        }
        let Some(update) = self.s.update.take() else { return };
        self.changed = true;
        match verdict {
            Verdict::Done | Verdict::RolledBack => self.reached(update.kind, update.to, verdict),
            Verdict::Failed => {
                self.s.failed = update.to;
                let empty = !self.s.instances.values().any(Instance::holds);
                if empty && update.before.stand == Stand::Stopped {
                    // It could not be started, and is stopped as it was.
                    self.s.stand = Stand::Stopped;
                }
            }
            Verdict::Cancelled | Verdict::Paused => {}
        }
        if let (Verdict::Done, Kind::Deploy, Some(to)) = (verdict, update.kind, update.to) {
            self.watch(update.from.filter(|_| update.before.stand == Stand::Up), to);
        } else {
            self.watch_on(update.before.watch, update.started);
        }
        let outcome = Outcome {
            verdict,
            kind: update.kind,
            reason: update.reason,
            from: update.from,
            to: update.to,
            started: update.started,
            ended: self.now,
        };
        self.s.last = Some(outcome.clone());
        self.tell(Fact::Ended(outcome));
        if update.kind == Kind::Remove && verdict == Verdict::Done {
            self.removed();
        }
        self.drop_specs();
    }

    /// Nothing is left: the record may go, too.
    fn removed(&mut self) {
        self.s.stand = Stand::Removed;
        self.s.failed = None;
        self.tell(Fact::Removed { at: self.now });
    }

    /// The aim of an update was reached: its version is the current one. After a success the logs
    /// of what failed before are let go.
    fn reached(&mut self, kind: Kind, to: Option<Version>, verdict: Verdict) {
        self.s.failed = None;
        self.s.current = to.or(self.s.current);
        let success = match kind {
            Kind::Deploy | Kind::Restart | Kind::Change => verdict == Verdict::Done,
            Kind::Rollback | Kind::Stop | Kind::Remove => false,
        };
        if success {
            for id in self.ids(|i| i.stage == Stage::Exited) {
                self.go(id, Stage::Forgetting);
            }
        }
    }

    /// Begins the watch over a new version; what is started again is no new one.
    fn watch(&mut self, from: Option<Version>, version: Version) {
        let window = self.s.specs.get(&version).map_or(0, |spec| spec.validate_ms);
        if window == 0 || from == Some(version) {
            return;
        }
        let previous = from.filter(|from| self.s.specs.contains_key(from));
        let until = self.now.saturating_add(window);
        let at_most = self.now.saturating_add(window.saturating_mul(WATCH_TIMES_MAX));
        let watch = Watch { version, previous, until, at_most, exits: 0, gave_up: false };
        self.s.watch = Some(watch);
    }

    /// An update that came to nothing leaves the version before watched as it was; its time stood
    /// still meanwhile.
    fn watch_on(&mut self, before: Option<Watch>, since: Millis) {
        let current = self.s.current.filter(|_| self.s.stand == Stand::Up);
        let goes_on = |watch: &Watch| Some(watch.version) == current;
        if let (None, Some(mut watch)) = (&self.s.watch, before.filter(goes_on)) {
            let stood = self.now.saturating_sub(since);
            watch.until = watch.until.saturating_add(stood);
            watch.at_most = watch.at_most.saturating_add(stood);
            self.s.watch = Some(watch);
        }
    }

    /// The progress deadline has passed.
    pub(crate) fn out_of_time(&mut self, reason: String) {
        let Some(update) = &mut self.s.update else { return };
        match update.kind {
            Kind::Deploy | Kind::Change | Kind::Restart | Kind::Rollback => {
                self.fail(None, reason);
            }
            Kind::Stop | Kind::Remove => {
                update.reason = Some(reason);
                self.close(Verdict::Failed);
            }
        }
    }

    /// Counts places from 0 again, in their order.
    fn renumber(&mut self) {
        let mut places: Vec<(u32, Id)> =
            self.s.instances.values().filter(|i| i.holds()).map(|i| (i.number, i.id)).collect();
        places.sort();
        let mut moved = false;
        for (number, (old, id)) in (0..).zip(places) {
            if number != old
                && let Some(i) = self.s.instances.get_mut(&id)
            {
                i.number = number;
                moved = true;
            }
        }
        if moved {
            self.tell(Fact::Renumbered);
        }
    }

    /// Lets go of logs: all of them when the service is removed, the oldest when they are many.
    fn tidy(&mut self) {
        let removing = self.s.stand == Stand::Removing;
        let failed = self.ids(|i| i.stage == Stage::Exited && i.kept == Kept::Success);
        let all = self.ids(|i| i.stage == Stage::Exited || removing && i.is_at_rest());
        let beyond = |kept: Vec<Id>, limit: usize| {
            let many = kept.len().saturating_sub(if removing { 0 } else { limit });
            kept.into_iter().take(many)
        };
        for id in beyond(failed, FAILED_KEPT_MAX).chain(beyond(all, KEPT_MAX)) {
            if let Some(i) = self.s.instances.get_mut(&id) {
                i.kept = Kept::No;
            }
            self.go(id, Stage::Forgetting);
        }
    }

    /// Forgets what was known of versions that nothing leads to any more.
    fn drop_specs(&mut self) {
        let mut used: BTreeSet<Version> =
            self.s.instances.values().map(|i: &Instance| i.version).collect();
        used.extend(self.s.current);
        used.extend(self.s.failed);
        used.extend(self.s.watch.as_ref().and_then(|watch| watch.previous));
        used.extend(self.s.aim.counts.keys().copied());
        self.s.specs.retain(|version, _| used.contains(version));
        self.s.images.retain(|version, _| used.contains(version));
    }
}
