//! What became of the requests of a load, by kind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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
pub(crate) struct Score(Mutex<BTreeMap<&'static str, Tally>>);

impl Score {
    pub(crate) fn count(&self, kind: &'static str, took: Duration, outcome: Result<(), Wrong>) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = kinds.entry(kind).or_default();
        tally.slowest = tally.slowest.max(took);
        let words = match outcome {
            Ok(()) => {
                tally.fine += 1;
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        Ok(())
    }
}
