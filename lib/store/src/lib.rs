//! Durable state: keys and values with revisions, conditional transactions, a change log to
//! watch from any revision that was not compacted, and leases.
//!
//! One small trait, [`Store`], shaped so that etcd fits it (its KV, Watch and Lease services);
//! [`Redb`] keeps it in one file, [`Memory`] in memory with faults from a seed. The suite in
//! `conformance` (behind the feature of that name) says what every one of them must do.
//!
//! Never: knows what the bytes mean, retries by itself, drops an acknowledged write.

mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod election;
mod embedded;
mod error;
mod memory;
mod plan;

use std::future::Future;
use std::pin::Pin;

pub use clock::{Clock, HandClock};
pub use election::campaign;
pub use embedded::{LOG_BYTES_MAX, LOG_REVISIONS_MAX, Redb};
pub use error::Error;
pub use memory::{Faults, Memory};

/// Counts committed transactions that changed something, from 1; 0 is the empty store.
pub type Revision = u64;

/// A lease's number, never 0.
pub type Lease = u64;

/// The shortest time to live of a lease, in seconds: etcd's floor comes from its election
/// timeout, so a shorter one would not hold everywhere.
pub const LEASE_TTL_S_MIN: u32 = 2;
/// The longest key in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// The largest value in bytes; with the rest of a request it stays under etcd's 1.5 MB.
pub const VALUE_BYTES_MAX: usize = 1024 * 1024;
/// The most operations in a transaction, etcd's default.
pub const OPS_MAX: usize = 128;

/// What a store answers, boxed so that a store can be an object.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// One key as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kv {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The revision that made the key (again, after a deletion).
    pub created: Revision,
    /// The revision that last wrote it, even with an equal value.
    pub modified: Revision,
    /// The lease whose end deletes it.
    pub lease: Option<Lease>,
}

/// What must hold for a transaction to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The key is not there.
    Absent(String),
    /// The key was last written by this revision.
    Modified(String, Revision),
    /// The key was made by this revision; how a leader shows that it still leads.
    Created(String, Revision),
}

/// One change of a transaction; a transaction names a key at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a key.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
        /// The lease it is bound to.
        lease: Option<Lease>,
    },
    /// Deletes a key; one that is not there is no change.
    Delete {
        /// The key.
        key: String,
    },
}

impl Op {
    /// A put without a lease.
    pub fn put(key: impl Into<String>, value: impl Into<Vec<u8>>) -> Op {
        Op::Put { key: key.into(), value: value.into(), lease: None }
    }

    /// A deletion.
    pub fn delete(key: impl Into<String>) -> Op {
        Op::Delete { key: key.into() }
    }
}

/// What a transaction came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All changes are durable, under this revision (the old one when nothing changed).
    Done(Revision),
    /// A condition did not hold at this revision; nothing changed.
    Conflict(Revision),
}

/// One change as a watch tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key was written and is now this.
    Put(Kv),
    /// The key was deleted, by a transaction or a lease's end.
    Deleted(String),
}

/// All changes of one revision under a watch's prefix, in the order of the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The revision.
    pub revision: Revision,
    /// Its changes, never empty.
    pub changes: Vec<Change>,
}

/// A watch under way.
pub trait Watch: Send {
    /// The next batch, waited for as long as it takes. Dropping the future loses nothing.
    ///
    /// Errors: [`Error::Compacted`] when what comes next is gone, then list again and watch from
    /// the listed revision + 1; any other error ends the watch too.
    fn next(&mut self) -> Answer<'_, Batch>;
}

/// Durable state. All reads are linearizable: they see every write acknowledged before.
pub trait Store: Send + Sync {
    /// One key, and the store's revision at that moment.
    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, (Option<Kv>, Revision)>;

    /// All keys that begin with `prefix`, sorted, and the revision at that moment.
    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, (Vec<Kv>, Revision)>;

    /// All of `changes` if all of `conditions` hold, at once and durably, else nothing.
    ///
    /// Errors: where [`Error::unknown`] is true the outcome is unknown; only a conditional
    /// transaction may be tried again then.
    fn transact(&self, conditions: Vec<Condition>, changes: Vec<Op>) -> Answer<'_, Outcome>;

    /// Changes without conditions, a transaction each part, in this order: none is durable before
    /// those ahead of it are. A store may make them durable together.
    ///
    /// Errors: those of `transact`; some may have happened then, the first before the others.
    fn write(&self, parts: Vec<Vec<Op>>) -> Answer<'_, ()> {
        Box::pin(async move {
            for part in parts {
                self.transact(Vec::new(), part).await?;
            }
            Ok(())
        })
    }

    /// All batches under `prefix` of revision `from` and later. Callers start at a listed
    /// revision + 1. Errors: [`Error::Compacted`] when `from` lies before the compacted one
    /// (from the watch's first `next` at the latest).
    fn watch<'a>(&'a self, prefix: &'a str, from: Revision) -> Answer<'a, Box<dyn Watch>>;

    /// A new lease of at least [`LEASE_TTL_S_MIN`] seconds.
    fn grant(&self, ttl_s: u32) -> Answer<'_, Lease>;

    /// Renews a lease in full; false when it is gone, and its keys with it.
    fn keepalive(&self, lease: Lease) -> Answer<'_, bool>;

    /// Ends a lease now and deletes its keys in one revision; a gone one is fine.
    fn revoke(&self, lease: Lease) -> Answer<'_, ()>;

    /// Forgets the change log before `revision`. Keys stay as they are. A store may also forget
    /// old changes by itself. Errors: a revision that is not there yet, or one compacted already.
    fn compact(&self, revision: Revision) -> Answer<'_, ()>;
}
