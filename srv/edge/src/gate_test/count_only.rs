//! A faulty gate, as most are built: it counts, and believes a count of 0.

use std::future::poll_fn;
use std::task::{Poll, Waker};

use super::sync::{AtomicU64, Mutex, Ordering};

pub(crate) struct Gate {
    count: AtomicU64,
    waiting: Mutex<Option<Waker>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { count: AtomicU64::new(0), waiting: Mutex::new(None) }
    }

    pub(crate) fn enter(&self) -> bool {
        self.count.fetch_add(1, Ordering::AcqRel);
        true
    }

    pub(crate) fn leave(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(waker) = self.waiting.lock().expect("the waker").take()
        {
            waker.wake();
        }
    }

    pub(crate) fn drain(&self) {}

    pub(crate) async fn drained(&self) {
        poll_fn(|context| {
            *self.waiting.lock().expect("the waker") = Some(context.waker().clone());
            match self.count.load(Ordering::Acquire) {
                0 => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }
}
