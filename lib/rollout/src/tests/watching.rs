//! After an update: exits of the new version are counted for a while.

use super::script::{self, check};
use super::world::World;
use crate::instance::Stage;
use crate::{Action, Instance, Version, resume};

#[test]
fn three_exits_soon_after_the_update_take_it_back() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 validate=60000
        ! well
        ? none validate v2 2/2: 0=v2#2 serving, 1=v2#3 serving
        exited 2 1
        > '0: failed: exited with status 1'; '0: restarting in 0.09s'; publish 7: 3
        +100
        > place 4
        well
        > '0: scheduled on n1'; '0: starting'; '0: healthy (0.05s)'
        exited 4 1
        > '0: failed: exited with status 1'; '0: restarting in 0.1s'; publish 9: 3; forget 2
        +200
        > place 5
        well
        > '0: scheduled on n1'; '0: starting'; '0: healthy (0.05s)'
        exited 3 1
        > '1: failed: exited with status 1'; '1: restarting in 0.09s'
        > 'v2 does not hold: 3 exits'
        > 'rollback started v2→v1: 3 exits of v2 soon after its update'; place 7
        > publish 11: 5; forget 6
        well
        > '1: scheduled on n1'; '1: starting'; '1: healthy (0.05s)'; '2: scheduled on n1'
        > '2: starting'; '2: healthy (0.05s)'; '0: old instance stopped'
        > 'instances renumbered'
        > 'rolled back v2→v1 (0.00s): 3 exits of v2 soon after its update'
        ? none idle v1 2/2: 0=v2#4 kept, 0=v1#7 serving, 1=v2#3 kept, 1=v1#8 serving
        outcome
        > rolled back v2→v1 (0.00s): 3 exits of v2 soon after its update
        ",
    );
}

#[test]
fn a_quiet_minute_ends_the_watch() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2 validate=60000
        ! well
        +59999
        ? none validate v2 1/1: 0=v2#1 serving
        +1
        > 'v2 validated'
        ? none idle v2 1/1: 0=v2#1 serving
        ",
    );
}

#[test]
fn a_late_exit_prolongs_the_watch_to_itself_and_a_minute_at_most_three_times_the_window() {
    check(
        "
        ! apply v1 replicas=1 max-restarts=100
        ! well
        ! apply v2 validate=30000
        ! well
        +29000
        exited 1 1
        > '0: failed: exited with status 1'; '0: restarting in 0.08s'; publish 4:
        ! +100
        ! well
        +59000
        ? none validate v2 1/1: 0=v2#1 kept, 0=v2#2 serving
        exited 2 1
        > '0: failed: exited with status 1'; '0: restarting in 0.1s'; publish 6:; forget 1
        ! +200
        ! well
        +1699
        ? none validate v2 1/1: 0=v2#2 kept, 0=v2#3 serving
        +1
        > 'v2 validated'
        ? none idle v2 1/1: 0=v2#2 kept, 0=v2#3 serving
        ",
    );
}

#[test]
fn restarts_that_we_made_ourselves_are_not_counted() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 validate=60000
        ! well
        ! restart 2
        ! well
        ! +0
        ! well
        ! unhealthy 3 slow
        ! well
        ! +100
        ! well
        ! lost 4
        ! +200
        ! well
        ? none validate v2 2/2: 0=v2#6 serving, 1=v2#3 kept, 1=v2#5 serving
        ",
    );
}

#[test]
fn a_rollback_is_not_watched() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2 validate=60000
        ! well
        ! rollback v1 validate=60000
        ! well
        ? none idle v1 1/1: 0=v1#2 serving
        ",
    );
}

#[test]
fn a_crash_loop_of_a_first_deploy_has_nothing_to_go_back_to_and_is_told() {
    check(
        "
        ! apply v1 validate=60000
        ! well
        ? none validate v1 1/1: 0=v1#0 serving
        ! exited 0 1
        ! +100
        ! well
        ! exited 1 1
        ! +200
        ! well
        exited 2 1
        > '0: failed: exited with status 1'; '0: restarting in 0.3s'; 'v1 does not hold: 3 exits'
        > publish 6:; forget 1
        ? none idle v1 0/1: 0=v1#1 forgetting, 0=v1#2 kept, 0=v1#3 waiting
        ",
    );
}

#[test]
fn a_place_that_is_given_up_before_its_third_exit_is_enough_of_a_loop() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2 validate=60000 max-restarts=1
        ! well
        ! exited 1 1
        ! +100
        ! well
        exited 2 1
        > '0: failed: exited with status 1'; '0: gave up: exited with status 1'
        > 'v2 does not hold: 2 exits'
        > 'rollback started v2→v1: 2 exits of v2 soon after its update'; place 3; publish 6:
        well
        > '0: scheduled on n1'; '0: starting'; '0: healthy (0.05s)'
        > 'rolled back v2→v1 (0.00s): 2 exits of v2 soon after its update'
        ? none idle v1 1/1: 0=v2#1 kept, 0=v2#2 kept, 0=v1#3 serving
        ",
    );
}

#[test]
fn what_was_rolled_back_to_and_exits_as_often_is_not_rolled_back_again() {
    check(
        "
        ! apply v1 validate=60000
        ! well
        ! +60000
        ! apply v2 validate=60000
        ! well
        ! exited 1 1
        ! +100
        ! well
        ! exited 2 1
        ! +200
        ! well
        ! exited 3 1
        ! +400
        ! well
        ? none idle v1 1/1: 0=v2#3 kept, 0=v1#5 serving
        ! exited 5 1
        ! +100
        ! well
        ! exited 6 1
        ! +200
        ! well
        exited 7 1
        > '0: failed: exited with status 1'; '0: restarting in 0.3s'; publish 14:; forget 6
        ? none idle v1 0/1: 0=v1#6 forgetting, 0=v1#7 kept, 0=v1#8 waiting
        ",
    );
}

#[test]
fn a_change_in_place_and_a_restart_leave_the_watch_where_it_is() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2 validate=60000
        ! well
        +50000
        change v3 replicas=2
        > 'change in place started v2→v3, replicas 2'; place 2
        well
        > '1: scheduled on n1'; '1: starting'; '1: healthy (0.05s)'; 'done change v2→v3 (0.00s)'
        ? none validate v3 2/2: 0=v3#1 serving, 1=v3#2 serving
        ! restart
        ! well
        ? none validate v3 2/2: 0=v3#3 serving, 1=v3#4 serving
        +10000
        > 'v3 validated'
        ",
    );
}

#[test]
fn what_is_validated_is_not_in_flight() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2 validate=60000
        ! well
        refuse cancel update to v2 has ended and is being validated; rollback goes back
        refuse pause update to v2 has ended and is being validated; rollback goes back
        ",
    );
}

#[test]
fn a_loop_that_is_found_while_a_paused_restart_stands_wakes_nobody_until_that_ends() {
    let mut world = World::new();
    script::run(
        &mut world,
        "! apply v1\n! well\n! apply v2 validate=60000 max-restarts=99\n! well\n\
         ! restart\n! pause\n! well\n",
    );
    for _ in 0..3 {
        let serves = |i: &&Instance| i.version == Version(2) && i.stage == Stage::Serving;
        let id = world.service.instances().values().find(serves).expect("one serves").id;
        script::run(&mut world, &format!("! exited {id} 1\n! +1000\n! well\n"));
    }
    let (version, exits, until) = world.service.watch().expect("it is kept until then");
    assert_eq!((version, exits), (Version(2), 3));
    let waits = resume(&world.service, world.now);
    assert!(!waits.contains(&Action::Wake { at: until }), "{waits:?}");
}
