//! Anything at all at the desk.

use hickory_proto::op::{Message, MessageType};
use proptest::prelude::*;

use super::super::asking::{address, bytes, names, question, question_of, with_edns};
use super::super::query::HEADER_BYTES;
use super::super::resolvers::Resolvers;
use super::*;

fn desk() -> Desk {
    let names = Arc::new(names());
    let figures = Arc::<Figures>::default();
    let resolvers = Resolvers::named_in("/nonexistent".into(), 53);
    let forward = Forward::new(resolvers, Arc::clone(&figures));
    let at = vec![address("127.0.0.1:53")];
    let guests = Guests::of(at.iter().map(SocketAddr::ip).collect());
    Desk::new(Source(Box::new(move || Arc::clone(&names))), guests, at, forward, figures)
}

fn take(desk: &Desk, message: &[u8], from: &str, way: Way) -> (Step, Vec<u8>) {
    let mut out = Vec::new();
    let step = desk.take(message, address(from), way, &desk.names(), &mut Chance::new(), &mut out);
    (step, out)
}

#[test]
fn strangers_are_refused_with_no_more_bytes_than_they_sent() {
    let desk = desk();
    let message = bytes(&with_edns(question("web.deploy.", "A"), 4096));
    for from in ["8.8.8.8:5000", "[2001:db8::1]:5000", "10.1.2.3:5000"] {
        let (step, out) = take(&desk, &message, from, Way::Datagram);
        assert_eq!((step, out.len()), (Step::Send, HEADER_BYTES));
        assert_eq!(out[3] & 15, Rcode::Refused.number() as u8);
        assert_eq!(out[..2], message[..2]);
    }
    assert_eq!(take(&desk, &message, "127.9.9.9:5000", Way::Datagram).1[3] & 15, 0);
}

#[test]
fn what_seems_to_come_from_ourselves_or_from_nowhere_is_not_answered() {
    let desk = desk();
    let message = bytes(&question("web.deploy.", "A"));
    for from in ["127.0.0.1:53", "127.0.0.1:0", "8.8.8.8:0"] {
        assert_eq!(take(&desk, &message, from, Way::Datagram).0, Step::Drop, "{from}");
    }
    let mut text = String::new();
    desk.figures.print(&mut text);
    assert!(text.contains("dns_dropped_total{why=\"sender\"} 3"), "{text}");
}

/// Messages of all the kinds that the server has an answer for.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let name = prop::sample::select(vec![
        "web.deploy.",
        "_http._tcp.web.deploy.",
        "1.db.deploy.",
        "nope.deploy.",
        "deploy.",
        "6.0.89.10.in-addr.arpa.",
        "example.com.",
        ".",
    ]);
    let kind = prop::sample::select(vec![1u16, 28, 33, 12, 6, 255, 252, 41, 65, 16]);
    (name, kind, prop::option::of(any::<u16>())).prop_map(|(name, kind, payload)| {
        let message = question_of(name, kind.into());
        bytes(&payload.map_or(message.clone(), |payload| with_edns(message, payload)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn whatever_comes_what_goes_out_is_a_fitting_answer(
        message in message(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        more in prop::collection::vec(any::<u8>(), 0..20),
        stream in any::<bool>(),
    ) {
        let (mut message, desk) = (message, desk());
        for (at, byte) in changes {
            let at = at.index(message.len());
            message[at] = byte;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        message.extend(more);
        let way = if stream { Way::Stream } else { Way::Datagram };
        let (step, out) = take(&desk, &message, "127.0.0.1:999", way);
        match step {
            Step::Send => {
                let told = Message::from_vec(&out).map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert_eq!(told.message_type, MessageType::Response);
                prop_assert_eq!(&out[..2], &message[..2]);
                prop_assert!(message.len() >= HEADER_BYTES && message[2] & 0x80 == 0);
                prop_assert!(out.len() <= 1232);
                if out.len() > HEADER_BYTES {
                    prop_assert_eq!(told.queries.len(), 1);
                    let end = Query::read(&message).unwrap().question.len() + HEADER_BYTES;
                    prop_assert_eq!(&out[HEADER_BYTES..end], &message[HEADER_BYTES..end]);
                }
            }
            Step::Drop => {
                prop_assert!(message.len() < HEADER_BYTES || message[2] & 0x80 != 0);
            }
            Step::Forward => {
                let asked = Query::read(&message).unwrap();
                let last = &asked.name()[asked.last_label..];
                prop_assert!(!last.eq_ignore_ascii_case(super::super::label::ZONE));
                prop_assert!(asked.recurses());
            }
        }
    }
}
