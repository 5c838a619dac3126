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
    /// As it was asked for, which is how its end is told.
    pub(crate) name: String,
    /// The name with its tag: `web` and `web:latest` are one.
    key: String,
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
        self.pushes.map().remove(&self.key);
    }
}

impl Pushes {
    fn map(&self) -> MutexGuard<'_, HashMap<String, Stop>> {
        // Every change is one call, so a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a push, unless one of that name goes on.
    pub(crate) fn begin(&self, name: String) -> Result<Push> {
        let (key, stop) = (image::local_name(&name)?, Stop::default());
        let mut map = self.map();
        if map.contains_key(&key) {
            return Err(Error::Pushing(key));
        }
        map.insert(key.clone(), stop.clone());
        Ok(Push { pushes: self.clone(), name, key, stop })
    }

    /// Gives a push up; its end is told as that of any other.
    pub(crate) fn cancel(&self, name: &str) -> Result<()> {
        let key = image::local_name(name)?;
        let stop = self.map().get(&key).cloned();
        stop.map(|stop| stop.pull()).ok_or(Error::NoPush(key))
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

    #[test]
    fn a_name_without_a_tag_is_the_one_with_the_tag_latest() {
        let pushes = Pushes::default();
        let web = pushes.begin("web".into()).unwrap();
        assert_eq!(web.name, "web", "its end is told as it was asked for");
        let again = pushes.begin("web:latest".into()).unwrap_err().to_string();
        assert_eq!(again, "web:latest is being pushed: wait for it, or cancel-push web:latest");
        pushes.cancel("web:latest").unwrap();
        assert!(web.given_up().load(Ordering::Relaxed));
        drop(web);
        assert!(pushes.begin("web:latest".into()).is_ok());
        let bad = pushes.begin("quay.io/web:1".into()).unwrap_err().to_string();
        assert!(bad.contains("a pushed image has no registry in its name"), "{bad}");
    }
}
