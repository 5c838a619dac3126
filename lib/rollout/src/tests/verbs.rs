//! Pause, resume, cancel, rollback, restart, scale, stop, remove; and who is refused.

use super::script::check;

#[test]
fn a_pause_lets_what_moves_come_to_rest_and_begins_nothing() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2
        ! placed 2
        pause
        > 'update paused'
        refuse pause update is already paused; resume, cancel or rollback
        pulled v2
        > '2: starting'; start 2 v2 at 2
        well
        > '2: healthy (0.05s)'
        ? paused idle v1→v2 1/2: 0=v1#0 serving, 1=v1#1 serving, 2=v2#2 serving
        outcome
        > paused update v1→v2 (0.00s)
        +1000000
        resume
        > 'update resumed'; publish 4: 1 2
        refuse resume update is not paused
        well
        > '0: old instance stopped'; '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'
        > '1: old instance stopped'; 'instances renumbered'; 'done update v1→v2 (1000s)'
        ? none idle v2 2/2: 0=v2#2 serving, 1=v2#3 serving
        ",
    );
}

#[test]
fn while_paused_a_lost_instance_is_replaced_at_its_own_version() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2
        ! placed 2
        ! pulled v2
        ! started 2
        ! healthy 2
        ! served
        ! served
        pause
        > 'update paused'
        well
        > '0: old instance stopped'
        ? paused idle v1→v2 1/2: 1=v1#1 serving, 2=v2#2 serving
        exited 1 1
        > '1: failed: exited with status 1'; '1: restarting in 0.08s'; publish 5: 2
        +100
        > place 3
        well
        > '1: scheduled on n1'; '1: starting'; '1: healthy (0.05s)'
        exited 2 1
        > '2: failed: exited with status 1'; '2: restarting in 0.09s'; publish 7: 3
        +100
        > place 4
        well
        > '2: scheduled on n1'; '2: starting'; '2: healthy (0.05s)'
        ? paused idle v1→v2 1/2: 1=v1#1 kept, 1=v1#3 serving, 2=v2#2 kept, 2=v2#4 serving
        resume
        > 'update resumed'; place 5
        well
        > '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'; '1: stopped'
        > 'instances renumbered'; 'done update v1→v2 (0.2s)'
        ? none idle v2 2/2: 0=v2#4 serving, 1=v2#5 serving
        ",
    );
}

#[test]
fn pause_stops_the_clock_of_the_rest_between_batches() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 pause=10000
        ! well
        +4000
        ? rolling pause v1→v2 1/2: 1=v1#1 serving, 2=v2#2 serving
        pause
        > 'update paused'
        +60000
        resume
        > 'update resumed'
        +5999
        +1
        > place 3
        ",
    );
}

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
        > 'cancelled update v1→v2 (15s)'
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
fn an_update_is_refused_while_another_runs() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2
        refuse apply update to v2 in flight; wait for it, or cancel it first
        refuse scale update to v2 in flight; wait for it, or cancel it first
        refuse restart update to v2 in flight; wait for it, or cancel it first
        apply v3
        ",
    );
}

#[test]
fn rollback_in_flight_goes_back_to_the_current_version_without_pauses() {
    check(
        "
        ! apply v1 replicas=2 pause=5000
        ! well
        ! apply v2
        ! well
        ? rolling pause v1→v2 1/2: 1=v1#1 serving, 2=v2#2 serving
        rollback v1
        > 'rollback started v2→v1'; place 3
        refuse rollback already rolling back to v1; wait for it, or cancel it
        well
        > '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'; '2: old instance stopped'
        > 'instances renumbered'; 'rolled back v2→v1 (0.00s)'
        ? none idle v1 2/2: 0=v1#1 serving, 1=v1#3 serving
        outcome
        > rolled back v2→v1 (0.00s)
        ",
    );
}

#[test]
fn rollback_while_paused_goes_back() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2
        ! placed 2
        ! pulled v2
        ! started 2
        ! pause
        rollback v1
        > 'rollback started v2→v1'; stop 2
        well
        > '2: old instance stopped'; 'rolled back v2→v1 (0.00s)'
        ? none idle v1 2/2: 0=v1#0 serving, 1=v1#1 serving
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
fn scale_surges_more_without_a_restart() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        change v2 replicas=4
        > 'change in place started v1→v2, replicas 4'; place 2
        well
        > '2: scheduled on n1'; '2: starting'; '2: healthy (0.05s)'; '3: scheduled on n1'
        > '3: starting'; '3: healthy (0.05s)'; 'done change v1→v2 (0.00s)'
        ? none idle v2 4/4: 0=v2#0 serving, 1=v2#1 serving, 2=v2#2 serving, 3=v2#3 serving
        outcome
        > done change v1→v2 (0.00s)
        ",
    );
}

