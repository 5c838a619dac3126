//! Updates that fail: what is stopped, what stays, what is told.

use super::script::{self, check};
use super::world::World;

#[test]
fn a_new_instance_that_exits_is_stopped_and_nothing_that_works_is_touched() {
    check(
        "
        ! apply v1 replicas=3
        ! well
        ! apply v2
        ! placed 3
        ! pulled v2
        ! started 3
        exited 3 3
        > '3: failed: exited with status 3'
        > 'failed update v1→v2 (0.00s): exited with status 3'
        ? failed idle v1→v2 0/3: 0=v1#0 serving, 1=v1#1 serving, 2=v1#2 serving, 3=v2#3 kept
        outcome
        > failed update v1→v2 (0.00s): exited with status 3
        refuse restart update to v2 failed half-way; apply or rollback first
        well
        ? failed idle v1→v2 0/3: 0=v1#0 serving, 1=v1#1 serving, 2=v1#2 serving, 3=v2#3 kept
        ",
    );
}

#[test]
fn a_health_deadline_counts_from_the_start_of_the_process() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 health=30000
        ! placed 2
        +20000
        ! pulled v2
        +20000
        ! started 2
        +29999
        +1
        > '2: failed: health check timeout after 30s'; stop 2
        ? rolling stop v1→v2 0/2: 0=v1#0 serving, 1=v1#1 serving, 2=v2#2 stopping
        +2000
        exited 2 KILL
        > 'failed update v1→v2 (72s): health check timeout after 30s'
        outcome
        > failed update v1→v2 (72s): health check timeout after 30s
        ? failed idle v1→v2 0/2: 0=v1#0 serving, 1=v1#1 serving, 2=v2#2 kept
        ",
    );
}

#[test]
fn the_last_probe_answer_is_part_of_the_reason() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2 health=1000
        ! placed 1
        ! pulled v2
        ! started 1
        unhealthy 1 connection refused
        +1000
        > '1: failed: health check timeout after 1s: connection refused'; stop 1
        exited 1
        > 'failed update v1→v2 (1s): health check timeout after 1s: connection refused'
        ",
    );
}

#[test]
fn a_permanent_error_of_pull_or_start_fails_at_once() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2
        ! placed 2
        pull-refused v2 manifest unknown
        > '2: failed: manifest unknown'; 'failed update v1→v2 (0.00s): manifest unknown'
        > forget 2
        forgotten 2
        ! apply v3
        ! placed 3
        ! pulled v3
        start-refused 3 no such file: /bin/app
        > '2: failed: no such file: /bin/app'
        > 'failed update v1→v3 (0.00s): no such file: /bin/app'
        ? failed idle v1→v3 0/2: 0=v1#0 serving, 1=v1#1 serving, 2=v3#3 kept
        ",
    );
}

#[test]
fn a_passing_error_is_tried_again_until_the_progress_deadline() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2 progress=2000
        ! placed 1
        pull-failed v2 timeout
        > 'trying again in 0.09s: timeout'
        +100
        > pull v2
        pull-failed v2 timeout
        > 'trying again in 0.1s: timeout'
        +1000
        > pull v2
        pulled v2
        > '1: starting'; start 1 v2 at 1
        start-failed 1 no address left
        > 'trying again in 0.08s: no address left'; forget 1
        +100
        > place 2
        placed 2
        > '1: scheduled on n1'; '1: starting'; start 2 v2 at 1
        started 2
        healthy 2
        > '1: healthy (0.05s)'; publish 2: 0 2
        well
        > '0: old instance stopped'; 'instances renumbered'; 'done update v1→v2 (1.2s)'
        ? none idle v2 1/1: 0=v2#2 serving
        ",
    );
}

#[test]
fn no_room_is_told_once_and_fails_the_update_in_the_end() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2 progress=1000
        no-room 1 n1: memory
        > '1: no room: n1: memory'
        +100
        > place 1
        no-room 1 n1: memory
        +200
        > place 1
        no-room 1 n1: memory
        +1000
        > place 1; 'failed update v1→v2 (1s): no progress for 1s, phase place: n1: memory'; forget 1
        ? failed idle v1→v2 0/1: 0=v1#0 serving, 1=v2#1 forgetting
        ",
    );
}

