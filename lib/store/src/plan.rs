//! What a transaction amounts to: one decision for every store, over what it can look up.

use std::collections::HashSet;

use crate::{Change, Condition, Error, KEY_BYTES_MAX, Kv, Lease, OPS_MAX, Op, Revision};
use crate::{LEASE_TTL_S_MIN, VALUE_BYTES_MAX};

/// What a decision looks at.
pub(crate) trait View {
    /// Why looking may fail; nothing is decided then.
    type Error;
    /// The key as it is.
    fn kv(&self, key: &str) -> Result<Option<Kv>, Self::Error>;
    /// Whether the lease is alive.
    fn alive(&self, lease: Lease) -> bool;
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// It cannot be done; nothing changes.
    Refused(Error),
    /// A condition does not hold.
    Conflict,
    /// Everything holds and nothing changes.
    Nothing,
    /// These changes, under the revision they were planned for.
    Changes(Vec<Change>),
}

/// Refuses what no store takes, before it is queued.
pub(crate) fn admit(conditions: &[Condition], ops: &[Op]) -> Result<(), Error> {
    limited("transaction", conditions.len().max(ops.len()), OPS_MAX)?;
    for condition in conditions {
        admit_key(condition.key())?;
    }
    let mut named = HashSet::new();
    for op in ops {
        admit_key(op.key())?;
        if let Op::Put { value, .. } = op {
            limited("value", value.len(), VALUE_BYTES_MAX)?;
        }
        if !named.insert(op.key()) {
            return Err(Error::Twice(op.key().to_owned()));
        }
    }
    Ok(())
}

/// Refuses a lease that would not hold everywhere.
pub(crate) fn admit_ttl(asked: u32) -> Result<(), Error> {
    if asked < LEASE_TTL_S_MIN { Err(Error::ShortLease { asked }) } else { Ok(()) }
}

/// Refuses a compaction of what is not there or not there any more.
pub(crate) fn admit_compaction(
    asked: Revision,
    compacted: Revision,
    current: Revision,
) -> Result<(), Error> {
    if asked > current {
        Err(Error::Future { asked, current })
    } else if asked <= compacted {
        Err(Error::Compacted(compacted))
    } else {
        Ok(())
    }
}

fn admit_key(key: &str) -> Result<(), Error> {
    if key.is_empty() {
        return Err(Error::NoKey);
    }
    limited("key", key.len(), KEY_BYTES_MAX)
}

fn limited(what: &'static str, size: usize, limit: usize) -> Result<(), Error> {
    if size > limit { Err(Error::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// Decides. `next` is the revision the changes would get.
pub(crate) fn plan<V: View>(
    view: &V,
    conditions: &[Condition],
    ops: Vec<Op>,
    next: Revision,
) -> Result<Plan, V::Error> {
    for condition in conditions {
        if !holds(view, condition)? {
            return Ok(Plan::Conflict);
        }
    }
    let mut changes = Vec::with_capacity(ops.len());
    for op in ops {
        match op {
            Op::Put { lease: Some(lease), .. } if !view.alive(lease) => {
                return Ok(Plan::Refused(Error::NoLease(lease)));
            }
            Op::Put { key, value, lease } => {
                let created = view.kv(&key)?.map_or(next, |kv| kv.created);
                changes.push(Change::Put(Kv { key, value, created, modified: next, lease }));
            }
            Op::Delete { key } => {
                changes.extend(view.kv(&key)?.map(|_| Change::Deleted(key)));
            }
        }
    }
    Ok(if changes.is_empty() { Plan::Nothing } else { Plan::Changes(changes) })
}

fn holds<V: View>(view: &V, condition: &Condition) -> Result<bool, V::Error> {
    let kv = view.kv(condition.key())?;
    Ok(match condition {
        Condition::Absent(_) => kv.is_none(),
        Condition::Modified(_, revision) => kv.is_some_and(|kv| kv.modified == *revision),
        Condition::Created(_, revision) => kv.is_some_and(|kv| kv.created == *revision),
    })
}

impl Condition {
    /// The key it speaks of.
    pub(crate) fn key(&self) -> &str {
        match self {
            Condition::Absent(key) | Condition::Modified(key, _) | Condition::Created(key, _) => {
                key
            }
        }
    }
}

impl Op {
    /// The key it changes.
    pub(crate) fn key(&self) -> &str {
        match self {
            Op::Put { key, .. } | Op::Delete { key } => key,
        }
    }
}

impl Change {
    /// The key that changed.
    pub fn key(&self) -> &str {
        match self {
            Change::Put(kv) => &kv.key,
            Change::Deleted(key) => key,
        }
    }
}
