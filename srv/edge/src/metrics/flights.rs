//! How many requests each worker has on their way, written where it outlives the process: in a
//! file in memory that whoever keeps the process has open too. One that is killed takes its
//! requests along, and whoever comes after it can say how many those were.
//!
//! A worker writes when it has nothing to do, which it comes to after every few requests: what it
//! is just about to begin when it is killed is not in it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of one worker's count.
const COUNT_BYTES: usize = size_of::<u64>();

/// One worker's, on a line of memory that no other worker writes to.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Count {
    now: AtomicU64,
    written: AtomicU64,
}

/// Counts of all workers of this process.
#[derive(Debug)]
pub(crate) struct Flights {
    counts: Box<[Count]>,
    file: OnceLock<File>,
}

impl Flights {
    pub(crate) fn new(workers: usize) -> Flights {
        let counts = (0..workers).map(|_| Count::default()).collect();
        Flights { counts, file: OnceLock::new() }
    }

    /// Writes to this file from now on.
    pub(crate) fn keep(&self, file: OwnedFd) {
        // There is one a process.
        let _ = self.file.set(file.into());
    }

    /// A request begins; called by this worker only.
    pub(crate) fn begin(&self, worker: usize) {
        let now = &self.counts[worker].now;
        now.store(now.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// A request has ended; called by this worker only.
    pub(crate) fn end(&self, worker: usize) {
        let now = &self.counts[worker].now;
        now.store(now.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
    }

    /// Requests that are on their way now.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.now.load(Ordering::Relaxed)).sum()
    }

    /// This worker has nothing to do: what it has on its way is written, if that has changed.
    pub(crate) fn rest(&self, worker: usize) {
        let (Some(count), Some(file)) = (self.counts.get(worker), self.file.get()) else { return };
        let now = count.now.load(Ordering::Relaxed);
        if count.written.load(Ordering::Relaxed) != now {
            count.written.store(now, Ordering::Relaxed);
            // Memory is short, and then the figure is that of before.
            let _ = file.write_all_at(&now.to_ne_bytes(), (worker * COUNT_BYTES) as u64);
        }
    }
}

/// A file for the counts of a process that is about to be started.
pub(crate) fn file() -> io::Result<File> {
    let file = rustix::fs::memfd_create("flights", rustix::fs::MemfdFlags::CLOEXEC)?;
    Ok(File::from(file))
}

/// All that the process had on its way when it wrote last.
pub(crate) fn written(mut file: &File) -> io::Result<u64> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let counts = bytes.chunks_exact(COUNT_BYTES).filter_map(|bytes| bytes.try_into().ok());
    Ok(counts.map(u64::from_ne_bytes).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_stands_in_the_file_when_its_worker_rests() {
        let (flights, file) = (Flights::new(2), file().unwrap());
        flights.begin(0);
        flights.rest(0);
        flights.keep(file.try_clone().unwrap().into());
        flights.begin(1);
        flights.begin(1);
        assert_eq!(written(&file).unwrap(), 0);
        flights.begin(0);
        flights.rest(0);
        flights.rest(1);
        assert_eq!(written(&file).unwrap(), 4);
        flights.end(1);
        flights.end(1);
        flights.rest(1);
        assert_eq!(written(&file).unwrap(), 2);
    }
}
