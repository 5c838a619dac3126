//! Fills one view: the ends of all logs there are in the order of their lines' times, and then
//! every line as it comes, of instances that come to be and of those that go.
//!
//! Law: a line that was written while the view was there stands in it once, or a line that says
//! that some are missing in its place.

use crate::feed::{FEEDS_MAX, Feeds, Joined, notice, time};
use crate::grow::Grow;
use crate::logs::{VIEW_BYTES_MAX, Whose};
use crate::world::{Service, Shared, container};
use ninep::client::ClientError;
use rollout::Id;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Bytes of what is there already that a view begins with.
const BEGIN_BYTES: usize = VIEW_BYTES_MAX / 2;
/// Bytes of them that each of many logs has at least.
const SHARE_BYTES_MIN: usize = 16 * 1024;
/// How long the node may take to give what is there already: all of it together.
const BEGIN_MAX: Duration = Duration::from_secs(5);

/// Fills a view; its tasks end with it.
pub(crate) struct Gatherer {
    whose: Whose,
    grow: Arc<Grow>,
    feeds: Arc<Feeds>,
    world: Shared,
    /// Instances of which there is no more to come.
    over: BTreeSet<Id>,
    /// Those that are read now.
    followed: BTreeSet<Id>,
    tasks: JoinSet<Id>,
}

/// The instances that may have a log.
#[derive(Default)]
struct Seen {
    /// There is something that has a log, or will have.
    there: bool,
    running: Vec<Id>,
    /// Those that are gone, with their bytes.
    kept: Vec<(Id, u64)>,
}

