//! A fid of ours: the last one who holds it clunks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::link::Shared;

/// A fid number. It is held by its owner and by each request on its way that names it, so that
/// it is clunked when nothing can touch it any more, a request that was given up included.
pub(super) struct Fid {
    number: u32,
    known: AtomicBool,
    shared: Arc<Shared>,
}

impl Fid {
    /// A number that the server does not know yet.
    pub(super) fn new(number: u32, shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { number, known: AtomicBool::new(false), shared })
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The server has walked it. Called under the lock of `Shared`, like `gone`, which orders it.
    pub(super) fn made(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// The server has forgotten it.
    pub(super) fn gone(&self) {
        self.known.store(false, Ordering::Relaxed);
    }
}

impl Drop for Fid {
    fn drop(&mut self) {
        self.shared.retire(self.number, self.known.load(Ordering::Relaxed));
    }
}
