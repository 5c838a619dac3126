//! Our 9P2000.L against rs9p's: what we encode it decodes to the same, and back.
//!
//! Left out is what rs9p has otherwise than the protocol's page: Rreaddir's count (it takes
//! bytes for entries) and Tfsync's second field (it has none).

use std::io::Cursor;

use rs9p::serialize::{read_msg, write_msg};
use rs9p::{FCall, MsgType};

use super::wire_test::{answers, dialects, requests};
use super::*;

/// The frame, decoded by rs9p and encoded by it again.
fn through_rs9p(frame: &[u8]) -> Vec<u8> {
    let mut body = Cursor::new(&frame[4..]);
    let message = read_msg(&mut body).unwrap();
    assert_eq!(body.position() as usize, frame.len() - 4, "{message:?} takes all");
    let mut back = vec![0; 4];
    write_msg(&mut back, &message).unwrap();
    let size = back.len() as u32;
    back[..4].copy_from_slice(&size.to_le_bytes());
    back
}

#[test]
fn rs9p_reads_what_we_write_and_we_read_what_it_writes() {
    let known = |number| !matches!(number, 41 | 50 | 107 | 112..=115 | 124..=127);
    let mut seen = 0;
    // Small numbers, for rs9p drops the bits it does not know; those of the times are set.
    for (name, n, long) in [(&b"web"[..], 1, 1 << 40), (b"", 0, 0), (b"a name", 2, 7)] {
        for message in requests(name, n, long).into_iter().filter(|m| known(m.number())) {
            if dialects(&message).contains(&Dialect::Linux) {
                let mut frame = Vec::new();
                message.encode(77, Dialect::Linux, &mut frame);
                let back = through_rs9p(&frame);
                assert_eq!(Tmsg::decode(&back, Dialect::Linux), Ok((77, message)));
                seen += 1;
            }
        }
        for message in answers(name, n, long).into_iter().filter(|m| known(m.number())) {
            let mut frame = Vec::new();
            message.encode(77, Dialect::Linux, &mut frame);
            let back = through_rs9p(&frame);
            assert_eq!(Rmsg::decode(&back, Dialect::Linux), Ok((77, message)));
            seen += 1;
        }
    }
    assert_eq!(seen, 3 * (27 + 28), "every message that both have");
}

#[test]
fn rs9p_calls_the_numbers_by_the_same_names() {
    let check = |number: u8, ours: &str| {
        let mut frame = vec![0; 300];
        frame[0] = number;
        if let Ok(message) = read_msg(&mut Cursor::new(&frame)) {
            let theirs = format!("{:?}", MsgType::from(&message.body)).to_lowercase();
            assert_eq!(theirs, ours.to_lowercase());
        }
    };
    for message in requests(b"", 0, 0) {
        check(message.number(), message.name());
    }
    for message in answers(b"", 0, 0) {
        check(message.number(), message.name());
    }
}

#[test]
fn a_walk_that_rs9p_sends_has_the_names_it_says() {
    let wnames = vec!["active".to_owned(), "web".to_owned()];
    let message = rs9p::Msg { tag: 9, body: FCall::TWalk { fid: 1, newfid: 2, wnames } };
    let mut frame = vec![0; 4];
    write_msg(&mut frame, &message).unwrap();
    let names = Names::new(&[b"active", b"web"]).unwrap();
    let ours = Tmsg::Walk { fid: 1, newfid: 2, names };
    assert_eq!(Tmsg::decode(&frame, Dialect::Linux), Ok((9, ours)));
}
