//! How long requests wait for an update that replaces.

use super::manifest;
use crate::hold_ms;

#[track_caller]
fn check(old: &str, new: &str, wanted: u64) {
    let read = |text: &str| manifest(&format!("image app:1\nupdate replace\n{text}"));
    assert_eq!(hold_ms([&read(old), &read(new)]), wanted);
    assert_eq!(hold_ms([&read(new), &read(old)]), wanted, "an update may go back");
}

#[test]
fn a_request_waits_for_the_end_of_the_old_and_the_start_of_the_new() {
    check("", "", 65_000);
    check("drain 2\nstop_timeout 20", "drain 1", 32_000 + 30_000);
    check("", "health_deadline 40\nmin_healthy_time 5", 35_000 + 45_000);
}

#[test]
fn nobody_waits_longer_than_two_minutes() {
    check("drain 1h", "", 120_000);
    check("", "progress_deadline 1h", 65_000);
}
