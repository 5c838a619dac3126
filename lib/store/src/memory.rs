//! The store in memory, for tests: time as data and faults from a seed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch as broadcast;

use crate::plan::{self, Plan, View};
use crate::{Answer, Batch, Change, Condition, Error, Kv, Lease, Op, Outcome};
use crate::{Revision, Store, Watch};

/// How often what goes wrong, in thousandths, drawn from a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Where chance begins; equal seeds and equal calls give equal faults.
    pub seed: u64,
    /// Calls that fail with nothing done.
    pub unavailable: u32,
    /// Transactions whose answer is lost, done or not.
    pub unknown: u32,
    /// Batches a watch holds back for up to `slow_ms_max`.
    pub slow: u32,
    /// The longest a batch is held back.
    pub slow_ms_max: u64,
    /// Keepalives that find the lease gone.
    pub lease_loss: u32,
}

/// How many of a thousand lost answers are to transactions that did not happen either.
const LOST_UNDONE: u32 = 500;

/// A store in memory. Nothing happens by itself: time passes only through [`Memory::pass`].
#[derive(Debug)]
pub struct Memory {
    inner: Arc<Mutex<Inner>>,
    /// Counts everything that may let a watch go on.
    news: broadcast::Sender<u64>,
}

#[derive(Debug)]
struct Inner {
    faults: Faults,
    chance: u64,
    now_ms: u64,
    revision: Revision,
    compacted: Revision,
    keys: BTreeMap<String, Kv>,
    /// Every batch with the time of its commit.
    log: BTreeMap<Revision, (u64, Vec<Change>)>,
    last_lease: Lease,
    /// When each ends, and its time to live.
    leases: BTreeMap<Lease, (u64, u64)>,
    watches: u64,
}

impl Memory {
    /// An empty store without faults.
    pub fn new() -> Memory {
        Memory::with_faults(Faults::default())
    }

    /// An empty store with faults.
    pub fn with_faults(faults: Faults) -> Memory {
        let inner = Inner {
            faults,
            chance: faults.seed,
            now_ms: 0,
            revision: 0,
            compacted: 0,
            keys: BTreeMap::new(),
            log: BTreeMap::new(),
            last_lease: 0,
            leases: BTreeMap::new(),
            watches: 0,
        };
        Memory { inner: Arc::new(Mutex::new(inner)), news: broadcast::Sender::new(0) }
    }

    /// Other faults from now on; chance goes on where it was.
    pub fn set_faults(&self, faults: Faults) {
        held(&self.inner).faults = faults;
        self.tell();
    }

    /// Lets `ms` pass: leases end, held batches come free.
    pub fn pass(&self, ms: u64) {
        let mut inner = held(&self.inner);
        inner.now_ms += ms;
        let now_ms = inner.now_ms;
        let due =
            |(lease, (end_ms, _)): (&Lease, &(u64, u64))| (*end_ms <= now_ms).then_some(*lease);
        for lease in inner.leases.iter().filter_map(due).collect::<Vec<_>>() {
            inner.end(lease);
        }
        drop(inner);
        self.tell();
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count += 1);
    }

    /// Does something unless the store is unavailable at this moment.
    fn call<T>(&self, act: impl FnOnce(&mut Inner) -> Result<T, Error>) -> Result<T, Error> {
        let mut inner = held(&self.inner);
        let unavailable = inner.faults.unavailable;
        if inner.strikes(unavailable) {
            return Err(Error::Unavailable);
        }
        let done = act(&mut inner);
        drop(inner);
        self.tell();
        done
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new()
    }
}

