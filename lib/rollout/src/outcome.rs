//! How an update ended, as one value and as one line.

use crate::span::Span;
use crate::{Kind, Millis, Version};
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The end of an update (law 5: every update has one, exactly once). `Display` is the line that the
/// file `wait` gives and that is the update's last event; its first word is the verdict.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// What it was.
    pub kind: Kind,
    /// Why it failed, was rolled back by itself, or stands paused.
    pub reason: Option<String>,
    /// Version left; none for a first deploy.
    pub from: Option<Version>,
    /// Version gone to; none when the service was stopped or removed.
    pub to: Option<Version>,
    /// When the verb was accepted.
    pub started: Millis,
    /// When it ended.
    pub ended: Millis,
}

/// The ways an update can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// The version asked for serves.
    Done,
    /// It does not; what worked was not touched.
    Failed,
    /// An earlier version serves again: with a reason when it was a failure that led there, without
    /// one when somebody asked for it.
    RolledBack,
    /// Somebody asked for the end of it.
    Cancelled,
    /// It has not ended: it stands until `resume`, `cancel` or `rollback`.
    Paused,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Done => "done",
            Verdict::Failed => "failed",
            Verdict::RolledBack => "rolled back",
            Verdict::Cancelled => "cancelled",
            Verdict::Paused => "paused",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        if self.verdict != Verdict::RolledBack {
            write!(f, " {}", self.kind)?;
        }
        match (self.from, self.to) {
            (Some(from), Some(to)) if from != to => write!(f, " {from}→{to}")?,
            (Some(version), None) | (_, Some(version)) => write!(f, " {version}")?,
            (None, None) => {}
        }
        write!(f, " ({})", Span(self.ended.saturating_sub(self.started)))?;
        self.reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
    }
}
