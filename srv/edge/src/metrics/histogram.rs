//! Durations in rows of buckets: a row a doubling, each of as many buckets of the same width. A
//! row is made by the first that falls into it, so who counts little costs little.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of a row, as a power of two. Below the first doubling a bucket is a microsecond; above,
/// a bucket's middle is right within 1/32 of whatever it counts.
const ROW_LOG2: u32 = 4;
/// Buckets of a row.
pub(crate) const ROW: usize = 1 << ROW_LOG2;
/// Rows: up to 16 us, a doubling each up to 134 s, and one for all above.
pub(crate) const ROWS: usize = 25;

/// One writer counts, anybody reads.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    rows: [OnceLock<Box<[AtomicU64; ROW]>>; ROWS],
    sum_us: AtomicU64,
}

/// Adds to a number that only this thread writes: no need to lock the bus.
pub(super) fn bump(of: &AtomicU64, by: u64) {
    of.store(of.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

impl Histogram {
    /// Counts one; only ever called by one thread.
    pub(crate) fn count(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let (row, at) = place(us);
        bump(&self.rows[row].get_or_init(Box::default)[at], 1);
        bump(&self.sum_us, us);
    }

    /// Adds its counts to `to`.
    pub(crate) fn add_to(&self, to: &mut Counted) {
        for (of, to) in self.rows.iter().zip(&mut to.rows) {
            let Some(of) = of.get() else { continue };
            let to = to.get_or_insert_with(Box::default);
            for (of, to) in of.iter().zip(to.iter_mut()) {
                *to += of.load(Ordering::Relaxed);
            }
        }
        to.sum_us += self.sum_us.load(Ordering::Relaxed);
    }
}

/// The row of a duration and the bucket there.
fn place(us: u64) -> (usize, usize) {
    let Some(log2) = us.checked_ilog2().filter(|log2| *log2 >= ROW_LOG2) else {
        return (0, us as usize);
    };
    let row = (log2 - ROW_LOG2) as usize + 1;
    match row < ROWS - 1 {
        true => (row, (us >> (log2 - ROW_LOG2)) as usize - ROW),
        false => (ROWS - 1, 0),
    }
}

/// Microseconds up to which a row counts; the last one has no end.
pub(crate) fn ends_us(row: usize) -> Option<u64> {
    (row < ROWS - 1).then(|| (ROW as u64) << row)
}

/// Nanoseconds in the middle of a bucket; the last one has no end.
pub(crate) fn middle_ns(row: usize, at: usize) -> Option<u64> {
    let half = 500 << row.saturating_sub(1);
    bucket_ends_us(row, at).map(|end| end * 1000 - half)
}

/// Microseconds up to which a bucket counts; the last one has no end.
fn bucket_ends_us(row: usize, at: usize) -> Option<u64> {
    let width = 1 << row.saturating_sub(1);
    let begins = if row == 0 { 0 } else { (ROW as u64) << (row - 1) };
    (row < ROWS - 1).then(|| begins + (at as u64 + 1) * width)
}

/// The counts of several histograms.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    rows: [Option<Box<[u64; ROW]>>; ROWS],
    /// All durations together.
    pub(crate) sum_us: u64,
}

impl Counted {
    /// How many durations.
    pub(crate) fn count(&self) -> u64 {
        (0..ROWS).map(|row| self.of_row(row)).sum()
    }

    /// How many fell into a row.
    pub(crate) fn of_row(&self, row: usize) -> u64 {
        self.rows[row].as_ref().map_or(0, |row| row.iter().sum())
    }

    /// Adds so many to a bucket; to none when there is no such one.
    pub(crate) fn add_to(&mut self, row: usize, at: usize, count: u64) {
        let Some(row) = self.rows.get_mut(row) else { return };
        if let Some(to) = row.get_or_insert_with(Box::default).get_mut(at) {
            *to += count;
        }
    }

    /// Adds what others have counted.
    pub(crate) fn add(&mut self, more: &Counted) {
        more.buckets().for_each(|(row, at, count)| self.add_to(row, at, count));
        self.sum_us += more.sum_us;
    }

    /// Each bucket that counts something: its row, its place there and its count.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        let rows = self.rows.iter().enumerate();
        let all = rows.filter_map(|(row, of)| Some((row, of.as_ref()?)));
        let all = all.flat_map(|(row, of)| of.iter().enumerate().map(move |(at, n)| (row, at, *n)));
        all.filter(|(_, _, count)| *count > 0)
    }

    /// The duration that this part of all does not exceed, right within 1/32; of those that are too
    /// long to be told apart, the bound of that.
    pub(crate) fn quantile(&self, part: f64) -> Option<Duration> {
        let wanted = (part * self.count() as f64).ceil() as u64;
        let mut seen = 0;
        let (row, at, _) = self.buckets().find(|(_, _, count)| {
            seen += count;
            seen >= wanted
        })?;
        let all = || ends_us(ROWS - 2).unwrap_or_default() * 1000;
        Some(Duration::from_nanos(middle_ns(row, at).unwrap_or_else(all)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_bucket_that_ends_after_it() {
        for us in (0..100_000).chain((17..37).map(|log2| (1 << log2) - 1)) {
            let (row, at) = place(us);
            assert!(bucket_ends_us(row, at).is_none_or(|end| us < end), "{us} in {row} {at}");
            assert!(ends_us(row).is_none_or(|end| us < end), "{us} in {row}");
            let before = match (row, at) {
                (0, 0) => Some(0),
                (row, 0) => bucket_ends_us(row - 1, ROW - 1),
                (row, at) => bucket_ends_us(row, at - 1),
            };
            assert!(before.is_some_and(|end| us >= end), "{us} in {row} {at}: {before:?}");
        }
    }

    #[test]
    fn a_quantile_is_right_within_a_thirtieth_whatever_is_counted() {
        assert_eq!(Counted::default().quantile(0.5), None, "of nothing there is none");
        for unit_us in [20, 77, 1000, 12_345, 130_000] {
            let (histogram, mut counted) = (Histogram::default(), Counted::default());
            (1..=1000).for_each(|n| histogram.count(Duration::from_micros(n * unit_us)));
            histogram.add_to(&mut counted);
            assert_eq!((counted.count(), counted.sum_us), (1000, 500_500 * unit_us));
            for (part, n) in [(0.01, 10.0), (0.5, 500.0), (0.9, 900.0), (0.99, 990.0)] {
                let told = counted.quantile(part).expect("some").as_secs_f64() * 1e6;
                let off = (told / (n * unit_us as f64) - 1.0).abs();
                assert!(off < 1.0 / 30.0, "{part} of {unit_us} us: {told}, off by {off}");
            }
        }
    }

    #[test]
    fn what_counts_a_few_durations_alike_takes_one_row() {
        let histogram = Histogram::default();
        (1000..1020).for_each(|us| histogram.count(Duration::from_micros(us)));
        let rows = histogram.rows.iter().filter(|row| row.get().is_some()).count();
        assert_eq!(rows, 1);
        // With nothing in it, less than a fifth of what all rows would take.
        assert!(size_of::<Histogram>() < size_of::<[AtomicU64; ROW]>() * ROWS / 5);
    }
}
