//! Follows one service from the verb to the end of what it began.

use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::fact::{Began, Fact, Line};
use crate::failure::Failure;
use crate::going::{Going, is_of_room};
use crate::hold::Held;
use crate::joint::Joint;
use crate::link::{Lines, Link};
use crate::news::{News, Report};
use crate::outcome::{Outcome, Verdict};
use crate::past::Past;
use crate::row::Row;
use crate::status::versions;
use crate::verb::Is;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How long the last event may come after the outcome was told, in milliseconds.
const LAST_EVENT_MS: u64 = 500;

/// Lines of a failed instance's log that are shown.
const LOG_LINES_MAX: usize = 20;

/// Instances whose state is read for a terminal: more than any has lines.
const ROWS_MAX: usize = 200;

/// What the server says when all is over already, or was said better before.
const AFTERWARDS: [&str; 2] = ["instances renumbered", "removed"];

/// What is asked of one service.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The service.
    pub(crate) service: String,
    /// The verb.
    pub(crate) verb: Is,
    /// What is written to its `ctl`.
    pub(crate) line: String,
    /// The lock through which it is written, and with which it goes.
    pub(crate) lock: Option<Arc<Held>>,
    /// The write that asks for it together with others, in place of one of its own.
    pub(crate) joint: Option<Joint>,
    /// End when the verb is accepted.
    pub(crate) detach: bool,
    /// Whoever shows it wants the instances after every event.
    pub(crate) rows: bool,
}

/// Follows one service; everything it has to say goes to `reports`.
#[derive(Debug)]
pub(crate) struct Follower {
    link: Link,
    ask: Ask,
    reports: mpsc::Sender<Report>,
    /// What was told of the room for the surge of what begins next.
    room: Option<String>,
    failed: Vec<u32>,
    /// What was told of the log of the one that failed last.
    log: Vec<String>,
    /// When what is followed began, as the server says.
    began: String,
    /// An outcome that was told; the last one, if it is that of `wait`, is the end.
    told: Option<(String, String)>,
}

impl Follower {
    /// A follower that has not begun.
    pub(crate) fn new(link: Link, ask: Ask, reports: mpsc::Sender<Report>) -> Follower {
        Follower {
            link,
            ask,
            reports,
            room: None,
            failed: Vec::new(),
            log: Vec::new(),
            began: String::new(),
            told: None,
        }
    }

    /// Writes the verb and follows what comes of it. Gives what the command ends with.
    pub(crate) async fn run(mut self) -> Exit {
        match self.follow().await {
            Ok(exit) => exit,
            Err(error) => {
                let exit = error.exit();
                let error = self.link.explained(error).await;
                let text = error.text();
                // The verb and the service are quoted before the reason; the line names both.
                let quotes =
                    [format!("{}: ", self.ask.line), format!("service {} ", self.ask.service)];
                let bare = quotes.iter().find_map(|quote| text.strip_prefix(quote));
                let reason = bare.unwrap_or(&text).to_string();
                self.say(News::Broken { reason, exit }).await;
                exit
            }
        }
    }

    async fn follow(&mut self) -> Result<Exit> {
        // Open before the verb is written, so that nothing is missed. The last event of a removed
        // service is told at the root alone.
        let at_root = self.ask.verb == Is::Remove;
        let path = if at_root { "watch".to_string() } else { self.path("watch") };
        let mut watch = Lines::open(&self.link, &path).await?;
        // Open before, too: what was removed at once has no `wait` that could be opened.
        let wait = Lines::open(&self.link, &self.path("wait")).await?;
        // How things were before: every version that comes later is new.
        self.rows().await?;
        if !self.write().await? {
            return Ok(Exit::Done);
        }
        self.say(News::Accepted).await;
        if self.ask.detach {
            return Ok(Exit::Done);
        }
        let mut wait = Box::pin(outcome(wait));
        let mut last: Option<String> = None;
        let mut deadline = Instant::now();
        let mut over = false;
        loop {
            tokio::select! {
                biased;
                lines = watch.next(), if !over => {
                    let lines = lines?;
                    over = lines.is_empty();
                    for line in &lines {
                        self.line(line, at_root).await?;
                    }
                    self.rows().await?;
                }
                line = &mut wait, if last.is_none() => {
                    last = Some(line?);
                    deadline = Instant::now() + Duration::from_millis(LAST_EVENT_MS);
                }
                () = sleep_until(deadline), if last.is_some() => break,
            }
            // That of a service that is gone is shorter than its event was.
            let told = self.told.as_ref().map(|(_, text)| text);
            if last.as_ref().zip(told).is_some_and(|(last, told)| told.starts_with(last)) {
                break;
            }
        }
        self.end(last.unwrap_or_default()).await
    }

