//! Tflush: answered at once, or after what cannot be taken back.

use super::{BOB, LINUX, P9, ROOT, both, check};

/// A read of the slow file, tag 5, which takes its time.
const SLOW: &str = "walk 0 1 slow
    > Rwalk qids 1 (6 0 00)
    open 1 2
    release opened slow
    > Ropen qid (6 0 00) iounit 0
    5: read 1 0 100";

#[test]
fn a_flush_of_nothing_of_what_is_answered_and_of_itself_is_answered() {
    both(
        ROOT,
        "7: flush 99
        > 7: Rflush
        7: flush 7
        > 7: Rflush
        walk 0 1 status
        > Rwalk qids 1 (1 0 00)
        7: flush 1
        > 7: Rflush",
    );
}

#[test]
fn a_flushed_read_is_given_up_and_its_tag_is_free() {
    let rest = "
        6: flush 5
        > 6: Rflush
        jobs
        > 0
        5: clunk 1
        release closed slow
        > 5: Rclunk";
    check(P9, ROOT, &format!("{SLOW}{rest}"));
    let linux = SLOW.replace("open 1", "lopen 1").replace("Ropen", "Rlopen");
    check(LINUX, ROOT, &format!("{linux}{rest}"));
}

#[test]
fn a_flushed_request_that_waits_for_its_turn_never_happens() {
    check(
        P9,
        ROOT,
        &format!(
            "{SLOW}
            6: write 1 0 x
            7: read 1 1 2
            8: flush 6
            > 8: Rflush
            release read slow
            > 5: Rread data 5 \"slow\\n\"
            release read slow
            > 7: Rread data 2 \"lo\"
            log
            > open slow
            > opened slow
            > read slow
            > read slow"
        ),
    );
}

#[test]
fn a_clunk_cannot_be_taken_back_and_is_answered_before_its_flush() {
    check(
        P9,
        ROOT,
        r#"walk 0 1 tidy
        > Rwalk qids 1 (7 0 00)
        open 1 0
        > Ropen qid (7 0 00) iounit 0
        5: clunk 1
        6: flush 5
        release closed tidy
        > 5: Rclunk
        > 6: Rflush
        jobs
        > 0
        log
        > open tidy
        > close tidy
        > closed tidy"#,
    );
}

#[test]
fn a_write_is_answered_before_its_flushes_and_theirs_for_it_will_have_happened() {
    check(
        P9,
        ROOT,
        &format!(
            "{SLOW}
            release read slow
            > 5: Rread data 5 \"slow\\n\"
            5: write 1 0 x
            6: flush 5
            7: flush 6
            8: flush 5
            6: stat 0
            > 6: Rerror ename \"tag already in use\"
            6: flush 5
            > 6: Rerror ename \"tag already in use\"
            release wrote slow
            > 5: Rwrite count 1
            > 6: Rflush
            > 7: Rflush
            > 8: Rflush
            6: stat 0
            > 6: Rstat stat \"/\" (0 0 80) 20000000775 0 0 \"root\" \"root\"
            jobs
            > 0
            log
            > open slow
            > opened slow
            > read slow
            > write slow \"x\"
            > interrupt slow
            > interrupt slow
            > interrupt slow
            > wrote slow"
        ),
    );
}

#[test]
fn a_flush_of_what_goes_on_with_more_work_waits_for_all_of_it() {
    // The refusal comes when the file has been closed, and it is the answer.
    check(
        P9,
        BOB,
        r#"walk 0 1 tidy
        > Rwalk qids 1 (7 0 00)
        open 1 0
        > Ropen qid (7 0 00) iounit 0
        5: remove 1
        6: flush 5
        release closed tidy
        > 5: Rerror ename "permission denied"
        > 6: Rflush"#,
    );
    check(
        P9,
        ROOT,
        r#"5: create 0 slow-slow 0666 2
        6: flush 5
        release created slow-slow
        7: flush 5
        release opened slow-slow
        > 5: Rcreate qid (e 0 00) iounit 0
        > 6: Rflush
        > 7: Rflush"#,
    );
}

#[test]
fn what_changes_something_is_run_to_its_end_when_the_connection_is_lost() {
    check(
        P9,
        ROOT,
        &format!(
            "{SLOW}
            release read slow
            > 5: Rread data 5 \"slow\\n\"
            5: write 1 0 x
            6: create 0 slow-open 0666 2
            7: walk 0 2 slow
            end
            jobs
            > 3
            release wrote slow
            release created slow-open
            release closed slow
            jobs
            > 0
            log
            > open slow
            > opened slow
            > read slow
            > write slow \"x\"
            > create slow-open 664
            > open slow-open
            > close slow
            > wrote slow
            > created slow-open
            > close slow-open
            > closed slow"
        ),
    );
}

#[test]
fn several_flushes_of_one_request_are_all_answered_in_order() {
    check(
        P9,
        ROOT,
        &format!(
            "{SLOW}
            6: flush 5
            > 6: Rflush
            7: flush 5
            > 7: Rflush
            8: flush 6
            > 8: Rflush"
        ),
    );
}

#[test]
fn a_flush_lets_the_next_request_for_the_fid_have_its_turn() {
    check(
        P9,
        ROOT,
        &format!(
            "{SLOW}
            6: stat 1
            7: flush 5
            > 7: Rflush
            > 6: Rstat stat \"slow\" (6 0 00) 666 0 0 \"root\" \"root\""
        ),
    );
}

#[test]
fn a_tag_is_not_used_twice_at_once() {
    check(P9, ROOT, &format!("{SLOW}\n5: stat 0\n> 5: Rerror ename \"tag already in use\""));
}
