//! A run that ended by itself: whose failure it is, and what its place gets.

use crate::answers::FORGIVEN_AFTER_MS;
use crate::instance::{Again, Instance, Kept, Stage};
use crate::turn::Turn;
use crate::{Exit, Fact, Id, Millis, Restart};
use alloc::format;
use alloc::string::String;

/// The first back-off (rollout.md, steady state); doubled at every further failure.
const BACKOFF_MIN_MS: u64 = 100;
/// The longest back-off.
const BACKOFF_MAX_MS: u64 = 60_000;
/// Failures of a place count together within this time (`max_restarts`).
const FAILURES_WITHIN_MS: u64 = 60_000;
/// A late exit prolongs the watch after an update to itself and this.
const WATCH_ON_MS: u64 = 60_000;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Exit status 0, unasked.
    Success,
    /// Any other exit, a deadline, failed probes.
    Failure,
    /// It could not be run, and trying again cannot help.
    Permanent,
    /// It could not be run this time.
    Passing,
    /// Its node lost it.
    Lost,
}

impl Cause {
    /// What an exit amounts to.
    pub(crate) fn of(exit: &Exit) -> Cause {
        if exit.code == 0 && exit.signal.is_none() { Cause::Success } else { Cause::Failure }
    }
}

impl Turn<'_> {
    /// A run that nobody sent away ended. A new instance of an update in flight fails the update;
    /// one that is to be replaced anyway is let go; all others are repaired at their own version,
    /// also while the update is paused.
    pub(crate) fn crash(&mut self, id: Id, cause: Cause, reason: String) {
        let now = self.now;
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        i.forgive(now);
        i.healthy = false;
        i.healthy_since = None;
        i.reason = Some(reason.clone());
        let number = i.number;
        let Some(i) = self.s.instances.get(&id) else { return };
        let never_ran = i.stage < Stage::Starting;
        let (fresh, wanted, paused) = (self.s.is_fresh(i), self.s.is_wanted(i), self.s.paused());
        match cause {
            Cause::Lost | Cause::Passing if wanted || paused => self.retry(id, cause, reason),
            _ if fresh && !paused => self.fail(Some(id), reason),
            Cause::Lost | Cause::Passing => self.go(id, Stage::Forgetting),
            Cause::Success | Cause::Failure | Cause::Permanent if wanted || paused => {
                self.watch_exit(id, cause);
                self.repair(id, cause, reason);
            }
            _ if never_ran => self.dismiss(id),
            Cause::Success | Cause::Failure | Cause::Permanent => {
                self.keep(id, Kept::Place);
                self.tell(Fact::Failed { number, id, reason });
            }
        }
    }

    /// What is nobody's fault is tried again, with back-off, and not held against the place.
    pub(crate) fn retry(&mut self, id: Id, cause: Cause, reason: String) {
        let Some(i) = self.s.instances.get(&id) else { return };
        let in_ms = backoff(id, i.restarts);
        self.tell(match cause {
            Cause::Lost => Fact::Failed { number: i.number, id, reason },
            Cause::Success | Cause::Failure | Cause::Permanent | Cause::Passing => {
                Fact::Retrying { reason, in_ms }
            }
        });
        self.succeed(id, in_ms);
        self.go(id, Stage::Forgetting);
    }

    /// The restart policy: a new run after a back-off, none, or the end of patience.
    pub(crate) fn repair(&mut self, id: Id, cause: Cause, reason: String) {
        let now = self.now;
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        i.failures.retain(|at| now.saturating_sub(*at) < FAILURES_WITHIN_MS);
        i.failures.push(now);
        i.again = Again::No;
        let (number, failures) = (i.number, i.failures.len());
        let in_ms = backoff(id, i.restarts);
        let Some(spec) = self.s.specs.get(&i.version) else { return };
        let ends = match spec.restart {
            Restart::Always => false,
            Restart::OnFailure => cause == Cause::Success,
            Restart::Never => true,
        };
        let patience = spec.max_restarts as usize;
        if cause != Cause::Success || !ends {
            self.tell(Fact::Failed { number, id, reason: reason.clone() });
        }
        let gave_up = if ends { cause != Cause::Success } else { failures > patience };
        if cause == Cause::Permanent || gave_up {
            self.go(id, Stage::GaveUp);
            self.tell(Fact::GaveUp { number, reason });
            self.watch_gave_up(id, cause);
        } else if ends {
            self.go(id, Stage::Ended);
        } else {
            self.tell(Fact::Restarting { number, in_ms });
            self.succeed(id, in_ms);
            self.keep(id, Kept::Place);
        }
    }

    /// Plans the next run of an instance's place; a restart is a new id.
    pub(crate) fn succeed(&mut self, id: Id, in_ms: u64) {
        let next = self.next_id();
        let until = self.now.saturating_add(in_ms);
        let Some(old) = self.s.instances.get_mut(&id) else { return };
        old.again = Again::No;
        let stage = Stage::Waiting { until };
        let mut i = Instance::new(next, old.number, old.version, stage, self.now);
        i.restarts = old.restarts + 1;
        i.failures = old.failures.clone();
        i.reason = old.reason.clone();
        self.s.instances.insert(next, i);
        self.changed = true;
    }

    /// Keeps a gone instance's record for its log. A place keeps one log of its repairs.
    pub(crate) fn keep(&mut self, id: Id, kept: Kept) {
        let Some(i) = self.s.instances.get_mut(&id) else { return };
        i.kept = kept;
        let number = i.number;
        self.go(id, Stage::Exited);
        let stale = self.ids(|o| {
            o.stage == Stage::Exited && o.kept == Kept::Place && o.number == number && o.id < id
        });
        for old in stale {
            self.go(old, Stage::Forgetting);
        }
    }

    /// Counts an exit of the new version after its update (rollout.md, validating): never one that
    /// we made ourselves.
    fn watch_exit(&mut self, id: Id, cause: Cause) {
        let now = self.now;
        let version = self.s.instances.get(&id).map(|i| i.version);
        let exit = matches!(cause, Cause::Success | Cause::Failure);
        if let Some(watch) = self.s.watch.as_mut()
            && exit
            && Some(watch.version) == version
        {
            watch.exits += 1;
            watch.until = watch.until.max(now.saturating_add(WATCH_ON_MS)).min(watch.at_most);
        }
    }

    /// A place that is given up exits no more, so that who waits for a third exit of it waits in
    /// vain: what it has done is enough.
    fn watch_gave_up(&mut self, id: Id, cause: Cause) {
        let version = self.s.instances.get(&id).map(|i| i.version);
        if let Some(watch) = self.s.watch.as_mut()
            && cause == Cause::Failure
            && watch.exits > 0
            && Some(watch.version) == version
        {
            watch.gave_up = true;
        }
    }
}

