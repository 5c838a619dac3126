//! Every way that stops an instance, and what may become of edges and of this server on it.

use super::{A, B, check, main_edge, serving};
use crate::edges::Edges;

#[test]
fn an_update_signals_an_old_one_when_the_edge_has_let_go_of_it_and_drained_it() {
    check(
        main_edge(),
        &format!(
            "{}
             manifest web image web:2; port 80; drain 2; replicas 2; route shop /
             ctl apply web
             node pulled web:2 digest={B}
             > do start web-2
             node started web-2 pid=9 address=10.0.0.4
             node healthy web-2 ms=9
             > 6: shop / web drain=2000 0=web-0 1=web-1 2=web-2
             edge main serves 6
             > 7: shop / web drain=2000 1=web-1 2=web-2
             +400
             edge main serves 7
             +400
             edge main drained web-0
             > do stop web-0
             node exited web-0 code=0
             > do start web-3",
            serving("")
        ),
    );
}

#[test]
fn what_does_not_drain_is_signalled_when_drain_has_passed() {
    check(
        main_edge(),
        &format!(
            "{}
             ctl scale web 1
             > 6: shop / web drain=2000 0=web-0
             +100
             edge main serves 6
             +1999
             +1
             > do stop web-1
             edge main cut web-1 1 drain has passed
             edge main drained web-1",
            serving("")
        ),
    );
}

#[test]
fn scaling_down_restarting_and_stopping_let_go_first() {
    let scale = "
        ctl scale web 1
        > 6: shop / web drain=2000 0=web-0
        edge main serves 6
        edge main drained web-1
        > do stop web-1";
    let restart = "
        instance 1 restart
        > 6: shop / web drain=2000 0=web-0
        edge main serves 6
        edge main drained web-1
        > do stop web-1
        node exited web-1 code=0
        > do start web-2";
    let stop_one = restart.replace("restart", "stop").replace("> do start web-2", "");
    let stop = "
        ctl stop web
        > 6: shop / web drain=2000
        edge main drained web-0
        edge main serves 6
        > do stop web-0
        edge main drained web-1
        > do stop web-1";
    let remove = stop.replace("ctl stop", "ctl remove");
    let sick = "
        node unhealthy web-1 reason=500
        > 6: shop / web drain=2000 0=web-0
        edge main serves 6
        edge main drained web-1
        > do stop web-1";
    for way in [scale, restart, &stop_one, stop, &remove, sick] {
        check(main_edge(), &format!("{}{way}", serving("")));
    }
}

#[test]
fn a_restart_of_the_service_keeps_to_the_order_for_each() {
    check(
        main_edge(),
        &format!(
            "{}
             ctl restart web
             > do start web-2
             node started web-2 pid=9 address=10.0.0.4
             node healthy web-2 ms=9
             > 6: shop / web drain=2000 0=web-0 1=web-1 2=web-2
             edge main serves 6
             > 7: shop / web drain=2000 1=web-1 2=web-2
             edge main serves 7
             edge main drained web-0
             > do stop web-0",
            serving("")
        ),
    );
}

#[test]
fn a_replacement_holds_requests_while_nothing_serves() {
    check(
        main_edge(),
        &format!(
            "{}
             manifest web image web:2; port 80; drain 2; replicas 2; route shop /; update replace
             ctl apply web
             node pulled web:2 digest={B}
             > 6: shop / web drain=2000,hold=52000
             edge main serves 6
             edge main drained web-0
             > do stop web-0
             edge main drained web-1
             > do stop web-1
             node exited web-0 code=0
             node exited web-1 code=0
             > do start web-2
             > do start web-3
             node started web-2 pid=9 address=10.0.0.4
             node started web-3 pid=9 address=10.0.0.5
             node healthy web-2 ms=9
             node healthy web-3 ms=9
             > 7: shop / web drain=2000 2=web-2 3=web-3
             edge main serves 7
             > 8: shop / web drain=2000 0=web-2 1=web-3",
            serving("")
        ),
    );
}

#[test]
fn an_edge_that_is_written_off_in_the_middle_holds_nothing_up() {
    check(
        main_edge(),
        &format!(
            "{}
             ctl scale web 1
             > 6: shop / web drain=2000 0=web-0
             +4999
             +1
             > do stop web-1
             edge main serves 6
             ctl stop web
             > 7: shop / web drain=2000
             edge main serves 7
             edge main drained web-0
             > do stop web-0",
            serving("")
        ),
    );
}

