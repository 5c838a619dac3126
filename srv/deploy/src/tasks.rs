//! Tasks: programs that run once, each by a number that is never used twice, from a manifest that
//! was written for it. What is kept of them, and how they go on; what users ask is in `errands`.
//!
//! Law: a task is started at most once, whatever crashes: its container has one name, by which a
//! node starts one container once, and what ended, or was lost, stays so.
//!
//! Law: a task's end is on disk before anything of it is removed.
//!
//! A container of a task is called as an instance of a service `task-` would be, which no service
//! can be called.

mod adopt;

use crate::arrival::{Heard, Order};
use crate::clock::{Millis, seconds};
use crate::kept::Kept;
use crate::record::By;
use crate::report::Report;
use crate::secrets::handovers;
use crate::turn::Turn;
use crate::world::{World, container, split};
use manifest::Manifest;
use place::{Resources, Want};
use rollout::{Exit, Id};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The service that containers of tasks are named after.
pub const TASK: &str = "task-";
/// Tasks that have ended and are kept, at most; the oldest go first.
pub const ENDED_MAX: usize = 100;
/// Numbers that are given out and have no manifest yet, at most; the oldest are forgotten.
pub const CLAIMED_MAX: usize = 64;
/// Tasks that have a manifest and have not ended, at most.
pub const ACTIVE_MAX: usize = 256;
/// What a command ends with that ran out of time, as timeout(1) has it.
pub const TIMEOUT_CODE: i32 = 124;
/// What it ends with when it could not be started.
const NEVER_RAN_CODE: i32 = 125;

/// All tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    /// Those with a manifest, by number.
    pub all: BTreeMap<u32, Task>,
    /// The last number that was ever saved.
    pub last: u32,
    /// Numbers that are given out; they end with this server.
    claimed: Vec<u32>,
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What it is called: the job's name, where it is one.
    pub name: String,
    /// Its manifest, as written.
    pub text: String,
    /// Who wrote it.
    pub by: By,
    /// When.
    pub at: Millis,
    /// How far it is.
    pub stage: Stage,
    /// What its image's name resolved to, once it did.
    #[serde(default)]
    pub digest: Option<String>,
    /// When its program began.
    #[serde(default)]
    pub started: Option<Millis>,
    /// When it has to have ended, by the clock of decisions.
    #[serde(default)]
    pub due: Option<Millis>,
    /// Why it was told to end.
    #[serde(default)]
    pub told: Option<String>,
    /// How it ended.
    #[serde(default)]
    pub ended: Option<Ended>,
    /// Bytes of its log, which the node keeps when all else of it is gone.
    #[serde(default)]
    pub log_bytes: Option<u64>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Written, not started.
    New,
    /// Its image is fetched.
    Pulling,
    /// The node was told to start it.
    Starting,
    /// Its program runs.
    Running,
    /// It has ended.
    Ended,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Millis,
    /// What the command ends with that waits for it.
    pub code: i32,
    /// In words.
    pub how: String,
}

impl Task {
    /// Its manifest, parsed.
    #[must_use]
    pub fn manifest(&self) -> Option<Manifest> {
        manifest::parse_task(&self.name, &self.text).manifest
    }

    /// The image it waits for: what its name resolved to, once that is known.
    #[must_use]
    pub fn reference(&self) -> Option<String> {
        let image = self.manifest()?.image;
        Some(
            self.digest
                .as_ref()
                .map_or_else(|| image.to_string(), |digest| image.at_digest(digest)),
        )
    }

    /// Whether the node has, or shall have, a container of it.
    fn is_placed(&self) -> bool {
        matches!(self.stage, Stage::Starting | Stage::Running)
    }
}

impl Stage {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Stage::New => "new",
            Stage::Pulling => "pulling",
            Stage::Starting => "starting",
            Stage::Running => "running",
            Stage::Ended => "ended",
        }
    }
}

/// The number of a task's container.
#[must_use]
pub fn number(container: &str) -> Option<u32> {
    let (service, id) = split(container)?;
    if service == TASK { u32::try_from(id.0).ok() } else { None }
}

/// A task's container.
#[must_use]
pub fn name(number: u32) -> String {
    container(TASK, Id(u64::from(number)))
}

