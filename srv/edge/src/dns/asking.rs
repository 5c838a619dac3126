//! Questions and answers for the tests, by the hand of hickory-proto: another reading of the same
//! standards than ours.

use std::net::SocketAddr;
use std::str::FromStr as _;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, Record, RecordType};

use super::names::{Instance, Names};

/// A question of type `kind`.
pub(crate) fn question(name: &str, kind: &str) -> Message {
    question_of(name, RecordType::from_str(kind).unwrap())
}

/// The same.
pub(crate) fn question_of(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// The same, from one who takes datagrams of `payload` bytes.
pub(crate) fn with_edns(mut message: Message, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    message.set_edns(edns);
    message
}

/// The message's bytes.
pub(crate) fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().unwrap()
}

/// What the bytes of an answer mean; they must be all of it.
pub(crate) fn read(answer: &[u8]) -> Message {
    let message = Message::from_vec(answer).unwrap_or_else(|e| panic!("{e}: {answer:02x?}"));
    // It does not shorten all the names of a long answer, so that none of that size is written.
    if answer.len() < 4096 {
        assert!(Message::from_vec(&bytes(&message)).unwrap() == message, "{message}");
    }
    message
}

/// The records as `dig +short` would show them, each with its section.
pub(crate) fn records(message: &Message) -> Vec<String> {
    let lines = |section: &str, all: &[Record]| -> Vec<String> {
        all.iter().map(|record| format!("{section} {record}")).collect()
    };
    let mut all = lines("answer", &message.answers);
    all.extend(lines("authority", &message.authorities));
    all.extend(lines("extra", &message.additionals));
    all
}

/// Names of generation 7: `web` with three instances, `db` with one of each kind of address,
/// `idle` with none.
pub(crate) fn names() -> Names {
    let at = |number: u32, text: &str| Instance { number, address: address(text) };
    let web = vec![at(0, "10.89.0.5:8080"), at(1, "10.89.0.6:8080"), at(2, "10.89.0.7:9090")];
    let db = vec![at(0, "10.89.1.9:5432"), at(1, "[fd00::9]:5432")];
    Names::of(7, [("web", web), ("db", db), ("idle", vec![])])
}

/// The address that `text` says.
pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}
