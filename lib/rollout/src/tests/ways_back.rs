//! Cancel and rollback: the ways back, in every phase.

use super::script::check;

#[test]
fn cancel_before_anything_serves_stops_the_new_ones() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2
        ! placed 2
        ! pulled v2
        cancel
        > 'cancelling'; stop 2
        refuse cancel update is already being ended; wait for it
        exited 2
        > '2: stopped'; 'cancelled update v1→v2 (0.00s)'; forget 2
        ? none idle v1 2/2: 0=v1#0 serving, 1=v1#1 serving, 2=v2#2 forgetting
        outcome
        > cancelled update v1→v2 (0.00s)
        ",
    );
}

#[test]
fn cancel_half_way_goes_back_to_the_current_version() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 pause=60000
        ! well
        ? rolling pause v1→v2 1/2: 1=v1#1 serving, 2=v2#2 serving
        cancel
        > 'cancelling'; place 3
        placed 3
        > '3: scheduled on n1'; '3: starting'; start 3 v1 at 3
        well
        > '3: healthy (0.05s)'; '2: stopped'; 'instances renumbered'
        > 'cancelled update v1→v2 (0.00s)'
        ? none idle v1 2/2: 0=v1#1 serving, 1=v1#3 serving
        outcome
        > cancelled update v1→v2 (0.00s)
        ",
    );
}

#[test]
fn cancel_ends_in_bounded_time_whatever_the_node_does() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 stop=10000
        ! placed 2
        ! pulled v2
        ! started 2
        cancel
        > 'cancelling'; stop 2
        +15000
        > 'cancelled update v1→v2 (14.5s)'
        ? none idle v1 2/2: 0=v1#0 serving, 1=v1#1 serving, 2=v2#2 stopping
        exited 2 KILL
        > '2: stopped'; forget 2
        forgotten 2
        ? none idle v1 2/2: 0=v1#0 serving, 1=v1#1 serving
        ",
    );
}

#[test]
fn cancel_of_a_first_deploy_leaves_nothing() {
    check(
        "
        ! apply v1 replicas=2
        ! placed 0
        ! pulled v1
        ! started 0
        ! healthy 0
        ! served
        cancel
        > 'cancelling'; publish 2:; forget 1
        well
        > '0: stopped'; 'cancelled update v1 (0.00s)'
        ? none idle - 0/0:
        ",
    );
}

#[test]
fn cancel_while_the_old_one_leaves_brings_it_back_as_a_new_run() {
    check(
        "
        ! apply v1 replicas=1
        ! well
        ! apply v2
        ! placed 1
        ! pulled v2
        ! started 1
        ! healthy 1
        ! served
        cancel
        > 'cancelling'
        well
        > '0: stopped'; '2: scheduled on n1'; '2: starting'; '2: healthy (0.05s)'
        > '1: stopped'; 'instances renumbered'; 'cancelled update v1→v2 (0.00s)'
        ? none idle v1 1/1: 0=v1#2 serving
        ",
    );
}

#[test]
fn a_way_back_without_room_for_a_surge_says_so() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2
        ! well
        rollback v1 turn-round
        > 'rollback started v2→v1, one stops before one starts'; publish 7: 2
        ",
    );
}

#[test]
fn rollback_with_nothing_in_flight_goes_to_the_version_given() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2
        ! well
        rollback v1
        > 'rollback started v2→v1'; place 4
        well
        > '2: scheduled on n1'; '2: starting'; '2: healthy (0.05s)'; '1: old instance stopped'
        > '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'; '0: old instance stopped'
        > 'instances renumbered'; 'rolled back v2→v1 (0.00s)'
        ? none idle v1 2/2: 0=v1#4 serving, 1=v1#5 serving
        outcome
        > rolled back v2→v1 (0.00s)
        ",
    );
}

#[test]
fn rollback_without_a_version_that_completed_is_refused() {
    check(
        "
        refuse rollback no version to go back to; cancel or remove instead
        ! apply v1
        refuse rollback no version to go back to; cancel or remove instead
        ",
    );
}

#[test]
fn cancel_of_a_scale_goes_back_to_the_old_number() {
    check(
        "
        ! apply v1 replicas=1
        ! well
        ! change v1 replicas=3
        ! placed 1
        cancel
        > 'cancelling'; stop 1
        well
        > '1: stopped'; 'cancelled change v1 (0.00s)'
        ? none idle v1 1/1: 0=v1#0 serving
        ",
    );
}

#[test]
fn stop_ends_an_update_in_flight_as_cancelled() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2
        ! placed 1
        stop
        > 'cancelled update v1→v2 (0.00s)'; 'stopping'; publish 2:; forget 1
        well
        > '0: stopped'; 'done stop v1 (0.00s)'
        ? none idle v1 0/0:
        ",
    );
}

