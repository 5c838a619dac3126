//! The access log: lines go through a bounded queue to a thread that writes them, and are
//! dropped, and counted, when it falls behind or cannot write. Serving never waits for a disk.

mod file;
mod place;

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::Error;

#[cfg(test)]
pub(crate) use place::PIECE_BYTES;
pub(crate) use place::Place;

/// Batches of lines that may wait to be written.
const BATCHES_MAX: usize = 256;
/// How long lines may take to be handed over and written when the process ends.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(1);

/// Where lines go; clones go to the same place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    orders: Option<SyncSender<Order>>,
    told: Arc<Told>,
}

/// What is known of a log, by those who write to it and those who ask.
#[derive(Debug, Default)]
struct Told {
    /// Where it is, for people; empty: nowhere.
    place: String,
    dropped: AtomicU64,
    /// Why the last lines could not be written; empty: they could.
    trouble: Mutex<String>,
}

#[derive(Debug)]
enum Order {
    /// Whole lines, and how many.
    Write(Vec<u8>, u64),
    /// Say when everything before this was written.
    Tell(oneshot::Sender<()>),
}

impl Access {
    /// No log.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// The log at `place`, for an edge that keeps its own things in `dir`. One that cannot be
    /// written now is no reason not to serve: it is tried again with every batch.
    pub(crate) fn at(place: &Place, dir: &Path) -> Result<Self, Error> {
        let Some(mut writer) = place.writer(dir) else { return Ok(Self::default()) };
        let trouble = Mutex::new(writer.ready().err().map(told).unwrap_or_default());
        let told = Told { place: place.text(dir), trouble, ..Told::default() };
        Self::begin(writer, told)
    }

    /// A log whose lines `to` takes.
    #[cfg(test)]
    pub(crate) fn to(to: impl Write + Send + 'static) -> Result<Self, Error> {
        Self::begin(to, Told::default())
    }

    fn begin(to: impl Write + Send + 'static, told: Told) -> Result<Self, Error> {
        let (orders, given) = sync_channel(BATCHES_MAX);
        let told = Arc::new(told);
        let tell = Arc::clone(&told);
        let started = thread::Builder::new().name("access".into()).spawn(|| run(given, to, tell));
        started.map_err(|why| Error::Io { what: "thread of the access log".into(), why })?;
        Ok(Self { orders: Some(orders), told })
    }

    /// Whether there is a log.
    pub(crate) fn is_kept(&self) -> bool {
        self.orders.is_some()
    }

    /// Hands over whole lines, or drops them when too many wait.
    pub(crate) fn write(&self, text: Vec<u8>, lines: u64) {
        let Some(orders) = &self.orders else { return };
        if orders.try_send(Order::Write(text, lines)).is_err() {
            self.told.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }

    /// Lines that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.told.dropped.load(Ordering::Relaxed)
    }

    /// Waits until all is handed over, as `handed` says, and written; both within one bound.
    pub(crate) async fn settle(&self, handed: impl Future<Output = ()>) {
        let Some(orders) = self.orders.clone() else { return };
        let settled = timeout(SETTLE_TIME_MAX, async {
            handed.await;
            let (tell, told) = oneshot::channel();
            // The queue may be full, which a thread can wait for.
            let asked = tokio::task::spawn_blocking(move || orders.send(Order::Tell(tell)));
            (asked.await, told.await)
        });
        if settled.await.is_err() {
            tracing::warn!("the last lines of the access log are not written");
        }
    }

    /// Lines of `status`.
    pub(crate) fn status(&self) -> String {
        let Told { place, trouble, .. } = &*self.told;
        let trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match (self.is_kept(), trouble.is_empty()) {
            (false, _) => "access=none\n".to_owned(),
            (true, true) => format!("access={place}\n"),
            (true, false) => format!("access={place}\nwarning=access log {place}: {trouble}\n"),
        }
    }
}

/// Writes until nobody is left who could hand over lines.
fn run(given: Receiver<Order>, mut to: impl Write, told: Arc<Told>) {
    while let Ok(order) = given.recv() {
        match order {
            Order::Write(text, lines) => {
                let why = to.write_all(&text).err();
                if why.is_some() {
                    told.dropped.fetch_add(lines, Ordering::Relaxed);
                }
                let mut trouble = told.trouble.lock().unwrap_or_else(PoisonError::into_inner);
                *trouble = why.map(self::told).unwrap_or_default();
            }
            // Who asked may have stopped waiting.
            Order::Tell(tell) => _ = tell.send(()),
        }
    }
}

/// An error as one line of `status`.
fn told(why: io::Error) -> String {
    why.to_string().replace('\n', " ")
}
