//! Steady state: exits, probes, lost nodes, back-off and the end of patience.

use super::script::check;

#[test]
fn an_exit_is_followed_by_a_new_run_with_back_off() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        exited 0 3
        > '0: failed: exited with status 3'; '0: restarting in 0.1s'; publish 3: 1
        +90
        ? none idle v1 1/2: 0=v1#0 kept, 0=v1#2 waiting, 1=v1#1 serving
        +10
        > place 2
        placed 2
        > '0: scheduled on n1'; '0: starting'; start 2 v1 at 0
        pulled v1
        started 2
        healthy 2
        > '0: healthy (0.05s)'; publish 4: 1 2
        served
        ? none idle v1 2/2: 0=v1#0 kept, 0=v1#2 serving, 1=v1#1 serving
        ",
    );
}

#[test]
fn back_off_doubles_and_is_forgotten_after_a_minute_of_health() {
    check(
        "
        ! apply v1 max-restarts=100
        ! well
        ! exited 0
        ! +100
        ! well
        ! exited 1
        ! +200
        ! well
        ! exited 2
        ! +400
        ! well
        exited 3
        > '0: failed: exited with status 0'; '0: restarting in 0.7s'; publish 8:; forget 2
        +800
        > place 4
        well
        > '0: scheduled on n1'; '0: starting'; '0: healthy (0.05s)'
        +60000
        exited 4
        > '0: failed: exited with status 0'; '0: restarting in 0.09s'; publish 10:; forget 3
        ",
    );
}

#[test]
fn after_max_restarts_in_a_minute_a_place_is_given_up() {
    check(
        "
        ! apply v1 replicas=2 max-restarts=2
        ! well
        ! exited 0 1
        ! +100
        ! well
        ! exited 2 1
        ! +200
        ! well
        exited 3 1
        > '0: failed: exited with status 1'; '0: gave up: exited with status 1'; publish 7: 1
        ? failed idle v1 1/2: 0=v1#2 kept, 0=v1#3 gave-up, 1=v1#1 serving
        +1000000
        ? failed idle v1 1/2: 0=v1#2 kept, 0=v1#3 gave-up, 1=v1#1 serving
        ",
    );
}

#[test]
fn an_unhealthy_one_leaves_the_routes_drains_and_starts_anew() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        unhealthy 0 status 500
        > '0: out of the routes: status 500'; publish 3: 1
        served
        > drain 0
        drained 0
        > stop 0
        exited 0
        > '0: failed: status 500'; '0: restarting in 0.1s'
        +100
        > place 2
        well
        > '0: scheduled on n1'; '0: starting'; '0: healthy (0.05s)'
        ? none idle v1 2/2: 0=v1#0 kept, 0=v1#2 serving, 1=v1#1 serving
        ",
    );
}

#[test]
fn the_last_healthy_backend_stays_in_the_routes() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! unhealthy 0 timeout
        unhealthy 1 timeout
        > '1: unhealthy, but the last backend, so it stays: timeout'; place 2
        ? none idle v1 0/2: 0=v1#0 leaving, 1=v1#1 sick, 2=v1#2 placing
        placed 2
        > '2: scheduled on n1'; '2: starting'; start 2 v1 at 2
        started 2
        healthy 2
        > '2: healthy (0.05s)'; publish 4: 1 2
        served
        > '1: out of the routes: timeout'; publish 5: 2; drain 0
        ? none idle v1 1/2: 0=v1#0 draining, 1=v1#1 leaving, 2=v1#2 serving
        ",
    );
}

#[test]
fn the_only_instance_that_fails_its_probes_leaves_when_its_successor_serves() {
    check(
        "
        ! apply v1
        ! well
        unhealthy 0 timeout
        > '0: unhealthy, but the last backend, so it stays: timeout'; place 1
        placed 1
        > '1: scheduled on n1'; '1: starting'; start 1 v1 at 1
        started 1
        ? none idle v1 0/1: 0=v1#0 sick, 1=v1#1 checking
        healthy 1
        > '1: healthy (0.05s)'; publish 2: 0 1
        served
        > '0: out of the routes: timeout'; publish 3: 1
        well
        > '0: stopped'; 'instances renumbered'
        ? none idle v1 1/1: 0=v1#1 serving
        ",
    );
}

#[test]
fn the_only_instance_of_a_stateful_service_that_fails_its_probes_stays_alone() {
    check(
        "
        ! apply v1 replace
        ! well
        unhealthy 0 timeout
        > '0: unhealthy, but the last backend, so it stays: timeout'
        +600000
        ? none idle v1 0/1: 0=v1#0 sick
        ",
    );
}

#[test]
fn a_backend_that_recovers_stays() {
    check(
        "
        ! apply v1
        ! well
        unhealthy 0 timeout
        > '0: unhealthy, but the last backend, so it stays: timeout'; place 1
        placed 1
        > '1: scheduled on n1'; '1: starting'; start 1 v1 at 1
        healthy 0
        > '0: healthy again'; stop 1
        exited 1
        > '1: stopped'; forget 1
        ? none idle v1 1/1: 0=v1#0 serving, 1=v1#1 forgetting
        ",
    );
}

