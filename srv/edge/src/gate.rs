//! The gate of one backend: who is inside, and whether anybody may still come in.
//!
//! One word says both, so that no request can come in after the last one was seen to leave: its
//! highest bit is set once the backend is leaving, the rest counts claims. Two words, or a count
//! alone, let a request slip in between the look and the stop; `gate_test` shows it.

use std::future::poll_fn;
use std::sync::PoisonError;
use std::task::{Poll, Waker};

use super::sync::{Arc, AtomicU64, Mutex, Ordering};

/// Set once and for all when nobody may come in any more.
const DRAINING: u64 = 1 << 63;

/// Counts claims until it is told to drain, then only lets them go.
#[derive(Debug)]
pub(crate) struct Gate {
    word: AtomicU64,
    /// Who waits for the last to leave; there is one drain a backend, so one is enough.
    waiting: Mutex<Option<Waker>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { word: AtomicU64::new(0), waiting: Mutex::new(None) }
    }

    /// Comes in, unless the gate drains. Who came in must leave.
    pub(crate) fn enter(&self) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        while seen & DRAINING == 0 {
            let (yes, no) = (Ordering::Acquire, Ordering::Relaxed);
            match self.word.compare_exchange_weak(seen, seen + 1, yes, no) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Goes out; the last one out of a gate that drains wakes who waits for that.
    pub(crate) fn leave(&self) {
        if self.word.fetch_sub(1, Ordering::AcqRel) == DRAINING + 1 {
            self.wake();
        }
    }

    /// Lets nobody in from now on.
    pub(crate) fn drain(&self) {
        if self.word.fetch_or(DRAINING, Ordering::AcqRel) & !DRAINING == 0 {
            self.wake();
        }
    }

    /// How many are inside.
    pub(crate) fn count(&self) -> u64 {
        self.word.load(Ordering::Relaxed) & !DRAINING
    }

    /// Whether nobody may come in any more.
    pub(crate) fn drains(&self) -> bool {
        self.word.load(Ordering::Relaxed) & DRAINING != 0
    }

    /// Ends when the gate drains and nobody is inside; once so, it stays so.
    pub(crate) async fn drained(&self) {
        poll_fn(|context| {
            // First the waker, then the look: who leaves in between finds the waker.
            let waker = context.waker().clone();
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker);
            match self.word.load(Ordering::Acquire) {
                DRAINING => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }

    fn wake(&self) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }
}

/// What has a gate.
pub(crate) trait Gated {
    fn gate(&self) -> &Gate;
}

/// A place inside a gate, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Claim<T: Gated>(Arc<T>);

impl<T: Gated> Claim<T> {
    /// A claim on `to`, unless it drains.
    pub(crate) fn on(to: &Arc<T>) -> Option<Self> {
        to.gate().enter().then(|| Self(Arc::clone(to)))
    }
}

impl<T: Gated> std::ops::Deref for Claim<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}

impl<T: Gated> Drop for Claim<T> {
    fn drop(&mut self) {
        self.0.gate().leave();
    }
}
