//! Apply, restart, scale, stop, remove; and who is refused.

use super::script::check;

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
