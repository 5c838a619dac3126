//! The pushes that go on, by name: there is one of a name at a time, and any can be given up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::error::{Error, Result};

/// The pushes of a node; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pushes(Arc<Mutex<HashMap<String, Stop>>>);

/// What ends a push before its time.
#[derive(Clone, Debug, Default)]
struct Stop {
    flag: Arc<AtomicBool>,
    bell: Arc<Notify>,
}

impl Stop {
    fn pull(&self) {
        self.flag.store(true, Ordering::Relaxed);
        self.bell.notify_one();
    }
}

/// A push under way; when it is dropped the name is free again.
#[derive(Debug)]
pub(crate) struct Push {
    pushes: Pushes,
    pub(crate) name: String,
    stop: Stop,
}

impl Push {
    /// Set when it is given up.
    pub(crate) fn given_up(&self) -> Arc<AtomicBool> {
        self.stop.flag.clone()
    }

    /// Waits until it is given up.
    pub(crate) async fn stopped(&self) {
        self.stop.bell.notified().await;
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        self.pushes.map().remove(&self.name);
    }
}

impl Pushes {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Stop>> {
        // Every change is one call, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a push, unless one of that name goes on.
    pub(crate) fn begin(&self, name: String) -> Result<Push> {
        let stop = Stop::default();
        let mut map = self.map();
        if map.contains_key(&name) {
            return Err(Error::Pushing(name));
        }
        map.insert(name.clone(), stop.clone());
        Ok(Push { pushes: self.clone(), name, stop })
    }

    /// Gives a push up; its end is told as that of any other.
    pub(crate) fn cancel(&self, name: &str) -> Result<()> {
        let stop = self.map().get(name).cloned();
        stop.map(|stop| stop.pull()).ok_or_else(|| Error::NoPush(name.to_owned()))
    }

    /// Gives all of them up.
    pub(crate) fn cancel_all(&self) {
        self.map().values().for_each(Stop::pull);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_push_of_a_name_goes_on_at_a_time_and_only_that_is_given_up() {
        let pushes = Pushes::default();
        let check = |result: Result<()>, text: &str| {
            assert_eq!(result.err().map(|error| error.to_string()).unwrap_or_default(), text);
        };
        let web = pushes.begin("web:1".into()).unwrap();
        let api = pushes.begin("api:1".into()).unwrap();
        let again = pushes.begin("web:1".into()).map(drop);
        check(again, "web:1 is being pushed: wait for it, or cancel-push web:1");
        check(pushes.cancel("web:2"), "no push of web:2 goes on");
        check(pushes.cancel("web:1"), "");
        web.stopped().await;
        assert!(web.given_up().load(Ordering::Relaxed));
        assert!(!api.given_up().load(Ordering::Relaxed));
        drop(web);
        check(pushes.cancel("web:1"), "no push of web:1 goes on");
        check(pushes.begin("web:1".into()).map(drop), "");
    }
}