#[test]
fn what_was_updated_stays_when_the_rest_is_aborted_and_apply_goes_on_from_there() {
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
        ! forgotten 0
        ! placed 4
        ! started 4
        exited 4 KILL oom
        > '4: failed: killed by SIGKILL, out of memory'; 'instances renumbered'
        > 'failed update v1→v2 (0.00s): killed by SIGKILL, out of memory'
        ? failed idle v1→v2 1/3: 0=v1#1 serving, 1=v1#2 serving, 2=v2#3 serving, 4=v2#4 kept
        apply v3
        > 'rolling update started v1→v3'; place 5
        well
        > '3: scheduled on n1'; 'pulling image of v3'; '3: starting'; '3: healthy (0.05s)'
        > '0: old instance stopped'; '4: scheduled on n1'; '4: starting'; '4: healthy (0.05s)'
        > '1: old instance stopped'; '5: scheduled on n1'; '5: starting'; '5: healthy (0.05s)'
        > '2: old instance stopped'; 'instances renumbered'; 'done update v1→v3 (0.00s)'
        ? none idle v3 3/3: 0=v3#5 serving, 1=v3#6 serving, 2=v3#7 serving
        ",
    );
}

#[test]
fn a_first_deploy_that_fails_keeps_what_serves() {
    check(
        "
        ! apply v1 replicas=3
        ! placed 0
        ! placed 1
        ! placed 2
        ! pulled v1
        ! started 0
        ! started 1
        ! started 2
        ! healthy 0
        ! served
        exited 1 1
        > '1: failed: exited with status 1'; stop 2
        exited 2
        > '2: stopped'; 'failed update v1 (0.00s): exited with status 1'; forget 2
        ? failed idle -→v1 1/3: 0=v1#0 serving, 1=v1#1 kept, 2=v1#2 forgetting
        refuse rollback no version to go back to; cancel or remove instead
        apply v2
        > 'first deploy started v2'; place 3
        well
        > '1: scheduled on n1'; 'pulling image of v2'; '1: starting'; '1: healthy (0.05s)'
        > '2: scheduled on n1'; '2: starting'; '2: healthy (0.05s)'; '3: scheduled on n1'
        > '3: starting'; '3: healthy (0.05s)'; '0: old instance stopped'
        > 'instances renumbered'; 'done update v2 (0.00s)'
        ? none idle v2 3/3: 0=v2#3 serving, 1=v2#4 serving, 2=v2#5 serving
        ",
    );
}

#[test]
fn the_log_of_a_failed_one_is_kept_until_the_next_success() {
    check(
        "
        ! apply v1
        ! well
        ! apply v2
        ! placed 1
        ! pulled v2
        ! started 1
        ! exited 1 1
        ? failed idle v1→v2 0/1: 0=v1#0 serving, 1=v2#1 kept
        ! apply v2
        ! placed 2
        ! started 2
        ! exited 2 1
        ? failed idle v1→v2 0/1: 0=v1#0 serving, 1=v2#1 kept, 1=v2#2 kept
        apply v3
        > 'rolling update started v1→v3'; place 3
        well
        > '1: scheduled on n1'; 'pulling image of v3'; '1: starting'; '1: healthy (0.05s)'
        > '0: old instance stopped'; 'instances renumbered'; 'done update v1→v3 (0.00s)'
        ? none idle v3 1/1: 0=v3#3 serving
        ",
    );
}

#[test]
fn a_new_one_that_turns_unhealthy_fails_its_update() {
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
        unhealthy 2 status 500
        > '2: failed: unhealthy: status 500'; publish 5: 1
        well
        > '0: stopped'; '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'
        > 'instances renumbered'; 'failed update v1→v2 (0.00s): unhealthy: status 500'
        ? failed idle v1→v2 0/2: 0=v1#1 serving, 1=v1#3 serving, 2=v2#2 kept
        ",
    );
}

#[test]
fn a_new_one_lost_with_its_node_is_nobody_s_failure() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2
        ! placed 2
        ! pulled v2
        ! started 2
        lost 2
        > '2: failed: lost with its node'; forget 2
        +100
        > place 3
        well
        > '2: scheduled on n1'; '2: starting'; '2: healthy (0.05s)'; '0: old instance stopped'
        > '3: scheduled on n1'; '3: starting'; '3: healthy (0.05s)'; '1: old instance stopped'
        > 'instances renumbered'; 'done update v1→v2 (0.1s)'
        ? none idle v2 2/2: 0=v2#3 serving, 1=v2#4 serving
        ",
    );
}