/// The state, also after a test's panic elsewhere: no half change is ever visible in it.
fn held(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One step of splitmix64: well mixed, and the whole state is one number.
fn mixed(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl View for Inner {
    type Error = Infallible;

    fn kv(&self, key: &str) -> Result<Option<Kv>, Infallible> {
        Ok(self.keys.get(key).cloned())
    }

    fn alive(&self, lease: Lease) -> bool {
        self.leases.contains_key(&lease)
    }
}

impl Inner {
    /// Draws: whether what happens `often` times in a thousand happens now.
    fn strikes(&mut self, often: u32) -> bool {
        if often == 0 {
            return false;
        }
        self.chance = self.chance.wrapping_add(1);
        mixed(self.chance) % 1_000 < u64::from(often)
    }

    fn write(&mut self, changes: Vec<Change>) {
        self.revision += 1;
        for change in &changes {
            match change {
                Change::Put(kv) => drop(self.keys.insert(kv.key.clone(), kv.clone())),
                Change::Deleted(key) => drop(self.keys.remove(key)),
            }
        }
        self.log.insert(self.revision, (self.now_ms, changes));
    }

    fn end(&mut self, lease: Lease) {
        if self.leases.remove(&lease).is_none() {
            return;
        }
        let bound = self.keys.values().filter(|kv| kv.lease == Some(lease));
        let bound: Vec<Change> = bound.map(|kv| Change::Deleted(kv.key.clone())).collect();
        if !bound.is_empty() {
            self.write(bound);
        }
    }

    fn transact(&mut self, conditions: &[Condition], ops: Vec<Op>) -> Result<Outcome, Error> {
        plan::admit(conditions, &ops)?;
        let lost = self.faults.unknown;
        let lost = self.strikes(lost);
        if lost && self.strikes(LOST_UNDONE) {
            return Err(Error::Unknown);
        }
        let Ok(plan) = plan::plan(self, conditions, ops, self.revision + 1);
        let outcome = match plan {
            Plan::Refused(why) => Err(why),
            Plan::Conflict => Ok(Outcome::Conflict(self.revision)),
            Plan::Nothing => Ok(Outcome::Done(self.revision)),
            Plan::Changes(changes) => {
                self.write(changes);
                Ok(Outcome::Done(self.revision))
            }
        };
        if lost { Err(Error::Unknown) } else { outcome }
    }

    /// How long a watch holds a batch back: drawn from who and what, not from when it looks.
    fn held_back_ms(&self, watch: u64, revision: Revision) -> u64 {
        let drawn = mixed(self.faults.seed ^ mixed(watch) ^ revision);
        let slow = drawn % 1_000 < u64::from(self.faults.slow);
        if slow { (drawn >> 32) % (self.faults.slow_ms_max + 1) } else { 0 }
    }
}

impl Store for Memory {
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, (Option<Kv>, Revision)> {
        Box::pin(
            async move { self.call(|inner| Ok((inner.keys.get(key).cloned(), inner.revision))) },
        )
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, (Vec<Kv>, Revision)> {
        Box::pin(async move {
            self.call(|inner| {
                let from = inner.keys.range(prefix.to_owned()..);
                let found = from.take_while(|(key, _)| key.starts_with(prefix));
                Ok((found.map(|(_, kv)| kv.clone()).collect(), inner.revision))
            })
        })
    }

    fn transact(&self, conditions: Vec<Condition>, changes: Vec<Op>) -> Answer<'_, Outcome> {
        Box::pin(async move { self.call(|inner| inner.transact(&conditions, changes)) })
    }

    fn watch<'a>(&'a self, prefix: &'a str, from: Revision) -> Answer<'a, Box<dyn Watch>> {
        Box::pin(async move {
            let news = self.news.subscribe();
            self.call(|inner| {
                inner.watches += 1;
                let (inner, number) = (Arc::clone(&self.inner), inner.watches);
                let (prefix, next) = (prefix.to_owned(), from.max(1));
                Ok(Box::new(Place { inner, news, number, prefix, next }) as Box<dyn Watch>)
            })
        })
    }

    fn grant(&self, ttl_s: u32) -> Answer<'_, Lease> {
        Box::pin(async move {
            plan::admit_ttl(ttl_s)?;
            self.call(|inner| {
                inner.last_lease += 1;
                let ttl_ms = u64::from(ttl_s) * 1_000;
                inner.leases.insert(inner.last_lease, (inner.now_ms + ttl_ms, ttl_ms));
                Ok(inner.last_lease)
            })
        })
    }

    fn keepalive(&self, lease: Lease) -> Answer<'_, bool> {
        Box::pin(async move {
            self.call(|inner| {
                let loss = inner.faults.lease_loss;
                if inner.strikes(loss) {
                    inner.end(lease);
                }
                let now_ms = inner.now_ms;
                let known = inner.leases.get_mut(&lease);
                Ok(known.map(|(end_ms, ttl_ms)| *end_ms = now_ms + *ttl_ms).is_some())
            })
        })
    }

    fn revoke(&self, lease: Lease) -> Answer<'_, ()> {
        Box::pin(async move {
            self.call(|inner| {
                inner.end(lease);
                Ok(())
            })
        })
    }

    fn compact(&self, revision: Revision) -> Answer<'_, ()> {
        Box::pin(async move {
            self.call(|inner| {
                plan::admit_compaction(revision, inner.compacted, inner.revision)?;
                inner.compacted = revision;
                inner.log = inner.log.split_off(&revision);
                Ok(())
            })
        })
    }
}

/// One watch's place in the log.
struct Place {
    inner: Arc<Mutex<Inner>>,
    news: broadcast::Receiver<u64>,
    number: u64,
    prefix: String,
    next: Revision,
}

impl Place {
    /// What is there and not held back.
    fn look(&mut self) -> Result<Option<Batch>, Error> {
        self.news.borrow_and_update();
        let inner = held(&self.inner);
        if self.next < inner.compacted {
            return Err(Error::Compacted(inner.compacted));
        }
        for (&revision, (at_ms, changes)) in inner.log.range(self.next..) {
            let ours = changes.iter().filter(|change| change.key().starts_with(&self.prefix));
            let changes: Vec<Change> = ours.cloned().collect();
            if changes.is_empty() {
                continue;
            }
            if at_ms + inner.held_back_ms(self.number, revision) > inner.now_ms {
                return Ok(None);
            }
            self.next = revision + 1;
            return Ok(Some(Batch { revision, changes }));
        }
        self.next = self.next.max(inner.revision + 1);
        Ok(None)
    }
}

impl Watch for Place {
    fn next(&mut self) -> Answer<'_, Batch> {
        Box::pin(async move {
            loop {
                if let Some(batch) = self.look()? {
                    return Ok(batch);
                }
                self.news.changed().await.map_err(|_| Error::Closed)?;
            }
        })
    }
}
