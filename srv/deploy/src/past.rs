//! What becomes of a service's versions: how each ended, which of them hold, which is gone back
//! to, and what was wrong with an instance of it that failed last.
//!
//! Law: a way back, or a later update, never covers how a version's own deploy ended.

use crate::clock::{Millis, stamp};
use crate::lock::who;
use crate::record::{By, Edition, Record};
use rollout::{Fact, Id, Kind, Outcome, Verdict, Version};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Ends that are kept of a version; of more, the first and the last.
const ENDS_MAX: usize = 8;
/// Lines of a failed instance's log that are kept.
pub const LOG_LINES_MAX: usize = 20;
/// Bytes of one of them, at most.
const LOG_LINE_BYTES_MAX: usize = 512;

/// An update to a version, or away from it, that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When, as people read it.
    pub at: Millis,
    /// How, as `wait` told it.
    pub text: String,
    /// Who asked for the update, or for its end; none of one that went back by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let End { at, text, by } = self;
        match by {
            Some(by) => write!(f, "then {} by {}: {text}", stamp(*at), who(by)),
            None => write!(f, "then {} {text}", stamp(*at)),
        }
    }
}

/// What is known of the instance of a version that failed last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: Millis,
    /// Which it was.
    #[serde(default)]
    pub id: Id,
    /// Its place then.
    pub number: u32,
    /// Why.
    pub reason: String,
    /// How its process ended, in words: `3`, `137 KILL out of memory`; empty when it did not.
    pub exit: String,
    /// What its last probe was answered.
    pub probe: String,
    /// The end of what it wrote.
    pub log: Vec<String>,
}

impl Failure {
    /// Takes the end of its log.
    pub fn wrote(&mut self, lines: &[String]) {
        let last = &lines[lines.len().saturating_sub(LOG_LINES_MAX)..];
        let cut = |line: &String| line[..line.floor_char_boundary(LOG_LINE_BYTES_MAX)].to_string();
        self.log = last.iter().map(cut).collect();
    }

    /// A line a fact.
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("failed {} {}: {}", stamp(self.at), self.number, self.reason)];
        let facts = [("exit", &self.exit), ("probe", &self.probe)];
        let known = facts.iter().filter(|(_, text)| !text.is_empty());
        lines.extend(known.map(|(word, text)| format!("{word} {text}")));
        lines.extend(self.log.iter().map(|line| format!("log {line}")));
        lines
    }
}

/// What became of a version, a line each: every end, whether it holds, and its last failure.
#[must_use]
pub fn story(edition: &Edition, failure: Option<&Failure>) -> Vec<String> {
    let mut lines: Vec<String> = edition.ends.iter().map(ToString::to_string).collect();
    let secrets = edition.secrets.iter();
    lines.extend(secrets.map(|(name, version)| format!("secret {name} {version}")));
    lines.extend(edition.validated.then(|| "validated".to_string()));
    lines.extend(failure.map(Failure::lines).unwrap_or_default());
    lines.iter().map(|line| line.replace('\n', " ")).collect()
}

impl Record {
    /// What a fact says of a version.
    pub fn learn(&mut self, fact: &Fact) {
        let holds = matches!(fact, Fact::Validated { .. });
        let (Fact::Validated { version } | Fact::CrashLoop { version, .. }) = fact else { return };
        if let Some(edition) = self.versions.get_mut(version) {
            edition.validated = holds;
            // What does not hold is gone back to no more than what never came to serve.
            edition.completed = holds;
        }
    }

    /// Writes the end of an update into the history, and chooses what is gone back to.
    pub fn end(&mut self, outcome: &Outcome, at: Millis) {
        let current = self.rollout.current();
        let reached = matches!(outcome.verdict, Verdict::Done | Verdict::RolledBack);
        let serves = reached && outcome.to.is_some() && current == outcome.to;
        let to = outcome.to.and_then(|to| self.rollout.spec(to));
        let unwatched = to.is_some_and(|spec| spec.validate_ms == 0);
        let from = outcome.from.filter(|from| outcome.to != Some(*from));
        let before = from.and_then(|from| self.versions.get(&from));
        let (held, was) = (before.is_some_and(|e| e.validated), outcome.kind);
        let by_itself = was == Kind::Rollback && outcome.reason.is_some();
        let asked = self.asked.clone().filter(|_| !by_itself);
        let end = End { at, text: outcome.to_string(), by: asked };
        if let Some(edition) = outcome.to.and_then(|to| self.versions.get_mut(&to)) {
            edition.ended(end.clone(), was != Kind::Rollback);
            if serves && was != Kind::Rollback {
                edition.completed = true;
                edition.validated |=
                    was == Kind::Deploy && unwatched || was == Kind::Change && held;
            }
        }
        let back = was == Kind::Rollback || outcome.to.is_none();
        if let Some(edition) = from.and_then(|from| self.versions.get_mut(&from)).filter(|_| back) {
            // Of one that went back by itself, this is the end.
            edition.ended(end, by_itself);
        }
        if let (true, Some(left)) = (serves, from) {
            self.previous = self.choose(left);
        }
    }

    /// The version that a rollback goes to: the one that was left, where it held; else one that
    /// did; else one that at least came to serve.
    fn choose(&self, left: Version) -> Option<Version> {
        let current = self.rollout.current();
        let may = |version: &Version| {
            let done = self.versions.get(version).is_some_and(|edition| edition.completed);
            done && Some(*version) != current
        };
        let held = |version: &Version| self.versions.get(version).is_some_and(|e| e.validated);
        let newest = self.versions.keys().rev().copied();
        let all: Vec<Version> =
            [Some(left), self.previous].into_iter().flatten().chain(newest).filter(may).collect();
        all.iter().copied().find(|version| held(version)).or(all.first().copied())
    }
}

impl Edition {
    /// One more end; `own` of the update that made it what is deployed.
    fn ended(&mut self, end: End, own: bool) {
        if own || self.ended.is_none() {
            self.ended = Some(end.text.clone());
        }
        self.ends.push(end);
        if self.ends.len() > ENDS_MAX {
            self.ends.remove(1);
        }
    }
}

#[cfg(test)]
#[path = "past_test.rs"]
mod tests;
