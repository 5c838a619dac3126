//! Whether the checks can fail: each law's finds the defect that is planted against it.

use crate::plant::Plant;
use crate::sim;
use std::time::{Duration, Instant};

/// How long a defect may stay hidden.
const FOUND_WITHIN: Duration = Duration::from_secs(60);

/// Runs seeds until the law's check finds the defect.
fn check(plant: Plant) {
    let began = Instant::now();
    for seed in 1.. {
        let came = sim::run(seed, plant, plant.law(), false);
        let Some(broken) = came.broken else {
            assert!(began.elapsed() < FOUND_WITHIN, "{plant:?} is not found by seed {seed}");
            continue;
        };
        println!("{plant:?}: law {}, seed {seed}, {:?}", broken.law, began.elapsed());
        assert_eq!(broken.law, plant.law());
        let whole = sim::run(seed, Plant::None, 0, false).broken;
        assert_eq!(whole, None, "without the defect the seed breaks nothing");
        return;
    }
}

#[test]
fn law_1_finds_an_edge_that_drops_the_old_before_it_has_the_new() {
    check(Plant::AddsLate);
}

#[test]
fn law_2_finds_an_instance_that_runs_on_after_its_stop() {
    check(Plant::StopsInWord);
}

#[test]
fn law_3_finds_an_instance_that_is_told_as_healthy_when_it_starts() {
    check(Plant::HealthyAtStart);
}

#[test]
fn law_4_finds_an_edge_that_says_drained_too_soon() {
    check(Plant::DrainsInWord);
}

#[test]
fn law_5_finds_an_end_that_nobody_is_told_of() {
    check(Plant::LosesEnds);
}

#[test]
fn law_6_finds_a_rollback_that_is_taken_for_an_update() {
    check(Plant::ForgetsWay);
}

#[test]
fn law_7_finds_a_store_that_keeps_a_write_after_it_was_acknowledged() {
    check(Plant::KeepsLater);
}

#[test]
fn law_8_finds_a_container_that_stays_when_its_record_goes() {
    check(Plant::RemovesInWord);
}

#[test]
fn law_9_finds_an_end_that_is_heard_of_another_service() {
    check(Plant::MixesUp);
}

#[test]
fn law_10_finds_numbers_that_are_used_again() {
    check(Plant::LosesNumbers);
}

#[test]
fn law_11_finds_one_that_goes_on_when_the_others_went_back() {
    check(Plant::LosesBond);
}
