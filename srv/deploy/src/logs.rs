//! What instances wrote, gathered from the node for as long as somebody has a `log` open.
//!
//! The node keeps the logs. A view of them is made when the first reader opens it, begins with
//! the end of every log that is there, grows by what is written, and goes with its last reader.

use crate::grow::Grow;
use crate::link::Link;
use crate::world::{Shared, container};
use ninep::client::{Client, ClientError, Mode};
use rollout::Id;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::task::JoinSet;

/// Bytes asked of a log at once.
const READ_BYTES: u32 = 64 * 1024;

/// Whose log: a service's, or that of one of its instances.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Whose {
    /// The service.
    pub service: String,
    /// The instance; absent for all of them.
    pub id: Option<Id>,
}

/// All views that somebody reads.
#[derive(Debug)]
pub struct Logs {
    link: Link,
    world: Shared,
    views: Mutex<HashMap<Whose, Weak<View>>>,
}

/// A log as it grows.
#[derive(Debug)]
pub struct View {
    /// Its text.
    pub grow: Arc<Grow>,
    follower: tokio::task::AbortHandle,
}

impl Drop for View {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Logs {
    /// No view yet.
    #[must_use]
    pub fn new(link: Link, world: Shared) -> Logs {
        Logs { link, world, views: Mutex::default() }
    }

    /// Bytes and generation of a log, as far as somebody reads it; 0 where nobody does.
    pub fn length(&self, whose: &Whose) -> (u64, u32) {
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.get(whose).and_then(Weak::upgrade).map_or((0, 0), |view| view.grow.length())
    }

    /// The view of a log, with the end of what is there already in it.
    pub async fn open(&self, whose: Whose) -> Arc<View> {
        if let Some(view) = self.live(&whose) {
            return view;
        }
        let grow = Arc::new(Grow::default());
        let mut follower = Follower {
            whose: whose.clone(),
            grow: Arc::clone(&grow),
            link: self.link.clone(),
            world: self.world.clone(),
            followed: BTreeSet::new(),
            tasks: JoinSet::new(),
        };
        follower.begin().await;
        let task = tokio::spawn(follower.follow());
        let view = Arc::new(View { grow, follower: task.abort_handle() });
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.retain(|_, view| view.strong_count() > 0);
        views.insert(whose, Arc::downgrade(&view));
        view
    }

    fn live(&self, whose: &Whose) -> Option<Arc<View>> {
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.get(whose).and_then(Weak::upgrade)
    }
}

/// Fills a view; its tasks end with it.
struct Follower {
    whose: Whose,
    grow: Arc<Grow>,
    link: Link,
    world: Shared,
    followed: BTreeSet<Id>,
    /// One a followed log; it gives the instance's id when that log, or the node, has ended.
    tasks: JoinSet<Id>,
}

impl Follower {
    /// Reads the ends of all logs there are, in the order of their lines' times.
    async fn begin(&mut self) {
        let Some(client) = self.link.client() else { return };
        let mut lines: Vec<String> = Vec::new();
        for id in self.news() {
            let prefix = self.prefix(id);
            let Ok((text, tail)) = tail(&client, &container(&self.whose.service, id)).await else {
                continue;
            };
            lines.extend(marked(&text, prefix.as_deref()));
            self.spawn(id, tail, prefix);
        }
        lines.sort_by(|a, b| time(a).cmp(time(b)));
        if !lines.is_empty() {
            self.grow.push(&lines.concat());
        }
    }

    /// Adds the logs of instances as they come to be.
    async fn follow(mut self) {
        let mut revision = self.world.lock().revision.subscribe();
        loop {
            tokio::select! {
                changed = revision.changed() => if changed.is_err() { return },
                // The node went: its logs are looked for again, at once and at each change.
                Some(ended) = self.tasks.join_next() => {
                    if let Ok(id) = ended {
                        self.followed.remove(&id);
                    }
                }
            }
            let Some(client) = self.link.client() else { continue };
            for id in self.news() {
                let prefix = self.prefix(id);
                match tail(&client, &container(&self.whose.service, id)).await {
                    Ok((text, tail)) => {
                        let new = self.unseen(&text, prefix.as_deref());
                        if !new.is_empty() {
                            self.grow.push(&new);
                        }
                        self.spawn(id, tail, prefix);
                    }
                    Err(_) => {
                        self.followed.remove(&id);
                    }
                }
            }
        }
    }

    /// Lines that are not at the end of the view already.
    fn unseen(&self, text: &str, prefix: Option<&str>) -> String {
        let known = self.grow.text();
        let lines = marked(text, prefix).filter(|line| !known.contains(line.as_str()));
        lines.collect()
    }

    /// Instances whose containers are there and not followed yet.
    fn news(&mut self) -> Vec<Id> {
        let world = self.world.lock();
        let Some(service) = world.services.get(&self.whose.service) else { return Vec::new() };
        let there = service.containers.keys().copied();
        let wanted = there.filter(|id| self.whose.id.is_none_or(|only| only == *id));
        wanted.filter(|id| self.followed.insert(*id)).collect()
    }

    /// What marks the lines of an instance where several stand in one text.
    fn prefix(&self, id: Id) -> Option<String> {
        self.whose.id.is_none().then(|| container(&self.whose.service, id))
    }

    fn spawn(&mut self, id: Id, mut tail: ninep::client::File, prefix: Option<String>) {
        let grow = Arc::clone(&self.grow);
        self.tasks.spawn(async move {
            let mut rest: Vec<u8> = Vec::new();
            while let Ok(bytes) = tail.read_next(READ_BYTES).await {
                if bytes.is_empty() {
                    break;
                }
                rest.extend_from_slice(&bytes);
                if let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') {
                    let whole: Vec<u8> = rest.drain(..=end).collect();
                    let text = String::from_utf8_lossy(&whole);
                    grow.push(&marked(&text, prefix.as_deref()).collect::<String>());
                }
            }
            id
        });
    }
}

/// The end of a container's log as it is, and the file that goes on from there.
async fn tail(
    client: &Client,
    container: &str,
) -> Result<(String, ninep::client::File), ClientError> {
    let length = client.stat(&format!("instances/{container}/log")).await?.length;
    let mut tail = client.open(&format!("instances/{container}/tail"), Mode::Read).await?;
    if length == 0 {
        return Ok((String::new(), tail));
    }
    let bytes = tail.read_next(READ_BYTES).await?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), tail))
}

/// Lines with the instance's name after their time.
fn marked<'a>(text: &'a str, prefix: Option<&'a str>) -> impl Iterator<Item = String> + 'a {
    text.lines().map(move |line| match (prefix, line.split_once(' ')) {
        (Some(prefix), Some((time, rest))) => format!("{time} {prefix} {rest}\n"),
        (_, _) => format!("{line}\n"),
    })
}

fn time(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_instances_are_marked_after_their_time() {
        let text = "2026-11-20T12:34:05.123Z stdout hello there\n";
        let marked_line: Vec<String> = marked(text, Some("web-3")).collect();
        assert_eq!(marked_line, ["2026-11-20T12:34:05.123Z web-3 stdout hello there\n"]);
        assert_eq!(marked(text, None).collect::<String>(), text);
    }
}
