//! Twalk.

use super::script::Talk;
use super::{BOB, LINUX, P9, ROOT, both, check};
use crate::session::Bounds;

#[test]
fn a_walk_that_fails_after_its_first_name_tells_how_far_it_came() {
    both(
        ROOT,
        "walk 0 1 dir nothing x
        > Rwalk qids 1 (a 0 80)
        walk 0 1 dir b
        > Rwalk qids 2 (a 0 80) (c 0 00)",
    );
    check(P9, ROOT, "walk 0 1 nothing\n> Rerror ename \"file does not exist\"");
    check(LINUX, ROOT, "walk 0 1 nothing\n> Rlerror errno 2\nclunk 1\n> Rlerror errno 9");
}

#[test]
fn a_walk_of_no_names_is_another_fid_for_the_same_file() {
    both(
        ROOT,
        "walk 0 1\n> Rwalk qids 0\nclunk 0\n> Rclunk\nwalk 1 0 dir\n> Rwalk qids 1 (a 0 80)",
    );
}

#[test]
fn dotdot_at_the_root_is_the_root() {
    both(
        ROOT,
        "walk 0 1 .. .. dir ..
        > Rwalk qids 4 (0 0 80) (0 0 80) (a 0 80) (0 0 80)",
    );
}

#[test]
fn dot_is_a_name_in_linux_only() {
    check(P9, ROOT, "walk 0 1 .\n> Rerror ename \"file does not exist\"");
    check(LINUX, ROOT, "walk 0 1 . dir .\n> Rwalk qids 3 (0 0 80) (a 0 80) (a 0 80)");
}

#[test]
fn a_newfid_in_use_is_refused_unless_it_is_the_fid_itself() {
    check(
        P9,
        ROOT,
        r#"walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        walk 0 1 status
        > Rerror ename "fid already in use"
        walk 1 1 a
        > Rwalk qids 1 (b 0 00)
        walk 7 8
        > Rerror ename "fid unknown or out of range""#,
    );
}

#[test]
fn only_directories_are_walked_through() {
    check(P9, ROOT, "walk 0 1 status x\n> Rwalk qids 1 (1 0 00)");
    check(
        P9,
        ROOT,
        r#"walk 0 1 status
        > Rwalk qids 1 (1 0 00)
        walk 1 2 x
        > Rerror ename "not a directory"
        walk 1 2 ..
        > Rerror ename "not a directory""#,
    );
}

#[test]
fn names_no_file_has_are_not_found_whatever_bytes_they_are() {
    check(P9, ROOT, "walk 0 1 a/b\n> Rerror ename \"file does not exist\"");
    check(LINUX, ROOT, "walk 0 1 a/b\n> Rlerror errno 2");
    // Twalk tag 1 fid 0 newfid 1 of the name ff 00 fe.
    check(LINUX, ROOT, "raw 160000006e0100000000000100000001000300ff00fe\n> Rlerror errno 2");
    // And of the empty name.
    check(LINUX, ROOT, "raw 130000006e0100000000000100000001000000\n> Rlerror errno 2");
}

#[test]
fn more_than_sixteen_names_are_refused() {
    let names = "010078".repeat(17);
    let raw = format!("raw 440000006e010000000000010000001100{names}");
    let want = "Rerror ename \"protocol botch: walk of 17 names: 16 are the most\"";
    check(P9, ROOT, &format!("{raw}\n> {want}"));
}

#[test]
fn an_open_fid_is_walked_from_in_linux_only_and_never_onto_itself() {
    check(
        P9,
        ROOT,
        r#"walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        open 1 0
        > Ropen qid (a 0 80) iounit 0
        walk 1 2 a
        > Rerror ename "bad use of fid""#,
    );
    check(
        LINUX,
        ROOT,
        "walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        lopen 1 0200000
        > Rlopen qid (a 0 80) iounit 0
        walk 1 2 a
        > Rwalk qids 1 (b 0 00)
        walk 1 1 a
        > Rlerror errno 9",
    );
}

#[test]
fn a_directory_without_x_is_not_walked_through() {
    let mut talk = Talk::new(P9, BOB, Bounds::default());
    talk.greet();
    talk.ram.state().files.get_mut(&10).unwrap().stat.mode = 0o770;
    assert_eq!(talk.line("walk 0 1 dir"), ["Rwalk qids 1 (a 0 80)"]);
    assert_eq!(talk.line("walk 1 2 a"), ["Rerror ename \"permission denied\""]);
}

#[test]
fn fids_are_limited() {
    let mut talk = Talk::new(LINUX, ROOT, Bounds { fids_max: 3, ..Bounds::default() });
    talk.greet();
    assert_eq!(talk.line("walk 0 1"), ["Rwalk qids 0"]);
    assert_eq!(talk.line("walk 0 2"), ["Rwalk qids 0"]);
    assert_eq!(talk.line("walk 0 3"), ["Rlerror errno 11"]);
    assert_eq!(talk.line("clunk 1"), ["Rclunk"]);
    assert_eq!(talk.line("walk 0 3"), ["Rwalk qids 0"]);
}
