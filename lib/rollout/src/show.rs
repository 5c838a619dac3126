//! What the file tree shows of a service: reads, which never enter a decision.

use crate::answers::serves;
use crate::instance::Stage;
use crate::state::{Stand, Step};
use crate::{Id, Instance, Millis, Outcome, Service, Spec, Update, Verdict, Version};
use alloc::collections::{BTreeMap, BTreeSet};
use core::fmt;

/// `update_status` of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// No update, and the last one did not fail.
    None,
    /// One is in flight.
    Rolling,
    /// One stands.
    Paused,
    /// The last one failed, or a place was given up.
    Failed,
}

/// `update_phase` of the tree, as far as the decision knows it (lock, pre-flight and build are
/// before it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing moves.
    Idle,
    /// A node is looked for.
    Place,
    /// The image is fetched.
    Pull,
    /// A process is started.
    Start,
    /// The first healthy answer is waited for.
    Health,
    /// The edges are told of a new backend.
    Route,
    /// The edges let go of an old one, and it finishes its requests.
    Drain,
    /// An old one is stopped.
    Stop,
    /// The rest between two batches.
    Pause,
    /// After an update: exits of the new version are counted.
    Validate,
}

/// `health` of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As many serve as are wanted.
    Healthy,
    /// Fewer.
    Degraded,
    /// None.
    Unhealthy,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::None => "none",
            Status::Rolling => "rolling",
            Status::Paused => "paused",
            Status::Failed => "failed",
        })
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Idle => "idle",
            Phase::Place => "place",
            Phase::Pull => "pull",
            Phase::Start => "start",
            Phase::Health => "health",
            Phase::Route => "route",
            Phase::Drain => "drain",
            Phase::Stop => "stop",
            Phase::Pause => "pause",
            Phase::Validate => "validate",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Health::Healthy => "healthy",
            Health::Degraded => "degraded",
            Health::Unhealthy => "unhealthy",
        })
    }
}

impl Service {
    /// A service that nothing was deployed of, whose ids begin at `first`: where those of an
    /// earlier service of that name ended (law 10), else 0.
    pub fn new(first: Id) -> Service {
        Service { next: first, ..Service::default() }
    }

    /// The id that the next instance will have; only grows.
    pub fn next_id(&self) -> Id {
        self.next
    }

    /// The latest moment that this state knows of: no event comes before it.
    pub fn latest(&self) -> Millis {
        let runs = self.instances.values().map(|i| i.since.max(i.healthy_since.unwrap_or(0)));
        let update = self.update.iter().map(|u| u.moved.max(u.started).max(u.paused.unwrap_or(0)));
        let last = self.last.iter().map(|outcome| outcome.ended);
        runs.chain(update).chain(last).max().unwrap_or(0)
    }

    /// Every record, gone ones included, in the order of their making.
    pub fn instances(&self) -> &BTreeMap<Id, Instance> {
        &self.instances
    }

    /// The instance at a place: the one that is there, else the newest whose log is kept.
    pub fn at(&self, number: u32) -> Option<&Instance> {
        let mut here = self.instances.values().filter(|i| i.number == number);
        here.clone().rfind(|i| !i.is_gone()).or_else(|| here.next_back())
    }

    /// The spec of a version that may still be gone to.
    pub fn spec(&self, version: Version) -> Option<&Spec> {
        self.specs.get(&version)
    }

    /// `version`: the last one whose update completed.
    pub fn current(&self) -> Option<Version> {
        self.current
    }

    /// `target_version`: the one an update is going to, or that failed.
    pub fn target(&self) -> Option<Version> {
        match &self.update {
            Some(update) => update.to,
            None => self.failed,
        }
    }

    /// Where a `rollback` without a version goes when an update is in flight, paused or failed.
    /// `None`: take the previous one from the history.
    pub fn rollback_target(&self) -> Option<Version> {
        self.target().and(self.current)
    }

    /// The update in flight.
    pub fn update(&self) -> Option<&Update> {
        self.update.as_ref()
    }

    /// The backends that the newest table gives.
    pub fn routed(&self) -> &BTreeSet<Id> {
        &self.routes.backends
    }

    /// The generation of the newest table, as in [`crate::Action::Publish`].
    pub fn generation(&self) -> u64 {
        self.routes.generation
    }

