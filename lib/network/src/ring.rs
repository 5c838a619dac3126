//! Numbers given out in turn: never-used ones first, then those given back, longest free first.

use std::collections::{HashSet, VecDeque};
use std::ops::RangeInclusive;

/// A range of numbers and who has them.
#[derive(Debug)]
pub(crate) struct Ring {
    range: RangeInclusive<u32>,
    size: u32,
    /// Where the next never-used number is looked for.
    next: u32,
    /// How many places `next` has still to visit until it is back where it began.
    fresh: u32,
    /// Numbers that were taken at least once.
    used: HashSet<u32>,
    taken: HashSet<u32>,
    /// Used and free, longest free first.
    resting: VecDeque<u32>,
}

impl Ring {
    /// All numbers of `range`, beginning `offset` places into it.
    pub(crate) fn new(range: RangeInclusive<u32>, offset: u32) -> Ring {
        let size = range.end().saturating_sub(*range.start()) + 1;
        let next = range.start() + offset % size;
        let (used, taken) = (HashSet::new(), HashSet::new());
        Ring { range, size, next, fresh: size, used, taken, resting: VecDeque::new() }
    }

    /// The number free for longest that `fit` accepts; refused ones keep their place.
    pub(crate) fn take(&mut self, mut fit: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut refused = Vec::new();
        while let Some(number) = self.fresh_one() {
            if fit(number) {
                self.rest_first(refused);
                return Some(self.mark(number));
            }
            refused.push(number);
        }
        let found = self.resting.iter().position(|&number| fit(number));
        let number = found.and_then(|place| self.resting.remove(place));
        self.rest_first(refused);
        number.map(|number| self.mark(number))
    }

    /// Marks `number` as taken. False when it is taken or outside.
    pub(crate) fn claim(&mut self, number: u32) -> bool {
        if !self.range.contains(&number) || self.taken.contains(&number) {
            return false;
        }
        if self.fresh == self.size && number >= self.next {
            // Only claims so far: go on behind them, where an earlier run would have gone on,
            // since it may have given back what lies between them a moment ago.
            self.next = self.after(number);
        }
        self.resting.retain(|&other| other != number);
        self.mark(number);
        true
    }

    /// Gives `number` back; one that is not taken is ignored.
    pub(crate) fn give_back(&mut self, number: u32) {
        if self.taken.remove(&number) {
            self.resting.push_back(number);
        }
    }

    fn mark(&mut self, number: u32) -> u32 {
        self.used.insert(number);
        self.taken.insert(number);
        number
    }

    fn after(&self, number: u32) -> u32 {
        if number == *self.range.end() { *self.range.start() } else { number + 1 }
    }

    /// Visits the next number nobody ever had.
    fn fresh_one(&mut self) -> Option<u32> {
        while self.fresh > 0 {
            let number = self.next;
            self.fresh -= 1;
            self.next = self.after(number);
            if self.used.insert(number) {
                return Some(number);
            }
        }
        None
    }

    /// Never-used numbers that did not fit have been free longer than any other.
    fn rest_first(&mut self, numbers: Vec<u32>) {
        for number in numbers.into_iter().rev() {
            self.resting.push_front(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script on the numbers 1 to 5, none fit but those said: `take 1`, `take none`,
    /// `back 1`, `claim 3`, `refuse 3`.
    fn check(offset: u32, script: &[&str]) {
        let mut ring = Ring::new(1..=5, offset);
        let mut refused = HashSet::new();
        for (line, step) in script.iter().enumerate() {
            let (verb, what) = step.split_once(' ').unwrap();
            let number = what.parse::<u32>().ok();
            let place = format!("line {line}: {step}");
            match verb {
                "take" => assert_eq!(ring.take(|n| !refused.contains(&n)), number, "{place}"),
                "back" => ring.give_back(number.unwrap()),
                "claim" => assert!(ring.claim(number.unwrap()), "{place}"),
                "taken" => assert!(!ring.claim(number.unwrap()), "{place}"),
                "refuse" => assert!(refused.insert(number.unwrap()), "{place}"),
                "accept" => assert!(refused.remove(&number.unwrap()), "{place}"),
                _ => panic!("{place}"),
            }
        }
    }

    #[test]
    fn a_number_given_back_rests_until_all_others_had_their_turn() {
        check(0, &["take 1", "back 1", "take 2", "take 3", "take 4", "take 5", "take 1"]);
        check(0, &["take 1", "take 2", "back 2", "back 1", "take 3", "take 4", "take 5", "take 2"]);
        check(3, &["take 4", "take 5", "take 1", "back 4", "take 2", "take 3", "take 4"]);
    }

    #[test]
    fn a_full_ring_gives_nothing_until_one_comes_back() {
        let all = ["take 1", "take 2", "take 3", "take 4", "take 5", "take none"];
        check(0, &[&all[..], &["back 3", "take 3", "take none"]].concat());
    }

    #[test]
    fn a_claimed_number_is_never_given_and_the_turn_goes_on_behind_it() {
        check(0, &["claim 2", "claim 4", "taken 4", "taken 9", "take 5", "take 1", "take 3"]);
        check(0, &["claim 4", "claim 2", "take 5", "take 1", "take 3", "take none"]);
        check(0, &["take 1", "take 2", "claim 4", "take 3", "take 5", "take none"]);
        check(0, &["claim 5", "take 1", "take 2", "take 3", "take 4", "take none"]);
        check(0, &["take 1", "back 1", "claim 1", "take 2", "back 1", "take 3"]);
    }

    #[test]
    fn a_number_that_does_not_fit_keeps_its_place() {
        check(0, &["refuse 1", "take 2", "back 2", "accept 1", "take 3", "take 4", "take 5"]);
        check(0, &["refuse 1", "take 2", "back 2", "refuse 3", "take 4", "accept 1", "take 5"]);
        let rest = ["refuse 1", "take 2", "take 3", "take 4", "take 5", "take none", "back 3"];
        check(0, &[&rest[..], &["accept 1", "take 1", "take 3"]].concat());
    }

    #[test]
    fn giving_back_what_nobody_has_changes_nothing() {
        check(0, &["back 4", "take 1", "back 1", "back 1", "take 2", "take 3", "take 4"]);
    }
}
