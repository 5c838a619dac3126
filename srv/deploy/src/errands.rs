//! What users ask of tasks and jobs. A job is a task's manifest that is kept under its name, as
//! `manifests/` keeps those of services; a task is one run of it, or of any manifest.

use crate::arrival::Order;
use crate::clock::{Millis, stamp};
use crate::record::By;
use crate::tasks::{ACTIVE_MAX, Stage, TASK, Task, name};
use crate::turn::Turn;
use crate::world::World;
use place::Want;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Jobs that are kept, at most.
pub const JOBS_MAX: usize = 1_000;

/// A task's manifest, kept under its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The text, to the byte.
    pub text: String,
    /// When it was written.
    pub at: Millis,
}

/// What can be asked of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskVerb {
    /// Run it, once.
    Start,
    /// Tell it to end, and kill it when it does not.
    Kill,
    /// Send it a signal.
    Signal(String),
}

type Result = std::result::Result<(), String>;

impl World {
    /// A task's manifest was written. Its name is what it says, else the word task.
    pub(crate) fn task_written(
        &mut self,
        number: u32,
        text: String,
        by: &By,
        turn: &mut Turn,
    ) -> Result {
        let stage = self.tasks.all.get(&number).map(|task| task.stage);
        let busy = match stage {
            None if !self.tasks.has(number) => Some(format!("file does not exist: tasks/{number}")),
            None if self.unended() >= ACTIVE_MAX => {
                Some(format!("{ACTIVE_MAX} tasks have not ended; wait for some, or kill them"))
            }
            None | Some(Stage::New) => None,
            Some(_) => Some(format!("task {number} was started; take another number")),
        };
        if let Some(why) = busy {
            return Err(self.refused(None, why));
        }
        let named = text.lines().find_map(|line| line.strip_prefix("name "));
        let named = named.map(str::trim).filter(|name| manifest::check_name(name).is_ok());
        let called = named.unwrap_or("task").to_string();
        let parsed = manifest::parse_task(&called, &text);
        if !parsed.errors.is_empty() {
            return Err(self.refused(None, crate::ctl::refusal(&parsed.errors)));
        }
        let mut manifest = parsed.manifest;
        let granted = manifest.as_mut().map_or(Ok(()), |it| self.resolve_secrets(&called, it));
        granted.map_err(|why| self.refused(None, why))?;
        let task = Task {
            name: called,
            text,
            by: by.clone(),
            at: turn.stamp,
            stage: Stage::New,
            digest: None,
            started: None,
            due: None,
            told: None,
            ended: None,
            log_bytes: None,
        };
        let before = self.tasks.take(number, task);
        turn.tasks.entry(number).or_insert(before);
        Ok(())
    }

    fn unended(&self) -> usize {
        self.tasks.all.values().filter(|task| task.stage != Stage::Ended).count()
    }

    /// A verb in a task's `ctl`.
    pub(crate) fn of_task(&mut self, number: u32, verb: TaskVerb, turn: &mut Turn) -> Result {
        let done = self.task_verb(number, verb, turn);
        done.map_err(|why| self.refused(None, format!("task {number}: {why}")))
    }

    fn task_verb(&mut self, number: u32, verb: TaskVerb, turn: &mut Turn) -> Result {
        let Some(task) = self.tasks.all.get(&number) else {
            return Err("has no manifest; write its spec first".to_string());
        };
        let stage = task.stage;
        match (verb, stage) {
            (TaskVerb::Start, Stage::New) => self.start_task(number, turn),
            (TaskVerb::Start, _) => Err("was started; a task runs once".to_string()),
            (TaskVerb::Kill, Stage::New | Stage::Pulling) => {
                self.pulls.end(&name(number));
                self.task_over(number, 143, "killed before it was started".to_string(), turn);
                Ok(())
            }
            (TaskVerb::Kill, Stage::Starting | Stage::Running) if self.node.up => {
                self.end_task(number, "killed".to_string(), turn);
                Ok(())
            }
            (TaskVerb::Signal(signal), Stage::Running) if self.node.up => {
                turn.orders.push(Order::Signal { container: name(number), signal });
                Ok(())
            }
            (TaskVerb::Kill, Stage::Starting | Stage::Running)
            | (TaskVerb::Signal(_), Stage::Running) => {
                Err("node does not answer; try again".to_string())
            }
            (TaskVerb::Kill, Stage::Ended) => Err("has ended already".to_string()),
            (TaskVerb::Signal(_), _) => Err("does not run".to_string()),
        }
    }