#[test]
fn a_turned_round_update_that_fails_fills_up_with_the_old_version() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! apply v2 turn-round
        ! served
        ! drained 0
        ! exited 0
        ! placed 2
        ! pulled v2
        ! started 2
        exited 2 1
        > '2: failed: exited with status 1'; place 3
        ? rolling place v1→v2 0/2: 0=v1#0 forgetting, 1=v1#1 serving, 2=v2#2 kept,
        ? 2=v1#3 placing
        placed 3
        > '2: scheduled on n1'; '2: starting'; start 3 v1 at 2
        started 3
        healthy 3
        > '2: healthy (0.05s)'; publish 4: 1 3
        served
        > 'instances renumbered'; 'failed update v1→v2 (0.00s): exited with status 1'
        ? failed idle v1→v2 0/2: 0=v1#0 forgetting, 0=v1#1 serving, 1=v1#3 serving,
        ? 2=v2#2 kept
        ",
    );
}

#[test]
fn a_never_healthy_instance_of_a_superseded_version_is_replaced_at_once() {
    check(
        "
        ! apply v1 replicas=3 max-restarts=100
        ! well
        ! apply v2
        ! placed 3
        ! pulled v2
        ! started 3
        ! exited 3 1
        ! exited 0 1
        ! exited 1 1
        ! exited 2 1
        ! +100
        ! placed 4
        ! started 4
        ? failed idle v1→v2 0/3: 0=v1#0 kept, 0=v1#4 checking, 1=v1#1 kept, 1=v1#5 placing,
        ? 2=v1#2 kept, 2=v1#6 placing, 3=v2#3 kept
        apply v3
        > 'rolling update started v1→v3'; place 7; place 8; place 9; stop 4; forget 5
        > forget 6
        exited 4 KILL
        > '0: old instance stopped'; forget 4
        ? rolling place v1→v3 0/3: 0=v1#0 kept, 0=v1#4 forgetting, 1=v1#1 kept,
        ? 1=v1#5 forgetting, 1=v3#7 placing, 2=v1#2 kept, 2=v1#6 forgetting, 2=v3#8 placing,
        ? 3=v2#3 kept, 3=v3#9 placing
        well
        > '1: scheduled on n1'; 'pulling image of v3'; '1: starting'; '2: scheduled on n1'
        > '2: starting'; '3: scheduled on n1'; '3: starting'; '1: healthy (0.05s)'
        > '2: healthy (0.05s)'; '3: healthy (0.05s)'; 'instances renumbered'
        > 'done update v1→v3 (0.00s)'
        ? none idle v3 3/3: 0=v3#7 serving, 1=v3#8 serving, 2=v3#9 serving
        ",
    );
}

#[test]
fn of_many_updates_that_failed_the_logs_of_the_last_three_instances_are_kept() {
    let mut world = World::new();
    script::run(&mut world, "! apply v1\n! well");
    for id in 1..=9 {
        let update = format!(
            "! apply v2\n! placed {id}\n! pulled v2\n! started {id}\n! exited {id} 1\n! well"
        );
        script::run(&mut world, &update);
    }
    script::run(
        &mut world,
        "? failed idle v1→v2 0/1: 0=v1#0 serving, 1=v2#7 kept, 1=v2#8 kept, 1=v2#9 kept",
    );
    // A repair's log is its place's, and not one of those.
    script::run(&mut world, "! exited 0 1\n! +1000\n! well");
    let kept: Vec<u64> =
        world.service.instances().values().filter(|i| i.is_gone()).map(|i| i.id.0).collect();
    assert_eq!(kept, [0, 7, 8, 9]);
}

#[test]
fn what_was_stopped_is_not_started_because_its_next_version_fails() {
    check(
        "
        ! apply v1 replicas=1
        ! well
        ! stop
        ! well
        ! apply v2 failure=rollback
        ! placed 1
        ! pulled v2
        ! started 1
        exited 1 3
        > '0: failed: exited with status 3'; 'failed update v1→v2 (0.00s): exited with status 3'
        ? failed idle v1→v2 0/0: 0=v2#1 kept
        refuse restart service is stopped; apply starts it
        ",
    );
}
