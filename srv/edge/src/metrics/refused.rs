//! Requests that were answered with 503, for nobody could be found to serve them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why nobody could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// The service has no healthy instance, and none is on its way.
    NoInstance,
    /// One was on its way, and did not come in time.
    HeldTooLong,
    /// As many as may wait for one did already.
    TooManyHeld,
}

impl Want {
    /// Every one of them.
    pub(crate) const ALL: [Self; 3] = [Self::NoInstance, Self::HeldTooLong, Self::TooManyHeld];

    /// As it stands in figures.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::NoInstance => "no_instance",
            Self::HeldTooLong => "held_too_long",
            Self::TooManyHeld => "too_many_held",
        }
    }
}

/// How many were refused for each reason. All workers share it: who only refuses has the time.
#[derive(Debug, Default)]
pub(crate) struct Refused([AtomicU64; Want::ALL.len()]);

impl Refused {
    pub(crate) fn add(&self, why: Want) {
        self.0[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn of(&self, why: Want) -> u64 {
        self.0[why as usize].load(Ordering::Relaxed)
    }
}