    /// Refuses what cannot run before anything is done for it.
    fn start_task(&mut self, number: u32, turn: &mut Turn) -> Result {
        if let Some(full) = &self.full {
            return Err(full.clone());
        }
        let manifest = self.tasks.all.get(&number).and_then(Task::manifest);
        let manifest = manifest.ok_or("its manifest is refused now; write it anew")?;
        self.volumes_free(&name(number), &manifest)?;
        if !self.node.up {
            return Err("node does not answer; try again".to_string());
        }
        let want = Want { service: name(number), ..Want::of(&manifest) };
        if let Err(refusals) = place::place(&self.nodes(TASK, None), &want) {
            return Err(format!("no room: {}", crate::room::in_words(&refusals)));
        }
        if let Some(task) = self.task(number, turn) {
            task.stage = Stage::Pulling;
            let text = format!("task {number} ({}): asked for by {}", task.name, task.by.name);
            turn.note(text);
        }
        self.pull_task(number, turn);
        Ok(())
    }

    /// A job was written. One with errors is not kept: nobody could run it.
    pub(crate) fn job_written(&mut self, job: &str, text: String, turn: &mut Turn) -> Result {
        if let Err(error) = manifest::check_name(job) {
            return Err(self.refused(None, error.to_string()));
        }
        let parsed = manifest::parse_task(job, &text);
        if !parsed.errors.is_empty() {
            return Err(self.refused(None, crate::ctl::refusal(&parsed.errors)));
        }
        if self.jobs.len() >= JOBS_MAX && !self.jobs.contains_key(job) {
            return Err(self.refused(None, format!("{JOBS_MAX} jobs are the most; remove one")));
        }
        let before = self.jobs.insert(job.to_string(), Job { text, at: turn.stamp });
        turn.jobs.entry(job.to_string()).or_insert(before);
        Ok(())
    }

    /// A job is removed; tasks that were made of it go on.
    pub(crate) fn job_removed(&mut self, job: &str, turn: &mut Turn) -> Result {
        let Some(before) = self.jobs.remove(job) else {
            return Err(format!("file does not exist: jobs/{job}"));
        };
        turn.jobs.entry(job.to_string()).or_insert(Some(before));
        Ok(())
    }

    /// The text of a task's `status`; what is not known has no line.
    #[must_use]
    pub fn task_text(&self, number: u32) -> Option<String> {
        let mut text = String::new();
        let mut line = |key: &str, of: Option<String>| {
            // Writing to a string cannot fail.
            let _ = of.map(|of| writeln!(text, "{key}={}", of.replace('\n', "\\n")));
        };
        let Some(task) = self.tasks.all.get(&number) else {
            return self.tasks.has(number).then(|| "state=new\n".to_string());
        };
        line("state", Some(task.stage.word().to_string()));
        line("name", Some(task.name.clone()));
        line("by", Some(task.by.name.clone()));
        line("written", Some(stamp(task.at)));
        line("started", task.started.map(stamp));
        line("ended", task.ended.as_ref().map(|ended| stamp(ended.at)));
        line("exit", task.ended.as_ref().map(|ended| ended.code.to_string()));
        line("how", task.ended.as_ref().map(|ended| ended.how.clone()));
        Some(text)
    }

    /// The line that a task's `wait` gives once it has ended: its exit code, and how in words.
    #[must_use]
    pub fn task_outcome(&self, number: u32) -> Option<String> {
        let Some(task) = self.tasks.all.get(&number) else {
            return (!self.tasks.has(number)).then(|| "125 forgotten\n".to_string());
        };
        let ended = task.ended.as_ref()?;
        Some(format!("{} {}\n", ended.code, ended.how.replace('\n', " ")))
    }
}
