//! Opening, reading, writing, making and closing files.

use super::{ANN, BOB, LINUX, P9, ROOT, check};

#[test]
fn a_file_is_read_as_far_as_it_goes_in_9p2000() {
    check(
        P9,
        BOB,
        r#"walk 0 1 status
        > Rwalk qids 1 (1 0 00)
        read 1 0 100
        > Rerror ename "bad use of fid"
        open 1 0
        > Ropen qid (1 0 00) iounit 0
        read 1 0 6
        > Rread data 6 "all is"
        read 1 6 100
        > Rread data 6 " well\n"
        read 1 12 100
        > Rread data 0 ""
        read 1 18446744073709551615 100
        > Rread data 0 ""
        open 1 0
        > Rerror ename "bad use of fid"
        write 1 0 x
        > Rerror ename "bad use of fid"
        clunk 1
        > Rclunk
        log
        > open status
        > close status"#,
    );
}

#[test]
fn a_file_is_written_as_linux_does_it() {
    check(
        LINUX,
        ANN,
        r#"walk 0 1 ctl
        > Rwalk qids 1 (2 0 00)
        lopen 1 0101
        > Rlopen qid (2 0 00) iounit 0
        xattrwalk 1 2
        > Rlerror errno 95
        setattr 1 valid=0150 size=0
        > Rsetattr
        write 1 0 pause
        > Rwrite count 5
        write 1 5 wrong
        > Rlerror errno 22
        read 1 0 10
        > Rlerror errno 9
        fsync 1
        > Rfsync
        clunk 1
        > Rclunk
        log
        > open ctl
        > write ctl "pause"
        > close ctl"#,
    );
}

#[test]
fn a_refused_write_says_why_in_9p2000() {
    check(
        P9,
        ANN,
        r#"walk 0 1 ctl
        > Rwalk qids 1 (2 0 00)
        open 1 17
        > Ropen qid (2 1 00) iounit 0
        write 1 0 wrong
        > Rerror ename "unknown verb \"wrong\": try help""#,
    );
}

#[test]
fn the_mode_bits_decide_who_opens_for_what() {
    let bob = r#"walk 0 1 ctl
        > Rwalk qids 1 (2 0 00)
        open 1 1
        > Rerror ename "permission denied"
        walk 0 2 status
        > Rwalk qids 1 (1 0 00)
        open 2 16
        > Rerror ename "permission denied"
        open 2 3
        > Rerror ename "permission denied"
        open 2 128
        > Rerror ename "illegal mode"
        walk 0 3 secret
        > Rwalk qids 1 (3 0 00)
        open 3 0
        > Rerror ename "permission denied"
        walk 0 4 dir
        > Rwalk qids 1 (a 0 80)
        open 4 1
        > Rerror ename "is a directory""#;
    check(P9, BOB, bob);
    check(
        P9,
        ROOT,
        "walk 0 1 secret\n> Rwalk qids 1 (3 0 00)\nopen 1 3\n> Ropen qid (3 0 00) iounit 0",
    );
    check(
        LINUX,
        BOB,
        "walk 0 1 ctl
        > Rwalk qids 1 (2 0 00)
        lopen 1 1
        > Rlerror errno 13
        lopen 1 3
        > Rlerror errno 22
        lopen 1 0200000
        > Rlerror errno 20
        walk 0 2 dir
        > Rwalk qids 1 (a 0 80)
        lopen 2 2
        > Rlerror errno 21",
    );
}

#[test]
fn a_file_of_exclusive_use_is_free_again_when_its_fid_is_given_up() {
    check(
        P9,
        ROOT,
        r#"walk 0 1 lock
        > Rwalk qids 1 (5 0 20)
        walk 0 2 lock
        > Rwalk qids 1 (5 0 20)
        open 1 2
        > Ropen qid (5 0 20) iounit 0
        open 2 2
        > Rerror ename "exclusive use file already open"
        clunk 1
        > Rclunk
        open 2 2
        > Ropen qid (5 0 20) iounit 0"#,
    );
    check(
        LINUX,
        ROOT,
        "walk 0 1 lock
        > Rwalk qids 1 (5 0 20)
        walk 0 2 lock
        > Rwalk qids 1 (5 0 20)
        lopen 1 2
        > Rlopen qid (5 0 20) iounit 0
        lopen 2 2
        > Rlerror errno 16
        end
        log
        > open lock
        > close lock",
    );
}

