//! Fills one view: the ends of all logs there are in the order of their lines' times, and then
//! every line as it comes, of instances that come to be, of those that go, and across a loss of
//! the node's connection.
//!
//! Law: a line that was written while the view was there stands in it once.

use crate::grow::Grow;
use crate::link::Link;
use crate::logs::{VIEW_BYTES_MAX, Whose};
use crate::world::{Service, Shared, container};
use ninep::client::{Client, ClientError, File, Mode};
use rollout::Id;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Bytes asked of a log at once.
const READ_BYTES: u32 = 64 * 1024;
/// Bytes of what is there already that a view begins with.
const BEGIN_BYTES: usize = VIEW_BYTES_MAX / 2;
/// Bytes of them that each of many logs has at least.
const SHARE_BYTES_MIN: usize = 16 * 1024;
/// How long the node may take to give what is there already.
const BEGIN_MAX: Duration = Duration::from_secs(5);
/// Lines by which a log is known again: that many are not written twice in a row.
const LAST_LINES: usize = 32;

/// Fills a view; its tasks end with it.
pub(crate) struct Gatherer {
    whose: Whose,
    grow: Arc<Grow>,
    link: Link,
    world: Shared,
    /// Instances of which there is no more to come.
    over: BTreeSet<Id>,
    /// Those that are read now.
    followed: BTreeSet<Id>,
    /// What was read last of those that were lost with the node.
    lost: HashMap<Id, VecDeque<String>>,
    tasks: JoinSet<End>,
}

