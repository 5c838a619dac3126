//! Stat and its changes, removing, renaming.

use super::{ANN, BOB, LINUX, P9, ROOT, check};

#[test]
fn stat_and_attributes_are_two_forms_of_one_thing() {
    check(
        P9,
        BOB,
        r#"stat 0
        > Rstat stat "/" (0 0 80) 20000000775 0 0 "root" "root"
        walk 0 1 log
        > Rwalk qids 1 (9 0 40)
        stat 1
        > Rstat stat "log" (9 0 40) 10000000664 0 0 "root" "root"
        getattr 1
        > Rerror ename "protocol botch: message type 24 is not known here""#,
    );
    check(
        LINUX,
        BOB,
        "getattr 0
        > Rgetattr attr (0 0 80) 40775 0 7 0 0
        walk 0 1 log
        > Rwalk qids 1 (9 0 40)
        getattr 1
        > Rgetattr attr (9 0 40) 100664 0 7 0 0
        stat 1
        > Rlerror errno 95
        statfs 1
        > Rstatfs statfs 0x65735546
        symlink 1
        > Rlerror errno 95",
    );
}

#[test]
fn wstat_changes_all_it_asks_for_or_nothing() {
    check(
        P9,
        ANN,
        r#"walk 0 1 dir a
        > Rwalk qids 2 (a 0 80) (b 0 00)
        wstat 1
        > Rwstat
        wstat 1 mtime=5
        > Rwstat
        wstat 1 length=0 mode=0664
        > Rwstat
        wstat 1 mode=0600
        > Rerror ename "permission denied"
        wstat 1 uid=bob name=z
        > Rerror ename "permission denied"
        wstat 1 length=5
        > Rerror ename "only support truncation to zero length"
        wstat 1 name=a/b
        > Rerror ename "illegal name"
        wstat 1 length=5 name=z
        > Rerror ename "rename and truncate one after the other"
        wstat 1 name=z
        > Rwstat
        walk 0 2 dir z
        > Rwalk qids 2 (a 0 80) (b 0 00)
        wstat 0 name=root
        > Rerror ename "cannot remove root""#,
    );
    check(
        P9,
        BOB,
        r#"walk 0 1 dir a
        > Rwalk qids 2 (a 0 80) (b 0 00)
        wstat 1 name=z
        > Rerror ename "permission denied"
        wstat 1 mtime=1
        > Rerror ename "permission denied"
        wstat 1
        > Rwstat"#,
    );
}

#[test]
fn setattr_takes_times_and_the_mode_that_is_there() {
    check(
        LINUX,
        ANN,
        "walk 0 1 dir a
        > Rwalk qids 2 (a 0 80) (b 0 00)
        setattr 1 valid=0160
        > Rsetattr
        setattr 1 valid=01 mode=0664
        > Rsetattr
        setattr 1 valid=01 mode=0600
        > Rlerror errno 13
        setattr 1 valid=010 size=0
        > Rsetattr
        setattr 1 valid=010 size=1
        > Rlerror errno 1
        walk 0 2 status
        > Rwalk qids 1 (1 0 00)
        setattr 2 valid=010 size=0
        > Rlerror errno 13
        setattr 2 valid=040
        > Rlerror errno 13
        setattr 0 valid=010 size=0
        > Rlerror errno 21",
    );
}

#[test]
fn remove_gives_the_fid_up_also_when_it_fails() {
    check(
        P9,
        ANN,
        r#"walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        remove 1
        > Rerror ename "directory is not empty"
        clunk 1
        > Rerror ename "fid unknown or out of range"
        walk 0 1 dir a
        > Rwalk qids 2 (a 0 80) (b 0 00)
        remove 1
        > Rremove
        walk 0 1 dir a
        > Rwalk qids 1 (a 0 80)
        walk 0 1
        > Rwalk qids 0
        remove 1
        > Rerror ename "cannot remove root""#,
    );
    check(
        P9,
        BOB,
        r#"walk 0 1 dir a
        > Rwalk qids 2 (a 0 80) (b 0 00)
        remove 1
        > Rerror ename "permission denied"
        clunk 1
        > Rerror ename "fid unknown or out of range""#,
    );
}

#[test]
fn a_remove_that_takes_time_closes_the_file_after_it() {
    check(
        LINUX,
        ROOT,
        "walk 0 1 slow
        > Rwalk qids 1 (6 0 00)
        remove 1
        2: clunk 1
        release removed slow
        > Rremove
        > 2: Rlerror errno 9
        jobs
        > 0",
    );
}

#[test]
fn linux_removes_and_moves_by_name() {
    check(
        LINUX,
        ANN,
        "walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        unlinkat 0 dir 0
        > Rlerror errno 21
        unlinkat 1 a 01000
        > Rlerror errno 20
        unlinkat 0 dir 01000
        > Rlerror errno 39
        unlinkat 1 a 0
        > Runlinkat
        unlinkat 1 a 0
        > Rlerror errno 2
        renameat 1 b 0 bb
        > Rrenameat
        walk 0 2 bb
        > Rwalk qids 1 (c 0 00)
        rename 2 1 c
        > Rrename
        walk 1 3 c
        > Rwalk qids 1 (c 0 00)
        rename 2 3 x
        > Rlerror errno 20",
    );
    check(
        LINUX,
        BOB,
        "unlinkat 0 status 0\n> Rlerror errno 13\nrenameat 0 status 0 s\n> Rlerror errno 13",
    );
}

#[test]
fn locks_of_linux_programs_are_their_own_affair() {
    check(
        LINUX,
        ROOT,
        r#"walk 0 1 status
        > Rwalk qids 1 (1 0 00)
        lock 1
        > Rlerror errno 9
        lopen 1 0
        > Rlopen qid (1 0 00) iounit 0
        lock 1
        > Rlock status 0
        getlock 1
        > Rgetlock kind 2 lock 0+0 by 5 of "(none)""#,
    );
}
