//! How many connections of users are open: in all, from each address, with each worker.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::Limits;

/// Counts connections of users, and refuses too many.
#[derive(Debug)]
pub(crate) struct Users {
    by_worker: Box<[AtomicU64]>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    refused: AtomicU64,
}

/// A connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    users: Arc<Users>,
    ip: IpAddr,
    worker: usize,
}

impl Users {
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            by_worker: (0..workers).map(|_| AtomicU64::new(0)).collect(),
            by_address: Mutex::default(),
            refused: AtomicU64::new(0),
        })
    }

    /// A place for a connection with the worker that has fewest, or with this one if that has
    /// hardly more.
    pub(crate) fn come(self: &Arc<Self>, ip: IpAddr, here: usize, limits: &Limits) -> Option<Seat> {
        let ip = ip.to_canonical();
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let from_there = by_address.entry(ip).or_default();
        *from_there += 1;
        let few = *from_there <= limits.connections_an_address;
        drop(by_address);
        // From here on what is dropped is also counted off.
        let worker = self.least(here);
        self.by_worker[worker].fetch_add(1, Ordering::Relaxed);
        let seat = Seat { users: Arc::clone(self), ip, worker };
        if few && self.count() <= limits.connections as u64 {
            return Some(seat);
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn least(&self, here: usize) -> usize {
        let of = |worker: usize| self.by_worker[worker].load(Ordering::Relaxed);
        let least = (0..self.by_worker.len()).min_by_key(|worker| of(*worker)).unwrap_or(here);
        if of(here) <= of(least) + 1 { here } else { least }
    }

    /// All that are open.
    pub(crate) fn count(&self) -> u64 {
        self.by_worker.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// All that were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Seat {
    /// Which worker serves the connection.
    pub(crate) fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.users.by_worker[self.worker].fetch_sub(1, Ordering::Relaxed);
        let mut by_address = self.users.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: usize, connections_an_address: usize) -> Limits {
        Limits { connections, connections_an_address, ..Limits::default() }
    }

    #[test]
    fn one_address_gets_so_many_and_all_together_so_many() {
        let users = Users::new(1);
        let (a, b) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let come = |ip| users.come(ip, 0, &limits(3, 2));
        let (first, second) = (come(a), come(a));
        assert!(first.is_some() && second.is_some() && come(a).is_none());
        let third = come(b);
        assert!(third.is_some() && come(b).is_none(), "three are all");
        drop(first);
        assert!(come(b).is_some(), "a place that is free again is given away");
        drop((second, third));
        assert_eq!((users.count(), users.refused()), (0, 2));
        assert!(users.by_address.lock().expect("addresses").is_empty());
    }

    #[test]
    fn connections_are_spread_over_the_workers() {
        let users = Users::new(3);
        let seats: Vec<Seat> = (0..90)
            .filter_map(|_| users.come([127, 0, 0, 1].into(), 0, &Limits::default()))
            .collect();
        for worker in 0..3 {
            let here = seats.iter().filter(|seat| seat.worker() == worker).count();
            assert!((29..=31).contains(&here), "{here} of 90");
        }
    }
}
