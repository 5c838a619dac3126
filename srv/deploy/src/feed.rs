//! Follows the logs of instances at the node: each once, for however many views want it, over
//! connections of their own and over the end of a node.
//!
//! Law: a feed's reader gets each line that the instance writes once; where the node was lost and
//! the instance's log does not go back to the last line read, a line in their place says so.

use crate::clock;
use crate::lanes::{Lanes, Seat};
use crate::link::Link;
use crate::text::{Tail, end_of, new_in};
use ninep::LastLines;
use ninep::client::ClientError;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

/// Instances whose logs are followed at once.
pub(crate) const FEEDS_MAX: usize = 512;
/// Bytes of the last lines that a reader begins with; a tail of the node begins with as many.
const RECENT_BYTES_MAX: usize = 256 * 1024;
/// Batches that a reader may be behind before the feed waits for it.
const BATCHES_MAX: usize = 8;
/// Lines of a batch, where there are many at once.
const BATCH_LINES: usize = 128;
/// Bytes of a log in which the last line read is looked for; the node turns one over at 10 MB.
const AGAIN_BYTES_MAX: u64 = 16 << 20;

/// Lines that came together.
pub(crate) type Batch = Arc<[String]>;

/// The feeds that somebody reads.
#[derive(Debug)]
pub(crate) struct Feeds {
    lanes: Arc<Lanes>,
    /// Whoever finds the place in a log again has much of it in memory: one after the other.
    again: Arc<tokio::sync::Mutex<()>>,
    live: Mutex<HashMap<String, Weak<Feed>>>,
}

/// One instance's log as it is followed.
#[derive(Debug)]
pub(crate) struct Feed {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// As many are followed as may be.
#[derive(Debug)]
pub(crate) struct Full;

/// What a reader of a feed has.
#[derive(Debug)]
pub(crate) struct Joined {
    /// The last lines there are.
    pub(crate) begin: Vec<String>,
    /// What comes; it ends with the instance.
    pub(crate) more: mpsc::Receiver<Batch>,
    _feed: Arc<Feed>,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    phase: watch::Sender<Phase>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// What is there already is being read.
    Begins,
    Follows,
    /// The instance is gone, and all it wrote is told.
    Over,
    /// There was no such instance when it was to be followed.
    Missing,
}

#[derive(Debug, Default)]
struct Inner {
    recent: VecDeque<String>,
    bytes: usize,
    readers: Vec<mpsc::Sender<Batch>>,
}

impl Feeds {
    pub(crate) fn new(link: Link) -> Feeds {
        let (again, live) = (Arc::default(), Mutex::default());
        Feeds { lanes: Arc::new(Lanes::new(link)), again, live }
    }

    /// Whether the node answers now.
    pub(crate) fn are_open(&self) -> bool {
        self.lanes.are_open()
    }

    /// The feed of an instance, begun where there is none.
    pub(crate) fn of(&self, container: &str) -> Result<Arc<Feed>, Full> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let found = live.get(container).and_then(Weak::upgrade);
        if let Some(feed) = found.filter(|feed| feed.phase() != Phase::Missing) {
            return Ok(feed);
        }
        live.retain(|_, feed| feed.strong_count() > 0);
        if live.len() >= FEEDS_MAX {
            return Err(Full);
        }
        let phase = watch::Sender::new(Phase::Begins);
        let shared = Arc::new(Shared { inner: Mutex::default(), phase });
        let follower = Follower {
            container: container.to_string(),
            shared: Arc::clone(&shared),
            lanes: Arc::clone(&self.lanes),
            again: Arc::clone(&self.again),
            last: LastLines::default(),
            begun: false,
        };
        let task = tokio::spawn(follower.run()).abort_handle();
        let feed = Arc::new(Feed { shared, task });
        live.insert(container.to_string(), Arc::downgrade(&feed));
        Ok(feed)
    }

    /// The end of the log of an instance that is gone, which has so many bytes, if that is known.
    pub(crate) async fn kept(
        &self,
        container: &str,
        bytes: Option<u64>,
        share: u64,
    ) -> Result<Vec<String>, ClientError> {
        let seat = self.lanes.seat().await?;
        let path = format!("logs/{container}");
        let read = async {
            let bytes = match bytes {
                Some(bytes) => bytes,
                None => seat.client.stat(&path).await?.length,
            };
            end_of(&seat.client, &path, bytes, share).await
        };
        let read = read.await;
        if let Err(error) = &read {
            self.lanes.leave(seat, error).await;
        }
        read
    }
}

impl Feed {
    fn phase(&self) -> Phase {
        *self.shared.phase.borrow()
    }

