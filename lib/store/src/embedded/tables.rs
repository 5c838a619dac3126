//! The tables in the file, how they are read, and how a change is written.

use std::ops::Bound;

use ::redb::{
    Error, ReadOnlyTable, ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction,
};

use crate::{Batch, Change, Kv, Lease, Revision};

/// (created, modified, lease or 0, value).
type Held<'a> = (u64, u64, u64, &'a [u8]);
/// (revision, place in it).
type Place = (u64, u32);
/// (key, created or 0 for a deletion, lease or 0, value).
type Entry<'a> = (&'a str, u64, u64, &'a [u8]);

/// Every key.
const KEYS: TableDefinition<&str, Held> = TableDefinition::new("keys");
/// Every change, until it is forgotten.
const LOG: TableDefinition<Place, Entry> = TableDefinition::new("log");
/// Lease to its time to live in seconds.
const LEASES: TableDefinition<u64, u32> = TableDefinition::new("leases");
/// Single numbers.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");

/// The store's revision.
pub(super) const REVISION: &str = "revision";
/// The revision before which the log is gone.
pub(super) const COMPACTED: &str = "compacted";
/// The last lease given out.
pub(super) const LEASE: &str = "lease";
/// The form of these tables.
pub(super) const FORM: &str = "form";

/// The tables as one transaction sees them.
pub(super) struct Reader {
    keys: ReadOnlyTable<&'static str, Held<'static>>,
    log: ReadOnlyTable<Place, Entry<'static>>,
    meta: ReadOnlyTable<&'static str, u64>,
}

/// What a look into the log found.
pub(super) enum Found {
    /// The first batch at or after the place asked for.
    Batch(Batch),
    /// Nothing up to this revision.
    Nothing(Revision),
    /// The log begins after the place asked for.
    Compacted(Revision),
}

impl Reader {
    pub(super) fn new(transaction: &ReadTransaction) -> Result<Reader, Error> {
        let (keys, log) = (transaction.open_table(KEYS)?, transaction.open_table(LOG)?);
        Ok(Reader { keys, log, meta: transaction.open_table(META)? })
    }

    pub(super) fn kv(&self, key: &str) -> Result<Option<Kv>, Error> {
        Ok(self.keys.get(key)?.map(|found| kv(key, found.value())))
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Kv>, Error> {
        let mut found = Vec::new();
        for entry in self.keys.range(prefix..)? {
            let (key, value) = entry?;
            if !key.value().starts_with(prefix) {
                break;
            }
            found.push(kv(key.value(), value.value()));
        }
        Ok(found)
    }

    pub(super) fn revision(&self) -> Result<Revision, Error> {
        number(&self.meta, REVISION)
    }

    /// Looks for the first batch under `prefix` at `from` or later.
    pub(super) fn batch(&self, prefix: &str, from: Revision) -> Result<Found, Error> {
        let compacted = number(&self.meta, COMPACTED)?;
        if from < compacted {
            return Ok(Found::Compacted(compacted));
        }
        let mut batch = Batch { revision: 0, changes: Vec::new() };
        for entry in self.log.range((from, 0)..)? {
            let (place, entry) = entry?;
            let (revision, _) = place.value();
            if !batch.changes.is_empty() && revision != batch.revision {
                break;
            }
            let (key, created, lease, value) = entry.value();
            if !key.starts_with(prefix) {
                continue;
            }
            batch.revision = revision;
            batch.changes.push(match created {
                0 => Change::Deleted(key.to_owned()),
                created => Change::Put(kv(key, (created, revision, lease, value))),
            });
        }
        if batch.changes.is_empty() {
            return Ok(Found::Nothing(self.revision()?));
        }
        Ok(Found::Batch(batch))
    }
}

/// The tables as the writer changes them.
pub(super) struct Tables<'t> {
    keys: Table<'t, &'static str, Held<'static>>,
    log: Table<'t, Place, Entry<'static>>,
    leases: Table<'t, u64, u32>,
    meta: Table<'t, &'static str, u64>,
}

impl<'t> Tables<'t> {
    /// Opens the tables, and makes them in a new file.
    pub(super) fn new(transaction: &'t WriteTransaction) -> Result<Tables<'t>, Error> {
        let (keys, log) = (transaction.open_table(KEYS)?, transaction.open_table(LOG)?);
        let (leases, meta) = (transaction.open_table(LEASES)?, transaction.open_table(META)?);
        Ok(Tables { keys, log, leases, meta })
    }

    pub(super) fn kv(&self, key: &str) -> Result<Option<Kv>, Error> {
        Ok(self.keys.get(key)?.map(|found| kv(key, found.value())))
    }

    /// Writes one change of `revision`, the `place`th of it.
    pub(super) fn write(
        &mut self,
        revision: Revision,
        place: u32,
        change: &Change,
    ) -> Result<(), Error> {
        match change {
            Change::Put(kv) => {
                let (lease, value) = (kv.lease.unwrap_or(0), kv.value.as_slice());
                self.keys.insert(kv.key.as_str(), (kv.created, kv.modified, lease, value))?;
                let entry = (kv.key.as_str(), kv.created, lease, value);
                self.log.insert((revision, place), entry)?;
            }
            Change::Deleted(key) => {
                self.keys.remove(key.as_str())?;
                self.log.insert((revision, place), (key.as_str(), 0, 0, &[][..]))?;
            }
        }
        Ok(())
    }

    /// All keys bound to a lease; leases are few and short, so no index is kept.
    pub(super) fn bound(&self, lease: Lease) -> Result<Vec<String>, Error> {
        let mut found = Vec::new();
        for entry in self.keys.iter()? {
            let (key, value) = entry?;
            if value.value().2 == lease {
                found.push(key.value().to_owned());
            }
        }
        Ok(found)
    }

    pub(super) fn leases(&self) -> Result<Vec<(Lease, u32)>, Error> {
        let mut found = Vec::new();
        for entry in self.leases.iter()? {
            let (lease, ttl_s) = entry?;
            found.push((lease.value(), ttl_s.value()));
        }
        Ok(found)
    }

    pub(super) fn add_lease(&mut self, lease: Lease, ttl_s: u32) -> Result<(), Error> {
        self.leases.insert(lease, ttl_s)?;
        self.set(LEASE, lease)
    }

    pub(super) fn remove_lease(&mut self, lease: Lease) -> Result<(), Error> {
        self.leases.remove(lease)?;
        Ok(())
    }

    /// Forgets the log before `revision`.
    pub(super) fn cut(&mut self, revision: Revision) -> Result<(), Error> {
        let old = (Bound::Unbounded, Bound::Excluded((revision, 0)));
        Ok(self.log.retain_in::<Place, _>(old, |_, _| false)?)
    }

    pub(super) fn number(&self, name: &str) -> Result<u64, Error> {
        number(&self.meta, name)
    }

    pub(super) fn set(&mut self, name: &str, value: u64) -> Result<(), Error> {
        self.meta.insert(name, value)?;
        Ok(())
    }
}

fn number(meta: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64, Error> {
    Ok(meta.get(name)?.map_or(0, |value| value.value()))
}

fn kv(key: &str, (created, modified, lease, value): Held<'_>) -> Kv {
    let lease = (lease != 0).then_some(lease);
    Kv { key: key.to_owned(), value: value.to_owned(), created, modified, lease }
}
