//! What running pulls hold against a collection, and who works on what.
//!
//! Law: a blob or layer that a pull has leased, or had leased since the collection began, is not
//! removed. The collection asks under the same lock that leases are taken with, so there is no
//! moment between the question and the removal.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::digest::Digest;

/// The leases of a store.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    held: HashMap<Digest, u32>,
    /// Given back while a collection ran: its marks may be older than their tags.
    released: HashSet<Digest>,
    collections: u32,
}

impl Table {
    fn less(&mut self, digest: &Digest) {
        if let Some(count) = self.held.get_mut(digest) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(digest);
            }
        }
    }
}

impl Leases {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change of the table is one call, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `remove` unless the digest is leased.
    pub(crate) fn unless_held<T>(&self, digest: &Digest, remove: impl FnOnce() -> T) -> Option<T> {
        let table = self.table();
        let held = table.held.contains_key(digest) || table.released.contains(digest);
        (!held).then(remove)
    }

    /// Marks the begin of a collection; the guard marks its end.
    pub(crate) fn collecting(self: &Arc<Self>) -> Collecting {
        self.table().collections += 1;
        Collecting(Arc::clone(self))
    }
}

/// A collection is running.
pub(crate) struct Collecting(Arc<Leases>);

impl Drop for Collecting {
    fn drop(&mut self) {
        let mut table = self.0.table();
        table.collections -= 1;
        if table.collections == 0 {
            table.released.clear();
        }
    }
}

/// The leases of one pull, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Arc<Leases>,
    mine: Mutex<Vec<Digest>>,
}

impl Lease {
    pub(crate) fn new(leases: &Arc<Leases>) -> Self {
        Self { leases: Arc::clone(leases), mine: Mutex::default() }
    }

    /// Holds a digest; to be called before looking whether it is there.
    pub(crate) fn hold(&self, digest: &Digest) {
        *self.leases.table().held.entry(digest.clone()).or_default() += 1;
        self.mine.lock().unwrap_or_else(PoisonError::into_inner).push(digest.clone());
    }

    /// Gives one digest back early: what it names is not wanted any more.
    pub(crate) fn give_back(&self, digest: &Digest) {
        let mut mine = self.mine.lock().unwrap_or_else(PoisonError::into_inner);
        let before = mine.len();
        mine.retain(|held| held != digest);
        let mut table = self.leases.table();
        (mine.len()..before).for_each(|_| table.less(digest));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut table = self.leases.table();
        let mine = self.mine.get_mut().unwrap_or_else(PoisonError::into_inner);
        for digest in mine.drain(..) {
            if table.collections > 0 {
                table.released.insert(digest.clone());
            }
            table.less(&digest);
        }
    }
}

/// Locks by name: the second who wants the same blob or layer waits for the first and finds it.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for its turn; the guard ends it.
    pub(crate) async fn wait(&self, name: String) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = turns.get(&name).and_then(Weak::upgrade).unwrap_or_default();
            turns.insert(name, Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_leased_or_was_since_the_collection_began_is_not_removed() {
        let leases = Arc::new(Leases::default());
        let (x, y) = (Digest::of(b"x"), Digest::of(b"y"));
        let check = |digest: &Digest, removed: bool| {
            assert_eq!(leases.unless_held(digest, || ()).is_some(), removed);
        };
        check(&x, true);
        let first = Lease::new(&leases);
        let second = Lease::new(&leases);
        first.hold(&x);
        second.hold(&x);
        drop(first);
        check(&x, false);
        check(&y, true);
        let collecting = leases.collecting();
        drop(second);
        check(&x, false);
        drop(collecting);
        check(&x, true);
    }
}
