//! Counting connections, all of them and each user's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// its own: the node's and the command's connections are root's.
    pub(super) fn enter(this: &Arc<Self>, uid: u32) -> Option<Counted> {
        let mut users = this.users.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = users.values().sum();
        let own = users.get(&uid).copied().unwrap_or(0);
        if all >= this.all_max || uid != 0 && own >= this.user_max {
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
