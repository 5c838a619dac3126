//! Where a store's time comes from: leases are measured with it and nothing else.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A clock that never goes back.
pub trait Clock: Send + Sync + Debug {
    /// Milliseconds since some moment.
    fn now_ms(&self) -> u64;
}

/// The machine's monotone clock.
#[derive(Debug)]
pub(crate) struct MachineClock(Instant);

impl MachineClock {
    pub(crate) fn new() -> MachineClock {
        MachineClock(Instant::now())
    }
}

impl Clock for MachineClock {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock moved by hand, for tests.
#[derive(Debug, Default)]
pub struct HandClock(AtomicU64);

impl HandClock {
    /// Moves it on by `ms`.
    pub fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
