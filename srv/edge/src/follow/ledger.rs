//! What `deployfs` may be told of instances that left the table.
//!
//! Law: `drained` is said of an instance only when no process of this edge has anything in flight
//! to it: not this one, and none of the older ones that still end what they began. Names of
//! instances are never used twice, so that what was said once may be said again.
//!
//! A pure machine: what the processes did comes in, lines for `ack` come out.

use std::collections::{BTreeMap, BTreeSet};

/// How long what was told is told again to a server that comes back.
pub(crate) const TOLD_MS_MAX: u64 = 600_000;
/// Instances that are remembered after they were told of.
const TOLD_MAX: usize = 8_192;

/// Older processes with anything on its way: one more, and the oldest ends what it has.
pub(crate) const OLDER_MAX: usize = 8;

/// The instances that left, and who still holds them.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By name; those that nobody has told of yet, and those told of lately.
    left: BTreeMap<String, Left>,
    /// Those that this process has something in flight to, and how many times they left: one
    /// that comes back may leave again before the first time has come to its end.
    own: BTreeMap<String, u32>,
    /// Older processes of this edge, by their numbers.
    older: BTreeMap<u32, Older>,
}

#[derive(Debug)]
struct Left {
    /// The first table without it.
    generation: u64,
    /// When `drained` was said.
    told_ms: Option<u64>,
}

/// What an older process said last.
#[derive(Debug, Default)]
struct Older {
    /// When it began, to be compared.
    since: u64,
    /// Requests, tunnels and streams it has on their way.
    streams: u64,
    /// The table it has taken.
    generation: u64,
    /// What it still has in flight to instances that are not in that table.
    holds: BTreeSet<String>,
    /// It did not answer: nothing waits for it.
    silent: bool,
    /// What it is told.
    told: Option<Order>,
}

/// What an older process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The edge ends: so does it, when what it has on its way has had its drain.
    End,
    /// There are too many: it ends at once.
    Crowd,
}

impl Ledger {
    /// An instance that left in the time of a process before this one.
    pub(crate) fn remember(&mut self, id: &str, generation: u64) {
        let left = self.left.entry(id.to_owned());
        left.or_insert(Left { generation, told_ms: None });
    }

    /// This process has taken a table with the instances `now` in place of one with those
    /// `before`.
    pub(crate) fn took(&mut self, generation: u64, before: &BTreeSet<&str>, now: &BTreeSet<&str>) {
        for id in before.difference(now) {
            self.remember(id, generation);
            *self.own.entry((*id).to_owned()).or_default() += 1;
        }
        // What was said of one that is back holds no more.
        self.left.retain(|id, _| !now.contains(id.as_str()));
    }

    /// This process has nothing in flight any more to one that left.
    pub(crate) fn drained(&mut self, id: &str) {
        if let Some(times) = self.own.get_mut(id) {
            *times -= 1;
            if *times == 0 {
                self.own.remove(id);
            }
        }
    }

    /// There is an older process, which began then; nothing else is known of it yet.
    pub(crate) fn older_came(&mut self, pid: u32, since: u64) {
        self.older.insert(pid, Older { since, ..Older::default() });
    }

    /// It has taken that table, and holds these.
    pub(crate) fn older_holds(&mut self, pid: u32, generation: u64, holds: BTreeSet<String>) {
        if let Some(older) = self.older.get_mut(&pid) {
            (older.generation, older.holds, older.silent) = (generation, holds, false);
        }
    }

    /// It has so much on its way. When there are too many that have, the oldest is told to end.
    pub(crate) fn older_streams(&mut self, pid: u32, streams: u64) {
        if let Some(older) = self.older.get_mut(&pid) {
            older.streams = streams;
        }
        let busy = |older: &&mut Older| older.streams > 0 && older.told.is_none();
        let mut busy: Vec<&mut Older> = self.older.values_mut().filter(busy).collect();
        busy.sort_by_key(|older| older.since);
        let many = busy.len().saturating_sub(OLDER_MAX);
        busy.into_iter().take(many).for_each(|older| older.told = Some(Order::Crowd));
    }

