//! Updates that replace: for services of which no two versions may run at once.

use super::script::check;

#[test]
fn all_old_ones_stop_before_a_new_one_starts_and_requests_are_held() {
    check(
        "
        ! apply v1 replicas=2 replace
        ! well
        apply v2
        > 'replace update started v1→v2'; place 2; place 3
        placed 2
        > '2: scheduled on n1'; 'pulling image of v2'; pull v2
        pulled v2
        placed 3
        > '3: scheduled on n1'; publish 3: hold
        ? rolling drain v1→v2 0/2: 0=v1#0 leaving, 1=v1#1 leaving, 2=v2#2 ready, 3=v2#3 ready
        served
        > drain 0; drain 1
        drained 0
        > stop 0
        exited 0
        > '0: old instance stopped'; forget 0
        drained 1
        > stop 1
        exited 1
        > '1: old instance stopped'; '2: starting'; '3: starting'; start 2 v2 at 2
        > start 3 v2 at 3; forget 1
        started 2
        healthy 2
        > '2: healthy (0.05s)'
        started 3
        healthy 3
        > '3: healthy (0.05s)'; publish 4: 2 3
        served
        > 'instances renumbered'; 'done update v1→v2 (0.00s)'
        ? none idle v2 2/2: 0=v1#0 forgetting, 0=v2#2 serving, 1=v1#1 forgetting,
        ? 1=v2#3 serving
        outcome
        > done update v1→v2 (0.00s)
        ",
    );
}

#[test]
fn when_new_ones_fail_the_old_ones_are_started_again() {
    check(
        "
        ! apply v1 replicas=2 replace
        ! well
        ! apply v2
        ! placed 2
        ! placed 3
        ! pulled v2
        ! served
        ! drained 0
        ! drained 1
        ! exited 0
        ! exited 1
        ! started 2
        ! started 3
        ! healthy 2
        exited 3 1
        > '3: failed: exited with status 1'; place 4; place 5; stop 2
        placed 4
        > '3: scheduled on n1'
        placed 5
        > '4: scheduled on n1'
        ? rolling stop v1→v2 0/2: 0=v1#0 forgetting, 1=v1#1 forgetting, 2=v2#2 stopping,
        ? 3=v2#3 kept, 3=v1#4 ready, 4=v1#5 ready
        exited 2
        > '2: stopped'; '3: starting'; '4: starting'; start 4 v1 at 3; start 5 v1 at 4
        > forget 2
        started 4
        healthy 4
        > '3: healthy (0.05s)'; publish 4: 4
        ? rolling start v1→v2 0/2: 0=v1#0 forgetting, 1=v1#1 forgetting, 2=v2#2 forgetting,
        ? 3=v2#3 kept, 3=v1#4 routing, 4=v1#5 starting
        well
        > '4: healthy (0.05s)'; 'instances renumbered'
        > 'failed update v1→v2 (0.00s): exited with status 1'
        ? failed idle v1→v2 0/2: 0=v1#4 serving, 1=v1#5 serving, 3=v2#3 kept
        outcome
        > failed update v1→v2 (0.00s): exited with status 1
        ",
    );
}

#[test]
fn a_pull_that_fails_leaves_the_old_ones_alone() {
    check(
        "
        ! apply v1 replicas=2 replace
        ! well
        ! apply v2
        ! placed 2
        ! placed 3
        pull-refused v2 not found
        > '2: failed: not found'; 'failed update v1→v2 (0.00s): not found'; forget 2; forget 3
        ? failed idle v1→v2 0/2: 0=v1#0 serving, 1=v1#1 serving, 2=v2#2 forgetting,
        ? 3=v2#3 forgetting
        ",
    );
}

#[test]
fn a_pause_holds_before_the_old_ones_leave_and_never_in_the_gap() {
    check(
        "
        ! apply v1 replicas=1 replace
        ! well
        ! apply v2
        ! pause
        placed 1
        > '1: scheduled on n1'; 'pulling image of v2'; pull v2
        pulled v2
        ? paused idle v1→v2 0/1: 0=v1#0 serving, 1=v2#1 ready
        resume
        > 'update resumed'; publish 3: hold
        pause
        > 'update paused'
        served
        > drain 0
        drained 0
        > stop 0
        exited 0
        > '0: old instance stopped'; '1: starting'; start 1 v2 at 1; forget 0
        well
        > '1: healthy (0.05s)'
        ? paused idle v1→v2 1/1: 1=v2#1 serving
        resume
        > 'update resumed'; 'instances renumbered'; 'done update v1→v2 (0.00s)'
        ? none idle v2 1/1: 0=v2#1 serving
        ",
    );
}