/// The wait before run number `count + 1` of a place: doubling from 100 ms to 60 s, less up to a
/// quarter that id and count decide, so that many places do not come back in step.
pub(crate) fn backoff(id: Id, count: u32) -> Millis {
    let full = BACKOFF_MIN_MS.checked_shl(count.min(32)).unwrap_or(BACKOFF_MAX_MS);
    let full = full.min(BACKOFF_MAX_MS);
    full - mix(id.0 ^ (u64::from(count) << 48)) % (full / 4)
}

/// Spreads neighbouring numbers over all of `u64` (the finaliser of SplitMix64).
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// An exit in words: `exited with status 3`, `killed by SIGKILL, out of memory: the limit is …`.
pub(crate) fn describe(exit: &Exit) -> String {
    let mut text = match &exit.signal {
        Some(signal) => format!("killed by SIG{signal}"),
        None => format!("exited with status {}", exit.code),
    };
    if exit.oom {
        text.push_str(", out of memory");
    }
    if let Some(reason) = &exit.reason {
        text.push_str(": ");
        // A shim says it in full, so that its words can stand alone.
        let said = reason.strip_prefix("out of memory: ").filter(|_| exit.oom);
        text.push_str(said.unwrap_or(reason));
    }
    text
}

const _: () = assert!(FAILURES_WITHIN_MS >= FORGIVEN_AFTER_MS);
