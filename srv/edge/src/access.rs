//! The access log: lines go through a bounded queue to a thread that writes them, and are
//! dropped, and counted, when it falls behind. Serving never waits for a disk.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use crate::Error;

/// Batches of lines that may wait to be written.
const BATCHES_MAX: usize = 256;

/// Where lines go; clones go to the same place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    batches: Option<SyncSender<Batch>>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Batch {
    text: Vec<u8>,
}

impl Access {
    /// No log.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// A log whose lines `to` takes.
    #[cfg_attr(not(test), expect(dead_code, reason = "nobody says yet where to"))]
    pub(crate) fn to(mut to: impl Write + Send + 'static) -> Result<Self, Error> {
        let (batches, written) = sync_channel::<Batch>(BATCHES_MAX);
        let write = move || {
            while let Ok(batch) = written.recv() {
                // A log that cannot be written is no reason to stop serving.
                let _ = to.write_all(&batch.text).and_then(|()| to.flush());
            }
        };
        let started = thread::Builder::new().name("access".into()).spawn(write);
        started.map_err(|why| Error::Io { what: "thread of the access log".into(), why })?;
        Ok(Self { batches: Some(batches), dropped: Arc::default() })
    }

    /// Whether there is a log.
    pub(crate) fn is_kept(&self) -> bool {
        self.batches.is_some()
    }

    /// Hands over whole lines, or drops them when too many wait.
    pub(crate) fn write(&self, text: Vec<u8>, lines: u64) {
        let Some(batches) = &self.batches else { return };
        if batches.try_send(Batch { text }).is_err() {
            self.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
