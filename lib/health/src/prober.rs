//! The schedule of one instance's probes. Pure: time and chance come in as data.

use crate::Check;

/// When to ask and how much failure to bear; times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From start to the first probe: 0, or 1000 for [`Check::Running`].
    pub first_ms: u64,
    /// Between probes once healthy, ±10 %.
    pub interval_ms: u64,
    /// Consecutive failures of a healthy instance that make it unhealthy; at least 1.
    pub retries: u32,
    /// How long a new instance must answer well without a break before it counts as healthy.
    pub min_healthy_ms: u64,
}

impl Schedule {
    /// The schedule of an instance with this check.
    pub fn new(check: &Check, interval_ms: u64, retries: u32, min_healthy_ms: u64) -> Schedule {
        todo!("{check:?} {interval_ms} {retries} {min_healthy_ms}")
    }
}

/// What an answer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The instance became healthy, `ms` after its process started.
    Healthy {
        /// Milliseconds since the start.
        ms: u64,
    },
    /// A healthy instance became unhealthy.
    Unhealthy,
    /// Nothing changed.
    Nothing,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// What changed.
    pub verdict: Verdict,
    /// When to probe again, on the clock of `started_ms`.
    pub at_ms: u64,
}

/// One instance's state between probes.
#[derive(Clone, Debug)]
pub struct Prober {
    schedule: Schedule,
    started_ms: u64,
}

impl Prober {
    /// A prober of an instance whose process started at `started_ms` on any monotone clock.
    pub fn new(schedule: Schedule, started_ms: u64) -> Prober {
        Prober { schedule, started_ms }
    }

    /// When the first probe is due.
    pub fn first_at_ms(&self) -> u64 {
        self.started_ms + self.schedule.first_ms
    }

    /// Takes in the answer to a probe that ended at `now_ms`. `chance` is any random number; it
    /// spreads the probes of many instances.
    pub fn answered(&mut self, now_ms: u64, ok: bool, chance: u32) -> Next {
        todo!("{now_ms} {ok} {chance}")
    }

    /// Whether the instance counts as healthy now.
    pub fn healthy(&self) -> bool {
        todo!()
    }
}
