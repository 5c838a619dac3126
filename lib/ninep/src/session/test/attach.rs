//! Tversion, Tauth, Tattach.

use super::{BOB, LINUX, P9, ROOT, both, check};

#[test]
fn a_dialect_nobody_speaks_is_unknown_and_the_next_offer_counts() {
    check(
        P9,
        ROOT,
        r#"bare
        version 8192 9P3000
        > Rversion msize 8192 version "unknown"
        attach 0
        > Rerror ename "no version agreed on: send Tversion first"
        version 8192 9P2000x
        > Rversion msize 8192 version "unknown"
        version 8192 9P2000.u
        > Rversion msize 8192 version "9P2000"
        attach 0
        > Rattach qid (0 0 80)"#,
    );
}

#[test]
fn msize_is_what_the_client_can_take_between_8_kib_and_128_kib() {
    check(
        LINUX,
        ROOT,
        r#"bare
        version 4294967295 9P2000.L
        > Rversion msize 131096 version "9P2000.L"
        version 8191 9P2000.L
        > Rlerror errno 22
        attach 0
        > Rerror ename "no version agreed on: send Tversion first"
        version 10000 9P2000.L
        > Rversion msize 10000 version "9P2000.L""#,
    );
}

#[test]
fn before_a_version_nothing_else_is_heard() {
    check(
        P9,
        ROOT,
        r#"bare
        walk 0 1 status
        > Rerror ename "no version agreed on: send Tversion first"
        flush 3
        > Rerror ename "no version agreed on: send Tversion first""#,
    );
}

#[test]
fn a_second_version_drops_fids_and_requests_and_closes_files() {
    both_watch(
        "
        version 131096 DIALECT
        > Rversion msize 131096 version \"DIALECT\"
        jobs
        > 0
        log
        > open watch
        > close watch
        read 1 0 100
        > UNKNOWN
        attach 0
        > Rattach qid (0 0 80)",
    );
}

/// A script that begins with a read that waits on fid 1.
#[track_caller]
fn both_watch(script: &str) {
    let p9 = "walk 0 1 watch\n> Rwalk qids 1 (8 0 00)\nopen 1 0\n> Ropen qid (8 0 00) iounit 0";
    let linux = p9.replace("open 1", "lopen 1").replace("Ropen", "Rlopen");
    let unknown = "Rerror ename \"fid unknown or out of range\"";
    let wait = "\n5: read 1 0 100\n";
    let script = |name, unknown| script.replace("DIALECT", name).replace("UNKNOWN", unknown);
    check(P9, ROOT, &format!("{p9}{wait}{}", script("9P2000", unknown)));
    check(LINUX, ROOT, &format!("{linux}{wait}{}", script("9P2000.L", "Rlerror errno 9")));
}

#[test]
fn nobody_need_prove_who_they_are() {
    check(
        P9,
        ROOT,
        r#"auth 5
        > Rerror ename "authentication not required"
        attach-afid 1
        > Rerror ename "fid unknown or out of range""#,
    );
    check(LINUX, ROOT, "auth 5\n> Rlerror errno 2\nattach-afid 1\n> Rlerror errno 9");
}

#[test]
fn the_peer_is_who_the_kernel_says_and_only_root_speaks_for_others() {
    check(
        LINUX,
        ROOT,
        "attach 1 1000
        > Rattach qid (0 0 80)
        attach 2 0
        > Rattach qid (0 0 80)
        attach 3
        > Rattach qid (0 0 80)
        log
        > attach u1000
        > attach u0
        > attach u0
        walk 1 4 secret
        > Rwalk qids 1 (3 0 00)
        lopen 4 0
        > Rlerror errno 13",
    );
    check(LINUX, BOB, "attach 1 0\n> Rattach qid (0 0 80)\nlog\n> attach u1000");
}

#[test]
fn an_attach_name_chooses_a_subtree_that_dotdot_does_not_leave() {
    both(
        ROOT,
        "attach 1 0 dir
        > Rattach qid (a 0 80)
        walk 1 2 .. .. a
        > Rwalk qids 3 (a 0 80) (a 0 80) (b 0 00)",
    );
    check(P9, ROOT, "attach 1 0 nowhere\n> Rerror ename \"file does not exist\"");
}

#[test]
fn a_fid_in_use_is_not_attached_again() {
    check(P9, ROOT, "attach 0\n> Rerror ename \"fid already in use\"");
    check(LINUX, ROOT, "attach 0\n> Rlerror errno 9\nattach 4294967295\n> Rlerror errno 9");
}
