//! An update that nothing brings onwards: in whichever phase it is, it ends by its progress
//! deadline or by the bound of the phase, and says why; and a cancel ends it sooner.

use super::script;
use super::world::World;
use crate::Phase;

/// The progress deadline here.
const PROGRESS_MS: u64 = 100_000;
/// The stop timeout of the default manifest, and what is waited beyond it: less than 5 s.
const WIND_UP_MS: u64 = 10_000 + 4_500;

/// One of v1 that serves, and an update by those words.
fn begun(apply: &str) -> String {
    format!("! apply v1 progress={PROGRESS_MS}\n! well\n! {apply}\n")
}

/// One more step of the new one for every line, up to where it is held.
fn ways(apply: &str) -> Vec<(Phase, String)> {
    let steps = [
        (Phase::Place, ""),
        (Phase::Pull, "! placed 1\n"),
        (Phase::Start, "! pulled v2\n"),
        (Phase::Health, "! started 1\n"),
        (Phase::Route, "! healthy 1\n"),
        (Phase::Drain, "! served\n"),
        (Phase::Stop, "! served\n! drained 0\n"),
    ];
    let mut script = begun(apply);
    let mut way = |(phase, more): (Phase, &str)| {
        script.push_str(more);
        (phase, script.clone())
    };
    steps.into_iter().map(&mut way).collect()
}

/// The same of an update that replaces.
fn replacing() -> Vec<(Phase, String)> {
    let steps = [
        (Phase::Place, ""),
        (Phase::Pull, "! placed 1\n"),
        (Phase::Drain, "! pulled v2\n"),
        (Phase::Stop, "! served\n! drained 0\n"),
        (Phase::Start, "! exited 0\n"),
        (Phase::Health, "! started 1\n"),
        (Phase::Route, "! healthy 1\n"),
    ];
    let mut script = begun("apply v2 replace");
    let mut way = |(phase, more): (Phase, &str)| {
        script.push_str(more);
        (phase, script.clone())
    };
    steps.into_iter().map(&mut way).collect()
}

/// Runs the script, and lets time pass, with nobody answering, until no update is in flight any
/// more. Gives after how many milliseconds that was, and how it ended.
#[track_caller]
fn held(phase: Phase, script: &str, verb: &str) -> (u64, String) {
    let mut world = World::new();
    script::run(&mut world, script);
    assert_eq!(world.service.phase(world.now), phase, "{script}");
    let began = world.now;
    script::run(&mut world, verb);
    while world.service.update().is_some() {
        let at = world.wake.unwrap_or_else(|| panic!("nothing is waited for: {script}{world}"));
        world.passes(at.saturating_sub(world.now));
    }
    let outcome = world.service.outcome().expect("it has ended").to_string();
    (world.now - began, outcome)
}

#[test]
fn an_update_that_is_stuck_ends_in_bounded_time_and_says_where_it_was() {
    let health = "health check timeout after 30s";
    for (phase, script) in ways("apply v2") {
        let (took, outcome) = held(phase, &script, "");
        let (limit, why) = match phase {
            // Nobody else has to answer for these to end.
            Phase::Place | Phase::Pull => (PROGRESS_MS, format!("100s, phase {phase}")),
            Phase::Health => (30_000 + WIND_UP_MS, health.to_string()),
            // In drain the edges have the time of it; then the old one is to stop, and does not.
            Phase::Idle
            | Phase::Start
            | Phase::Route
            | Phase::Drain
            | Phase::Stop
            | Phase::Pause
            | Phase::Validate => (PROGRESS_MS + WIND_UP_MS, format!("100s, phase {phase}")),
        };
        let said = outcome.starts_with("failed update v1→v2 (") && outcome.ends_with(&why);
        assert!(said && took == limit, "{phase}: {outcome} after {took}, not {limit} {why}");
    }
}