    /// Writes the verb, or waits until it is written with those of others. Whether it was accepted:
    /// why one for several was not, is told by who wrote it.
    async fn write(&mut self) -> Result<bool> {
        if let Some(joint) = self.ask.joint.take() {
            return Ok(joint.made().await);
        }
        match self.ask.lock.take() {
            Some(lock) => lock.say(&self.ask.line).await?,
            None => self.link.write(&self.path("ctl"), &self.ask.line).await?,
        }
        Ok(true)
    }

    async fn line(&mut self, line: &str, at_root: bool) -> Result<()> {
        let read = match at_root {
            true => Line::of_root(line).filter(|line| line.service == self.ask.service),
            false => Line::of_service(line, &self.ask.service),
        };
        let Some(Line { time, text, .. }) = read.filter(|line| !AFTERWARDS.contains(&line.text))
        else {
            return Ok(());
        };
        if let Some((time, text)) = self.told.take() {
            // Something came after it, so it was the end of another update than ours.
            self.say(News::Told { time, fact: Fact::Text(text) }).await;
        }
        let time = time.to_string();
        let fact = Fact::read(text);
        if let Fact::Ended(_) = fact {
            self.told = Some((time, text.to_string()));
        } else if let Fact::Began(began) = fact {
            let going = self.going(began).await?;
            self.began.clone_from(&time);
            self.say(News::Going { time, going }).await;
        } else {
            self.note(&fact);
            self.say(News::Told { time, fact }).await;
        }
        Ok(())
    }

    /// Keeps what is needed at the end.
    fn note(&mut self, fact: &Fact) {
        if let Fact::Failed { number, .. } = fact {
            self.failed.push(*number);
            self.log.clear();
        }
        if let Fact::Log { line, .. } = fact {
            self.log.push(line.clone());
        }
        if let Fact::Text(text) = fact
            && is_of_room(text)
        {
            self.room = Some(text.clone());
        }
    }

    /// What is known of a change that began, read while it is fresh.
    async fn going(&mut self, began: Began) -> Result<Going> {
        let service = &self.ask.service;
        let deployed = self.link.find(&self.path("manifest")).await?.unwrap_or_default();
        let before = manifest::parse(service, &deployed).manifest;
        // After a change in place there is no target any more: it is what is deployed.
        let mut past = None;
        for file in ["target_version", "version"] {
            let name = self.link.find(&self.path(file)).await?.unwrap_or_default();
            if name.trim().is_empty() || past.as_ref().is_some_and(|p: &Past| p.number == began.to)
            {
                continue;
            }
            let path = self.path(&format!("history/{}", name.trim()));
            past = self.link.find(&path).await?.map(Past::read);
        }
        let room = self.room.take();
        Ok(Going::new(&self.ask.service, began, past.as_ref(), before.as_ref(), room.as_deref()))
    }

    /// The instances as they are now, for who shows them.
    async fn rows(&self) -> Result<()> {
        if self.ask.rows {
            let rows = rows(&self.link, &self.ask.service, ROWS_MAX).await?;
            self.say(News::Rows(rows)).await;
        }
        Ok(())
    }