#[test]
fn scale_retires_the_highest_places() {
    check(
        "
        ! apply v1 replicas=4
        ! well
        change v2 replicas=2 batch=2
        > 'change in place started v1→v2, replicas 2'; publish 5: 0 1
        well
        > '2: stopped'; '3: stopped'; 'done change v1→v2 (0.00s)'
        ? none idle v2 2/2: 0=v2#0 serving, 1=v2#1 serving
        ",
    );
}

#[test]
fn a_change_that_no_instance_sees_is_done_at_once() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        change v2 health=5000
        > 'change in place started v1→v2, replicas 2'; 'done change v1→v2 (0.00s)'
        ? none idle v2 2/2: 0=v2#0 serving, 1=v2#1 serving
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
fn restart_replaces_every_instance_with_surge() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        restart
        > 'restart started v1'; place 2
        ? rolling place v1→v1 0/2: 0=v1#0 serving, 1=v1#1 serving, 2=v1#2 placing
        well
        > '2: scheduled on n1'; '2: starting'; '2: healthy (0.05s)'; '0: old instance stopped'
        > '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'; '1: old instance stopped'
        > 'instances renumbered'; 'done restart v1 (0.00s)'
        ? none idle v1 2/2: 0=v1#2 serving, 1=v1#3 serving
        outcome
        > done restart v1 (0.00s)
        ",
    );
}

#[test]
fn restart_of_one_instance_drains_it_first() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        restart 1
        > publish 3: 0
        served
        > drain 1
        drained 1
        > stop 1
        exited 1
        > '1: stopped'; place 2; forget 1
        +0
        well
        > '1: scheduled on n1'; '1: starting'; '1: healthy (0.05s)'
        ? none idle v1 2/2: 0=v1#0 serving, 1=v1#2 serving
        ",
    );
}

#[test]
fn stop_sends_all_away_and_apply_starts_again() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        stop
        > 'stopping'; publish 3:
        served
        > drain 0; drain 1
        drained 1
        > stop 1
        drained 0
        > stop 0
        exited 0
        > '0: stopped'; forget 0
        exited 1
        > '1: stopped'; 'done stop v1 (0.00s)'; forget 1
        ? none idle v1 0/0: 0=v1#0 forgetting, 1=v1#1 forgetting
        refuse scale service is stopped; apply starts it
        refuse restart service is stopped; apply starts it
        apply v1
        > 'start of v1 again'; place 2; place 3
        well
        > '0: scheduled on n1'; '0: starting'; '1: scheduled on n1'; '1: starting'
        > '0: healthy (0.05s)'; '1: healthy (0.05s)'; 'done update v1 (0.00s)'
        ? none idle v1 2/2: 0=v1#2 serving, 1=v1#3 serving
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
fn remove_forgets_everything_and_then_the_record() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2
        ! placed 2
        ! pulled v2
        ! started 2
        ! exited 2 1
        remove
        > 'removing'; publish 3:; forget 2
        refuse apply service is being removed
        well
        > '0: stopped'; '1: stopped'; 'done remove v1 (0.00s)'; 'removed'
        ? none idle v1 0/0:
        ",
    );
}

#[test]
fn the_verbs_of_a_service_that_was_never_deployed_are_refused() {
    check(
        "
        refuse pause no update in flight
        refuse resume no update in flight
        refuse cancel no update in flight
        refuse scale nothing deployed yet; apply first
        refuse restart nothing deployed yet; apply first
        refuse restart-0 instance 0 does not run
        refuse stop nothing deployed yet; apply first
        ",
    );
}

#[test]
fn apply_of_the_same_version_starts_a_failed_one_again() {
    check(
        "
        ! apply v1 max-restarts=0
        ! well
        exited 0 1
        > '0: failed: exited with status 1'; '0: gave up: exited with status 1'; publish 2:
        ? failed idle v1 0/1: 0=v1#0 gave-up
        apply v1
        > 'start of v1 again'; place 1
        well
        > '0: scheduled on n1'; '0: starting'; '0: healthy (0.05s)'; 'done update v1 (0.00s)'
        ? none idle v1 1/1: 0=v1#1 serving
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
