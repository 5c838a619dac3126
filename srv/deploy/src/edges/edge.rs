//! One edge: whether it counts, which table it serves, and since when it owes an answer.

use super::SILENT_MS_MAX;
use crate::clock::Millis;
use std::collections::BTreeSet;

/// How long what an edge has drained is remembered at least: the decision asks for it as soon as
/// all edges serve the table, and then no longer than a drain may last.
const DRAINED_MS_MIN: u64 = 600_000;
/// Containers remembered as drained before the older half goes.
const DRAINED_MAX: usize = 32_768;

/// One edge.
#[derive(Debug, Default)]
pub struct Edge {
    stand: Stand,
    /// Opens of its `ack`; an edge that was started anew may have a second one for a moment.
    opens: BTreeSet<u64>,
    /// The table that every listener of it serves; 0 for none.
    pub(super) serving: u64,
    /// It never had a table before this one, as far as that is known.
    first: Option<u64>,
    /// Since when it says nothing though a table is outstanding.
    silent: Option<Millis>,
    drained: Drained,
}

/// Whether an edge is waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stand {
    /// It has its directory, and never opened its `ack`.
    #[default]
    Came,
    /// It is.
    Counts,
    /// It did not answer in time.
    WrittenOff,
}

impl Edge {
    /// One that counts before it was heard of.
    pub(super) fn own() -> Edge {
        Edge { stand: Stand::Counts, ..Edge::default() }
    }

    /// Whether anything waits for it.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.stand == Stand::Counts
    }

    /// Whether it is connected.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.opens.is_empty()
    }

    /// The table it serves; 0 for none.
    #[must_use]
    pub fn serving(&self) -> u64 {
        self.serving
    }

    /// Its state in a word, for people.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.stand, self.is_open(), self.silent) {
            (Stand::Came, ..) => "new",
            (Stand::WrittenOff, ..) => "written-off",
            (Stand::Counts, false, _) => "away",
            (Stand::Counts, true, Some(_)) => "behind",
            (Stand::Counts, true, None) => "serving",
        }
    }

    pub(super) fn opened(
        &mut self,
        open: u64,
        newest: Option<u64>,
        now: Millis,
    ) -> Option<&'static str> {
        let news = self.opens.insert(open) && self.opens.len() == 1;
        if self.stand == Stand::Came {
            self.stand = Stand::Counts;
            self.silent = newest.map(|_| now);
        }
        self.heard(now);
        news.then_some("is connected")
    }

    pub(super) fn closed(&mut self, open: u64) -> Option<&'static str> {
        let last = self.opens.remove(&open) && self.opens.is_empty();
        last.then_some("has lost its connection")
    }

    pub(super) fn serves(
        &mut self,
        table: u64,
        newest: Option<u64>,
        now: Millis,
    ) -> Option<&'static str> {
        // A table that was never made here is none of ours.
        self.serving = if newest.is_some_and(|newest| table > newest) { 0 } else { table };
        let current = newest == Some(self.serving);
        self.silent = if current || newest.is_none() { None } else { Some(now) };
        let back = current && self.stand == Stand::WrittenOff;
        if back {
            self.stand = Stand::Counts;
        }
        back.then_some("serves the newest table again")
    }

    /// It serves that table, 0 for none, and is a process that never had one before `first`.
    pub(super) fn began(
        &mut self,
        table: u64,
        first: u64,
        newest: Option<u64>,
        now: Millis,
    ) -> Option<&'static str> {
        self.first = Some(first);
        self.serves(table, newest, now)
    }

    pub(super) fn drained(&mut self, container: String, now: Millis) {
        self.heard(now);
        self.drained.insert(container, now);
    }

    /// The container leaves the table now: the edge has drained nothing of it yet.
    pub(super) fn left_again(&mut self, container: &str) {
        self.drained.forget(container);
    }

    /// It said something: it lives.
    pub(super) fn heard(&mut self, now: Millis) {
        self.silent = self.silent.map(|_| now);
    }

    /// A newer table than its own is there.
    pub(super) fn outdated(&mut self, table: u64, now: Millis) {
        if self.serving >= table {
            self.serving = 0;
        }
        self.silent.get_or_insert(now);
    }

    pub(super) fn due(&self) -> Option<Millis> {
        let silent = self.silent.filter(|_| self.counts());
        silent.map(|since| since.saturating_add(SILENT_MS_MAX))
    }

    /// Writes it off when it was silent for too long.
    pub(super) fn lapse(&mut self, now: Millis) -> Option<&'static str> {
        self.due().filter(|due| *due <= now)?;
        self.stand = Stand::WrittenOff;
        Some("has not answered for 5s: nothing waits for it until it serves the newest table")
    }

    /// Nothing of it is in flight to the container: it said so, or never had a table with it.
    /// `gone_by` is the first table without the container.
    pub(super) fn let_go(&self, container: &str, gone_by: Option<u64>) -> bool {
        let never_had = self.first.zip(gone_by).is_some_and(|(first, gone)| first >= gone);
        never_had || self.drained.contains(container)
    }
}

/// What an edge has drained lately; the older half goes when it is old or large.
#[derive(Debug, Default)]
struct Drained {
    young: BTreeSet<String>,
    old: BTreeSet<String>,
    turned: Millis,
}

impl Drained {
    fn insert(&mut self, container: String, now: Millis) {
        let aged = now.saturating_sub(self.turned) >= DRAINED_MS_MIN;
        if aged || self.young.len() >= DRAINED_MAX {
            self.old = std::mem::take(&mut self.young);
            self.turned = now;
        }
        self.young.insert(container);
    }

    fn forget(&mut self, container: &str) {
        self.young.remove(container);
        self.old.remove(container);
    }

    fn contains(&self, container: &str) -> bool {
        self.young.contains(container) || self.old.contains(container)
    }
}
