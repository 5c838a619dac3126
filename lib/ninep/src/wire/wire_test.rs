//! The codec: what is encoded is decoded, and no bytes do harm.

use proptest::prelude::*;

use super::*;

/// Every request, with fields of every size.
pub(super) fn requests<'a>(name: &'a [u8], n: u32, long: u64) -> Vec<Tmsg<'a>> {
    let lock = Lock { start: long, length: long, proc_id: n, client_id: name };
    let names = Names::new(&[name, b"..", name]).unwrap();
    let (fid, kind, flags) = (n, n as u8, n);
    let attr = NewAttr { valid: 0x1ff, mode: n, size: long, atime_sec: long, ..NewAttr::default() };
    let n_uname = Uid(NONUNAME);
    vec![
        Tmsg::Statfs { fid },
        Tmsg::Lopen { fid, flags },
        Tmsg::Lcreate { fid, name, flags, mode: n, gid: n },
        Tmsg::Symlink { fid, name, target: name, gid: n },
        Tmsg::Mknod { dfid: fid, name, mode: n, major: n, minor: n, gid: n },
        Tmsg::Rename { fid, dfid: n, name },
        Tmsg::Readlink { fid },
        Tmsg::Getattr { fid, mask: long & 0x3fff },
        Tmsg::Setattr { fid, attr },
        Tmsg::Xattrwalk { fid, newfid: n, name },
        Tmsg::Xattrcreate { fid, name, size: long, flags },
        Tmsg::Readdir { fid, offset: long, count: n },
        Tmsg::Fsync { fid, datasync: n },
        Tmsg::Lock { fid, kind, flags, lock },
        Tmsg::Getlock { fid, kind, lock },
        Tmsg::Link { dfid: n, fid, name },
        Tmsg::Mkdir { dfid: fid, name, mode: n, gid: n },
        Tmsg::Renameat { olddirfid: n, oldname: name, newdirfid: n, newname: name },
        Tmsg::Unlinkat { dirfid: fid, name, flags },
        Tmsg::Version { msize: n, version: name },
        Tmsg::Auth { afid: fid, uname: name, aname: name, n_uname },
        Tmsg::Attach { fid, afid: NOFID, uname: name, aname: name, n_uname },
        Tmsg::Flush { oldtag: n as u16 },
        Tmsg::Walk { fid, newfid: n, names },
        Tmsg::Open { fid, mode: kind },
        Tmsg::Create { fid, name, perm: n, mode: kind },
        Tmsg::Read { fid, offset: long, count: n },
        Tmsg::Write { fid, offset: long, data: Data(name) },
        Tmsg::Clunk { fid },
        Tmsg::Remove { fid },
        Tmsg::Stat { fid },
        Tmsg::Wstat { fid, stat: Wrapped(record(name, long)) },
    ]
}

/// Every answer.
pub(super) fn answers<'a>(name: &'a [u8], n: u32, long: u64) -> Vec<Rmsg<'a>> {
    let qid = Qid { kind: 0x80, version: n, path: long };
    let (status, kind) = (n as u8, n as u8);
    let lock = Lock { start: long, length: long, proc_id: n, client_id: name };
    let attr = Attr { valid: 0x7ff, qid, mode: n, size: long, ctime_nsec: long, ..Attr::default() };
    let statfs = StatFs { kind: n, bsize: n, blocks: long, namelen: n, ..StatFs::default() };
    vec![
        Rmsg::Lerror { errno: n },
        Rmsg::Statfs { statfs },
        Rmsg::Lopen { qid, iounit: n },
        Rmsg::Lcreate { qid, iounit: n },
        Rmsg::Symlink { qid },
        Rmsg::Mknod { qid },
        Rmsg::Rename {},
        Rmsg::Readlink { target: name },
        Rmsg::Getattr { attr },
        Rmsg::Setattr {},
        Rmsg::Xattrwalk { size: long },
        Rmsg::Xattrcreate {},
        Rmsg::Readdir { data: Data(name) },
        Rmsg::Fsync {},
        Rmsg::Lock { status },
        Rmsg::Getlock { kind, lock },
        Rmsg::Link {},
        Rmsg::Mkdir { qid },
        Rmsg::Renameat {},
        Rmsg::Unlinkat {},
        Rmsg::Version { msize: n, version: name },
        Rmsg::Auth { aqid: qid },
        Rmsg::Attach { qid },
        Rmsg::Error { ename: name },
        Rmsg::Flush {},
        Rmsg::Walk { qids: Qids::new(&[qid; 16]).unwrap() },
        Rmsg::Open { qid, iounit: n },
        Rmsg::Create { qid, iounit: n },
        Rmsg::Read { data: Data(name) },
        Rmsg::Write { count: n },
        Rmsg::Clunk {},
        Rmsg::Remove {},
        Rmsg::Stat { stat: Wrapped(record(name, long)) },
        Rmsg::Wstat {},
    ]
}

fn record(name: &[u8], long: u64) -> Record<'_> {
    Record { name, uid: b"root", length: long, ..Record::UNTOUCHED }
}