    /// It does not answer: nothing waits for it until it does.
    pub(crate) fn older_silent(&mut self, pid: u32) {
        if let Some(older) = self.older.get_mut(&pid) {
            older.silent = true;
        }
    }

    /// The edge ends, and all of them with it.
    pub(crate) fn older_end(&mut self) {
        self.older.values_mut().for_each(|older| older.told = older.told.or(Some(Order::End)));
    }

    /// What it is to be told.
    pub(crate) fn order(&self, pid: u32) -> Option<Order> {
        self.older.get(&pid)?.told
    }

    /// Another process hears them now.
    pub(crate) fn older_left(&mut self) {
        self.older.clear();
    }

    /// It has ended, and holds nothing.
    pub(crate) fn older_gone(&mut self, pid: u32) {
        self.older.remove(&pid);
    }

    /// Older processes there are, what each has on its way, and whether it answers.
    pub(crate) fn older(&self) -> impl Iterator<Item = (u32, u64, bool)> {
        self.older.iter().map(|(pid, older)| (*pid, older.streams, !older.silent))
    }

    /// What this process has in flight to instances that left: for a newer process.
    pub(crate) fn holds(&self) -> impl Iterator<Item = &str> {
        self.own.keys().map(String::as_str)
    }

    /// What can be said now and was not said before.
    pub(crate) fn news(&mut self, now_ms: u64) -> Vec<String> {
        let (own, older) = (&self.own, &self.older);
        let mut news = Vec::new();
        for (id, left) in self.left.iter_mut().filter(|(_, left)| left.told_ms.is_none()) {
            let free = |older: &Older| {
                let current = older.generation >= left.generation;
                older.silent || (current && !older.holds.contains(id))
            };
            if !own.contains_key(id) && older.values().all(free) {
                left.told_ms = Some(now_ms);
                news.push(format!("drained {id}"));
            }
        }
        self.forget(now_ms);
        news
    }

    /// What is said again to a server that has heard nothing of it, or does not remember.
    pub(crate) fn again(&self) -> Vec<String> {
        let told = self.left.iter().filter(|(_, left)| left.told_ms.is_some());
        told.map(|(id, _)| format!("drained {id}")).collect()
    }

    /// Instances for a process after this one, and the first table without each.
    pub(crate) fn left(&self) -> impl Iterator<Item = (&str, u64)> {
        self.left.iter().map(|(id, left)| (id.as_str(), left.generation))
    }

