//! The figures of one route or one instance.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::histogram::{Counted, Histogram, bump};

/// How a request ended, as figures tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A status below 200: an upgrade.
    Switched,
    /// 200 to 299.
    Good,
    /// 300 to 399.
    Moved,
    /// 400 to 499, from the instance, or for a body that its user did not send as he should.
    User,
    /// 500 to 599, from the instance.
    Instance,
    /// Answered by the edge: no instance could be asked, or none answered.
    Edge,
    /// Nobody was there any more to take the answer.
    Gone,
}

impl Class {
    /// Every class.
    pub(crate) const ALL: [Self; 7] = [
        Self::Switched,
        Self::Good,
        Self::Moved,
        Self::User,
        Self::Instance,
        Self::Edge,
        Self::Gone,
    ];

    /// The class of an instance's answer.
    pub(crate) fn of(status: u16) -> Self {
        match status {
            ..200 => Self::Switched,
            200..300 => Self::Good,
            300..400 => Self::Moved,
            400..500 => Self::User,
            500.. => Self::Instance,
        }
    }

    /// As it stands in figures.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Switched => "1xx",
            Self::Good => "2xx",
            Self::Moved => "3xx",
            Self::User => "4xx",
            Self::Instance => "5xx",
            Self::Edge => "edge",
            Self::Gone => "gone",
        }
    }
}

/// What one worker has counted; on a line of memory that no other worker writes to.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    classes: [AtomicU64; Class::ALL.len()],
    begun: AtomicU64,
    ended: AtomicU64,
    took: Histogram,
}

/// Counts of requests, a shard a worker; a shard is made by its first request.
#[derive(Debug)]
pub(crate) struct Figures {
    shards: Box<[OnceLock<Box<Shard>>]>,
    /// What other processes of this edge have counted.
    others: Mutex<Option<Box<Sum>>>,
}

/// All shards together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum {
    /// Ended requests of each class.
    pub(crate) classes: [u64; Class::ALL.len()],
    /// Requests on their way.
    pub(crate) in_flight: u64,
    /// How long they took, from the head to the end of the answer.
    pub(crate) took: Counted,
}

impl Sum {
    /// Whether nothing was counted.
    pub(crate) fn is_none(&self) -> bool {
        self.in_flight == 0 && self.classes.iter().all(|count| *count == 0)
    }

    /// Adds what others have counted.
    pub(crate) fn add(&mut self, more: &Sum) {
        more.classes.iter().zip(&mut self.classes).for_each(|(more, to)| *to += more);
        self.in_flight += more.in_flight;
        self.took.add(&more.took);
    }
}

impl Figures {
    pub(crate) fn new(workers: usize) -> Self {
        let shards = (0..workers).map(|_| OnceLock::new()).collect();
        Self { shards, others: Mutex::default() }
    }

    /// A request begins; called by this worker only.
    pub(crate) fn begin(&self, worker: usize) {
        bump(&self.shard(worker).begun, 1);
    }

    /// A request has ended; called by this worker only.
    pub(crate) fn end(&self, worker: usize, class: Class, took: Duration) {
        let shard = self.shard(worker);
        bump(&shard.classes[class as usize], 1);
        bump(&shard.ended, 1);
        shard.took.count(took);
    }

    /// A request goes elsewhere, uncounted; called by this worker only.
    pub(crate) fn leave(&self, worker: usize) {
        bump(&self.shard(worker).ended, 1);
    }

    fn shard(&self, worker: usize) -> &Shard {
        self.shards[worker].get_or_init(Box::default)
    }

    /// What other processes have counted is this from now on.
    pub(crate) fn show(&self, others: Option<Box<Sum>>) {
        *self.others.lock().unwrap_or_else(PoisonError::into_inner) = others;
    }

    /// What all workers have counted, and those of other processes.
    pub(crate) fn sum(&self) -> Sum {
        let mut sum = self.own();
        if let Some(others) = &*self.others.lock().unwrap_or_else(PoisonError::into_inner) {
            sum.add(others);
        }
        sum
    }

    /// What the workers of this process have counted.
    pub(crate) fn own(&self) -> Sum {
        let mut sum = Sum::default();
        for shard in self.shards.iter().filter_map(OnceLock::get) {
            for (of, to) in shard.classes.iter().zip(&mut sum.classes) {
                *to += of.load(Ordering::Relaxed);
            }
            let ended = shard.ended.load(Ordering::Relaxed);
            sum.in_flight += shard.begun.load(Ordering::Relaxed).saturating_sub(ended);
            shard.took.add_to(&mut sum.took);
        }
        sum
    }
}
