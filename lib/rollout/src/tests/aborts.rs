//! What is aimed at when an update is aborted: never more than were wanted.

use super::script::check;

#[test]
fn instances_are_never_more_than_old_or_new_and_batch_after_a_restart_that_failed() {
    check(
        "
        ! apply v1 progress=60000
        ! well
        ! unhealthy 0 timeout
        ! placed 1
        ! started 1
        ! healthy 1
        restart
        > 'restart started v1'; place 2
        ! placed 2
        ! started 2
        ! healthy 2
        ? rolling route v1→v1 0/1: 0=v1#0 sick, 1=v1#1 routing, 2=v1#2 routing
        +60000
        ? rolling route v1→v1 0/1: 0=v1#0 sick, 1=v1#1 routing, 2=v1#2 routing
        served
        > '0: out of the routes: timeout'; publish 4: 1
        well
        > '0: stopped'; '2: stopped'; 'instances renumbered'
        > 'failed restart v1 (60s): no progress for 60s, phase route'
        ? failed idle v1→v1 1/1: 0=v1#1 serving
        outcome
        > failed restart v1 (60s): no progress for 60s, phase route
        ",
    );
}

#[test]
fn the_surge_of_an_update_that_failed_leaves() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 progress=60000
        ! placed 2
        ! pulled v2
        ! started 2
        ! healthy 2
        ? rolling route v1→v2 0/2: 0=v1#0 serving, 1=v1#1 serving, 2=v2#2 routing
        +60000
        > publish 4: 0 1
        served
        > drain 2
        well
        > '2: stopped'; 'failed update v1→v2 (60s): no progress for 60s, phase route'
        ? failed idle v1→v2 0/2: 0=v1#0 serving, 1=v1#1 serving
        ",
    );
}

#[test]
fn who_fails_its_probes_beside_its_successor_is_not_wanted_after_an_update_that_failed() {
    check(
        "
        ! apply v1
        ! well
        ! unhealthy 0 timeout
        ! placed 1
        ! started 1
        ! healthy 1
        ! apply v2 replicas=3 health=120000 progress=60000
        ! placed 2
        ! pulled v2
        ! started 2
        ? rolling health v1→v2 0/3: 0=v1#0 sick, 1=v1#1 routing, 2=v2#2 checking
        +60000
        > stop 2
        ? rolling route v1→v2 0/3: 0=v1#0 sick, 1=v1#1 routing, 2=v2#2 stopping
        served
        > '0: out of the routes: timeout'; publish 3: 1
        well
        > '0: stopped'; 'instances renumbered'
        > 'failed update v1→v2 (60s): no progress for 60s, phase health'
        ? failed idle v1→v2 0/3: 0=v1#1 serving, 2=v2#2 kept
        ",
    );
}