    /// Edges hold requests that find no backend: an `update replace` is between its old and its
    /// new instances.
    pub fn holding(&self) -> bool {
        self.routes.hold
    }

    /// The service was stopped, or is being stopped.
    pub fn stopped(&self) -> bool {
        self.stand == Stand::Stopped
    }

    /// The record may be deleted.
    pub fn removed(&self) -> bool {
        self.stand == Stand::Removed
    }

    /// `update_status`.
    pub fn status(&self) -> Status {
        let gave_up = self.instances.values().any(|i| i.stage == Stage::GaveUp);
        match &self.update {
            Some(update) if update.paused.is_some() => Status::Paused,
            Some(_) => Status::Rolling,
            None if gave_up || self.failed.is_some() => Status::Failed,
            None => Status::None,
        }
    }

    /// `update_phase`: what the update waits for, the earliest first; steady repairs are none.
    pub fn phase(&self, now: Millis) -> Phase {
        if self.update.is_none() {
            return if self.watch.is_some() { Phase::Validate } else { Phase::Idle };
        }
        // One that has its image and does not start yet waits for others to leave.
        let held = |i: &&Instance| i.stage == Stage::Ready && self.is_pulled(i.version);
        let waits = self.instances.values().filter(|i| !held(i)).filter_map(phase_of).min();
        let resting = match self.aim.step {
            Step::Between { until } => until > now,
            Step::Surging | Step::Retiring => false,
        };
        waits.unwrap_or(if resting { Phase::Pause } else { Phase::Idle })
    }

    /// The watch after an update: over which version, how often it has exited, and until when.
    pub fn watch(&self) -> Option<(Version, u32, Millis)> {
        self.watch.as_ref().map(|watch| (watch.version, watch.exits, watch.until))
    }

    /// `update_progress`: instances of the target (else current) version that serve, and how many
    /// are wanted of it.
    pub fn progress(&self) -> (u32, u32) {
        let version = self.target().or(self.current);
        let first = self.update.as_ref().map_or(Id(0), |_| self.aim.first);
        let there = |i: &&Instance| Some(i.version) == version && i.id >= first;
        let wanted = version.and_then(|v| self.specs.get(&v)).map_or(0, |spec| spec.replicas);
        let serve = self.instances.values().filter(there).filter(|i| serves(i)).count() as u32;
        (serve, if self.stand == Stand::Up { wanted } else { 0 })
    }

    /// `replicas`: instances that serve and are healthy, and how many are wanted, of all versions.
    pub fn replicas(&self) -> (u32, u32) {
        let serve = self.instances.values().filter(|i| serves(i)).count() as u32;
        (serve, self.aim.counts.values().sum())
    }

    /// `health`.
    pub fn health(&self) -> Health {
        match self.replicas() {
            (serve, wanted) if serve >= wanted => Health::Healthy,
            (0, _) => Health::Unhealthy,
            (_, _) => Health::Degraded,
        }
    }

    /// How the last update ended, or that it stands paused; `None` while one is in flight, and
    /// before the first. Its `Display` is the line of `wait`.
    pub fn outcome(&self) -> Option<Outcome> {
        let Some(update) = &self.update else { return self.last.clone() };
        update.paused.map(|ended| Outcome {
            verdict: Verdict::Paused,
            kind: update.kind,
            reason: update.reason.clone(),
            from: update.from,
            to: update.to,
            started: update.started,
            ended,
        })
    }
}

/// What an instance waits for.
fn phase_of(i: &Instance) -> Option<Phase> {
    match i.stage {
        Stage::Waiting { .. } | Stage::Placing => Some(Phase::Place),
        Stage::Ready => Some(Phase::Pull),
        Stage::Starting => Some(Phase::Start),
        Stage::Checking { .. } | Stage::Settled => Some(Phase::Health),
        Stage::Routing { .. } => Some(Phase::Route),
        Stage::Leaving { .. } | Stage::Draining { .. } => Some(Phase::Drain),
        Stage::Stopping => Some(Phase::Stop),
        Stage::Serving | Stage::Exited | Stage::Ended | Stage::GaveUp | Stage::Forgetting => None,
    }
}
