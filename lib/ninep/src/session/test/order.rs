//! Requests that depend on each other keep their order; others overtake.

use super::script::Talk;
use super::{P9, ROOT, check};
use crate::session::Bounds;

#[test]
fn what_uses_the_fid_of_an_open_that_takes_time_waits_for_it() {
    check(
        P9,
        ROOT,
        r#"2: walk 0 1 slow
        > 2: Rwalk qids 1 (6 0 00)
        3: open 1 2
        4: write 1 0 x
        5: read 1 0 100
        6: clunk 1
        7: walk 0 1 status
        8: stat 0
        > 8: Rstat stat "/" (0 0 80) 20000000775 0 0 "root" "root"
        release opened slow
        > 3: Ropen qid (6 0 00) iounit 0
        release wrote slow
        > 4: Rwrite count 1
        release read slow
        > 5: Rread data 1 "x"
        release closed slow
        > 6: Rclunk
        > 7: Rwalk qids 1 (1 0 00)"#,
    );
}

#[test]
fn an_open_that_fails_lets_what_waited_fail_too() {
    check(
        P9,
        ROOT,
        r#"walk 0 1 slow
        > Rwalk qids 1 (6 0 00)
        3: open 1 2
        4: read 1 0 100
        6: flush 3
        > 6: Rflush
        > 4: Rerror ename "bad use of fid""#,
    );
}

#[test]
fn fids_do_not_hold_each_other_up() {
    check(
        P9,
        ROOT,
        r#"walk 0 1 slow
        > Rwalk qids 1 (6 0 00)
        walk 0 2 slow
        > Rwalk qids 1 (6 0 00)
        3: open 1 2
        4: open 2 0
        5: read 1 0 9
        6: read 2 0 9
        release opened slow
        > 3: Ropen qid (6 0 00) iounit 0
        release opened slow
        > 4: Ropen qid (6 0 00) iounit 0
        release read slow
        > 5: Rread data 5 "slow\n"
        release read slow
        > 6: Rread data 5 "slow\n""#,
    );
}

#[test]
fn requests_and_bytes_that_wait_are_limited_and_a_clunk_is_not() {
    let bounds = Bounds { requests_max: 3, waiting_bytes_max: 50, ..Bounds::default() };
    let mut talk = Talk::new(P9, ROOT, bounds);
    talk.greet();
    talk.line("walk 0 1 slow");
    talk.line("walk 0 2 status");
    assert!(talk.line("3: open 1 2").is_empty());
    assert!(talk.line("4: read 1 0 100").is_empty());
    let bytes = "5: Rerror ename \"too many requests waiting for their turn: try again later\"";
    assert_eq!(talk.line(&format!("5: write 1 0 {}", "x".repeat(50))), [bytes]);
    assert!(talk.line("5: stat 1").is_empty());
    let count = "6: Rerror ename \"too many requests on this connection: try again later\"";
    assert_eq!(talk.line("6: stat 0"), [count]);
    assert_eq!(talk.line("6: clunk 2"), ["6: Rclunk"]);
    assert!(talk.line("7: clunk 1").is_empty(), "its fid is given up when its turn comes");
    let again = bytes.replace("5:", "8:");
    assert_eq!(talk.line("8: remove 1"), [again]);
    assert_eq!(talk.line("6: flush 4"), ["6: Rflush"]);
    assert_eq!(talk.line("6: clunk 0"), ["6: Rclunk"]);
}
