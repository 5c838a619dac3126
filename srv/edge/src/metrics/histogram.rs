//! Durations in buckets that grow with what they count: four to every doubling, so a quantile is
//! right within a fifth.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets: from below 16 us, by four to a doubling, to above 134 s.
pub(crate) const BUCKETS: usize = 4 * 23 + 2;
/// Microseconds below which all is one bucket, as a power of two.
const FIRST_LOG2: u32 = 4;

/// One writer counts, anybody reads.
#[derive(Debug)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum_us: AtomicU64::new(0) }
    }
}

/// Adds to a number that only this thread writes: no need to lock the bus.
pub(super) fn bump(of: &AtomicU64, by: u64) {
    of.store(of.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

impl Histogram {
    /// Counts one; only ever called by one thread.
    pub(crate) fn count(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        bump(&self.buckets[bucket(us)], 1);
        bump(&self.sum_us, us);
    }

    /// Adds its counts to `to`.
    pub(crate) fn add_to(&self, to: &mut Counted) {
        for (of, to) in self.buckets.iter().zip(&mut to.buckets) {
            *to += of.load(Ordering::Relaxed);
        }
        to.sum_us += self.sum_us.load(Ordering::Relaxed);
    }
}

fn bucket(us: u64) -> usize {
    let Some(log2) = us.checked_ilog2().filter(|log2| *log2 >= FIRST_LOG2) else { return 0 };
    let quarter = (us >> (log2 - 2)) & 3;
    let at = 1 + 4 * (log2 - FIRST_LOG2) as usize + quarter as usize;
    at.min(BUCKETS - 1)
}

/// Microseconds up to which a bucket counts; the last one has no end.
pub(crate) fn ends_us(at: usize) -> Option<u64> {
    let log2 = at.checked_sub(1).map_or(0, |at| at / 4) as u32 + FIRST_LOG2;
    match at {
        0 => Some(1 << FIRST_LOG2),
        last if last == BUCKETS - 1 => None,
        at => Some((1 << log2) + (((at - 1) % 4) as u64 + 1) * (1 << (log2 - 2))),
    }
}

/// The counts of several histograms.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    /// In each bucket.
    pub(crate) buckets: [u64; BUCKETS],
    /// All durations together.
    pub(crate) sum_us: u64,
}

impl Default for Counted {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum_us: 0 }
    }
}

impl Counted {
    /// How many durations.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration that this part of all does not exceed, as far as the buckets tell.
    pub(crate) fn quantile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        let wanted = (part * count as f64).ceil() as u64;
        let mut seen = 0;
        for (at, of) in self.buckets.iter().enumerate() {
            seen += of;
            if count > 0 && seen >= wanted {
                return Some(Duration::from_micros(ends_us(at).unwrap_or(u64::from(u32::MAX))));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_bucket_that_ends_after_it() {
        for us in (0..100_000).chain((17..37).map(|log2| (1 << log2) - 1)) {
            let at = bucket(us);
            assert!(ends_us(at).is_none_or(|end| us < end), "{us} in {at}");
            assert!(at == 0 || ends_us(at - 1).is_some_and(|end| us >= end), "{us} in {at}");
        }
    }

    #[test]
    fn a_quantile_is_right_within_a_fifth() {
        let (histogram, mut counted) = (Histogram::default(), Counted::default());
        assert_eq!(counted.quantile(0.5), None, "of nothing there is none");
        (1..=1000).for_each(|ms| histogram.count(Duration::from_millis(ms)));
        histogram.add_to(&mut counted);
        assert_eq!((counted.count(), counted.sum_us), (1000, 500_500_000));
        for (part, ms) in [(0.5, 500.0), (0.99, 990.0)] {
            let told = counted.quantile(part).expect("some").as_secs_f64() * 1000.0;
            assert!((ms..ms * 1.2).contains(&told), "{part}: {told}");
        }
    }
}
