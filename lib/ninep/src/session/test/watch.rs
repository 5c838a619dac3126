//! *wait* files.

use super::{LINUX, P9, ROOT, check};

const P9_OPEN: &str = "walk 0 1 watch
    > Rwalk qids 1 (8 0 00)
    open 1 0
    > Ropen qid (8 0 00) iounit 0
    read 1 0 100
    release event watch
    > Rread data 6 \"event\\n\"
    read 1 6 100";

fn linux_open() -> String {
    P9_OPEN.replace("open 1", "lopen 1").replace("Ropen", "Rlopen")
}

#[test]
fn after_a_short_reply_linux_is_given_the_end_once() {
    let rest = "
        > Rread data 0 \"\"
        read 1 6 100
        release event watch
        > Rread data 6 \"event\\n\"
        read 1 0 100
        release event watch
        > Rread data 6 \"event\\n\"
        read 1 6 6
        > Rread data 0 \"\"
        read 1 6 6
        release event watch
        > Rread data 6 \"event\\n\"
        read 1 12 6";
    // The last: a reply as long as was asked for is not short, and the next read waits.
    check(LINUX, ROOT, &format!("{}{rest}\njobs\n> 1", linux_open()));
}

#[test]
fn in_9p2000_nothing_would_be_the_end_so_the_next_read_waits() {
    check(P9, ROOT, &format!("{P9_OPEN}\njobs\n> 1"));
}

#[test]
fn a_read_that_waits_holds_up_nothing_on_its_fid_and_ends_with_it() {
    check(
        P9,
        ROOT,
        &format!(
            "{P9_OPEN}
            2: stat 1
            > 2: Rstat stat \"watch\" (8 0 00) 444 0 0 \"root\" \"root\"
            3: read 1 6 100
            4: clunk 1
            > Rerror ename \"interrupted\"
            > 3: Rerror ename \"interrupted\"
            > 4: Rclunk
            jobs
            > 0"
        ),
    );
    check(
        LINUX,
        ROOT,
        &format!(
            "{}
            > Rread data 0 \"\"
            7: read 1 6 100
            4: clunk 1
            > 7: Rlerror errno 4
            > 4: Rclunk",
            linux_open()
        ),
    );
}

#[test]
fn a_lost_connection_gives_up_every_read_and_closes_every_file() {
    check(
        P9,
        ROOT,
        &format!(
            "{P9_OPEN}
            end
            jobs
            > 0
            log
            > open watch
            > event watch
            > close watch"
        ),
    );
}
