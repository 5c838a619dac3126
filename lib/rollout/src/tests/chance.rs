//! A simulated node that answers in any order, late, twice or badly; verbs, crashes and time at any
//! moment. Every law is checked after every event, and every run must come to its end.

use super::chaos::Chaos;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::cell::Cell;

/// Runs, each of several updates.
const RUNS: u32 = 5_500;
/// Choices a run makes at most before all goes well again.
const CHOICES_MAX: usize = 600;
/// Updates that must have ended in all runs together.
const UPDATES_MIN: u64 = 20_000;

#[test]
fn whatever_happens_the_laws_hold_and_every_update_ends() {
    let config = Config {
        cases: RUNS,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let updates = Cell::new(0);
    let choices = proptest::collection::vec(any::<u8>(), 50..CHOICES_MAX);
    let run = |choices: Vec<u8>| {
        let mut chaos = Chaos::new(choices);
        chaos.run();
        updates.set(updates.get() + chaos.ended);
        Ok(())
    };
    TestRunner::new(config).run(&choices, run).unwrap_or_else(|failure| panic!("{failure}"));
    assert!(updates.get() >= UPDATES_MIN, "only {} updates", updates.get());
}
