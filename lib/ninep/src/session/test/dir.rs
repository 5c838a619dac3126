//! Reading directories.

use super::script::Talk;
use super::{LINUX, P9, ROOT, check};
use crate::Kind;
use crate::ram::Manner;
use crate::session::Bounds;
use crate::wire::{Dialect, Rmsg, Tmsg, entries, records};

/// The names a whole directory has, read in pieces of `count` bytes from offset 0 on.
fn names(dialect: Dialect, files: usize, count: u32) -> Vec<String> {
    let mut talk = Talk::new(dialect, ROOT, Bounds::default());
    talk.greet();
    for n in 0..files {
        talk.ram.add(10, Kind::File, &format!("file-{n}"), 0o444, b"", Manner::Plain);
    }
    talk.line("walk 0 1 dir");
    talk.line(if dialect == P9 { "open 1 0" } else { "lopen 1 0" });
    let (mut names, mut offset) = (Vec::new(), 0);
    loop {
        let message = match dialect {
            Dialect::P9 => Tmsg::Read { fid: 1, offset, count },
            Dialect::Linux => Tmsg::Readdir { fid: 1, offset, count },
        };
        let reply = talk.raw(&message);
        let (Rmsg::Read { data } | Rmsg::Readdir { data }) =
            Rmsg::decode(&reply, dialect).unwrap().1
        else {
            panic!("refused at {offset}");
        };
        let data = data.0;
        assert!(data.len() <= count as usize);
        if data.is_empty() {
            return names;
        }
        let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        match dialect {
            Dialect::P9 => {
                names.extend(records(data).map(|record| text(record.unwrap().name)));
                offset += data.len() as u64;
            }
            Dialect::Linux => {
                for entry in entries(data).map(Result::unwrap) {
                    names.push(text(entry.name));
                    offset = entry.offset;
                }
            }
        }
    }
}

#[test]
fn a_directory_read_in_any_pieces_gives_every_name_once() {
    for count in [100, 128, 1000, 8192, 131_096] {
        let mut want: Vec<String> = ["a", "b", "c"].map(String::from).into();
        want.extend((0..200).map(|n| format!("file-{n}")));
        assert_eq!(names(P9, 200, count), want, "{count}");
        want.splice(0..0, [".".to_owned(), "..".to_owned()]);
        assert_eq!(names(LINUX, 200, count), want, "{count}");
    }
}

#[test]
fn a_9p2000_directory_is_read_from_the_start_or_on() {
    check(
        P9,
        ROOT,
        r#"walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        readdir 1 0 100
        > Rerror ename "protocol botch: message type 40 is not known here"
        open 1 0
        > Ropen qid (a 0 80) iounit 0
        read 1 0 10
        > Rerror ename "count is too small for one directory entry"
        read 1 5 100
        > Rerror ename "bad offset in directory read""#,
    );
}

#[test]
fn linux_lists_by_readdir_only_and_an_offset_may_be_any_cookie() {
    check(
        LINUX,
        ROOT,
        "walk 0 1 dir
        > Rwalk qids 1 (a 0 80)
        readdir 1 0 100
        > Rlerror errno 9
        lopen 1 0
        > Rlopen qid (a 0 80) iounit 0
        read 1 0 100
        > Rlerror errno 21
        readdir 1 0 10
        > Rlerror errno 22
        readdir 1 99 100
        > Rreaddir data 0 \"\"
        readdir 1 18446744073709551615 100
        > Rreaddir data 0 \"\"
        walk 0 2 status
        > Rwalk qids 1 (1 0 00)
        lopen 2 0
        > Rlopen qid (1 0 00) iounit 0
        readdir 2 0 100
        > Rlerror errno 20",
    );
}

#[test]
fn a_directory_stays_as_it_was_until_it_is_read_from_the_start() {
    let mut talk = Talk::new(LINUX, ROOT, Bounds::default());
    talk.greet();
    talk.line("walk 0 1 dir");
    talk.line("lopen 1 0");
    let first = talk.line("readdir 1 0 1000");
    talk.ram.add(10, Kind::File, "zzz", 0o444, b"", Manner::Plain);
    assert_eq!(talk.line("readdir 1 5 1000"), ["Rreaddir data 0 \"\""]);
    assert_ne!(talk.line("readdir 1 0 1000"), first);
}