impl Gatherer {
    pub(crate) fn new(
        whose: Whose,
        grow: &Arc<Grow>,
        feeds: Arc<Feeds>,
        world: Shared,
    ) -> Gatherer {
        Gatherer {
            whose,
            grow: Arc::clone(grow),
            feeds,
            world,
            over: BTreeSet::new(),
            followed: BTreeSet::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Gathers until there is nothing more to come, which the view's readers are told.
    pub(crate) async fn run(mut self, ready: watch::Sender<bool>) {
        let mut revision = self.world.lock().revision.subscribe();
        self.look().await;
        ready.send_replace(true);
        while !self.is_over() {
            tokio::select! {
                changed = revision.changed() => if changed.is_err() { break },
                Some(ended) = self.tasks.join_next() => if let Ok(id) = ended {
                    self.followed.remove(&id);
                    self.over.insert(id);
                },
            }
            self.look().await;
        }
        // What is on its way still comes; nothing of what is gone can take long.
        let until = Instant::now() + BEGIN_MAX;
        while let Ok(Some(_)) = timeout_at(until, self.tasks.join_next()).await {}
        self.grow.end();
    }

    /// Whether nothing more can come.
    fn is_over(&self) -> bool {
        self.whose.id.is_some_and(|id| self.over.contains(&id)) || !self.seen().there
    }

    /// What the world knows of instances with logs.
    fn seen(&self) -> Seen {
        let world = self.world.lock();
        let whose = &self.whose;
        if let (crate::tasks::TASK, Some(id)) = (whose.service.as_str(), whose.id) {
            let seen = u32::try_from(id.0).ok().and_then(|number| world.tasks.log(number));
            let Some((runs, bytes)) = seen else { return Seen::default() };
            let kept = bytes.map(|bytes| (id, bytes)).into_iter().collect();
            return Seen { there: true, running: runs.then_some(id).into_iter().collect(), kept };
        }
        let service = world.services.get(&whose.service);
        let same = |service: &&Service| service.record.incarnation == whose.incarnation;
        let Some(service) = service.filter(same) else { return Seen::default() };
        let wanted = |id: &Id| whose.id.is_none_or(|only| only == *id);
        let running: Vec<Id> = service.containers.keys().copied().filter(wanted).collect();
        let kept = service.kept.iter().map(|(id, kept)| (*id, kept.bytes));
        let kept: Vec<(Id, u64)> = kept.filter(|(id, _)| wanted(id)).collect();
        let known = |id| service.record.rollout.instances().contains_key(&id);
        let there = whose.id.is_none_or(known) || !running.is_empty() || !kept.is_empty();
        Seen { there, running, kept }
    }

    /// Looks for logs that are not read yet; at once for all of them, so that lines of different
    /// instances come in the order of their times.
    async fn look(&mut self) {
        if !self.feeds.are_open() {
            return;
        }
        let Seen { mut running, mut kept, .. } = self.seen();
        running.retain(|id| !self.followed.contains(id) && !self.over.contains(id));
        kept.retain(|(id, _)| !self.followed.contains(id) && !self.over.contains(id));
        let count = (running.len() + kept.len()).max(1);
        let share = (BEGIN_BYTES / count).max(SHARE_BYTES_MIN);
        let until = Instant::now() + BEGIN_MAX;
        let mut lines = Vec::new();
        let name = |id| container(&self.whose.service, id);
        // All begin to be read before one is waited for.
        let feeds: Vec<_> = running.iter().map(|id| (*id, self.feeds.of(&name(*id)))).collect();
        for (id, bytes) in kept {
            let name = name(id);
            let read = self.feeds.kept(&name, Some(bytes), share as u64);
            match timeout_at(until, read).await {
                Ok(Ok(found)) => {
                    self.over.insert(id);
                    lines.extend(self.marked(id, &found));
                }
                // It was dropped meanwhile.
                Ok(Err(ClientError::Refused(_))) => drop(self.over.insert(id)),
                // It is read at the next change.
                Ok(Err(_)) | Err(_) => {}
            }
        }
        let mut joined = Vec::new();
        for (id, feed) in feeds {
            let Ok(feed) = feed else {
                self.over.insert(id);
                lines.extend(self.marked(id, &[refusal()]));
                continue;
            };
            let Some(mut one) = feed.join(until).await else {
                // It went just now, and the world has not heard of it.
                let name = name(id);
                let read = self.feeds.kept(&name, None, share as u64);
                if let Ok(Ok(found)) = timeout_at(until, read).await {
                    self.over.insert(id);
                    lines.extend(self.marked(id, &found));
                }
                continue;
            };
            lines.extend(self.marked(id, end(&std::mem::take(&mut one.begin), share)));
            joined.push((id, one));
        }
        lines.sort_by(|a, b| time(a).cmp(time(b)));
        if !lines.is_empty() {
            self.grow.push(newest(&lines.concat(), BEGIN_BYTES));
        }
        // Only now, for what they bring is newer.
        joined.into_iter().for_each(|(id, one)| self.follow(id, one));
    }

    fn follow(&mut self, id: Id, joined: Joined) {
        self.followed.insert(id);
        let (grow, prefix) = (Arc::clone(&self.grow), self.prefix(id));
        self.tasks.spawn(follow(id, joined, grow, prefix));
    }

    fn marked(&self, id: Id, lines: &[String]) -> Vec<String> {
        let prefix = self.prefix(id);
        lines.iter().map(|line| marked(line, prefix.as_deref())).collect()
    }

    /// The instance's name, where the lines of several stand in one text.
    fn prefix(&self, id: Id) -> Option<String> {
        self.whose.id.is_none().then(|| container(&self.whose.service, id))
    }
}

/// Adds the lines of one log as they come.
async fn follow(id: Id, mut joined: Joined, grow: Arc<Grow>, prefix: Option<String>) -> Id {
    while let Some(lines) = joined.more.recv().await {
        let text: String = lines.iter().map(|line| marked(line, prefix.as_deref())).collect();
        grow.push(&text);
    }
    id
}

/// What stands in the place of a log that is not followed.
fn refusal() -> String {
    let what = "this log is not followed";
    notice(None, &format!("{what}: {FEEDS_MAX} others are already; end some that follow logs"))
}

/// The last lines that are no more than so many bytes, and the last one however long it is.
fn end(lines: &[String], bytes_max: usize) -> &[String] {
    let mut bytes = 0;
    let fits = lines.iter().rev().enumerate().take_while(|(count, line)| {
        bytes += line.len();
        *count == 0 || bytes <= bytes_max
    });
    let count = fits.count();
    &lines[lines.len() - count..]
}

/// A line with the instance's name after its time, where several stand in one text.
fn marked(line: &str, prefix: Option<&str>) -> String {
    match (prefix, line.split_once(' ')) {
        (Some(prefix), Some((time, rest))) => format!("{time} {prefix} {rest}\n"),
        (_, _) => format!("{line}\n"),
    }
}

/// The last whole lines of a text that are no more than so many bytes.
fn newest(text: &str, bytes_max: usize) -> &str {
    let Some(from) = text.len().checked_sub(bytes_max).filter(|from| *from > 0) else {
        return text;
    };
    let end = text.as_bytes()[from - 1..].iter().position(|byte| *byte == b'\n');
    end.and_then(|at| text.get(from + at..)).unwrap_or_default()
}

#[cfg(test)]
#[path = "gather_test.rs"]
mod tests;