#[test]
fn with_update_failure_rollback_it_ends_rolled_back() {
    check(
        "
        ! apply v1 replicas=1 replace failure=rollback
        ! well
        ! apply v2
        ! placed 1
        ! pulled v2
        ! served
        ! drained 0
        ! exited 0
        ! started 1
        exited 1 1
        > '1: failed: exited with status 1'
        > 'rollback started v2→v1, replace: exited with status 1'
        > place 2
        well
        > '0: scheduled on n1'; '0: starting'; '0: healthy (0.05s)'
        > 'rolled back v2→v1 (0.00s): exited with status 1'
        ? none idle v1 1/1: 0=v1#2 serving, 1=v2#1 kept
        outcome
        > rolled back v2→v1 (0.00s): exited with status 1
        ",
    );
}

#[test]
fn cancel_in_the_gap_starts_the_old_ones_again() {
    check(
        "
        ! apply v1 replicas=1 replace
        ! well
        ! apply v2
        ! placed 1
        ! pulled v2
        ! served
        ! drained 0
        ! exited 0
        cancel
        > 'cancelling'; place 2; stop 1
        well
        > '2: scheduled on n1'; '1: stopped'; '2: starting'; '2: healthy (0.05s)'
        > 'instances renumbered'; 'cancelled update v1→v2 (0.00s)'
        ? none idle v1 1/1: 0=v1#2 serving
        ",
    );
}

#[test]
fn restart_of_a_stateful_service_stops_all_first() {
    check(
        "
        ! apply v1 replicas=2 replace
        ! well
        restart
        > 'restart started v1, replace'; place 2; place 3
        well
        > '2: scheduled on n1'; '3: scheduled on n1'; '0: old instance stopped'
        > '1: old instance stopped'; '2: starting'; '3: starting'; '2: healthy (0.05s)'
        > '3: healthy (0.05s)'; 'instances renumbered'; 'done restart v1 (0.00s)'
        ? none idle v1 2/2: 0=v1#2 serving, 1=v1#3 serving
        ",
    );
}

#[test]
fn a_change_waits_until_what_a_replacement_left_is_gone() {
    check(
        "
        ! apply v1 replicas=2 replace
        ! well
        ! apply v2
        ! placed 2
        ! placed 3
        ! pulled v2
        ! served
        ! drained 0
        ! drained 1
        ! exited 0
        ! exited 1
        ! started 2
        ! started 3
        ! exited 2 1
        ! placed 4
        ! placed 5
        ! +100000
        ? failed idle v1→v2 0/2: 0=v1#0 forgetting, 1=v1#1 forgetting, 2=v2#2 kept,
        ? 3=v2#3 stopping, 4=v1#4 ready, 5=v1#5 ready
        change v3 replicas=1 rolling
        > 'change in place started v1→v3, replicas 1'; publish 5: hold; forget 5
        exited 3 KILL
        > '3: old instance stopped'; '4: starting'; start 4 v3 at 4; forget 3
        ",
    );
}

#[test]
fn what_an_earlier_update_left_behind_counts_as_running() {
    check(
        "
        ! apply v1 replicas=3 replace
        ! well
        ! apply v2
        ! placed 3
        ! placed 4
        ! placed 5
        ! pulled v2
        ! served
        ! drained 0
        ! drained 1
        ! drained 2
        ! exited 0
        ! exited 1
        ! exited 2
        ! started 3
        ! started 4
        ! started 5
        ! exited 3 1
        ! placed 6
        ! placed 7
        ! placed 8
        ! +100000
        apply v1 rolling
        > 'start of v1 again'; '6: starting'; '7: starting'; start 6 v1 at 6; start 7 v1 at 7
        exited 4 KILL
        > '4: old instance stopped'; '8: starting'; start 8 v1 at 8; forget 4
        exited 5 KILL
        > '5: old instance stopped'; forget 5
        ",
    );
}
