//! Services that are applied together, as ledgers.

use crate::world_test::{A, B, check};

/// Two services of one instance each at v1, by `together`.
fn both_at_v1() -> String {
    format!(
        "node-up
         > -: node n answers
         manifest web image web:1; port 80; cpu 0.1; memory 64M; validate 0
         manifest api image api:1; port 80; cpu 0.1; memory 64M; validate 0
         ctl together web api
         > api: pulling api:1
         > web: pulling web:1
         > do pull api:1
         > do pull web:1
         node pulled web:1 digest={A}
         node pulled api:1 digest={B}
         > api: first deploy started v1
         > api: 0: scheduled on n
         > api: 0: starting
         > web: first deploy started v1
         > web: 0: scheduled on n
         > web: 0: starting
         > do start api-0
         > do start web-0
         node started web-0 pid=7 address=10.0.0.2
         node started api-0 pid=8 address=10.0.0.3
         node healthy web-0 ms=12
         > web: 0: healthy (0.01s)
         > web: done update v1 (0.01s)
         node healthy api-0 ms=12
         > api: 0: healthy (0.01s)
         > api: done update v1 (0.01s)
        "
    )
}

#[test]
fn no_update_begins_before_the_images_of_all_are_there() {
    check(&both_at_v1());
}

/// They are to go to v2, and only web's image is there.
fn both_to_v2(verb: &str) -> String {
    format!(
        "{}
         manifest web image web:2; port 80; cpu 0.1; memory 64M; validate 0
         manifest api image api:2; port 80; cpu 0.1; memory 64M; validate 0
         ctl {verb} web api
         > api: pulling api:2
         > web: pulling web:2
         > do pull api:2
         > do pull web:2
         node pulled web:2 digest={B}
        ",
        both_at_v1()
    )
}

#[test]
fn an_image_that_is_missing_holds_nobody_else_up() {
    check(&format!(
        "{}
         node pull-failed api:2 permanent=true reason=gone
         > api: failed: api:2: gone
         > web: rolling update started v1→v2
         > web: 1: scheduled on n
         > web: 1: starting
         > do start web-1
        ",
        both_to_v2("together")
    ));
}

#[test]
fn all_or_none_begins_nothing_when_an_image_is_missing() {
    check(&format!(
        "{}
         node pull-failed api:2 permanent=true reason=gone
         > api: failed: api:2: gone
         > web: rolled back: all or none, and api: api:2: gone
         ctl atomic web
         > web: pulling web:2
         > do pull web:2
        ",
        both_to_v2("atomic")
    ));
}

/// Both go to v2, and web is there.
fn web_at_v2(verb: &str) -> String {
    format!(
        "{}
         node pulled api:2 digest={A}
         > api: rolling update started v1→v2
         > api: 1: scheduled on n
         > api: 1: starting
         > web: rolling update started v1→v2
         > web: 1: scheduled on n
         > web: 1: starting
         > do start api-1
         > do start web-1
         node started web-1 pid=9 address=10.0.0.4
         node healthy web-1 ms=12
         > web: 1: healthy (0.01s)
         > do stop web-0
         node exited web-0 code=0
         > web: 0: old instance stopped
         > web: instances renumbered
         > web: done update v1→v2 (0.01s)
         > do remove web-0
        ",
        both_to_v2(verb)
    )
}

#[test]
fn one_that_fails_leaves_the_others_where_they_came_to() {
    check(&format!(
        "{}
         node exited api-1 code=3
         > api: 1: failed: exited with status 3
         > api: failed update v1→v2 (0.01s): exited with status 3
        ",
        web_at_v2("together")
    ));
}

#[test]
fn all_or_none_takes_back_what_was_done_already() {
    check(&format!(
        "{}
         ctl apply web
         > refused: apply web: deployed all or none with others, which are in flight yet; \
           wait for them, or cancel it first
         node exited api-1 code=3
         > api: 1: failed: exited with status 3
         > api: failed update v1→v2 (0.02s): exited with status 3
         > web: rollback started v2→v1: all or none, and api: exited with status 3
         > web: 1: scheduled on n
         > web: 1: starting
         > do start web-2
         ctl cancel api
         > refused: cancel api: no update in flight
        ",
        web_at_v2("atomic")
    ));
}

#[test]
fn all_or_none_stops_what_was_not_there_before() {
    check(&format!(
        "node-up
         > -: node n answers
         manifest web image web:1; port 80; cpu 0.1; memory 64M; validate 0
         manifest api image web:1; port 80; cpu 0.1; memory 64M; validate 0
         ctl atomic web api
         > api: pulling web:1
         > web: pulling web:1
         > do pull web:1
         node pulled web:1 digest={A}
         > api: first deploy started v1
         > api: 0: scheduled on n
         > api: 0: starting
         > web: first deploy started v1
         > web: 0: scheduled on n
         > web: 0: starting
         > do start api-0
         > do start web-0
         node started web-0 pid=7 address=10.0.0.2
         node healthy web-0 ms=12
         > web: 0: healthy (0.01s)
         > web: done update v1 (0.01s)
         node exited api-0 code=3
         > api: 0: failed: exited with status 3
         > api: failed update v1 (0.01s): exited with status 3
         > web: taken back: all or none, and api: exited with status 3
         > web: stopping
         > do stop web-0
         node exited web-0 code=0
         > web: 0: stopped
         > web: done stop v1 (0.00s)
         > do remove web-0
        "
    ));
}
