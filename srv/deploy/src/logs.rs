//! What instances wrote, gathered from the node for as long as somebody has a `log` or a `tail`
//! open: the views, and who has them in common. What fills them is `gather`.
//!
//! The node keeps the logs. A view of them is made when the first reader opens it, begins with
//! the end of every log that is there, grows by what is written, and goes with its last reader;
//! the next one is another file, because its text may be another.

use crate::feed::Feeds;
use crate::gather::Gatherer;
use crate::grow::Grow;
use crate::link::Link;
use crate::world::Shared;
use rollout::Id;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;

/// Bytes a view holds before its older half goes.
pub const VIEW_BYTES_MAX: usize = 4 << 20;

/// Whose log: a service's, or that of one of its instances.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Whose {
    /// The service.
    pub service: String,
    /// Which of all services that ever had its name.
    pub incarnation: u64,
    /// The instance; absent for all of them.
    pub id: Option<Id>,
}

/// All views that somebody reads.
#[derive(Debug)]
pub struct Logs {
    feeds: Arc<Feeds>,
    world: Shared,
    views: Mutex<Views>,
}

#[derive(Debug, Default)]
struct Views {
    live: HashMap<Whose, Weak<View>>,
    /// Views ever made.
    made: u32,
}

/// A log as it grows.
#[derive(Debug)]
pub struct View {
    /// Its text.
    pub grow: Arc<Grow>,
    /// Which of all views ever made it is.
    number: u32,
    /// Whether what was there already is in it.
    ready: watch::Receiver<bool>,
    gatherer: tokio::task::AbortHandle,
}

impl Drop for View {
    fn drop(&mut self) {
        self.gatherer.abort();
    }
}

impl Logs {
    /// No view yet.
    #[must_use]
    pub fn new(link: Link, world: Shared) -> Logs {
        Logs { feeds: Arc::new(Feeds::new(link)), world, views: Mutex::default() }
    }

    /// Bytes of a log, as far as somebody reads it, and which file of that name it is; 0 and the
    /// file that is always empty where nobody does.
    pub fn length(&self, whose: &Whose) -> (u64, u64) {
        let view = self.views().live.get(whose).and_then(Weak::upgrade);
        view.map_or((0, 0), |view| {
            let (length, generation) = view.grow.length();
            (length, u64::from(view.number) << 32 | u64::from(generation))
        })
    }

    /// The view of a log, with the end of what is there already in it. Readers of the same log
    /// have the same view, so that places in one's text are places in the other's.
    pub async fn open(&self, whose: Whose) -> Arc<View> {
        let view = self.view(whose);
        // It is ready at the latest when its gatherer has ended.
        let _ = view.ready.clone().wait_for(|ready| *ready).await;
        view
    }

    fn view(&self, whose: Whose) -> Arc<View> {
        let mut views = self.views();
        if let Some(view) = views.live.get(&whose).and_then(Weak::upgrade) {
            return view;
        }
        views.live.retain(|_, view| view.strong_count() > 0);
        views.made += 1;
        let grow = Arc::new(Grow::with_bound(VIEW_BYTES_MAX));
        let (readiness, ready) = watch::channel(false);
        let feeds = Arc::clone(&self.feeds);
        let gatherer = Gatherer::new(whose.clone(), &grow, feeds, self.world.clone());
        let gatherer = tokio::spawn(gatherer.run(readiness)).abort_handle();
        let view = Arc::new(View { grow, number: views.made, ready, gatherer });
        views.live.insert(whose, Arc::downgrade(&view));
        view
    }

    fn views(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