#[test]
fn an_update_that_replaces_and_is_stuck_ends_so_too() {
    // The old ones have their health deadline to come again.
    let back = WIND_UP_MS + 30_000;
    for (phase, script) in replacing() {
        let (took, outcome) = held(phase, &script, "");
        let (limit, why) = match phase {
            Phase::Place | Phase::Pull => (PROGRESS_MS, format!("100s, phase {phase}")),
            Phase::Health => (30_000 + back, "health check timeout after 30s".to_string()),
            Phase::Idle
            | Phase::Start
            | Phase::Route
            | Phase::Drain
            | Phase::Stop
            | Phase::Pause
            | Phase::Validate => (PROGRESS_MS + back, format!("100s, phase {phase}")),
        };
        let said = outcome.starts_with("failed update v1→v2 (") && outcome.ends_with(&why);
        assert!(said && took <= limit, "{phase}: {outcome} after {took}, not {limit} {why}");
    }
}

#[test]
fn a_cancel_ends_an_update_within_the_stop_timeout_and_5_s_in_every_phase() {
    for (phase, script) in ways("apply v2").into_iter().chain(replacing()) {
        let (took, outcome) = held(phase, &script, "! cancel");
        assert!(outcome.starts_with("cancelled update v1→v2 ("), "{phase}: {outcome}");
        assert!(took <= WIND_UP_MS, "{phase}: {took}");
    }
}

#[test]
fn what_is_stuck_on_its_way_down_or_back_ends_too() {
    let serves = format!("! apply v1 progress={PROGRESS_MS}\n! well\n");
    let updated = format!("{serves}! apply v2\n! well\n");
    let check = |script: &str, verb: &str, limit: u64, why: &str| {
        let (took, outcome) = held(Phase::Idle, script, verb);
        assert!(took == limit && outcome.starts_with(why), "{outcome} after {took}");
    };
    let all = PROGRESS_MS + WIND_UP_MS;
    check(&serves, "! stop", 600_000, "failed stop v1 (600s): no progress for 600s, phase drain");
    check(&serves, "! remove", 600_000, "failed remove v1 (600s): no progress for 600s, phase d");
    check(&serves, "! restart", PROGRESS_MS, "failed restart v1 (100s): no progress for 100s, ph");
    let back = format!("! rollback v1 progress={PROGRESS_MS}");
    check(&updated, &back, PROGRESS_MS, "failed rollback v2→v1 (100s): no progress for 100s, ph");
    let none = format!("! change v2 replicas=0 progress={PROGRESS_MS}");
    check(&serves, &none, all + 30_000, "failed change v1→v2 (144.5s): no progress for 1");
}

#[test]
fn a_rest_between_two_batches_is_no_want_of_progress() {
    script::check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 pause=50000 progress=10000
        ! placed 2
        ! pulled v2
        ! started 2
        ! healthy 2
        ! served
        ! served
        ! drained 0
        ! exited 0
        ! forgotten 0
        ? rolling pause v1→v2 1/2: 1=v1#1 serving, 2=v2#2 serving
        +49999
        ? rolling pause v1→v2 1/2: 1=v1#1 serving, 2=v2#2 serving
        +1
        > place 3
        +9999
        +1
        > 'instances renumbered'
        > 'failed update v1→v2 (60s): no progress for 10s, phase place'; forget 3
        ",
    );
}

#[test]
fn a_version_that_is_validated_is_so_after_three_windows_however_it_exits() {
    let mut world = World::new();
    script::run(&mut world, "! apply v1 validate=60000 max-restarts=99\n! well\n");
    let began = world.now;
    let mut exits = 0;
    while let Some((_, seen, until)) = world.service.watch() {
        assert_eq!(world.service.phase(world.now), Phase::Validate);
        assert!(until <= began + 180_000, "{until}");
        // Two exits, each at the last moment; a third would be a loop.
        let late = until.saturating_sub(world.now + 1);
        world.passes(if seen < 2 { late } else { late + 1 });
        if seen < 2 {
            let last = *world.service.instances().keys().next_back().expect("one");
            script::run(&mut world, &format!("! exited {last} 1\n! +1000\n! well"));
            exits += 1;
        }
    }
    assert_eq!(exits, 2);
    assert!(world.now <= began + 180_000);
}
