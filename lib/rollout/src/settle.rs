//! What follows from the state as it is: rules applied until nothing moves any more.

use crate::answers::serves;
use crate::instance::{Again, Instance, Stage};
use crate::outstanding::deadline;
use crate::span::Span;
use crate::state::{How, Image, Step, Watch};
use crate::turn::Turn;
use crate::{Fact, Id, Phase, Version};
use alloc::collections::BTreeSet;
use alloc::format;

impl Turn<'_> {
    /// Applies every rule until none has anything to say. Each moves an instance or the update
    /// onwards, so that it comes to an end.
    pub(crate) fn settle(&mut self) {
        loop {
            self.changed = false;
            self.clocks();
            self.probes();
            self.fail_given_up();
            self.watched();
            match self.s.aim.how {
                How::Surge | How::TurnRound => self.roll(),
                How::Replace => self.replace(),
            }
            self.promote();
            self.progress();
            self.finish();
            if !self.changed {
                break;
            }
        }
    }

    /// What time alone brings.
    fn clocks(&mut self) {
        let now = self.now;
        let due = |i: &Instance| deadline(self.s, i).is_some_and(|at| at <= now);
        for id in self.ids(due) {
            let Some(i) = self.s.instances.get(&id) else { continue };
            match i.stage {
                Stage::Waiting { .. } => self.go(id, Stage::Placing),
                Stage::Checking { .. } => self.never_healthy(id),
                // Law 4: `drain` has passed.
                Stage::Draining { .. } => self.go(id, Stage::Stopping),
                Stage::Placing
                | Stage::Ready
                | Stage::Starting
                | Stage::Settled
                | Stage::Routing { .. }
                | Stage::Serving
                | Stage::Leaving { .. }
                | Stage::Stopping
                | Stage::Exited
                | Stage::Ended
                | Stage::GaveUp
                | Stage::Forgetting => {}
            }
        }
        for image in self.s.images.values_mut() {
            if let Image::Waiting { tries, until } = *image
                && until <= now
            {
                *image = Image::Asked { tries };
            }
        }
        if let Step::Between { until } = self.s.aim.step
            && until > 0
            && until <= now
            && !self.s.paused()
        {
            self.rested();
        }
        let well = |watch: &mut Watch| watch.until <= now && !watch.is_loop();
        if let Some(Watch { version, .. }) = self.s.watch.take_if(well) {
            self.tell(Fact::Validated { version });
        }
    }

    /// The health deadline has passed.
    fn never_healthy(&mut self, id: Id) {
        let Some(i) = self.s.instances.get(&id) else { return };
        let limit = self.s.specs.get(&i.version).map_or(0, |spec| spec.health_deadline_ms);
        let mut reason = format!("health check timeout after {}", Span(limit));
        if let Some(answer) = &i.reason {
            reason = format!("{reason}: {answer}");
        }
        if self.s.is_fresh(i) {
            self.fail(Some(id), reason);
        } else if let Some(i) = self.s.instances.get_mut(&id) {
            i.reason = Some(reason);
            i.again = Again::Failed;
            self.go(id, Stage::Stopping);
        }
    }

    /// Unhealthy ones leave the routes; the last backend never does because of a probe.
    fn probes(&mut self) {
        for id in self.ids(|i| i.is_routed() && !i.healthy) {
            let Some(i) = self.s.instances.get(&id) else { continue };
            let reason = i.reason.clone().unwrap_or_default();
            let (number, fresh) = (i.number, self.s.is_fresh(i));
            let stays = self.s.is_wanted(i) || self.s.paused();
            if fresh && !self.s.paused() {
                self.fail(Some(id), format!("unhealthy: {reason}"));
            } else if self.s.instances.values().any(|o| o.id != id && serves(o)) {
                if stays && let Some(i) = self.s.instances.get_mut(&id) {
                    i.again = Again::Failed;
                }
                self.tell(Fact::Unrouted { number, id, reason });
                self.leave(id);
            }
        }
    }

    /// A crash loop soon after an update takes the update back, once (rollout.md, validating).
    fn watched(&mut self) {
        if self.s.update.is_some() {
            return;
        }
        let Some(watch) = self.s.watch.take_if(|watch| watch.is_loop()) else { return };
        let (version, exits) = (watch.version, watch.exits);
        self.tell(Fact::CrashLoop { version, exits });
        let back = watch.previous.and_then(|to| Some((to, self.s.specs.get(&to)?.clone())));
        let Some((to, spec)) = back else { return };
        let times = if exits == 1 { "exit" } else { "exits" };
        let reason = format!("{exits} {times} of {version} soon after its update");
        // What failed in between is not what it goes back from.
        self.s.failed = None;
        self.turn_back(to, &spec, Some(reason));
    }

    /// Everybody's next step that no batch has to wait for: fetch, start, route.
    fn promote(&mut self) {
        let ready: BTreeSet<Version> = self
            .s
            .instances
            .values()
            .filter(|i| i.stage == Stage::Ready)
            .map(|i| i.version)
            .filter(|version| !self.s.images.contains_key(version))
            .collect();
        for version in ready {
            self.s.images.insert(version, Image::Asked { tries: 0 });
            self.tell(Fact::Pulling { version });
        }
        let room = if self.start_gate() { self.room() } else { 0 };
        let ready = self.ids(|i| i.stage == Stage::Ready && self.s.is_pulled(i.version));
        for id in ready.into_iter().take(room) {
            let number = self.s.instances.get(&id).map_or(0, |i| i.number);
            self.go(id, Stage::Starting);
            self.tell(Fact::Starting { number, id });
        }
        let may_route = self.route_gate();
        for id in self.ids(|i| i.stage == Stage::Settled && i.healthy) {
            if may_route {
                let generation = self.publish();
                self.go(id, Stage::Routing { generation });
            }
        }
    }

    /// Law 2: how many more may have a process. What an earlier update left behind counts, too.
    fn room(&self) -> usize {
        let live = self.s.instances.values().filter(|i| i.is_live()).count();
        let most = (self.s.aim.most as usize).saturating_add(self.s.aim.batch as usize);
        most.saturating_sub(live)
    }

    /// One progress clock for everything: not placed, not pulled, not started, not healthy, not
    /// drained. Only what was never reached before counts as a step forward.
    fn progress(&mut self) {
        let score = self.score();
        let now = self.now;
        let Some(update) = &mut self.s.update else { return };
        if score > update.score {
            update.score = score;
            update.moved = now;
        }
        let limit = update.progress_deadline_ms;
        let going = update.ending.is_none() && update.paused.is_none();
        if !going || self.s.stuck_at().is_none_or(|at| at > now) {
            return;
        }
        let mut reason = format!("no progress for {}", Span(limit));
        let phase = self.s.phase(now);
        if phase != Phase::Idle {
            reason = format!("{reason}, phase {phase}");
        }
        if let Some(hindrance) = self.s.hindrance() {
            reason = format!("{reason}: {hindrance}");
        }
        self.out_of_time(reason);
    }

    /// The rest between two batches is over, and the progress clock begins anew.
    pub(crate) fn rested(&mut self) {
        self.s.aim.step = Step::Between { until: 0 };
        self.changed = true;
        let now = self.now;
        self.s.update.iter_mut().for_each(|update| update.moved = now);
    }

    /// How far the aim is reached: more is nearer.
    fn score(&self) -> i64 {
        let images = self.s.images.values().filter(|image| **image == Image::Here).count();
        let reached = |i: &Instance| match (self.s.is_wanted(i), i.stage) {
            (true, Stage::Ready) => 1,
            (true, Stage::Starting) => 2,
            (true, Stage::Checking { .. }) => 3,
            (true, Stage::Settled) => 4,
            (true, Stage::Routing { .. }) => 5,
            (true, Stage::Serving) => 6,
            (true, _) => 0,
            (false, Stage::Leaving { .. }) => -9,
            (false, Stage::Draining { .. }) => -8,
            (false, Stage::Stopping) => -7,
            (false, Stage::Exited | Stage::Forgetting) => 0,
            (false, _) => -10,
        };
        self.s.instances.values().map(reached).sum::<i64>() + images as i64
    }
}

/// So many exits while watched take the update back (rollout.md, validating).
const WATCH_EXITS: u32 = 3;

impl Watch {
    /// The new version does not hold: enough exits, or as many as its restart policy allows.
    pub(crate) fn is_loop(&self) -> bool {
        self.exits >= WATCH_EXITS || self.gave_up
    }
}

impl crate::Service {
    /// The image of a version is there.
    pub(crate) fn is_pulled(&self, version: Version) -> bool {
        self.images.get(&version) == Some(&Image::Here)
    }
}