impl Tasks {
    /// A number that nobody has.
    pub fn claim(&mut self) -> u32 {
        let highest = self.claimed.last().copied().unwrap_or(0).max(self.last);
        let number = highest.saturating_add(1);
        self.claimed.push(number);
        if self.claimed.len() > CLAIMED_MAX {
            self.claimed.remove(0);
        }
        number
    }

    /// A number has a manifest now; gives the one it had.
    pub(crate) fn take(&mut self, number: u32, task: Task) -> Option<Task> {
        self.claimed.retain(|claimed| *claimed != number);
        self.last = self.last.max(number);
        self.all.insert(number, task)
    }

    /// Whether there is one of that number, if only the number.
    #[must_use]
    pub fn has(&self, number: u32) -> bool {
        self.all.contains_key(&number) || self.claimed.contains(&number)
    }

    /// All numbers.
    #[must_use]
    pub fn numbers(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.all.keys().chain(&self.claimed).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Those that run, or are about to.
    pub(crate) fn active(&self) -> impl Iterator<Item = (u32, &Task)> {
        let is = |task: &Task| !matches!(task.stage, Stage::New | Stage::Ended);
        self.all.iter().filter(move |(_, task)| is(task)).map(|(number, task)| (*number, task))
    }

    /// Whether its container is there to be followed, and the bytes of its log when that is all
    /// that is left of it. None when there is nothing more to come.
    pub(crate) fn log(&self, number: u32) -> Option<(bool, Option<u64>)> {
        match self.all.get(&number) {
            None => self.claimed.contains(&number).then_some((false, None)),
            Some(Task { log_bytes: Some(0), .. }) => None,
            Some(task) => {
                let began = matches!(task.stage, Stage::Running | Stage::Ended);
                Some((began && task.log_bytes.is_none(), task.log_bytes))
            }
        }
    }

    /// What those on the node have reserved, and bytes of volumes of their own.
    pub(crate) fn reserved(&self) -> (Resources, u64) {
        let placed = self.all.values().filter(|task| task.is_placed());
        let mut sum = (Resources::default(), 0);
        for manifest in placed.filter_map(Task::manifest) {
            sum.0.cpu_milli += manifest.cpu_milli;
            sum.0.memory_bytes += manifest.memory_bytes;
            sum.1 += manifest.own_volume_bytes();
        }
        sum
    }
}

impl World {
    /// The task to change, kept as it was when the turn first touched it.
    pub(crate) fn task(&mut self, number: u32, turn: &mut Turn) -> Option<&mut Task> {
        let task = self.tasks.all.get_mut(&number)?;
        turn.tasks.entry(number).or_insert_with(|| Some(task.clone()));
        Some(task)
    }

    /// Takes what the node tells of a task's container; whether it was one's.
    pub(crate) fn task_told(&mut self, report: &Report, turn: &mut Turn) -> bool {
        let container = match report {
            Report::Started { container, .. }
            | Report::Failed { container, .. }
            | Report::Exited { container, .. }
            | Report::Removed { container, .. }
            | Report::Probe { container, .. }
            | Report::Healthy { container, .. }
            | Report::Unhealthy { container, .. }
            | Report::RemoveFailed { container, .. } => container,
            Report::Pulling { .. }
            | Report::Pulled { .. }
            | Report::PullFailed { .. }
            | Report::Pushed { .. }
            | Report::PushFailed { .. }
            | Report::Collected { .. }
            | Report::Swept { .. } => return false,
        };
        let Some(number) = number(container) else { return false };
        match report {
            Report::Started { .. } => self.task_runs(number, turn),
            Report::Failed { reason, .. } => self.task_failed(number, reason, turn),
            Report::Exited { exit, .. } => self.task_exited(number, exit, turn),
            Report::Removed { log_bytes, .. } => {
                let kept = Kept { at: turn.stamp, bytes: *log_bytes };
                self.task_kept(number, kept, turn);
            }
            Report::Pulling { .. }
            | Report::Pulled { .. }
            | Report::PullFailed { .. }
            | Report::Pushed { .. }
            | Report::PushFailed { .. }
            | Report::Collected { .. }
            | Report::Swept { .. }
            | Report::Probe { .. }
            | Report::Healthy { .. }
            | Report::Unhealthy { .. }
            | Report::RemoveFailed { .. } => {}
        }
        true
    }