#[test]
fn an_edge_that_dies_in_the_middle_is_waited_for_and_holds_nothing_when_it_comes_anew() {
    check(
        main_edge(),
        &format!(
            "{}
             ctl scale web 1
             > 6: shop / web drain=2000 0=web-0
             edge main closes
             edge main opens
             edge main serves 5
             edge main serves 6
             edge main closes
             edge main opens
             edge main began 6
             > do stop web-1",
            serving("")
        ),
    );
}

#[test]
fn a_server_that_starts_in_the_middle_of_a_drain_publishes_nothing_before_it_knows_all() {
    check(
        main_edge(),
        &format!(
            "{}
             ctl scale web 1
             > 6: shop / web drain=2000 0=web-0
             edge main serves 6
             server-restarts
             edge main opens
             edge main serves 6
             node-up web-0=10.0.0.2 web-1=10.0.0.3
             > 101: shop / web drain=2000 0=web-0
             edge main serves 101
             edge main drained web-1
             > do stop web-1",
            serving("")
        ),
    );
}

#[test]
fn a_server_that_starts_before_the_edge_has_acknowledged_waits_for_its_own_table() {
    check(
        main_edge(),
        &format!(
            "{}
             ctl scale web 1
             > 6: shop / web drain=2000 0=web-0
             server-restarts
             node-up web-0=10.0.0.2 web-1=10.0.0.3
             > 101: shop / web drain=2000 0=web-0
             edge main opens
             edge main serves 6
             edge main drained web-1
             edge main serves 101
             > do stop web-1",
            serving("")
        ),
    );
}

#[test]
fn two_edges_must_both_let_go() {
    check(
        main_edge(),
        &format!(
            "{}
             edge b comes
             edge b opens
             edge b serves 5
             ctl scale web 1
             > 6: shop / web drain=2000 0=web-0
             edge main serves 6
             edge main drained web-1
             edge b serves 6
             edge b drained web-1
             > do stop web-1",
            serving("")
        ),
    );
}

#[test]
fn without_an_edge_nothing_is_waited_for() {
    let script = serving("").replace("edge main", "edge nobody");
    check(
        Edges::default(),
        &format!(
            "{script}
             ctl scale web 1
             > 6: shop / web drain=2000 0=web-0
             > do stop web-1"
        ),
    );
}

#[test]
fn a_change_of_routes_is_a_new_table_and_stops_nothing() {
    check(
        main_edge(),
        &format!(
            "{}
             manifest web image web:1; port 80; drain 2; replicas 2; route shop /api
             ctl apply web
             node pulled web:1 digest={A}
             > 6: shop /api web drain=2000 0=web-0 1=web-1",
            serving("")
        ),
    );
}

#[test]
fn a_place_that_another_service_has_is_refused_with_its_name() {
    check(
        main_edge(),
        &format!(
            "{}
             manifest api image api:1; port 80; route shop /
             > 6: - - api - | shop / web drain=2000 0=web-0 1=web-1
             ctl apply api
             > refused: apply api: route shop / is web's already; take it from there first, or \
               write another",
            serving("")
        ),
    );
}

#[test]
fn a_replacement_that_is_stopped_in_the_gap_keeps_nobody_waiting() {
    let next = "image web:2; port 80; drain 2; replicas 2; route shop /; update replace";
    for way in ["stop web", "scale web 0"] {
        let refused =
            "> refused: scale web 0: update to v2 in flight; wait for it, or cancel it first";
        let after = if way == "stop web" { "> 7: shop / web drain=2000" } else { refused };
        check(
            main_edge(),
            &format!(
                "{}
                 manifest web {next}
                 ctl apply web
                 node pulled web:2 digest={B}
                 > 6: shop / web drain=2000,hold=52000
                 edge main serves 6
                 ctl {way}
                 {after}",
                serving("")
            ),
        );
    }
}

#[test]
fn a_service_that_is_stopped_is_not_scaled_and_it_is_said_what_to_do() {
    check(
        main_edge(),
        &format!(
            "{}
             ctl stop web
             > 6: shop / web drain=2000
             edge main serves 6
             edge main drained web-0
             > do stop web-0
             edge main drained web-1
             > do stop web-1
             node exited web-0 code=0
             node exited web-1 code=0
             ctl scale web 3
             > refused: scale web 3: service is stopped; write replicas 3 into its manifest, and \
               apply starts it",
            serving("")
        ),
    );
}