/// How the reading of one log ended.
struct End {
    id: Id,
    /// It is complete; else the node was lost.
    over: bool,
    last: VecDeque<String>,
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

/// The end of a log, and the file that goes on from there, if it does.
struct Found {
    id: Id,
    lines: Vec<String>,
    tail: Option<File>,
}

impl Gatherer {
    pub(crate) fn new(whose: Whose, grow: &Arc<Grow>, link: Link, world: Shared) -> Gatherer {
        Gatherer {
            whose,
            grow: Arc::clone(grow),
            link,
            world,
            over: BTreeSet::new(),
            followed: BTreeSet::new(),
            lost: HashMap::new(),
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
                Some(ended) = self.tasks.join_next() => self.ended(ended.ok()),
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

    fn ended(&mut self, end: Option<End>) {
        let Some(End { id, over, last }) = end else { return };
        self.followed.remove(&id);
        if over {
            self.over.insert(id);
        } else {
            self.lost.insert(id, last);
        }
    }

    /// What the world knows of instances with logs.
    fn seen(&self) -> Seen {
        let world = self.world.lock();
        let whose = &self.whose;
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
        let Some(client) = self.link.client() else { return };
        let Seen { mut running, mut kept, .. } = self.seen();
        running.retain(|id| !self.followed.contains(id) && !self.over.contains(id));
        kept.retain(|(id, _)| !self.followed.contains(id) && !self.over.contains(id));
        let count = (running.len() + kept.len()).max(1);
        let share = (BEGIN_BYTES / count).max(SHARE_BYTES_MIN);
        let until = Instant::now() + BEGIN_MAX;
        let mut lines = Vec::new();
        for (id, bytes) in kept {
            let name = container(&self.whose.service, id);
            match kept_end(&client, &name, bytes, share).await {
                Ok(found) => lines.extend(self.take(Found { id, lines: found, tail: None })),
                // It was dropped meanwhile.
                Err(ClientError::Refused(_)) => drop(self.over.insert(id)),
                Err(_) => {}
            }
        }
        for id in running {
            let name = container(&self.whose.service, id);
            // One that is gone since is among the kept ones at the next change.
            if let Ok((found, tail)) = running_end(&client, &name, share, until).await {
                lines.extend(self.take(Found { id, lines: found, tail }));
            }
        }
        lines.sort_by(|a, b| time(a).cmp(time(b)));
        if !lines.is_empty() {
            self.grow.push(newest(&lines.concat(), BEGIN_BYTES));
        }
    }

    /// Takes what is new of a log, and goes on with its tail.
    fn take(&mut self, found: Found) -> Vec<String> {
        let Found { id, lines, tail } = found;
        let mut last = self.lost.remove(&id).unwrap_or_default();
        let new = lines[known(&last, &lines)..].to_vec();
        remember(&mut last, &new);
        let prefix = self.whose.id.is_none().then(|| container(&self.whose.service, id));
        let new = new.iter().map(|line| marked(line, prefix.as_deref())).collect();
        match tail {
            Some(tail) => {
                self.followed.insert(id);
                let grow = Arc::clone(&self.grow);
                self.tasks.spawn(follow(id, tail, grow, prefix, last));
            }
            None => {
                self.over.insert(id);
            }
        }
        new
    }
}

/// Adds the lines of one log as they come.
async fn follow(
    id: Id,
    mut tail: File,
    grow: Arc<Grow>,
    prefix: Option<String>,
    mut last: VecDeque<String>,
) -> End {
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let Ok(bytes) = tail.read_next(READ_BYTES).await else {
            return End { id, over: false, last };
        };
        let over = bytes.is_empty();
        rest.extend_from_slice(&bytes);
        let mut lines = if over { all_lines(&mut rest) } else { whole_lines(&mut rest) };
        // The empty line, of a node that was slow to say what was there already.
        lines.retain(|line| !line.is_empty());
        if !lines.is_empty() {
            let text = lines.iter().map(|line| marked(line, prefix.as_deref()));
            grow.push(&text.collect::<String>());
            remember(&mut last, &lines);
        }
        if over {
            return End { id, over, last };
        }
    }
}

/// The end of the log of an instance that is gone.
async fn kept_end(
    client: &Client,
    name: &str,
    bytes: u64,
    share: usize,
) -> Result<Vec<String>, ClientError> {
    let file = client.open(&format!("logs/{name}"), Mode::Read).await?;
    let start = bytes.saturating_sub(share as u64);
    // From the byte before, so that a line that begins right there is whole.
    let mut offset = start.saturating_sub(1);
    let mut text = Vec::new();
    loop {
        let more = file.read_at(offset, READ_BYTES).await?;
        if more.is_empty() {
            break;
        }
        offset += more.len() as u64;
        text.extend_from_slice(&more);
    }
    if start > 0 {
        let line = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        text.drain(..line);
    }
    Ok(all_lines(&mut text))
}

/// The end of the log of an instance that is there, and the file that goes on from it; the node
/// puts an empty line between the two. None when the instance went meanwhile.
async fn running_end(
    client: &Client,
    name: &str,
    share: usize,
    until: Instant,
) -> Result<(Vec<String>, Option<File>), ClientError> {
    let mut tail = client.open(&format!("instances/{name}/tail"), Mode::Read).await?;
    let (mut rest, mut lines, mut bytes) = (Vec::new(), VecDeque::new(), 0);
    // A node that says nothing more has said it all: readers are not kept waiting for it.
    while let Ok(read) = timeout_at(until, tail.read_next(READ_BYTES)).await {
        let read = read?;
        let over = read.is_empty();
        rest.extend_from_slice(&read);
        let whole = if over { all_lines(&mut rest) } else { whole_lines(&mut rest) };
        for line in whole {
            bytes += line.len();
            lines.push_back(line);
        }
        let there = lines.back().is_some_and(String::is_empty);
        if there {
            lines.pop_back();
        }
        while bytes > share && lines.len() > 1 {
            bytes -= lines.pop_front().map_or(0, |line| line.len());
        }
        if there || over {
            return Ok((lines.into(), (!over).then_some(tail)));
        }
    }
    Ok((lines.into(), Some(tail)))
}

/// How many of the lines, which are the end of a log, are known: those up to the last ones that
/// were read of it.
fn known(last: &VecDeque<String>, lines: &[String]) -> usize {
    let ends = |end: &usize| {
        let count = last.len().min(*end);
        count > 0 && last.range(last.len() - count..).eq(&lines[end - count..*end])
    };
    // The longer what is the same, the surer; of equals the first, for then nothing is lost.
    let whole = (last.len()..=lines.len()).find(ends);
    whole.or_else(|| (1..last.len().min(lines.len() + 1)).rev().find(ends)).unwrap_or(0)
}

fn remember(last: &mut VecDeque<String>, lines: &[String]) {
    let newest = &lines[lines.len().saturating_sub(LAST_LINES)..];
    last.extend(newest.iter().cloned());
    last.drain(..last.len().saturating_sub(LAST_LINES));
}

/// A line with the instance's name after its time, where several stand in one text.
fn marked(line: &str, prefix: Option<&str>) -> String {
    match (prefix, line.split_once(' ')) {
        (Some(prefix), Some((time, rest))) => format!("{time} {prefix} {rest}\n"),
        (_, _) => format!("{line}\n"),
    }
}

fn time(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// The last whole lines of a text that are no more than so many bytes.
fn newest(text: &str, bytes_max: usize) -> &str {
    let Some(from) = text.len().checked_sub(bytes_max).filter(|from| *from > 0) else {
        return text;
    };
    let end = text.as_bytes()[from - 1..].iter().position(|byte| *byte == b'\n');
    end.and_then(|at| text.get(from + at..)).unwrap_or_default()
}

/// Takes the whole lines out of what came; what is left waits for its end.
fn whole_lines(rest: &mut Vec<u8>) -> Vec<String> {
    let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut whole = rest.drain(..end).collect();
    all_lines(&mut whole)
}

fn all_lines(bytes: &mut Vec<u8>) -> Vec<String> {
    let bytes = std::mem::take(bytes);
    String::from_utf8_lossy(&bytes).lines().map(String::from).collect()
}

#[cfg(test)]
#[path = "gather_test.rs"]
mod tests;