    /// Reads the feed from the last lines on, which are waited for until then; those that come
    /// later come as what comes. None where there is no such instance.
    pub(crate) async fn join(self: Arc<Feed>, until: Instant) -> Option<Joined> {
        let mut phase = self.shared.phase.subscribe();
        // What was begun by then has begun.
        let _ = timeout_at(until, phase.wait_for(|phase| *phase != Phase::Begins)).await;
        let (reader, more) = mpsc::channel(BATCHES_MAX);
        let mut inner = self.shared.lock();
        let begin = inner.recent.iter().cloned().collect();
        match self.phase() {
            Phase::Missing => return None,
            Phase::Over => {}
            Phase::Begins | Phase::Follows => inner.readers.push(reader),
        }
        drop(inner);
        Some(Joined { begin, more, _feed: self })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives lines to all readers; a slow one is waited for, so that it misses none.
    async fn tell(&self, lines: &[String]) {
        for lines in lines.chunks(BATCH_LINES) {
            let batch: Batch = lines.into();
            let readers = self.lock().take(&batch);
            for reader in readers {
                // Who has gone is taken out at the next batch.
                let _ = reader.send(Arc::clone(&batch)).await;
            }
        }
    }

    /// Who joins sees the phase and the readers as they are together.
    fn enter(&self, phase: Phase) {
        let mut inner = self.lock();
        self.phase.send_replace(phase);
        if phase == Phase::Over || phase == Phase::Missing {
            inner.readers.clear();
        }
    }
}

impl Inner {
    /// Takes lines to the last ones, and gives those who are to be told.
    fn take(&mut self, lines: &Batch) -> Vec<mpsc::Sender<Batch>> {
        for line in lines.iter() {
            self.bytes += line.len() + 1;
            self.recent.push_back(line.clone());
        }
        while self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.bytes -= oldest.len() + 1;
        }
        self.readers.retain(|reader| !reader.is_closed());
        self.readers.clone()
    }
}

/// Fills one feed.
struct Follower {
    container: String,
    shared: Arc<Shared>,
    lanes: Arc<Lanes>,
    again: Arc<tokio::sync::Mutex<()>>,
    last: LastLines,
    /// What was there already was read once.
    begun: bool,
}

impl Follower {
    async fn run(mut self) {
        let mut changes = self.lanes.changes();
        loop {
            changes.borrow_and_update();
            match self.attend().await {
                Ok(phase) => return self.shared.enter(phase),
                // A node that is there still is asked again at once.
                Err((ClientError::Lost(_), true)) => {}
                // Any other is when it has gone and come again.
                Err(_) if changes.changed().await.is_ok() => {}
                Err(_) => return self.shared.enter(Phase::Over),
            }
        }
    }

    /// Follows over one connection; on a loss also says whether it had come so far as to follow.
    async fn attend(&mut self) -> Result<Phase, (ClientError, bool)> {
        let seat = self.lanes.seat().await.map_err(|error| (error, false))?;
        let mut followed = false;
        match self.follow(&seat, &mut followed).await {
            Ok(phase) => Ok(phase),
            Err(error) => {
                self.lanes.leave(seat, &error).await;
                Err((error, followed))
            }
        }
    }

    async fn follow(&mut self, seat: &Seat, followed: &mut bool) -> Result<Phase, ClientError> {
        let path = |file: &str| format!("instances/{}/{file}", self.container);
        let (tail, log) = (path("tail"), path("log"));
        let mut tail = match Tail::open(&seat.client, &tail).await {
            Err(ClientError::Refused(_)) if self.begun => return self.after_its_end(seat).await,
            Err(ClientError::Refused(_)) => return Ok(Phase::Missing),
            other => other?,
        };
        let begin = tail.begin().await?;
        *followed = true;
        let known = self.last.known(&begin);
        if self.begun && known == 0 && !begin.is_empty() {
            match self.find(seat, &log, &begin).await {
                // It goes just now, and its tail still ends.
                Err(ClientError::Refused(_)) => {
                    self.shared.tell(&[lost(begin.first())]).await;
                    self.tell(&begin).await;
                }
                other => other?,
            }
        } else {
            self.tell(&begin[known..]).await;
        }
        self.begun = true;
        self.shared.enter(Phase::Follows);
        while let Some(mut lines) = tail.more().await? {
            // The mark, of a tail that had none before it.
            lines.retain(|line| !line.is_empty());
            self.tell(&lines).await;
        }
        Ok(Phase::Over)
    }

    /// The instance went while the node was away: what it wrote until then.
    async fn after_its_end(&mut self, seat: &Seat) -> Result<Phase, ClientError> {
        let kept = format!("logs/{}", self.container);
        match self.find(seat, &kept, &[]).await {
            // One that wrote nothing has no log.
            Err(ClientError::Refused(_)) if self.last.is_empty() => {}
            Err(ClientError::Refused(_)) => {
                self.shared.tell(&[lost(None)]).await;
            }
            other => other?,
        }
        Ok(Phase::Over)
    }

    /// Goes on behind the last line that was read, as far back as the file goes.
    async fn find(&mut self, seat: &Seat, path: &str, begin: &[String]) -> Result<(), ClientError> {
        let again = Arc::clone(&self.again);
        let _one_at_a_time = again.lock().await;
        let bytes = seat.client.stat(path).await?.length;
        let all = end_of(&seat.client, path, bytes, AGAIN_BYTES_MAX).await?;
        let new = new_in(&self.last, all, begin);
        if new.lost {
            self.shared.tell(&[lost(new.lines.first())]).await;
        }
        self.tell(&new.lines).await;
        Ok(())
    }

    async fn tell(&mut self, lines: &[String]) {
        // First, for what was told is not to be told again.
        self.last.remember(lines);
        self.shared.tell(lines).await;
    }
}

/// The line that stands for those that are missing before `next`.
fn lost(next: Option<&String>) -> String {
    let what = "lines are lost here: they were written while the node was away";
    notice(next.map(|line| time(line)), what)
}

/// What this server has to say in a log, in the manner of the instance's own lines; its time is
/// that of the line it stands before, so that the order of times keeps it there.
pub(crate) fn notice(at: Option<&str>, what: &str) -> String {
    let now = clock::stamp(clock::now());
    format!("{} stderr deployfs: {what}", at.unwrap_or(&now))
}

/// When a line was written.
pub(crate) fn time(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
#[path = "feed_test.rs"]
mod tests;
