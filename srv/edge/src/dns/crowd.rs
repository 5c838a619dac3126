//! How many may be at something together, altogether and from one address; with each address goes
//! what those from there share.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// Those who are at it.
#[derive(Debug)]
pub(crate) struct Crowd<T> {
    all_max: usize,
    each_max: usize,
    inside: Arc<Mutex<Inside<T>>>,
}

#[derive(Debug)]
struct Inside<T> {
    all: usize,
    each: HashMap<IpAddr, (usize, Arc<T>)>,
}

/// One who is at it, until it is dropped.
#[derive(Debug)]
pub(crate) struct Member<T> {
    inside: Arc<Mutex<Inside<T>>>,
    from: IpAddr,
    shared: Arc<T>,
}

impl<T: Default> Crowd<T> {
    /// Room for `all_max`, for `each_max` of one address.
    pub(crate) fn new(all_max: usize, each_max: usize) -> Crowd<T> {
        let inside = Arc::new(Mutex::new(Inside { all: 0, each: HashMap::new() }));
        Crowd { all_max, each_max, inside }
    }

    /// One more from `from`, where there is room.
    pub(crate) fn enter(&self, from: IpAddr) -> Option<Member<T>> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.all >= self.all_max {
            return None;
        }
        let (count, shared) = inside.each.entry(from).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        let shared = Arc::clone(shared);
        inside.all += 1;
        Some(Member { inside: Arc::clone(&self.inside), from, shared })
    }
}

impl<T> Deref for Member<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.shared
    }
}

impl<T> Drop for Member<T> {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all -= 1;
        if let Entry::Occupied(mut each) = inside.each.entry(self.from) {
            each.get_mut().0 -= 1;
            if each.get().0 == 0 {
                each.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_again_for_each_who_leaves_and_nothing_is_kept_of_him() {
        let crowd = Crowd::<()>::new(3, 2);
        let [one, other] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        let first = crowd.enter(one).unwrap();
        let second = crowd.enter(one).unwrap();
        assert!(crowd.enter(one).is_none(), "two from one address");
        let third = crowd.enter(other).unwrap();
        assert!(crowd.enter(other).is_none(), "three altogether");
        drop(first);
        let fourth = crowd.enter(other).unwrap();
        drop((second, third, fourth));
        let inside = crowd.inside.lock().unwrap();
        assert_eq!((inside.all, inside.each.len()), (0, 0));
    }
}