    /// Takes what was heard of a task alone; gives back everything else.
    pub(crate) fn task_heard(&mut self, heard: Heard, turn: &mut Turn) -> Option<Heard> {
        let of = match &heard {
            Heard::StartRefused { container, .. } | Heard::Missing { container } => container,
            Heard::PullLate { service, .. } | Heard::Woke { service } => service,
            Heard::Told(_)
            | Heard::NodeUp { .. }
            | Heard::Disk { .. }
            | Heard::VolumeGone { .. }
            | Heard::NodeDown { .. }
            | Heard::CancelTold { .. }
            | Heard::Noted { .. }
            | Heard::CollectRefused { .. }
            | Heard::Cut { .. }
            | Heard::Served { .. }
            | Heard::Drained { .. }
            | Heard::OfPort { .. }
            | Heard::Logged { .. } => return Some(heard),
        };
        let Some(number) = number(of) else { return Some(heard) };
        if let Heard::StartRefused { reason, .. } = &heard {
            self.task_failed(number, reason, turn);
        } else if let Heard::PullLate { reference, reason, .. } = &heard {
            let waits = |task: &Task| task.stage == Stage::Pulling;
            if self.tasks.all.get(&number).is_some_and(waits) {
                self.task_failed(number, &format!("{reference}: {reason}"), turn);
            }
        } else if let Heard::Woke { .. } = &heard {
            self.task_woke(number, turn);
        } else {
            self.task_failed(number, "lost with its node", turn);
        }
        None
    }

    /// An image is there: tasks that waited for it are placed and started.
    pub(crate) fn tasks_pulled(&mut self, reference: &str, digest: &str, turn: &mut Turn) {
        for number in self.tasks_waiting(reference) {
            self.pulls.end(&name(number));
            let Some(task) = self.tasks.all.get(&number) else { continue };
            let Some(mut manifest) = task.manifest() else { continue };
            // The values of now: a task has no version that could name others.
            if let Err(why) = self.resolve_secrets(&task.name, &mut manifest) {
                self.task_failed(number, &why, turn);
                continue;
            }
            let want = Want { service: name(number), ..Want::of(&manifest) };
            let nodes = self.nodes(TASK, None);
            let placed = match place::place(&nodes, &want) {
                Ok(node) => node.name.clone(),
                Err(refusals) => {
                    let reason = format!("no room: {}", crate::room::in_words(&refusals));
                    self.task_failed(number, &reason, turn);
                    continue;
                }
            };
            self.bind_volumes(&want, &placed, turn);
            let spec = self.task_spec(number, &manifest, digest);
            let Some(task) = self.task(number, turn) else { continue };
            (task.stage, task.digest) = (Stage::Starting, Some(digest.to_string()));
            let secrets = handovers(&manifest);
            let start = |spec| Order::Start { container: name(number), spec, secrets };
            turn.orders.extend(spec.map(start));
        }
    }

    /// An image could not be had.
    pub(crate) fn tasks_not_pulled(&mut self, reference: &str, reason: &str, turn: &mut Turn) {
        for number in self.tasks_waiting(reference) {
            self.pulls.end(&name(number));
            self.task_failed(number, &format!("{reference}: {reason}"), turn);
        }
    }

    fn tasks_waiting(&self, reference: &str) -> Vec<u32> {
        let waits = |task: &Task| {
            task.stage == Stage::Pulling && task.reference().is_some_and(|its| its == reference)
        };
        let all = self.tasks.all.iter().filter(|(_, task)| waits(task));
        all.map(|(number, _)| *number).collect()
    }

    fn task_runs(&mut self, number: u32, turn: &mut Turn) {
        let (now, stamp) = (turn.now, turn.stamp);
        let Some(task) = self.task(number, turn).filter(|task| task.stage == Stage::Starting)
        else {
            return;
        };
        let timeout_ms = task.manifest().and_then(|manifest| manifest.timeout_ms).unwrap_or(0);
        let due = now.saturating_add(timeout_ms);
        (task.stage, task.started, task.due) = (Stage::Running, Some(stamp), Some(due));
        let text = format!("task {number} ({}): started", task.name);
        turn.note(text);
        turn.orders.push(Order::Wake { service: name(number), at: due });
    }

