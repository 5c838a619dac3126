//! Where the tree brings what clients ask, and reads what it shows them.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{Error, Result};
use crate::fact::Request;
use crate::images;
use crate::means::Means;
use crate::notices::Notices;
use crate::ring::Ring;
use crate::verb::NodeVerb;
use crate::world::World;

/// Pulls and pushes that were asked for and have not ended.
const JOBS_MAX: usize = 256;

/// Requests that are done together or not at all, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Ask {
    /// In this order.
    pub(crate) requests: Vec<Request>,
    /// Whether they were done.
    pub(crate) answer: oneshot::Sender<Result<()>>,
}

/// What the tree works with; the loop alone changes the world.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) means: Arc<Means>,
    pub(crate) ring: Ring,
    pub(crate) notices: Notices,
    /// Unix time of the node's start in seconds.
    pub(crate) started_s: u32,
    world: Arc<RwLock<World>>,
    jobs: Arc<Semaphore>,
    refused: Mutex<String>,
}

impl Desk {
    pub(crate) fn new(
        means: Arc<Means>,
        asks: mpsc::Sender<Ask>,
        world: Arc<RwLock<World>>,
        ring: Ring,
    ) -> Desk {
        let started_s = u32::try_from(crate::clock::now_ms() / 1000).unwrap_or(u32::MAX);
        let jobs = Arc::new(Semaphore::new(JOBS_MAX));
        let notices = Notices::default();
        Desk { asks, means, ring, notices, started_s, world, jobs, refused: Mutex::default() }
    }

    /// The world as it is now; not to be held while waiting.
    pub(crate) fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the loop and waits until what was asked is on disk.
    pub(crate) async fn ask(&self, requests: Vec<Request>) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let sent = self.asks.send(Ask { requests, answer }).await;
        sent.map_err(|_| Error::Ended)?;
        answered.await.map_err(|_| Error::Ended)?
    }

    /// Does what was written to the node's `ctl`. Pulls and pushes go on by themselves.
    pub(crate) async fn node(&self, verbs: Vec<NodeVerb>) -> Result<()> {
        for verb in verbs {
            match verb {
                NodeVerb::Pull(reference) => self.job(async move |means: Arc<Means>| {
                    // The event says how it went.
                    let _ = means.images.fetch(&reference).await;
                })?,
                NodeVerb::Push { name, path } => {
                    let push = self.means.images.pushes.begin(name)?;
                    self.job(async move |means: Arc<Means>| means.images.push(push, &path).await)?;
                }
                NodeVerb::CancelPush(name) => self.means.images.pushes.cancel(&name)?,
                NodeVerb::RemoveImage(reference) => self.means.images.remove(reference).await?,
                NodeVerb::Down => self.ask(vec![Request::Down]).await?,
            }
        }
        Ok(())
    }

    /// Removes the images that neither an instance nor `keep` needs.
    pub(crate) async fn collect(&self, keep: Vec<String>) -> Result<()> {
        let world = self.world.clone();
        let keep = move || {
            let used = images::digests(&world.read().unwrap_or_else(PoisonError::into_inner));
            used.into_iter().chain(keep).collect()
        };
        self.means.images.collect(keep).await
    }

    fn job<F: Future<Output = ()> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Means>) -> F,
    ) -> Result<()> {
        let turn = self.jobs.clone().try_acquire_owned().map_err(|_| Error::Busy(JOBS_MAX))?;
        let work = work(self.means.clone());
        tokio::spawn(async move {
            work.await;
            drop(turn);
        });
        Ok(())
    }

    /// Keeps the text of a refusal, which 9P2000.L has no room for.
    pub(crate) fn refuse(&self, error: &Error) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused = format!("{}\n", error.refusal());
    }

    /// The last refusal in full.
    pub(crate) fn refused(&self) -> String {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
