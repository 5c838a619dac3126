//! The store under the server: the real one in memory with its faults, and what can happen to a
//! process that writes: it dies before or after the write, or finds the disk full.

use crate::chance::Trace;
use crate::plant::Plant;
use futures_util::FutureExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Watch;
use store::{Answer, Condition, Error, Faults, Kv, Lease, Memory, Op, Outcome, Revision, Store};

/// What becomes of the process at its next write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    /// It dies, and nothing was written.
    Before,
    /// It dies, and all was written.
    After,
}

/// One transaction and how it went.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) ops: Vec<Op>,
    pub(crate) done: Result<(), Error>,
}

/// The disk, as the harness and every life of the server have it.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    memory: Arc<Memory>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    plant: Plant,
    faults: Faults,
    full: bool,
    death: Option<Death>,
    writes: Vec<Write>,
    /// Of a store that keeps later: what it has acknowledged and not kept.
    owed: Vec<Op>,
    trace: Trace,
}

impl Disk {
    pub(crate) fn new(seed: u64, plant: Plant) -> Disk {
        let faults = Faults { seed, ..Faults::default() };
        let (writes, owed, trace) = (Vec::new(), Vec::new(), Trace::new());
        let inner = Inner { plant, faults, full: false, death: None, writes, owed, trace };
        let memory = Arc::new(Memory::with_faults(faults));
        Disk { memory, inner: Arc::new(Mutex::new(inner)) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often calls fail with nothing done, and answers are lost, in thousandths.
    pub(crate) fn fail(&self, unavailable: u32, unknown: u32) {
        let mut inner = self.inner();
        inner.faults = Faults { unavailable, unknown, ..inner.faults };
        self.memory.set_faults(inner.faults);
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.inner().full = full;
    }

    /// What becomes of whoever writes next.
    pub(crate) fn arm(&self, death: Option<Death>) {
        self.inner().death = death;
    }

    /// What was written since this was asked last.
    pub(crate) fn writes(&self) -> Vec<Write> {
        std::mem::take(&mut self.inner().writes)
    }

    /// Whoever owed a write has died.
    pub(crate) fn forget_owed(&self) {
        self.inner().owed.clear();
    }

    pub(crate) fn trace(&self) -> Trace {
        self.inner().trace
    }

    /// What really lies there.
    pub(crate) fn peek(&self, key: &str) -> Option<Kv> {
        let inner = self.inner();
        let faulty = inner.faults.unavailable + inner.faults.unknown > 0;
        if faulty {
            self.memory.set_faults(Faults::default());
        }
        let found = self.memory.get(key).now_or_never();
        if faulty {
            self.memory.set_faults(inner.faults);
        }
        found.and_then(Result::ok).and_then(|(found, _)| found)
    }

    /// Nothing older than this is asked for.
    pub(crate) fn compact(&self) {
        let inner = self.inner();
        self.memory.set_faults(Faults::default());
        if let Some(Ok((_, revision))) = self.memory.get("").now_or_never() {
            let _ = self.memory.compact(revision).now_or_never();
        }
        self.memory.set_faults(inner.faults);
    }

    /// What this store does with a transaction that it was asked for.
    fn as_planted(&self, inner: &mut Inner, changes: Vec<Op>) -> Vec<Op> {
        let told = |op: &Op| {
            let Op::Put { key, value, .. } = op else { return false };
            key.starts_with("event/") && ends(&String::from_utf8_lossy(value))
        };
        match inner.plant {
            Plant::LosesEnds => changes.into_iter().filter(|op| !told(op)).collect(),
            Plant::KeepsLater => {
                let mut now = std::mem::replace(&mut inner.owed, changes);
                now.truncate(store::OPS_MAX);
                now
            }
            Plant::None
            | Plant::AddsLate
            | Plant::StopsInWord
            | Plant::HealthyAtStart
            | Plant::DrainsInWord
            | Plant::ForgetsWay
            | Plant::RemovesInWord
            | Plant::MixesUp
            | Plant::LosesNumbers
            | Plant::LosesBond => changes,
        }
    }
}

/// A line of the journal that tells an update's end.
fn ends(line: &str) -> bool {
    line.contains("\"done ") || line.contains("\"rolled back ")
}

impl Store for Disk {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, (Option<Kv>, Revision)> {
        self.memory.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, (Vec<Kv>, Revision)> {
        Box::pin(async move {
            let (mut found, revision) = self.memory.list(prefix).await?;
            let plant = self.inner().plant;
            if plant == Plant::LosesNumbers && prefix.starts_with("gone") {
                found.clear();
            }
            let api = |kv: &&mut Kv| plant == Plant::LosesBond && kv.key == "service/api";
            for kv in found.iter_mut().filter(api) {
                let mut value: serde_json::Value =
                    serde_json::from_slice(&kv.value).unwrap_or_default();
                if value["bond"].take().is_object() {
                    kv.value = value.to_string().into_bytes();
                }
            }
            for kv in found.iter_mut().filter(|_| plant == Plant::ForgetsWay) {
                let text = String::from_utf8_lossy(&kv.value);
                let text = text.replace("\"kind\":\"Rollback\"", "\"kind\":\"Deploy\"");
                kv.value = text.into_bytes();
            }
            Ok((found, revision))
        })
    }

    fn transact(&self, conditions: Vec<Condition>, changes: Vec<Op>) -> Answer<'_, Outcome> {
        Box::pin(async move {
            let (death, full, ops) = {
                let mut inner = self.inner();
                for op in &changes {
                    match op {
                        Op::Put { key, value, .. } => {
                            inner.trace.bytes(key.as_bytes());
                            inner.trace.bytes(value);
                        }
                        Op::Delete { key } => inner.trace.bytes(key.as_bytes()),
                    }
                }
                let death = inner.death.take();
                (death, inner.full, self.as_planted(&mut inner, changes.clone()))
            };
            if full {
                let done = Err(Error::Full(PathBuf::from("/state")));
                self.inner().writes.push(Write { ops: changes, done: done.clone() });
                return done.map(|()| Outcome::Done(0));
            }
            if death == Some(Death::Before) {
                return std::future::pending().await;
            }
            let kept = if self.inner().plant == Plant::LosesEnds { ops.clone() } else { changes };
            let done = self.memory.transact(conditions, ops).await;
            if death == Some(Death::After) {
                return std::future::pending().await;
            }
            let told = done.clone().map(|_| ());
            self.inner().writes.push(Write { ops: kept, done: told });
            done
        })
    }

    fn watch<'a>(&'a self, prefix: &'a str, from: Revision) -> Answer<'a, Box<dyn Watch>> {
        self.memory.watch(prefix, from)
    }

    fn grant(&self, ttl_s: u32) -> Answer<'_, Lease> {
        self.memory.grant(ttl_s)
    }

    fn keepalive(&self, lease: Lease) -> Answer<'_, bool> {
        self.memory.keepalive(lease)
    }

    fn revoke(&self, lease: Lease) -> Answer<'_, ()> {
        self.memory.revoke(lease)
    }

    fn compact(&self, revision: Revision) -> Answer<'_, ()> {
        self.memory.compact(revision)
    }
}
