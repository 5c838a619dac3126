//! The jobs of one connection: woken one by one, dropped by their number at once.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Futures that run together, each with a number.
pub(super) struct Jobs<F> {
    running: HashMap<u64, Running<F>>,
    woken: Arc<Woken>,
}

struct Running<F> {
    work: F,
    bell: Arc<Bell>,
    waker: Waker,
}

/// The numbers of those that can go on, and the task to tell.
#[derive(Default)]
struct Woken {
    numbers: Mutex<VecDeque<u64>>,
    task: AtomicWaker,
}

impl Woken {
    fn numbers(&self) -> MutexGuard<'_, VecDeque<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What wakes one job.
struct Bell {
    number: u64,
    /// It is among the numbers already.
    rung: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.woken.numbers().push_back(self.number);
            self.woken.task.wake();
        }
    }
}

impl<F: Future + Unpin> Jobs<F> {
    pub(super) fn new() -> Self {
        Self { running: HashMap::new(), woken: Arc::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    #[cfg(test)]
    pub(super) fn woken(&self) -> usize {
        self.woken.numbers().len()
    }

    /// Begins a job; `poll_next` looks at it first.
    pub(super) fn start(&mut self, number: u64, work: F) {
        let woken = Arc::clone(&self.woken);
        let bell = Arc::new(Bell { number, rung: AtomicBool::new(false), woken });
        let waker = Waker::from(Arc::clone(&bell));
        bell.wake_by_ref();
        self.running.insert(number, Running { work, bell, waker });
    }

    /// Drops a job.
    pub(super) fn drop(&mut self, number: u64) {
        self.running.remove(&number);
    }

    /// Whether there is a job like this.
    pub(super) fn any(&self, like: impl Fn(&F) -> bool) -> bool {
        self.running.values().any(|one| like(&one.work))
    }

    /// Drops those that need not go on.
    pub(super) fn keep(&mut self, wanted: impl Fn(&F) -> bool) {
        self.running.retain(|_, one| wanted(&one.work));
    }

    /// A job that has ended, and what came of it; pending when none has yet, also when there is
    /// no job at all.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(u64, F::Output)> {
        if self.running.is_empty() {
            // Those of dropped jobs: nobody else would take them out.
            self.woken.numbers().clear();
            return Poll::Pending;
        }
        self.woken.task.register(cx.waker());
        // A job may wake itself to let others go first: each is looked at once a call.
        let woken = self.woken.numbers().len();
        for _ in 0..woken {
            let Some(number) = self.woken.numbers().pop_front() else { return Poll::Pending };
            let Some(one) = self.running.get_mut(&number) else { continue };
            // Before the poll: a wake during it counts.
            one.bell.rung.store(false, Ordering::Release);
            let mut cx = Context::from_waker(&one.waker);
            if let Poll::Ready(output) = Pin::new(&mut one.work).poll(&mut cx) {
                self.running.remove(&number);
                return Poll::Ready((number, output));
            }
        }
        if !self.woken.numbers().is_empty() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