    fn forget(&mut self, now_ms: u64) {
        let old = |left: &Left| left.told_ms.is_some_and(|at| now_ms >= at + TOLD_MS_MAX);
        self.left.retain(|_, left| !old(left));
        let many = self.left.len().saturating_sub(TOLD_MAX);
        let mut told: Vec<(u64, String)> = match many {
            0 => return,
            _ => self.left.iter().filter_map(|(id, l)| Some((l.told_ms?, id.clone()))).collect(),
        };
        told.sort();
        for (_, id) in told.iter().take(many) {
            self.left.remove(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line is what happens; a `>` line is what is said after it.
    fn check(script: &str) {
        let mut ledger = Ledger::default();
        let mut said: Vec<String> = Vec::new();
        let (mut now_ms, mut last, mut table) = (0, "", BTreeSet::new());
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(want) = line.strip_prefix("> ") {
                assert!(!said.is_empty(), "after {last:?}: nothing, not {want:?}");
                assert_eq!(said.remove(0), want, "after {last:?}");
                continue;
            }
            assert!(said.is_empty(), "after {last:?}: {said:?}");
            last = line;
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words[at].parse::<u64>().unwrap();
            match words[0] {
                "remember" => ledger.remember(words[1], number(2)),
                "took" => {
                    let now: BTreeSet<&str> = words[2..].iter().copied().collect();
                    ledger.took(number(1), &table, &now);
                    table = now;
                }
                "drained" => ledger.drained(words[1]),
                "older" => ledger.older_came(number(1) as u32, 0),
                "silent" => ledger.older_silent(number(1) as u32),
                "holds" => {
                    let holds = words[3..].iter().map(|id| (*id).to_owned()).collect();
                    ledger.older_holds(number(1) as u32, number(2), holds);
                }
                "gone" => ledger.older_gone(number(1) as u32),
                "pass" => now_ms += number(1),
                "again" => {
                    said = ledger.again();
                    continue;
                }
                word => panic!("{word}"),
            }
            said = ledger.news(now_ms);
        }
        assert!(said.is_empty(), "after {last:?}: {said:?}");
    }

    #[test]
    fn an_instance_is_drained_when_this_process_has_let_it_go() {
        check(
            "took 1 web-1 web-2
             took 2 web-3
             drained web-1
             > drained web-1
             drained web-2
             > drained web-2",
        );
    }

    #[test]
    fn an_older_process_that_holds_it_is_waited_for() {
        check(
            "took 1 web-1
             older 7
             took 2
             drained web-1
             holds 7 1
             holds 7 2 web-1
             holds 7 2
             > drained web-1",
        );
    }

    #[test]
    fn an_older_process_of_which_nothing_is_known_is_waited_for_until_it_is_gone() {
        check(
            "remember web-1 5
             > drained web-1
             older 7
             older 8
             took 6 web-2
             took 7
             drained web-2
             gone 7
             gone 8
             > drained web-2",
        );
    }

    #[test]
    fn one_that_does_not_answer_holds_nobody_up_until_it_does() {
        check(
            "took 1 web-1 web-2
             older 7
             took 2 web-2
             drained web-1
             silent 7
             > drained web-1
             holds 7 2
             took 3
             drained web-2
             holds 7 3 web-2
             silent 7
             > drained web-2",
        );
    }

    #[test]
    fn of_too_many_older_processes_the_oldest_that_has_something_ends() {
        let mut ledger = Ledger::default();
        let last = OLDER_MAX as u32 + 1;
        // Numbers of processes come again: they say nothing of an age.
        (0..=last).for_each(|pid| ledger.older_came(pid, u64::from(last - pid)));
        let told = |ledger: &Ledger| (0..=last).find(|pid| ledger.order(*pid).is_some());
        (0..last - 1).for_each(|pid| ledger.older_streams(pid, 3));
        assert_eq!(told(&ledger), None, "two of them have nothing");
        ledger.older_streams(last - 1, 1);
        assert_eq!((told(&ledger), ledger.order(last - 1)), (Some(last - 1), Some(Order::Crowd)));
        ledger.older_streams(0, 4);
        assert_eq!((0..=last).filter(|pid| ledger.order(*pid).is_some()).count(), 1);
        ledger.older_end();
        assert_eq!(ledger.order(last - 1), Some(Order::Crowd));
        assert_eq!(ledger.order(0), Some(Order::End));
    }

    #[test]
    fn what_left_before_this_process_is_told_of_as_it_has_nothing_in_flight() {
        check(
            "older 7
             remember web-1 5
             holds 7 4
             holds 7 6
             > drained web-1",
        );
    }

    #[test]
    fn what_was_told_is_told_again_until_it_is_old() {
        check(
            "took 1 web-1
             took 2
             again
             drained web-1
             > drained web-1
             pass 599999
             again
             > drained web-1
             pass 1
             again",
        );
    }

    #[test]
    fn one_that_comes_back_is_not_told_of_until_it_has_left_for_good() {
        check(
            "took 1 web-1
             took 2
             took 3 web-1
             again
             took 4
             drained web-1
             drained web-1
             > drained web-1
             took 5 web-1
             again",
        );
    }

    #[test]
    fn the_oldest_of_too_many_are_forgotten_and_none_that_is_still_waited_for() {
        let mut ledger = Ledger::default();
        let ids: Vec<String> = (0..TOLD_MAX + 2).map(|n| format!("a-{n:05}")).collect();
        ledger.took(1, &ids.iter().map(String::as_str).collect(), &BTreeSet::new());
        ids[1..].iter().for_each(|id| ledger.drained(id));
        assert_eq!(ledger.news(0).len(), TOLD_MAX + 1);
        assert_eq!(ledger.left().count(), TOLD_MAX);
        assert!(ledger.left().any(|(id, _)| id == "a-00000"));
    }
}
