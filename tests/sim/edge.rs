//! A simulated edge: the table it serves, and what it has in flight to instances that left it.

use crate::chance::Chance;
use crate::plant::Plant;
use deployfs::edges::Word;
use std::collections::{BTreeMap, BTreeSet};

/// What comes to an edge after a while.
#[derive(Debug, Clone)]
pub(crate) enum Later {
    /// It reaches the server.
    Connects,
    /// It takes the newest table.
    Takes,
    /// Of an edge that adds late: it takes the rest of the table it says it has.
    Adds(u64, BTreeSet<String>),
    /// The last request to an instance that left is over.
    Idle(String),
    /// A line reaches the server.
    Says(Word),
}

/// What a table has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) generation: u64,
    pub(crate) backends: BTreeSet<String>,
    /// The longest drain of any of its lines, in milliseconds.
    drain_ms: u64,
}

impl Table {
    /// Reads the text that edges are given.
    pub(crate) fn read(text: &str) -> Table {
        let mut table = Table::default();
        for line in text.lines() {
            if let Some(generation) = line.strip_prefix("generation ") {
                table.generation = generation.parse().unwrap_or(0);
                continue;
            }
            for word in line.split(' ') {
                let mut parts = word.split('/');
                if let (Some(number), Some(id), Some(rest)) =
                    (parts.next(), parts.next(), parts.next())
                    && number.parse::<u32>().is_ok()
                    && rest.contains('=')
                {
                    table.backends.insert(id.to_string());
                }
                for option in word.split(',') {
                    let ms = option.strip_prefix("drain=").and_then(|ms| ms.parse().ok());
                    table.drain_ms = table.drain_ms.max(ms.unwrap_or(0));
                }
            }
        }
        table
    }
}

/// One edge.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) name: &'static str,
    pub(crate) up: bool,
    /// Counts its processes and connections: what was to come to an earlier one does not.
    pub(crate) life: u64,
    /// The open of its `ack`.
    pub(crate) open: Option<u64>,
    pub(crate) table: Option<Table>,
    /// It has taken a table since its process began.
    pub(crate) current: bool,
    /// Until when requests are in flight to those that left.
    pub(crate) holds: BTreeMap<String, u64>,
    /// When each that left was dropped.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// It takes this long for everything.
    pub(crate) slow_ms: u64,
    pub(crate) later: Vec<(u64, Later)>,
}

/// Those that left which an edge remembers.
const DROPPED_MAX: usize = 64;

impl Edge {
    pub(crate) fn new(name: &'static str) -> Edge {
        Edge {
            name,
            up: true,
            life: 0,
            open: None,
            table: None,
            current: false,
            holds: BTreeMap::new(),
            dropped: BTreeMap::new(),
            slow_ms: 0,
            later: Vec::new(),
        }
    }

    /// Whether requests go to that container.
    pub(crate) fn passes_to(&self, container: &str) -> bool {
        self.table.as_ref().is_some_and(|table| table.backends.contains(container))
    }

    /// Its process ends; `forgets` whether what it kept is gone as well.
    pub(crate) fn dies(&mut self, forgets: bool) {
        self.up = false;
        self.life += 1;
        self.open = None;
        self.current = false;
        self.holds.clear();
        if forgets {
            self.table = None;
            self.dropped.clear();
        }
    }

    /// It has reached the server: what it says first.
    pub(crate) fn connected(&mut self, now: u64) -> Vec<Word> {
        let mut words = match &self.table {
            None => vec![Word::Began(0)],
            Some(table) => vec![Word::Serves(table.generation)],
        };
        let free = self.dropped.keys().filter(|id| self.holds.get(*id).is_none_or(|at| *at <= now));
        words.extend(free.map(|id| Word::Drained(id.clone())));
        self.later.push((0, Later::Takes));
        words
    }

    /// Takes a table.
    pub(crate) fn takes(&mut self, new: Table, now: u64, plant: Plant, chance: &mut Chance) {
        let old = self.table.as_ref().map(|table| table.backends.clone()).unwrap_or_default();
        self.current = true;
        if self.table.as_ref().is_some_and(|table| table.generation >= new.generation) {
            return;
        }
        let generation = new.generation;
        let left: Vec<String> = old.difference(&new.backends).cloned().collect();
        for id in &new.backends {
            self.dropped.remove(id);
            self.holds.remove(id);
        }
        for id in left {
            let ms = match chance.below(20) {
                0..=13 => 0,
                14..=18 => chance.below(300).min(new.drain_ms),
                _ => new.drain_ms,
            };
            self.holds.insert(id.clone(), now + ms);
            self.dropped.insert(id.clone(), now);
            if plant == Plant::DrainsInWord {
                self.later.push((0, Later::Says(Word::Drained(id))));
            } else {
                self.later.push((ms, Later::Idle(id)));
            }
        }
        while self.dropped.len() > DROPPED_MAX {
            let oldest = self.dropped.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone());
            oldest.iter().for_each(|id| {
                self.dropped.remove(id);
                self.holds.remove(id);
            });
        }
        let mut new = new;
        if plant == Plant::AddsLate {
            let all = new.backends.clone();
            new.backends.retain(|id| old.contains(id));
            self.later.push((1_000, Later::Adds(generation, all)));
        }
        self.table = Some(new);
        self.later.push((self.slow_ms + chance.below(4), Later::Says(Word::Serves(generation))));
    }

    /// The last request to one that left is over.
    pub(crate) fn idle(&mut self, id: String, now: u64) {
        if self.holds.get(&id).is_some_and(|at| *at <= now) {
            self.later.push((self.slow_ms, Later::Says(Word::Drained(id))));
        }
    }
}