#[test]
fn a_repair_that_never_gets_healthy_is_stopped_and_tried_again() {
    check(
        "
        ! apply v1 replicas=2 health=1000
        ! well
        ! exited 0 1
        ! +100
        ! placed 2
        ! started 2
        +1000
        > stop 2
        exited 2 KILL
        > '0: failed: health check timeout after 1s'; '0: restarting in 0.1s'; forget 0
        ? none idle v1 1/2: 0=v1#0 forgetting, 0=v1#2 kept, 0=v1#3 waiting, 1=v1#1 serving
        ",
    );
}

#[test]
fn on_failure_restarts_no_success() {
    check(
        "
        ! apply v1 replicas=2 policy=on-failure
        ! well
        exited 0
        > publish 3: 1
        exited 1 1
        > '1: failed: exited with status 1'; '1: restarting in 0.08s'; publish 4:
        ? none idle v1 0/2: 0=v1#0 ended, 1=v1#1 kept, 1=v1#2 waiting
        ",
    );
}

#[test]
fn never_restarts_nothing() {
    check(
        "
        ! apply v1 policy=never
        ! well
        exited 0 1
        > '0: failed: exited with status 1'; '0: gave up: exited with status 1'; publish 2:
        ? failed idle v1 0/1: 0=v1#0 gave-up
        apply v2
        > 'rolling update started v1→v2'; place 1
        well
        > '0: scheduled on n1'; 'pulling image of v2'; '0: starting'; '0: healthy (0.05s)'
        > 'done update v1→v2 (0.00s)'
        ? none idle v2 1/1: 0=v2#1 serving
        ",
    );
}

#[test]
fn an_instance_lost_with_its_node_is_placed_elsewhere() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        lost 0
        > '0: failed: lost with its node'; publish 3: 1; forget 0
        +100
        > place 2
        placed 2 n2
        > '0: scheduled on n2'; '0: starting'; start 2 v1 at 0
        well
        > '0: healthy (0.05s)'
        ? none idle v1 2/2: 0=v1#2 serving, 1=v1#1 serving
        ",
    );
}

#[test]
fn a_lost_answer_is_no_loss() {
    check(
        "
        ! apply v1 replicas=1
        placed 0
        > '0: scheduled on n1'; 'pulling image of v1'; pull v1
        lost 0
        > place 0
        placed 0 n2
        > '0: scheduled on n2'
        pulled v1
        > '0: starting'; start 0 v1 at 0
        well
        > '0: healthy (0.05s)'; 'done update v1 (0.00s)'
        lost 0
        > '0: failed: lost with its node'; publish 2:; forget 0
        lost 0
        ",
    );
}

#[test]
fn a_place_keeps_the_log_of_its_last_failure_only() {
    check(
        "
        ! apply v1
        ! well
        ! exited 0 1
        ! +100
        ! well
        exited 1 2
        > '0: failed: exited with status 2'; '0: restarting in 0.1s'; publish 4:; forget 0
        ? none idle v1 0/1: 0=v1#0 forgetting, 0=v1#1 kept, 0=v1#2 waiting
        ",
    );
}

#[test]
fn a_permanent_error_of_a_repair_is_given_up_at_once() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        ! exited 0 1
        ! +100
        ! placed 2
        start-refused 2 image is gone
        > '0: failed: image is gone'; '0: gave up: image is gone'
        ? failed idle v1 1/2: 0=v1#0 kept, 0=v1#2 gave-up, 1=v1#1 serving
        ",
    );
}

#[test]
fn an_instance_that_is_stopped_alone_leaves_first_and_its_policy_says_what_follows() {
    check(
        "
        ! apply v1 replicas=2
        ! well
        stop 1
        > publish 3: 0
        served
        > drain 1
        drained 1
        > stop 1
        exited 1
        > '1: failed: exited with status 0'; '1: restarting in 0.08s'
        ? none idle v1 1/2: 0=v1#0 serving, 1=v1#1 kept, 1=v1#2 waiting
        ",
    );
    check(
        "
        ! apply v1 replicas=2 policy=on-failure
        ! well
        ! stop 1
        ! served
        ! drained 1
        exited 1
        ? none idle v1 1/2: 0=v1#0 serving, 1=v1#1 ended
        ",
    );
    check(
        "
        ! apply v1
        ! placed 0
        ! pulled v1
        ! started 0
        stop 0
        > stop 0
        exited 0 TERM
        > '0: failed: killed by SIGTERM'; 'failed update v1 (0.00s): killed by SIGTERM'
        ",
    );
}

#[test]
fn a_finished_instance_is_not_started_again_by_a_change_in_place() {
    check(
        "
        ! apply v1 replicas=2 policy=never
        ! well
        ! exited 0
        change v2 health=5000
        > 'change in place started v1→v2, replicas 2'; 'done change v1→v2 (0.00s)'
        ? none idle v2 1/2: 0=v2#0 ended, 1=v2#1 serving
        ",
    );
}
