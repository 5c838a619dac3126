//! What people ask for, once it was accepted: each verb sets an aim; reaching it is `settle`'s.

use crate::instance::{Again, Instance, Stage};
use crate::outcome::Verdict;
use crate::state::{Aim, Before, Ending, How, Stand, Step, Update};
use crate::turn::Turn;
use crate::{Fact, Id, Kind, Spec, Strategy, Version};
use alloc::collections::BTreeMap;
use alloc::string::String;

/// The progress deadline of what has no manifest any more (`stop`, `remove`).
const PROGRESS_DEADLINE_MS: u64 = 600_000;

impl Turn<'_> {
    pub(crate) fn applied(&mut self, version: Version, spec: Spec) {
        let from = self.s.current;
        let before = self.before();
        self.clear_places(Instance::is_at_rest);
        self.begin(version, &spec);
        self.start(Kind::Deploy, from, Some(version), &spec, before);
        self.tell(Fact::UpdateStarted { from, to: version, strategy: spec.strategy });
    }

    pub(crate) fn changed(&mut self, version: Version, spec: Spec) {
        let from = self.s.current;
        let mut before = self.before();
        if let Some(current) = from {
            if current == version {
                before.spec = self.s.specs.get(&current).cloned();
            } else {
                self.relabel(current, version);
            }
        }
        // What serves of another version leaves for one that serves, not for one that has ended.
        let strays = self.s.instances.values().any(|i| i.holds() && i.version != version);
        self.clear_places(|i| i.stage == Stage::GaveUp);
        if strays {
            self.clear_places(Instance::is_at_rest);
        }
        let replacing = self.any_leaving() && self.s.runs_stateful();
        self.begin(version, &spec);
        if replacing {
            // What is left of a replacement must be gone before another runs.
            self.s.aim.how = How::Replace;
        }
        self.start(Kind::Change, from, Some(version), &spec, before);
        self.tell(Fact::ChangeStarted { from, to: version, replicas: spec.replicas });
    }

    pub(crate) fn restarted(&mut self) {
        let Some(current) = self.s.current else { return };
        let Some(spec) = self.s.specs.get(&current).cloned() else { return };
        let before = self.before();
        self.clear_places(Instance::is_at_rest);
        self.begin(current, &spec);
        self.s.aim.first = self.s.next;
        self.start(Kind::Restart, Some(current), Some(current), &spec, before);
        self.tell(Fact::RestartStarted { version: current, how: self.s.aim.how });
    }

    /// `stop` and `remove`: an update in flight ends cancelled, and everything is sent away at
    /// once.
    pub(crate) fn stopped(&mut self, kind: Kind) {
        self.relabel_back();
        self.close(Verdict::Cancelled);
        let before = self.before();
        self.clear_places(Instance::is_at_rest);
        self.s.watch = None;
        self.s.failed = None;
        self.s.aim = Aim { batch: 1, ..Aim::default() };
        let spec = Spec { progress_deadline_ms: PROGRESS_DEADLINE_MS, ..Spec::default() };
        let from = self.s.current;
        self.start(kind, from, None, &spec, before);
        let removes = kind == Kind::Remove;
        self.s.stand = if removes { Stand::Removing } else { Stand::Stopped };
        self.tell(if removes { Fact::Removing } else { Fact::Stopping });
    }

    pub(crate) fn paused(&mut self, reason: Option<String>) {
        let now = self.now;
        if let Some(update) = &mut self.s.update {
            update.paused = Some(now);
            update.reason = reason.clone();
            self.tell(Fact::Paused { reason });
        }
    }

    /// The clock of the update stood still: all its times move on by the length of the pause.
    pub(crate) fn resumed(&mut self) {
        let Some(since) = self.s.update.as_ref().and_then(|u| u.paused) else { return };
        let stood = self.now.saturating_sub(since);
        for id in self.ids(|i| self.s.is_fresh(i)) {
            if let Some(i) = self.s.instances.get_mut(&id)
                && let Stage::Checking { since: began } = &mut i.stage
            {
                let stood = self.now.saturating_sub(since.max(*began));
                *began = began.saturating_add(stood);
            }
        }
        if let Step::Between { until } = &mut self.s.aim.step
            && *until > 0
        {
            *until = until.saturating_add(stood);
        }
        if let Some(update) = &mut self.s.update {
            // A step forward may have come while it stood. What a failure paused begins anew: its
            // deadline may be just what passed.
            let stood = self.now.saturating_sub(since.max(update.moved));
            update.moved = match update.reason {
                Some(_) => self.now,
                None => update.moved.saturating_add(stood),
            };
            update.paused = None;
            update.reason = None;
        }
        self.tell(Fact::Resumed);
    }

    /// Back to how things were before the update: the new ones that do not serve are stopped at
    /// once, those that do when old ones serve in their place. It ends in bounded time; what is
    /// left then goes on without an update.
    pub(crate) fn cancelled(&mut self) {
        self.relabel_back();
        let Some(update) = &self.s.update else { return };
        let (to, before) = (update.to, update.before.clone());
        let wanted = match (before.stand, self.s.current) {
            (Stand::Up, Some(current)) => BTreeMap::from([(current, before.replicas)]),
            (Stand::Up, None) => before.counts,
            (Stand::New | Stand::Stopped | Stand::Removing | Stand::Removed, _) => BTreeMap::new(),
        };
        let by = self.wind_up(to);
        self.aim_at(wanted);
        self.s.stand = before.stand;
        if let Some(update) = &mut self.s.update {
            update.ending = Some(Ending::Cancelled { by });
            update.paused = None;
            update.reason = None;
        }
        self.tell(Fact::Cancelling);
    }

    pub(crate) fn instance_restarted(&mut self, id: Id) {
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        i.again = Again::Asked;
        i.restarts = 0;
        i.failures.clear();
        let until = self.now;
        match i.stage {
            Stage::Waiting { .. } | Stage::Placing | Stage::Ready => {
                i.again = Again::No;
                self.go(id, Stage::Waiting { until });
            }
            Stage::Starting | Stage::Checking { .. } | Stage::Settled => {
                self.go(id, Stage::Stopping);
            }
            Stage::Routing { .. } | Stage::Serving => self.leave(id),
            Stage::Ended | Stage::GaveUp => {
                self.succeed(id, 0);
                self.go(id, Stage::Forgetting);
            }
            Stage::Leaving { .. }
            | Stage::Draining { .. }
            | Stage::Stopping
            | Stage::Exited
            | Stage::Forgetting => {}
        }
    }

    pub(crate) fn instance_stopped(&mut self, id: Id) {
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        i.again = Again::Stopped;
        if i.is_routed() {
            self.leave(id);
        } else {
            self.go(id, Stage::Stopping);
        }
    }

    /// How things are, to go back to.
    pub(crate) fn before(&self) -> Before {
        let stand = self.s.stand;
        let spec = self.s.current.and_then(|version| self.s.specs.get(&version));
        let replicas = if stand == Stand::Up { spec.map_or(0, |s| s.replicas) } else { 0 };
        let watch = self.s.watch.clone();
        Before { replicas, counts: self.s.aim.counts.clone(), stand, spec: None, watch }
    }

    /// Aims at a version. Nothing of it backs off any longer.
    pub(crate) fn begin(&mut self, version: Version, spec: &Spec) {
        let old: u32 = self.s.aim.counts.values().sum();
        // More than were aimed at, when an earlier way back has not come to its end.
        let there = self.s.instances.values().filter(|i| i.is_routed()).count() as u32;
        self.s.aim = Aim {
            counts: BTreeMap::from([(version, spec.replicas)]),
            first: Id(0),
            floor: old.min(spec.replicas),
            most: old.max(there).max(spec.replicas),
            batch: spec.batch.max(1),
            pause_ms: spec.pause_ms,
            how: match (spec.strategy, spec.turn_round) {
                (Strategy::Replace, _) => How::Replace,
                (Strategy::Rolling, true) => How::TurnRound,
                (Strategy::Rolling, false) => How::Surge,
            },
            step: Step::default(),
        };
        self.s.specs.insert(version, spec.clone());
        self.s.stand = Stand::Up;
        // What is only changed in place, or restarted, is as new as it was.
        self.s.watch.take_if(|watch| watch.version != version);
        let until = self.now;
        let wait = |i: &Instance| i.version == version && matches!(i.stage, Stage::Waiting { .. });
        for id in self.ids(wait) {
            self.go(id, Stage::Waiting { until });
        }
        self.changed = true;
    }

    /// Begins the story of an update. Its aim is set already.
    fn start(
        &mut self,
        kind: Kind,
        from: Option<Version>,
        to: Option<Version>,
        spec: &Spec,
        before: Before,
    ) {
        self.s.failed = None;
        self.s.update = Some(Update {
            kind,
            from,
            to,
            strategy: spec.strategy,
            started: self.now,
            paused: None,
            reason: None,
            ending: None,
            first: self.s.next,
            moved: self.now,
            score: i64::MIN,
            progress_deadline_ms: spec.progress_deadline_ms,
            before,
        });
    }

    /// Lets go of places that are empty for good; their logs are kept.
    pub(crate) fn clear_places(&mut self, which: fn(&Instance) -> bool) {
        for id in self.ids(which) {
            self.dismiss(id);
        }
    }
}