#[test]
fn cancel_with_the_surge_in_place_makes_room_first() {
    check(
        "
        ! apply v1 replicas=5
        ! well
        ! apply v2 replicas=4
        ! placed 5
        ! pulled v2
        ! started 5
        ! healthy 5
        ! served
        ! served
        ! drained 0
        ! exited 0
        ! placed 6
        ! started 6
        ! healthy 6
        ! pause
        ! served
        cancel
        > 'cancelling'; publish 9: 1 2 3 4 6
        well
        > '5: stopped'; '7: scheduled on n1'; '7: starting'; '7: healthy (0.05s)'
        > '6: stopped'; 'instances renumbered'; 'cancelled update v1→v2 (0.00s)'
        ? none idle v1 5/5: 0=v1#1 serving, 1=v1#2 serving, 2=v1#3 serving, 3=v1#4 serving,
        ? 4=v1#7 serving
        ",
    );
}

#[test]
fn what_works_does_not_leave_for_a_place_that_was_given_up() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 pause=60000
        ! well
        cancel
        > 'cancelling'; place 3
        placed 3
        > '3: scheduled on n1'; '3: starting'; start 3 v1 at 3
        start-refused 3 no such file: /bin/app
        > '3: failed: no such file: /bin/app'; '3: gave up: no such file: /bin/app'
        ? rolling idle v1→v2 1/2: 1=v1#1 serving, 2=v2#2 serving, 3=v1#3 gave-up
        +1000000
        > 'cancelled update v1→v2 (14.5s): 1 of 2 serve as before, the rest follows'
        ? failed idle v1 1/2: 1=v1#1 serving, 2=v2#2 serving, 3=v1#3 gave-up
        ",
    );
}

#[test]
fn a_rollback_from_mixed_versions_takes_the_updated_ones_back() {
    check(
        "
        ! apply v1 replicas=3
        ! well
        ! apply v2
        ! placed 3
        ! pulled v2
        ! started 3
        ! healthy 3
        ! served
        ! served
        ! drained 0
        ! exited 0
        ! placed 4
        ! started 4
        ! exited 4 1
        rollback v1
        > 'rollback started v2→v1'; place 5
        well
        > '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'; '2: old instance stopped'
        > 'instances renumbered'; 'rolled back v2→v1 (0.00s)'
        ? none idle v1 3/3: 0=v1#1 serving, 1=v1#2 serving, 2=v1#5 serving, 4=v2#4 kept
        outcome
        > rolled back v2→v1 (0.00s)
        ",
    );
}

#[test]
fn with_update_failure_rollback_the_updated_ones_are_taken_back_newest_first() {
    check(
        "
        ! apply v1 replicas=3
        ! well
        ! apply v2 failure=rollback pause=5000
        ! placed 3
        ! pulled v2
        ! started 3
        ! healthy 3
        ! served
        ! served
        ! drained 0
        ! exited 0
        ! forgotten 0
        ! +5000
        ! placed 4
        ! started 4
        ! healthy 4
        ! served
        ! served
        ! drained 1
        ! exited 1
        ! forgotten 1
        ! +5000
        ! placed 5
        ! started 5
        exited 5 1
        > '5: failed: exited with status 1'; 'rollback started v2→v1: exited with status 1'
        > place 6
        ? rolling place v1→v1 1/3: 2=v1#2 serving, 3=v2#3 serving, 4=v2#4 serving,
        ? 5=v2#5 kept, 5=v1#6 placing
        placed 6
        > '5: scheduled on n1'; '5: starting'; start 6 v1 at 5
        started 6
        healthy 6
        > '5: healthy (0.05s)'; publish 8: 2 3 4 6
        served
        > publish 9: 2 3 6
        served
        > drain 4
        well
        > '4: old instance stopped'; '6: scheduled on n1'; '6: starting'; '6: healthy (0.05s)'
        > '3: old instance stopped'; 'instances renumbered'
        > 'rolled back v2→v1 (10s): exited with status 1'
        ? none idle v1 3/3: 0=v1#2 serving, 1=v1#6 serving, 2=v1#7 serving, 5=v2#5 kept
        outcome
        > rolled back v2→v1 (10s): exited with status 1
        ",
    );
}

#[test]
fn a_rollback_that_fails_is_not_rolled_back() {
    check(
        "
        ! apply v1 replicas=2 failure=rollback
        ! well
        ! apply v2
        ! placed 2
        ! pulled v2
        ! started 2
        ! healthy 2
        ! served
        ! served
        ! drained 0
        ! exited 0
        ! placed 3
        ! started 3
        exited 3 1
        > '3: failed: exited with status 1'; 'rollback started v2→v1: exited with status 1'
        > place 4
        placed 4
        > '3: scheduled on n1'; '3: starting'; start 4 v1 at 3
        started 4
        exited 4 1
        > '3: failed: exited with status 1'; 'instances renumbered'
        > 'failed rollback v2→v1 (0.00s): exited with status 1'
        ? failed idle v1→v1 1/2: 0=v1#0 forgetting, 0=v1#1 serving, 1=v2#2 serving,
        ? 3=v2#3 kept, 3=v1#4 kept
        outcome
        > failed rollback v2→v1 (0.00s): exited with status 1
        ",
    );
}

#[test]
fn cancel_of_an_apply_that_starts_a_stopped_service_leaves_it_stopped() {
    check(
        "
        ! apply v1
        ! well
        ! stop
        ! well
        ! apply v2
        cancel
        > 'cancelling'; 'cancelled update v1→v2 (0.00s)'; forget 1
        well
        ? none idle v1 0/0:
        refuse scale service is stopped; apply starts it
        ",
    );
}