    async fn end(&mut self, line: String) -> Result<Exit> {
        // The event of the same end says more: versions and time of a service that is gone.
        let read = |text: &str| Outcome::read(text);
        let told = self.told.take().and_then(|(_, text)| read(&text));
        let waited = read(&line).or_else(|| told.clone());
        let Some(waited) = waited else {
            return Err(Error::Other(format!("wait gave {line:?}, which says no outcome")));
        };
        let same = told.filter(|told| told.verdict == waited.verdict);
        let outcome = same.unwrap_or(waited);
        let failed =
            matches!(outcome.verdict, Verdict::Failed | Verdict::RolledBack | Verdict::Paused);
        if failed && self.log.is_empty() {
            self.last_log().await?;
        }
        self.rows().await?;
        let exit = outcome.exit(self.ask.verb);
        let failure = match outcome.reason.as_ref().filter(|_| failed) {
            Some(reason) => Some(Box::new(self.failure(&outcome, reason).await)),
            None => None,
        };
        self.say(News::Ended(outcome, failure)).await;
        Ok(exit)
    }

    /// What the history knows of the instance by which it failed. Where there was none, as when an
    /// image is missing, only the reason is known.
    async fn failure(&mut self, outcome: &Outcome, reason: &str) -> Failure {
        let bad = match outcome.verdict {
            Verdict::RolledBack => outcome.from.as_ref(),
            Verdict::Done
            | Verdict::Failed
            | Verdict::Cancelled
            | Verdict::Paused
            | Verdict::Unchanged
            | Verdict::None => outcome.to.as_ref(),
        };
        let kept = versions(&self.link, &self.ask.service).await.unwrap_or_default();
        let of = kept.into_iter().find(|past| Some(&past.number) == bad);
        // An older one is of an earlier update to the same version.
        let failure = of.and_then(|past| past.failure).filter(|failure| failure.at >= self.began);
        let mut failure = failure.unwrap_or_default();
        if failure.reason.is_empty() {
            failure.reason = reason.to_string();
        }
        if failure.log.is_empty() {
            failure.log = std::mem::take(&mut self.log);
        }
        failure
    }

    /// The last lines of the instance that failed last, where no event told them.
    async fn last_log(&mut self) -> Result<()> {
        let Some(number) = self.failed.last().copied() else { return Ok(()) };
        let path = self.path(&format!("instances/{number}/log"));
        let text = self.link.find(&path).await?.unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES_MAX)..] {
            let fact = Fact::Log { number, line: (*line).to_string() };
            self.note(&fact);
            let time = line.split(' ').next().unwrap_or_default().to_string();
            self.say(News::Told { time, fact }).await;
        }
        Ok(())
    }

    fn path(&self, file: &str) -> String {
        format!("active/{}/{file}", self.ask.service)
    }

    async fn say(&self, news: News) {
        let report = Report { service: self.ask.service.clone(), asked: self.ask.verb, news };
        // Who stopped listening has stopped following, too.
        let _ = self.reports.send(report).await;
    }
}

/// The line that `wait` gives once nothing is in flight.
async fn outcome(mut wait: Lines) -> Result<String> {
    let lines = wait.next().await?;
    Ok(lines.into_iter().next().unwrap_or_default())
}

/// At most so many instances of a service, in the order of their numbers.
pub(crate) async fn rows(link: &Link, service: &str, most: usize) -> Result<Vec<Row>> {
    let directory = format!("active/{service}/instances");
    let names = link.names_if_there(&directory).await?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    let mut rows = Vec::new();
    for number in numbers.into_iter().take(most) {
        // One that went between the two reads is not there any more, which is the truth.
        if let Some(text) = link.find(&format!("{directory}/{number}/status")).await? {
            rows.push(Row::read(number, &text));
        }
    }
    Ok(rows)
}

#[cfg(test)]
#[path = "follow_test.rs"]
mod tests;
