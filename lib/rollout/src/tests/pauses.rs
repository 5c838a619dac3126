//! Pause and resume: what stands still, and what does not.

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
fn with_update_failure_pause_it_stands_and_resume_tries_again() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 failure=pause
        ! placed 2
        ! pulled v2
        ! started 2
        exited 2 1
        > '2: failed: exited with status 1'; 'update paused: exited with status 1'
        outcome
        > paused update v1→v2 (0.00s): exited with status 1
        ? paused idle v1→v2 0/2: 0=v1#0 serving, 1=v1#1 serving, 2=v2#2 kept
        +1000000
        resume
        > 'update resumed'; place 3
        well
        > '2: scheduled on n1'; '2: starting'; '2: healthy (0.05s)'; '0: old instance stopped'
        > '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'; '1: old instance stopped'
        > 'instances renumbered'; 'done update v1→v2 (1000s)'
        ",
    );
}

#[test]
fn without_a_step_forward_the_update_fails_at_its_deadline_and_a_pause_stops_that_clock() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2 progress=10000 health=60000
        ! placed 1
        ! pulled v2
        ! started 1
        +9000
        pause
        > 'update paused'
        +50000
        resume
        > 'update resumed'
        +999
        +1
        > stop 1
        exited 1
        > 'failed update v1→v2 (60s): no progress for 10s, phase health'
        ? failed idle v1→v2 0/1: 0=v1#0 serving, 1=v2#1 kept
        ",
    );
}
