//! Requests that were ended after they had begun to be answered, or with nobody to blame but an
//! end of patience. In an update all of these stay as they are.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a request, tunnel or stream was ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its instance left the table, and the drain took too long.
    Drain,
    /// The instance broke the connection before its answer, or in the middle of it.
    Instance,
    /// Nothing moved for too long.
    Stall,
    /// The process that served it was killed.
    Killed,
    /// Its process was the oldest of too many that end what they began.
    Older,
}

impl Reason {
    /// Every reason.
    pub(crate) const ALL: [Self; 5] =
        [Self::Drain, Self::Instance, Self::Stall, Self::Killed, Self::Older];

    /// As it stands in figures.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Instance => "instance",
            Self::Stall => "stall",
            Self::Killed => "killed",
            Self::Older => "older",
        }
    }
}

/// How many were ended for each reason; rare, so all workers share it.
#[derive(Debug, Default)]
pub(crate) struct Cuts([AtomicU64; Reason::ALL.len()]);

impl Cuts {
    pub(crate) fn add(&self, why: Reason, count: u64) {
        self.0[why as usize].fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, why: Reason) -> u64 {
        self.0[why as usize].load(Ordering::Relaxed)
    }
}
