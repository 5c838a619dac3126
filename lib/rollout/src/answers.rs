//! What node and edges answer, taken for what it says. An answer that is late, doubled, or about
//! something long gone finds its instance in another stage and changes nothing.

use crate::crash::{Cause, describe};
use crate::instance::{Again, Instance, Kept, Stage};
use crate::state::Image;
use crate::turn::Turn;
use crate::{Exit, Fact, Id, Version};
use alloc::string::String;

/// A place that was healthy for so long has its earlier failures forgotten (rollout.md, steady
/// state).
pub(crate) const FORGIVEN_AFTER_MS: u64 = 60_000;

impl Turn<'_> {
    pub(crate) fn pulled(&mut self, version: Version) {
        if let Some(image) = self.s.images.get_mut(&version) {
            *image = Image::Here;
        }
    }

    pub(crate) fn pull_failed(&mut self, version: Version, reason: String, permanent: bool) {
        let Some(Image::Asked { tries }) = self.s.images.get(&version).copied() else { return };
        if permanent {
            self.s.images.remove(&version);
            for id in self.ids(|i| i.version == version && i.stage == Stage::Ready) {
                self.crash(id, Cause::Permanent, reason.clone());
            }
            return;
        }
        let in_ms = crate::crash::backoff(Id(u64::from(version.0)), tries);
        let image = Image::Waiting { tries: tries + 1, until: self.now.saturating_add(in_ms) };
        self.s.images.insert(version, image);
        for id in self.ids(|i| i.version == version && i.stage == Stage::Ready) {
            self.note(id, &reason);
        }
        self.tell(Fact::Retrying { reason, in_ms });
    }

    pub(crate) fn placed(&mut self, id: Id, node: String) {
        let Some(i) = self.at_stage(id, |stage| stage == Stage::Placing) else { return };
        i.node = Some(node.clone());
        i.reason = None;
        let number = i.number;
        self.go(id, Stage::Ready);
        self.tell(Fact::Scheduled { number, id, node });
    }

    pub(crate) fn no_room(&mut self, id: Id, reason: String) {
        let now = self.now;
        let Some(i) = self.at_stage(id, |stage| stage == Stage::Placing) else { return };
        let until = now.saturating_add(crate::crash::backoff(id, i.tries));
        let (number, news) = (i.number, i.reason.as_ref() != Some(&reason));
        i.tries += 1;
        i.reason = Some(reason.clone());
        self.go(id, Stage::Waiting { until });
        if news {
            self.tell(Fact::NoRoom { number, id, reason });
        }
    }

    pub(crate) fn started(&mut self, id: Id) {
        let now = self.now;
        let Some(i) = self.at_stage(id, |stage| stage == Stage::Starting) else { return };
        i.started = Some(now);
        self.go(id, Stage::Checking { since: now });
    }

    pub(crate) fn start_failed(&mut self, id: Id, reason: String, permanent: bool) {
        if self.at_stage(id, |stage| stage == Stage::Starting).is_some() {
            let cause = if permanent { Cause::Permanent } else { Cause::Passing };
            self.crash(id, cause, reason);
        } else {
            self.exited(id, Exit { reason: Some(reason), ..Exit::default() });
        }
    }

    pub(crate) fn healthy(&mut self, id: Id, ms: u64) {
        let now = self.now;
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        let first = matches!(i.stage, Stage::Starting | Stage::Checking { .. });
        if !first && !i.is_routed() || i.healthy {
            return;
        }
        i.healthy = true;
        i.was_healthy = true;
        i.healthy_since = Some(now);
        i.started.get_or_insert(now);
        i.reason = None;
        let number = i.number;
        self.changed = true;
        if first {
            self.go(id, Stage::Settled);
        }
        self.tell(if first {
            Fact::Healthy { number, id, ms }
        } else {
            Fact::Recovered { number, id }
        });
    }

    pub(crate) fn unhealthy(&mut self, id: Id, reason: String) {
        let now = self.now;
        let last = !self.s.instances.values().any(|o| o.id != id && serves(o));
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        let knew = !i.healthy;
        let routed = i.is_routed();
        if routed || matches!(i.stage, Stage::Checking { .. } | Stage::Settled) {
            i.reason = Some(reason.clone());
            i.forgive(now);
            i.healthy = false;
            i.healthy_since = None;
            self.changed = true;
        }
        let (number, stage) = (i.number, i.stage);
        if stage == Stage::Settled {
            self.go(id, Stage::Checking { since: now });
        }
        if routed && last && !knew {
            self.tell(Fact::LastBackend { number, id, reason });
        }
    }

    pub(crate) fn exited(&mut self, id: Id, exit: Exit) {
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        let (live, leaving) = (i.is_live(), i.is_leaving());
        let reason = describe(&exit);
        if live {
            i.exit = Some(exit.clone());
            i.healthy = false;
        }
        if leaving {
            self.gone(id);
        } else if live {
            self.crash(id, Cause::of(&exit), reason);
        }
    }

    pub(crate) fn lost(&mut self, id: Id) {
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        match i.stage {
            Stage::Ready => {
                i.node = None;
                self.go(id, Stage::Placing);
            }
            Stage::Leaving { .. } | Stage::Draining { .. } | Stage::Stopping => {
                i.kept = Kept::No;
                self.gone(id);
            }
            Stage::Starting
            | Stage::Checking { .. }
            | Stage::Settled
            | Stage::Routing { .. }
            | Stage::Serving => self.crash(id, Cause::Lost, String::from("lost with its node")),
            // No log to be kept; `Forget` is asked all the same, for whatever may be left.
            Stage::Exited => self.go(id, Stage::Forgetting),
            Stage::Waiting { .. }
            | Stage::Placing
            | Stage::Ended
            | Stage::GaveUp
            | Stage::Forgetting => {}
        }
    }

    pub(crate) fn forgotten(&mut self, id: Id) {
        if self.s.instances.get(&id).is_some_and(Instance::is_gone) {
            self.s.instances.remove(&id);
            self.changed = true;
        }
    }

    pub(crate) fn served(&mut self, generation: u64) {
        if generation > self.s.routes.generation {
            return;
        }
        self.s.routes.served = self.s.routes.served.max(generation);
        let since = self.now;
        for id in
            self.ids(|i| matches!(i.stage, Stage::Routing { generation: g } if g <= generation))
        {
            self.go(id, Stage::Serving);
        }
        for id in
            self.ids(|i| matches!(i.stage, Stage::Leaving { generation: g } if g <= generation))
        {
            self.go(id, Stage::Draining { since });
        }
    }

    pub(crate) fn drained(&mut self, id: Id) {
        if self.at_stage(id, |stage| matches!(stage, Stage::Draining { .. })).is_some() {
            self.go(id, Stage::Stopping);
        }
    }

    /// An instance that was on its way out has reached it.
    fn gone(&mut self, id: Id) {
        let Some(i) = self.s.instances.get(&id) else { return };
        let (number, again, kept) = (i.number, i.again, i.kept);
        let old = !self.s.is_wanted(i)
            && self.s.update.as_ref().is_some_and(|u| u.to.is_some() && id < u.first);
        match again {
            Again::No => {
                let stage = if kept == Kept::No { Stage::Forgetting } else { Stage::Exited };
                self.go(id, stage);
                if kept == Kept::No {
                    self.tell(Fact::Stopped { number, id, old });
                }
            }
            Again::Asked => {
                self.tell(Fact::Stopped { number, id, old: false });
                self.succeed(id, 0);
                self.go(id, Stage::Forgetting);
            }
            Again::Stopped => self.stopped_alone(id),
            Again::Failed => {
                let reason = self.s.instances.get(&id).and_then(|i| i.reason.clone());
                self.repair(id, Cause::Failure, reason.unwrap_or_default());
            }
        }
    }

    /// One that somebody stopped alone is gone: of an update in flight it is a failure, else its
    /// place gets what the restart policy says of the exit. It is not held against the version.
    fn stopped_alone(&mut self, id: Id) {
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        i.again = Again::No;
        let reason = i.exit.as_ref().map_or_else(|| String::from("lost with its node"), describe);
        i.reason = Some(reason.clone());
        let cause = i.exit.as_ref().map_or(Cause::Lost, Cause::of);
        let Some(i) = self.s.instances.get(&id) else { return };
        if self.s.is_fresh(i) && !self.s.paused() {
            self.fail(Some(id), reason);
        } else if cause == Cause::Lost {
            self.retry(id, cause, reason);
        } else {
            self.repair(id, cause, reason);
        }
    }

    /// Remembers what went wrong with an instance last.
    fn note(&mut self, id: Id, reason: &str) {
        if let Some(i) = self.s.instances.get_mut(&id) {
            i.reason = Some(String::from(reason));
        }
    }

    fn at_stage(&mut self, id: Id, is: impl Fn(Stage) -> bool) -> Option<&mut Instance> {
        self.s.instances.get_mut(&id).filter(|i| is(i.stage))
    }
}

/// A backend that requests can be left to.
pub(crate) fn serves(i: &Instance) -> bool {
    i.stage == Stage::Serving && i.healthy
}

impl Instance {
    /// Forgets the failures of a place that has been healthy long enough.
    pub(crate) fn forgive(&mut self, now: u64) {
        let health = self.healthy_since.map_or(0, |since| now.saturating_sub(since));
        if health >= FORGIVEN_AFTER_MS {
            self.restarts = 0;
            self.failures.clear();
        }
    }
}
