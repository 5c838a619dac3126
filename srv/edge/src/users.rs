//! How many connections of users are open: in all, from each address, with each worker; and how
//! many of an address are in the middle of a handshake.

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
    shaking: Mutex<HashMap<IpAddr, usize>>,
    unshaken: AtomicU64,
}

/// A handshake's place; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Shaking {
    users: Arc<Users>,
    ip: IpAddr,
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
            shaking: Mutex::default(),
            unshaken: AtomicU64::new(0),
        })
    }

    /// A place for a connection with the worker that has fewest, or with this one if that has
    /// hardly more.
    pub(crate) fn come(self: &Arc<Self>, ip: IpAddr, here: usize, limits: &Limits) -> Option<Seat> {
        let ip = ip.to_canonical();
        let few = come(&self.by_address, ip) <= limits.connections_an_address;
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

    /// A place for a handshake, unless too many of this address are under way: whoever has many
    /// addresses is bounded by their number, and whoever has one by this.
    pub(crate) fn shake(self: &Arc<Self>, ip: IpAddr, limits: &Limits) -> Option<Shaking> {
        let ip = ip.to_canonical();
        let under_way = come(&self.shaking, ip);
        let shaking = Shaking { users: Arc::clone(self), ip };
        if under_way <= limits.handshakes_an_address {
            return Some(shaking);
        }
        self.unshaken.fetch_add(1, Ordering::Relaxed);
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

    /// Handshakes that were refused.
    pub(crate) fn unshaken(&self) -> u64 {
        self.unshaken.load(Ordering::Relaxed)
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
        go(&self.users.by_address, self.ip);
    }
}

impl Drop for Shaking {
    fn drop(&mut self) {
        go(&self.users.shaking, self.ip);
    }
}

/// One more of this address; gives how many that are.
fn come(all: &Mutex<HashMap<IpAddr, usize>>, ip: IpAddr) -> usize {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let count = all.entry(ip).or_default();
    *count += 1;
    *count
}

/// One less; of an address that nobody is at nothing is kept.
fn go(all: &Mutex<HashMap<IpAddr, usize>>, ip: IpAddr) {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(count) = all.get_mut(&ip) {
        *count -= 1;
        if *count == 0 {
            all.remove(&ip);
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
    fn one_address_may_be_in_the_middle_of_so_many_handshakes() {
        let users = Users::new(1);
        let limits = Limits { handshakes_an_address: 2, ..Limits::default() };
        let shake = |ip: &str| users.shake(ip.parse().expect("an address"), &limits);
        let (first, second) = (shake("192.0.2.1"), shake("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some() && shake("192.0.2.1").is_none());
        assert!(shake("192.0.2.2").is_some(), "another one is not held up");
        drop(first);
        assert!(shake("192.0.2.1").is_some());
        drop(second);
        assert_eq!(users.unshaken(), 1);
        assert!(users.shaking.lock().expect("addresses").is_empty());
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