#[test]
fn an_answer_never_exceeds_msize() {
    let talk = |open: &str, opened: &str, name: &str| {
        format!(
            "version 8192 {name}
            > Rversion msize 8192 version \"{name}\"
            attach 0
            > Rattach qid (0 0 80)
            walk 0 1 big
            > Rwalk qids 1 (4 0 00)
            {open} 1 0
            > R{opened} qid (4 0 00) iounit 0
            read 1 0 4294967295
            > Rread data 8181 \"{}\"...
            read 1 195000 8192
            > Rread data 5000 \"{}\"...",
            "x".repeat(40),
            "x".repeat(40)
        )
    };
    check(P9, ROOT, &talk("open", "open", "9P2000"));
    check(LINUX, ROOT, &talk("lopen", "lopen", "9P2000.L"));
}

#[test]
fn a_new_file_is_open_on_the_fid_of_its_directory() {
    check(
        P9,
        ANN,
        r#"walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        create 1 a 0666 1
        > Rerror ename "file already exists"
        create 1 .. 0666 1
        > Rerror ename "illegal name"
        create 1 d 0666 1
        > Rcreate qid (e 0 00) iounit 0
        write 1 0 text
        > Rwrite count 4
        clunk 1
        > Rclunk
        walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        create 1 e 020000000777 0
        > Rcreate qid (f 0 80) iounit 0
        read 1 0 100
        > Rread data 0 ""
        log
        > create d 664
        > open d
        > write d "text"
        > close d
        > create e 775
        > open e"#,
    );
    check(P9, BOB, "create 0 x 0666 1\n> Rerror ename \"permission denied\"");
}

#[test]
fn linux_makes_files_and_directories() {
    check(
        LINUX,
        ANN,
        r#"walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        walk 0 2 dir
        > Rwalk qids 1 (a 0 80)
        lcreate 1 a 0301 0644
        > Rlerror errno 17
        lcreate 1 a 0101 0644
        > Rlcreate qid (b 0 00) iounit 0
        write 1 0 x
        > Rwrite count 1
        lcreate 2 n 0301 0640
        > Rlcreate qid (e 0 00) iounit 0
        mkdir 0 new 0755
        > Rmkdir qid (f 0 80)
        mkdir 0 new 0755
        > Rlerror errno 17
        mkdir 0 a/b 0755
        > Rlerror errno 36
        lcreate 0 status 0101 0644
        > Rlerror errno 13
        walk 0 3 status
        > Rwalk qids 1 (1 0 00)"#,
    );
}

#[test]
fn a_fid_stays_on_its_directory_until_the_file_in_it_is_open() {
    check(
        LINUX,
        ROOT,
        "5: lcreate 0 slow 0101 0644
        abandon opened slow
        > 5: Rlerror errno 4
        walk 0 1 status
        > Rwalk qids 1 (1 0 00)
        5: lcreate 0 slow-slow 0101 0644
        release created slow-slow
        abandon opened slow-slow
        > 5: Rlerror errno 4
        walk 0 2 status
        > Rwalk qids 1 (1 0 00)",
    );
}

#[test]
fn a_file_made_slowly_is_opened_after_it_is_made() {
    check(
        P9,
        ROOT,
        r#"create 0 slow-new 0666 2
        2: stat 0
        release created slow-new
        > Rcreate qid (e 0 00) iounit 0
        > 2: Rstat stat "slow-new" (e 0 00) 664 0 0 "root" "root"
        log
        > create slow-new 664
        > created slow-new
        > open slow-new"#,
    );
}

#[test]
fn a_file_opened_to_be_removed_goes_when_it_is_closed() {
    check(
        P9,
        ANN,
        r#"walk 0 1 dir a
        > Rwalk qids 2 (a 0 80) (b 0 00)
        open 1 64
        > Ropen qid (b 0 00) iounit 0
        clunk 1
        > Rclunk
        log
        > open a
        > close a
        > remove a
        walk 0 1 tidy
        > Rwalk qids 1 (7 0 00)
        open 1 64
        > Ropen qid (7 0 00) iounit 0
        end
        log
        > open tidy
        > close tidy
        release closed tidy
        log
        > closed tidy
        > remove tidy"#,
    );
    check(
        P9,
        BOB,
        r#"walk 0 1 dir a
        > Rwalk qids 2 (a 0 80) (b 0 00)
        open 1 64
        > Rerror ename "permission denied""#,
    );
}