    /// Its time may have come.
    pub(crate) fn task_woke(&mut self, number: u32, turn: &mut Turn) {
        let Some(task) = self.tasks.all.get(&number) else { return };
        let late = task.due.is_some_and(|due| due <= turn.now);
        if late && task.stage == Stage::Running && task.told.is_none() {
            let timeout_ms = task.manifest().and_then(|one| one.timeout_ms).unwrap_or(0);
            let why = format!("timeout of {}", seconds(timeout_ms));
            self.end_task(number, why, turn);
        }
    }

    /// Tells the node to end it, and everybody why.
    pub(crate) fn end_task(&mut self, number: u32, why: String, turn: &mut Turn) {
        let Some(task) = self.task(number, turn) else { return };
        let stop_ms = task.manifest().map(|manifest| manifest.stop_timeout_ms);
        let text = format!("task {number} ({}): told to end: {why}", task.name);
        // What it is told first is why it ends.
        task.told.get_or_insert(why);
        turn.note(text);
        turn.orders.push(Order::Stop { container: name(number), timeout_ms: stop_ms });
    }

    pub(crate) fn task_exited(&mut self, number: u32, exit: &Exit, turn: &mut Turn) {
        let Some(task) = self.tasks.all.get(&number) else { return };
        let timed_out = task.told.as_ref().is_some_and(|why| why.starts_with("timeout"));
        let code = if timed_out { TIMEOUT_CODE } else { exit.code };
        let how = crate::show::how(exit);
        let how = match &task.told {
            Some(why) => format!("{why}: {how}"),
            None => how,
        };
        self.task_over(number, code, how, turn);
    }

    /// It could not be started, or is lost.
    pub(crate) fn task_failed(&mut self, number: u32, reason: &str, turn: &mut Turn) {
        self.task_over(number, NEVER_RAN_CODE, format!("failed: {reason}"), turn);
    }

    /// Nothing of it runs any more; what came first stays so.
    pub(crate) fn task_over(&mut self, number: u32, code: i32, how: String, turn: &mut Turn) {
        let at = turn.stamp;
        let Some(task) = self.task(number, turn).filter(|task| task.stage != Stage::Ended) else {
            return;
        };
        let was_there = task.is_placed();
        let text = format!("task {number} ({}): {how}", task.name);
        (task.stage, task.ended) = (Stage::Ended, Some(Ended { at, code, how }));
        if !was_there {
            task.log_bytes = Some(0);
        }
        turn.note(text);
        if was_there {
            turn.orders.push(Order::Remove { container: name(number) });
        }
        self.prune_tasks(turn);
    }

    /// The log that the node keeps of one that is gone; of one that nobody knows it goes.
    pub(crate) fn task_kept(&mut self, number: u32, kept: Kept, turn: &mut Turn) {
        let known = self.task(number, turn).filter(|task| task.stage == Stage::Ended);
        match known {
            Some(task) => task.log_bytes = Some(kept.bytes),
            None => turn.orders.push(Order::DropLog { container: name(number) }),
        }
    }

    /// Forgets the oldest that have ended, where they are too many.
    fn prune_tasks(&mut self, turn: &mut Turn) {
        let at = |(number, task): (&u32, &Task)| Some((task.ended.as_ref()?.at, *number));
        let mut ended: Vec<(Millis, u32)> = self.tasks.all.iter().filter_map(at).collect();
        ended.sort_unstable();
        for (_, number) in &ended[..ended.len().saturating_sub(ENDED_MAX)] {
            let Some(task) = self.tasks.all.remove(number) else { continue };
            if task.log_bytes.is_some_and(|bytes| bytes > 0) {
                turn.orders.push(Order::DropLog { container: name(*number) });
            }
            turn.tasks.entry(*number).or_insert(Some(task));
        }
    }

    /// Asks for its image, or asks again.
    pub(crate) fn pull_task(&mut self, number: u32, turn: &mut Turn) {
        let task = self.tasks.all.get(&number);
        let known = task.and_then(|task| task.manifest().zip(task.reference()));
        let Some((manifest, reference)) = known else {
            // It parsed when it was started: another version of this server took it.
            return self.task_failed(number, "the manifest is refused now", turn);
        };
        self.pulls.go_on(&name(number), &reference, manifest.progress_deadline_ms, turn.now);
        turn.orders.push(Order::Pull { reference });
    }
}
