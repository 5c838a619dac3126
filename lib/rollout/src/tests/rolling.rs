//! Rolling updates that go well: order, batches, numbers.

use super::script::check;

#[test]
fn a_first_deploy_starts_all_at_once_and_serves_when_the_edges_have_it() {
    check(
        "
        apply v1 replicas=3
        > 'first deploy started v1'; place 0; place 1; place 2
        placed 0 n1
        > '0: scheduled on n1'; 'pulling image of v1'; pull v1
        placed 1 n2
        > '1: scheduled on n2'
        placed 2 n1
        > '2: scheduled on n1'
        pulled v1
        > '0: starting'; '1: starting'; '2: starting'; start 0 v1 at 0; start 1 v1 at 1
        > start 2 v1 at 2
        started 1
        healthy 1
        > '1: healthy (0.05s)'; publish 1: 1
        ? rolling start -→v1 0/3: 0=v1#0 starting, 1=v1#1 routing, 2=v1#2 starting
        served
        started 0
        started 2
        healthy 0
        > '0: healthy (0.05s)'; publish 2: 0 1
        healthy 2
        > '2: healthy (0.05s)'; publish 3: 0 1 2
        ? rolling route -→v1 1/3: 0=v1#0 routing, 1=v1#1 serving, 2=v1#2 routing
        served
        > 'done update v1 (0.00s)'
        ? none idle v1 3/3: 0=v1#0 serving, 1=v1#1 serving, 2=v1#2 serving
        outcome
        > done update v1 (0.00s)
        ",
    );
}

/// start 3(new) → healthy → routed → take 0(old) out of the routes → every edge has acknowledged →
/// drain → stop 0 → pause → start 4 … → stop 2 → renumber 3,4,5 → 0,1,2.
#[test]
fn a_new_one_serves_before_an_old_one_leaves_and_nothing_is_signalled_before_it_drained() {
    check(
        "
        ! apply v1 replicas=3
        ! well
        apply v2 pause=10000
        > 'rolling update started v1→v2'; place 3
        placed 3 n1
        > '3: scheduled on n1'; 'pulling image of v2'; pull v2
        pulled v2
        > '3: starting'; start 3 v2 at 3
        started 3
        healthy 3
        > '3: healthy (0.05s)'; publish 4: 0 1 2 3
        ? rolling route v1→v2 0/3: 0=v1#0 serving, 1=v1#1 serving, 2=v1#2 serving,
        ? 3=v2#3 routing
        served
        > publish 5: 1 2 3
        served
        > drain 0
        drained 0
        > stop 0
        exited 0
        > '0: old instance stopped'; forget 0
        forgotten 0
        ? rolling pause v1→v2 1/3: 1=v1#1 serving, 2=v1#2 serving, 3=v2#3 serving
        +9999
        +1
        > place 4
        placed 4
        > '4: scheduled on n1'; '4: starting'; start 4 v2 at 4
        started 4
        healthy 4
        > '4: healthy (0.05s)'; publish 6: 1 2 3 4
        served
        > publish 7: 2 3 4
        served
        > drain 1
        drained 1
        > stop 1
        exited 1
        > '1: old instance stopped'; forget 1
        +10000
        > place 5
        placed 5
        > '5: scheduled on n1'; '5: starting'; start 5 v2 at 5
        started 5
        healthy 5
        > '5: healthy (0.05s)'; publish 8: 2 3 4 5
        served
        > publish 9: 3 4 5
        served
        > drain 2
        drained 2
        > stop 2
        ? rolling stop v1→v2 3/3: 1=v1#1 forgetting, 2=v1#2 stopping, 3=v2#3 serving,
        ? 4=v2#4 serving, 5=v2#5 serving
        exited 2
        > '2: old instance stopped'; 'instances renumbered'; 'done update v1→v2 (20s)'
        > forget 2
        ? none idle v2 3/3: 0=v2#3 serving, 1=v1#1 forgetting, 1=v2#4 serving,
        ? 2=v1#2 forgetting, 2=v2#5 serving
        outcome
        > done update v1→v2 (20s)
        ",
    );
}

#[test]
fn batches_of_two_go_two_at_a_time() {
    check(
        "
        ! apply v1 replicas=4
        ! well
        apply v2 batch=2
        > 'rolling update started v1→v2'; place 4; place 5
        placed 4
        > '4: scheduled on n1'; 'pulling image of v2'; pull v2
        pulled v2
        > '4: starting'; start 4 v2 at 4
        placed 5
        > '5: scheduled on n1'; '5: starting'; start 5 v2 at 5
        started 4
        started 5
        healthy 5
        > '5: healthy (0.05s)'; publish 5: 0 1 2 3 5
        healthy 4
        > '4: healthy (0.05s)'; publish 6: 0 1 2 3 4 5
        served
        > publish 7: 2 3 4 5
        served
        > drain 0; drain 1
        drained 1
        > stop 1
        exited 1
        > '1: old instance stopped'; forget 1
        drained 0
        > stop 0
        exited 0
        > '0: old instance stopped'; place 6; place 7; forget 0
        well
        > '6: scheduled on n1'; '6: starting'; '7: scheduled on n1'; '7: starting'
        > '6: healthy (0.05s)'; '7: healthy (0.05s)'; '2: old instance stopped'
        > '3: old instance stopped'; 'instances renumbered'; 'done update v1→v2 (0.00s)'
        ",
    );
}

