//! Messages as they come, from the well-made to the malicious.

use proptest::prelude::*;

use super::super::asking::{bytes, question, with_edns};
use super::*;

fn fault(message: &[u8]) -> Fault {
    Query::read(message).expect_err("a fault")
}

const MALFORMED: Fault = Fault::Told(Rcode::FormErr);

#[test]
fn a_question_is_read_in_place() {
    let message = bytes(&with_edns(question("WeB.dEploy.", "AAAA"), 4096));
    let query = Query::read(&message).unwrap();
    assert_eq!(query.name(), b"\x03WeB\x06dEploy\x00");
    assert_eq!(query.key(&mut [0; NAME_BYTES_MAX]), b"\x03web\x06deploy\x00");
    assert_eq!((query.kind, query.class, query.last_label), (28, 1, 4));
    assert_eq!(query.edns, Some(Edns { payload: 4096, version: 0, signatures: false }));
    assert_eq!(query.datagram_bytes(), 1232);
    let root = bytes(&question(".", "NS"));
    assert_eq!(Query::read(&root).unwrap().name(), b"\x00");
}

#[test]
fn what_must_not_be_answered_is_not() {
    assert_eq!(fault(b""), Fault::Short);
    assert_eq!(fault(&[0; 11]), Fault::Short);
    let mut answer = bytes(&question("web.deploy.", "A"));
    answer[2] |= 0x80;
    assert_eq!(fault(&answer), Fault::Answer);
    // Not even when it is malformed besides.
    assert_eq!(fault(&answer[..12]), Fault::Answer);
}

#[test]
fn operations_but_queries_are_none_of_ours() {
    for operation in 1..16u8 {
        let mut message = bytes(&question("web.deploy.", "A"));
        message[2] |= operation << 3;
        assert_eq!(fault(&message), Fault::Told(Rcode::NotImp), "{operation}");
    }
}

#[test]
fn a_message_has_one_question_and_nothing_that_answers() {
    let good = bytes(&question("web.deploy.", "A"));
    for (at, count) in [(5, 0), (5, 2), (7, 1), (9, 1), (11, 5), (11, 1)] {
        let mut message = good.clone();
        message[at] = count;
        assert_eq!(fault(&message), MALFORMED, "byte {at} is {count}");
    }
    assert_eq!(fault(&[0; 12]), MALFORMED);
}

#[test]
fn a_malformed_name_is_malformed() {
    let head = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let tail = [0, 1, 0, 1];
    let check = |name: &[u8], fine: bool| {
        let message = [&head, name, &tail].concat();
        assert_eq!(Query::read(&message).is_ok(), fine, "{name:02x?}");
    };
    let label = |bytes: u8| [&[bytes][..], &vec![b'a'; usize::from(bytes)]].concat();
    check(b"\x03web\x06deploy\x00", true);
    check(b"\x03web\xc0\x0c", false);
    check(b"\xc0\x0c", false);
    check(b"\x41a\x00", false);
    check(b"\x81a\x00", false);
    check(&[&label(63)[..], &[0]].concat(), true);
    let longest = [label(63), label(63), label(63), label(61), vec![0]].concat();
    assert_eq!(longest.len(), NAME_BYTES_MAX);
    check(&longest, true);
    check(&[label(63), label(63), label(63), label(62), vec![0]].concat(), false);
    check(&[label(63), label(63), label(63), label(63), vec![0]].concat(), false);
    check(b"\x03we", false);
}

#[test]
fn opt_is_one_and_of_the_root() {
    let opt = [0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let with = |extra: &[&[u8]]| {
        let mut message = bytes(&question("web.deploy.", "A"));
        message[11] = extra.len() as u8;
        extra.iter().for_each(|record| message.extend_from_slice(record));
        message
    };
    assert!(Query::read(&with(&[&opt])).unwrap().edns.is_some());
    assert_eq!(fault(&with(&[&opt, &opt])), MALFORMED);
    let named = [&b"\x01a"[..], &opt].concat();
    assert_eq!(fault(&with(&[&named])), MALFORMED);
    // Another record before it, with a compressed name and data, is passed over.
    let other = [0xc0, 12, 0, 250, 0, 255, 0, 0, 0, 0, 0, 2, 7, 7];
    assert!(Query::read(&with(&[&other, &opt])).unwrap().edns.is_some());
    assert_eq!(fault(&with(&[&opt[..10]])), MALFORMED);
    // Options are not looked at, but must be there.
    let options = [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 4, 0, 8, 0, 0];
    assert!(Query::read(&with(&[&options])).unwrap().edns.unwrap().signatures);
    assert_eq!(fault(&with(&[&options[..14]])), MALFORMED);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_bytes_are_too_much(message in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = Query::read(&message);
    }

    /// What we read as a query, another reader of the standard reads so, too.
    #[test]
    fn a_changed_query_is_none_or_the_same_to_another_reader(
        payload in any::<u16>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut message = bytes(&with_edns(question("_http._tcp.web.deploy.", "SRV"), payload));
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        let Ok(query) = Query::read(&message) else { return Ok(()) };
        prop_assert!(query.question.len() <= NAME_BYTES_MAX + 4);
        let mut space = [0; NAME_BYTES_MAX];
        prop_assert!(query.key(&mut space).len() > query.last_label);
        if let Ok(other) = hickory_proto::op::Message::from_vec(&message) {
            let asked = &other.queries[0];
            prop_assert_eq!(other.id, query.id);
            prop_assert_eq!(u16::from(asked.query_type()), query.kind);
            prop_assert_eq!(u16::from(asked.query_class()), query.class);
            let ours = query.edns.map(|edns| (edns.payload.max(512), edns.version));
            let theirs = other.edns.as_ref().map(|edns| (edns.max_payload(), edns.version()));
            prop_assert_eq!(ours, theirs);
        }
    }
}
