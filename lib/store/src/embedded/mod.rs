//! The store in one file: redb with two-phase commit, one writer thread, group commit.
//!
//! Two-phase commit, because redb's one-phase commit had a defect before 4.2 in which a crash
//! during recovery could lose what was durable; it costs 90 µs a commit. After an I/O error the
//! store stops: what lies on disk is then known only after opening it again.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod disk;
mod open;
mod tables;
mod watch;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;

use ::redb::{Database, ReadableDatabase};
use tokio::sync::{oneshot, watch as broadcast};

use crate::clock::MachineClock;
use crate::{Answer, Clock, Condition, Error, Kv, Lease, Op, Outcome, Revision, Store, Watch};
use tables::Reader;
use writer::Ask;

/// How many revisions the change log holds; older ones are forgotten by the store itself, since
/// every one holds the values that were written.
pub const LOG_REVISIONS_MAX: u64 = 10_000;

/// How many bytes of changes it holds that were written since the store was opened; a change may be
/// as long as a value.
pub const LOG_BYTES_MAX: u64 = 8 << 20;

/// A store in one file, for one process.
#[derive(Debug)]
pub struct Redb {
    shared: Arc<Shared>,
    requests: Option<mpsc::Sender<Ask>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer, the readers and the watches see.
#[derive(Debug)]
struct Shared {
    database: Database,
    path: PathBuf,
    revision: broadcast::Sender<Revision>,
    /// Why the store stopped.
    stopped: OnceLock<Error>,
}

impl Redb {
    /// Opens the file or makes it. Leases are renewed in full: nobody could keep them alive while
    /// the store was away.
    ///
    /// Errors: locked by another server, not a store, damaged, not readable.
    pub fn open(path: &Path) -> Result<Redb, Error> {
        Redb::with_clock(path, Arc::new(MachineClock::new()))
    }

    /// The same with leases measured by another clock; see [`Redb::tick`].
    pub fn with_clock(path: &Path, clock: Arc<dyn Clock>) -> Result<Redb, Error> {
        Redb::over(open::database(path)?, path, clock)
    }

    fn over(database: Database, path: &Path, clock: Arc<dyn Clock>) -> Result<Redb, Error> {
        let state = open::prepare(&database, path)?;
        let shared = Arc::new(Shared {
            database,
            path: path.to_owned(),
            revision: broadcast::Sender::new(state.revision),
            stopped: OnceLock::new(),
        });
        let (requests, queue) = mpsc::channel();
        let writer = writer::Writer::new(Arc::clone(&shared), clock, state, queue);
        let thread = std::thread::Builder::new().name("store".to_owned());
        let writer = thread.spawn(move || writer.run()).map_err(|why| Error::Io {
            path: path.to_owned(),
            why: format!("no thread for the store: {why}"),
        })?;
        Ok(Redb { shared, requests: Some(requests), writer: Some(writer) })
    }

    /// Ends the leases that are due by the clock. The store does it by itself when the machine's
    /// clock says so; only a clock moved by hand needs this.
    pub async fn tick(&self) -> Result<(), Error> {
        self.ask(Ask::Tick).await
    }

    /// Queues a request and waits until its group is durable.
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Error> {
        self.shared.check()?;
        let (reply, answer) = oneshot::channel();
        let queue = self.requests.as_ref().ok_or(Error::Closed)?;
        queue.send(ask(reply)).map_err(|_| self.shared.why())?;
        // No answer is an answer: the store stopped with this request in the air.
        answer.await.map_err(|_| self.shared.why())
    }

    fn read<T>(&self, read: impl FnOnce(&Reader) -> Result<T, ::redb::Error>) -> Result<T, Error> {
        self.shared.read(read)
    }
}

impl Drop for Redb {
    /// Lets go of the file before it returns, so that it can be opened again.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("{}: the store's thread panicked", self.shared.path.display());
        }
    }
}

impl Shared {
    fn check(&self) -> Result<(), Error> {
        self.stopped.get().map_or(Ok(()), |why| Err(why.clone()))
    }

    fn why(&self) -> Error {
        self.stopped.get().cloned().unwrap_or(Error::Closed)
    }

    /// Reads a consistent state, the last that is durable.
    fn read<T>(&self, read: impl FnOnce(&Reader) -> Result<T, ::redb::Error>) -> Result<T, Error> {
        self.check()?;
        let look =
            || -> Result<T, ::redb::Error> { read(&Reader::new(&self.database.begin_read()?)?) };
        look().map_err(|why| self.stop(open::refused(&self.path, why)))
    }

    /// Stops the store for good; the first reason stays.
    fn stop(&self, why: Error) -> Error {
        tracing::error!("{why}");
        self.stopped.get_or_init(|| why).clone()
    }
}

impl Store for Redb {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, (Option<Kv>, Revision)> {
        Box::pin(async move { self.read(|reader| Ok((reader.kv(key)?, reader.revision()?))) })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, (Vec<Kv>, Revision)> {
        Box::pin(async move { self.read(|reader| Ok((reader.list(prefix)?, reader.revision()?))) })
    }

    fn transact(&self, conditions: Vec<Condition>, changes: Vec<Op>) -> Answer<'_, Outcome> {
        Box::pin(async move {
            crate::plan::admit(&conditions, &changes)?;
            self.ask(|reply| Ask::Transact { conditions, ops: changes, reply }).await?
        })
    }

    fn write(&self, parts: Vec<Vec<Op>>) -> Answer<'_, ()> {
        Box::pin(async move {
            parts.iter().try_for_each(|part| crate::plan::admit(&[], part))?;
            self.ask(|reply| Ask::Write { parts, reply }).await?
        })
    }

    fn watch<'a>(&'a self, prefix: &'a str, from: Revision) -> Answer<'a, Box<dyn Watch>> {
        Box::pin(async move {
            self.shared.check()?;
            let watch = watch::Log::new(&self.shared, prefix, from);
            Ok(Box::new(watch) as Box<dyn Watch>)
        })
    }

    fn grant(&self, ttl_s: u32) -> Answer<'_, Lease> {
        Box::pin(async move {
            crate::plan::admit_ttl(ttl_s)?;
            self.ask(|reply| Ask::Grant { ttl_s, reply }).await
        })
    }

    fn keepalive(&self, lease: Lease) -> Answer<'_, bool> {
        Box::pin(self.ask(move |reply| Ask::Keepalive { lease, reply }))
    }

    fn revoke(&self, lease: Lease) -> Answer<'_, ()> {
        Box::pin(self.ask(move |reply| Ask::Revoke { lease, reply }))
    }

    fn compact(&self, revision: Revision) -> Answer<'_, ()> {
        Box::pin(async move { self.ask(|reply| Ask::Compact { revision, reply }).await? })
    }
}