/// The dialects a request belongs to.
pub(super) fn dialects(message: &Tmsg<'_>) -> Vec<Dialect> {
    match message.number() {
        ..100 => vec![Dialect::Linux],
        112 | 114 | 124 | 126 => vec![Dialect::P9],
        _ => vec![Dialect::P9, Dialect::Linux],
    }
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        Just(vec![0xff; 65_535 - 200]),
        Just(b"web".to_vec()),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(name in name(), n: u32, long: u64, tag: u16) {
        for message in requests(&name, n, long) {
            for dialect in dialects(&message) {
                let mut frame = Vec::new();
                message.encode(tag, dialect, &mut frame);
                prop_assert_eq!(frame_size(&frame, u32::MAX), Ok(Some(frame.len())));
                prop_assert_eq!(Tmsg::decode(&frame, dialect), Ok((tag, message)));
            }
        }
        for message in answers(&name, n, long) {
            let mut frame = Vec::new();
            message.encode(tag, Dialect::Linux, &mut frame);
            prop_assert_eq!(frame_size(&frame, u32::MAX), Ok(Some(frame.len())));
            prop_assert_eq!(Rmsg::decode(&frame, Dialect::Linux), Ok((tag, message)));
        }
    }

    #[test]
    fn a_body_cut_short_or_made_longer_is_refused(n: u32, cut in 1usize..20, more in 1usize..9) {
        for message in requests(b"name", n, 5) {
            let dialect = dialects(&message)[0];
            let mut frame = Vec::new();
            message.encode(1, dialect, &mut frame);
            let short = &frame[..frame.len().saturating_sub(cut).max(HEADER_BYTES)];
            if short.len() < frame.len() {
                let refused = Tmsg::decode(short, dialect).unwrap_err();
                prop_assert!(matches!(refused, Malformed::Short | Malformed::Trailing(_)));
            }
            frame.resize(frame.len() + more, 0);
            prop_assert_eq!(Tmsg::decode(&frame, dialect), Err(Malformed::Trailing(more)));
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for dialect in [Dialect::P9, Dialect::Linux] {
            let asked = Tmsg::decode(&bytes, dialect).map(|(_, message)| message.to_string());
            let answered = Rmsg::decode(&bytes, dialect).map(|(_, message)| message.to_string());
            let lines = [asked, answered];
            prop_assert!(lines.iter().flatten().all(|line| !line.contains('\n')));
        }
        // A list ends at the first entry that is none.
        prop_assert!(records(&bytes).filter(Result::is_err).count() <= 1);
        prop_assert!(entries(&bytes).filter(Result::is_err).count() <= 1);
        let _ = frame_size(&bytes, 8192);
    }
}

#[track_caller]
fn check_refused(frame: &[u8], dialect: Dialect, want: &str) {
    assert_eq!(Tmsg::decode(frame, dialect).unwrap_err().to_string(), want);
}

#[test]
fn a_size_that_no_message_has_cannot_be_followed() {
    assert_eq!(frame_size(&[1, 2, 3], 8192), Ok(None));
    assert_eq!(frame_size(&[6, 0, 0, 0], 8192), Err(Malformed::Small(6)));
    assert_eq!(frame_size(&[0, 0x20, 0, 0], 8192), Ok(Some(8192)));
    assert_eq!(frame_size(&[1, 0x20, 0, 0], 8192), Err(Malformed::Large(8193, 8192)));
    assert_eq!(frame_size(&[255; 4], 8192), Err(Malformed::Large(u32::MAX, 8192)));
}

#[test]
fn an_answer_from_a_client_is_refused_by_its_number() {
    // Rreaddir of 4294967295 bytes.
    let frame = [11, 0, 0, 0, 41, 1, 0, 255, 255, 255, 255];
    check_refused(&frame, Dialect::Linux, "message type 41 is not known here");
    check_refused(&frame, Dialect::P9, "message type 41 is not known here");
}

#[test]
fn a_count_larger_than_what_arrived_makes_no_room() {
    let mut frame = vec![23, 0, 0, 0, 118, 1, 0];
    frame.extend([0; 12]);
    frame.extend([255; 4]);
    check_refused(&frame, Dialect::P9, "message is too short for its fields");
    let walk = [17, 0, 0, 0, 110, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 255, 255];
    check_refused(&walk, Dialect::P9, "walk of 65535 names: 16 are the most");
}

#[test]
fn each_dialect_has_its_own_requests() {
    for message in requests(b"x", 1, 1) {
        for dialect in [Dialect::P9, Dialect::Linux] {
            let mut frame = Vec::new();
            message.encode(1, dialect, &mut frame);
            let spoken = Tmsg::decode(&frame, dialect).is_ok();
            assert_eq!(spoken, dialects(&message).contains(&dialect), "{dialect:?}: {message}");
        }
    }
}

#[test]
fn a_message_is_shown_as_one_readable_line() {
    let names = Names::new(&[b"web", b"c\ntl"]).unwrap();
    let walk = Tmsg::Walk { fid: 0, newfid: 1, names };
    assert_eq!(walk.to_string(), r#"Twalk fid 0 newfid 1 names 2 "web" "c\ntl""#);
    let attach = Tmsg::Attach { fid: 0, afid: 1, uname: b"u", aname: b"", n_uname: Uid(NONUNAME) };
    assert_eq!(attach.to_string(), r#"Tattach fid 0 afid 1 uname "u" aname "" n_uname -1"#);
    let data = vec![b'a'; 100];
    let shown = format!("Rread data 100 \"{}\"...", "a".repeat(40));
    assert_eq!(Rmsg::Read { data: Data(&data) }.to_string(), shown);
    assert_eq!(Rmsg::Clunk {}.to_string(), "Rclunk");
}
