//! What became of the requests of a load, by kind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::rig::PATIENCE;

/// Failures that are kept in words, a kind.
const WORDS_MAX: usize = 10;

/// How a request went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// No answer, or not the right one.
    Failed(String),
    /// The answer began, and ended too early.
    Cut(String),
}

/// What one kind of client met with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) fine: usize,
    pub(crate) failed: usize,
    pub(crate) cut: usize,
    pub(crate) words: Vec<String>,
    slowest: Duration,
}

/// All kinds, counted together.
#[derive(Debug, Default)]
pub(crate) struct Score {
    kinds: Mutex<BTreeMap<&'static str, Tally>>,
    /// Requests that were answered as they should have been.
    fine: watch::Sender<usize>,
}

impl Score {
    pub(crate) fn count(&self, kind: &'static str, took: Duration, outcome: Result<(), Wrong>) {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = kinds.entry(kind).or_default();
        tally.slowest = tally.slowest.max(took);
        let words = match outcome {
            Ok(()) => {
                tally.fine += 1;
                self.fine.send_modify(|fine| *fine += 1);
                return;
            }
            Err(Wrong::Failed(words)) => {
                tally.failed += 1;
                words
            }
            Err(Wrong::Cut(words)) => {
                tally.cut += 1;
                format!("cut: {words}")
            }
        };
        if tally.words.len() < WORDS_MAX {
            tally.words.push(format!("{words} after {} ms", took.as_millis()));
        }
    }

    pub(crate) fn tallies(&self) -> BTreeMap<&'static str, Tally> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many more are answered as they should be.
    pub(crate) async fn more(&self, count: usize) {
        let mut fine = self.fine.subscribe();
        let until = *fine.borrow() + count;
        let answered = timeout(PATIENCE, fine.wait_for(|fine| *fine >= until)).await;
        assert!(answered.is_ok(), "{count} more are not answered:\n{self}");
    }

    /// All requests, and how many of them were not answered, and not to their end.
    pub(crate) fn total(&self) -> (usize, usize, usize) {
        let tallies = self.tallies();
        let sum = |of: fn(&Tally) -> usize| tallies.values().map(of).sum();
        (sum(|t| t.fine + t.failed + t.cut), sum(|t| t.failed), sum(|t| t.cut))
    }

    /// Requests that were not answered as they should have been.
    pub(crate) fn wrong(&self) -> usize {
        self.tallies().values().map(|tally| tally.failed + tally.cut).sum()
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, tally) in self.tallies() {
            let Tally { fine, failed, cut, words, slowest } = tally;
            let slowest = slowest.as_millis();
            writeln!(f, "{kind:<12} {fine:>6} fine {failed:>4} failed {cut:>4} cut  {slowest} ms")?;
            for words in words {
                writeln!(f, "             {words}")?;
            }
        }
        let (all, failed, cut) = self.total();
        write!(f, "{all} requests, {failed} failed, {cut} cut")
    }
}