#[test]
fn more_replicas_are_surged_batch_by_batch() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        apply v2 replicas=4
        > 'rolling update started v1→v2'; place 2
        well
        > '2: scheduled on n1'; 'pulling image of v2'; '2: starting'; '2: healthy (0.05s)'
        > '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'; '4: scheduled on n1'
        > '4: starting'; '4: healthy (0.05s)'; '0: old instance stopped'; '5: scheduled on n1'
        > '5: starting'; '5: healthy (0.05s)'; '1: old instance stopped'
        > 'instances renumbered'; 'done update v1→v2 (0.00s)'
        ? none idle v2 4/4: 0=v2#2 serving, 1=v2#3 serving, 2=v2#4 serving, 3=v2#5 serving
        ",
    );
}

#[test]
fn fewer_replicas_are_retired_batch_by_batch() {
    check(
        "
        ! apply v1 replicas=4
        ! well
        apply v2 replicas=2
        > 'rolling update started v1→v2'; place 4
        well
        > '4: scheduled on n1'; 'pulling image of v2'; '4: starting'; '4: healthy (0.05s)'
        > '0: old instance stopped'; '5: scheduled on n1'; '5: starting'; '5: healthy (0.05s)'
        > '1: old instance stopped'; '2: old instance stopped'; '3: old instance stopped'
        > 'instances renumbered'; 'done update v1→v2 (0.00s)'
        ? none idle v2 2/2: 0=v2#4 serving, 1=v2#5 serving
        ",
    );
}

#[test]
fn drain_passes_and_the_instance_is_stopped_all_the_same() {
    check(
        "
        ! apply v1 replicas=1 drain=15000
        ! well
        ! apply v2
        ! placed 1
        ! pulled v2
        ! started 1
        ! healthy 1
        ! served
        served
        > drain 0
        +14999
        +1
        > stop 0
        exited 0
        > '0: old instance stopped'; 'instances renumbered'; 'done update v1→v2 (15s)'
        > forget 0
        ",
    );
}

#[test]
fn without_room_for_the_surge_one_stops_before_one_starts() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        apply v2 turn-round
        > 'rolling update started v1→v2'; publish 3: 1
        ? rolling drain v1→v2 0/2: 0=v1#0 leaving, 1=v1#1 serving
        served
        > drain 0
        drained 0
        > stop 0
        exited 0
        > '0: old instance stopped'; place 2; forget 0
        placed 2
        > '2: scheduled on n1'; 'pulling image of v2'; pull v2
        pulled v2
        > '2: starting'; start 2 v2 at 2
        well
        > '2: healthy (0.05s)'; '1: old instance stopped'; '3: scheduled on n1'; '3: starting'
        > '3: healthy (0.05s)'; 'instances renumbered'; 'done update v1→v2 (0.00s)'
        ? none idle v2 2/2: 0=v2#2 serving, 1=v2#3 serving
        ",
    );
}

#[test]
fn none_are_wanted_and_the_update_is_done_at_once() {
    check(
        "
        apply v1 replicas=0
        > 'first deploy started v1'; 'done update v1 (0.00s)'
        ? none idle v1 0/0:
        ",
    );
}

/// Without an edge every table is served, and every instance drained, at once.
#[test]
fn without_an_edge_an_update_runs_through() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        apply v2
        > 'rolling update started v1→v2'; place 2
        well
        > '2: scheduled on n1'; 'pulling image of v2'; '2: starting'; '2: healthy (0.05s)'
        > '0: old instance stopped'; '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'
        > '1: old instance stopped'; 'instances renumbered'; 'done update v1→v2 (0.00s)'
        outcome
        > done update v1→v2 (0.00s)
        ",
    );
}

#[test]
fn an_answer_that_comes_late_or_twice_changes_nothing() {
    check(
        "
        ! apply v1 replicas=1
        ! well
        ! apply v2
        ! placed 1
        placed 1
        ! pulled v2
        pulled v2
        ! started 1
        started 1
        ! healthy 1
        healthy 1
        served 1
        served 99
        drained 0
        served 2
        > publish 3: 1
        drained 1
        exited 7
        forgotten 0
        woke
        served
        > drain 0
        drained 0
        > stop 0
        exited 0
        > '0: old instance stopped'; 'instances renumbered'; 'done update v1→v2 (0.00s)'
        > forget 0
        served 1
        ",
    );
}
