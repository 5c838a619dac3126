//! Counting connections, all of them and each user's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Places for root beyond those of all, so that whoever takes all places cannot keep out those
/// who could end that.
pub(super) const ROOT_PLACES: usize = 64;

/// The connections there are.
pub(super) struct Census {
    all_max: usize,
    user_max: usize,
    users: Mutex<HashMap<u32, usize>>,
}

/// A connection that is counted until this is dropped.
pub(super) struct Counted {
    census: Arc<Census>,
    uid: u32,
}

impl Census {
    pub(super) fn new(all_max: usize, user_max: usize) -> Self {
        Self { all_max, user_max, users: Mutex::default() }
    }

    /// Counts one more connection of a user; none when it is one too many. Root has no limit of
    /// its own, and places that are kept for it: the node's and the command's connections are
    /// root's.
    pub(super) fn enter(this: &Arc<Self>, uid: u32) -> Option<Counted> {
        let mut users = this.users.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = users.values().sum();
        let own = users.get(&uid).copied().unwrap_or(0);
        let full = if uid == 0 {
            all >= this.all_max.saturating_add(ROOT_PLACES)
        } else {
            all >= this.all_max || own >= this.user_max
        };
        if full {
            return None;
        }
        users.insert(uid, own + 1);
        Some(Counted { census: Arc::clone(this), uid })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut users = self.census.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = users.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                users.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_kept_for_root_when_all_are_taken() {
        let census = Arc::new(Census::new(2, 2));
        let taken = [Census::enter(&census, 7), Census::enter(&census, 7)];
        assert!(taken.iter().all(Option::is_some));
        assert!(Census::enter(&census, 8).is_none());
        let roots: Vec<_> = (0..ROOT_PLACES).map(|_| Census::enter(&census, 0)).collect();
        assert!(roots.iter().all(Option::is_some));
        assert!(Census::enter(&census, 0).is_none(), "root's are limited too");
        drop(roots);
        drop(taken);
        assert!(Census::enter(&census, 8).is_some());
    }
}
