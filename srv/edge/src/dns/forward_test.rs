//! Questions that others are asked, by a resolver of ours on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use hickory_proto::op::{MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA, SRV, TXT};
use hickory_proto::rr::{RData, RecordType};
use tokio::net::UdpSocket;

use super::super::asking::{bytes, names, question, records, with_edns};
use super::super::server::{Alone, with_resolvers_at};
use super::*;

/// A resolver that knows everything there is here.
pub(crate) struct Other {
    pub(crate) at: SocketAddr,
    pub(crate) asked: Arc<AtomicU64>,
    _task: tokio::task::JoinSet<()>,
}

/// One at `ip`, which answers by `answer`.
pub(crate) async fn other(
    ip: &str,
    answer: impl Fn(Message) -> Option<Message> + Send + 'static,
) -> Other {
    let socket = UdpSocket::bind(format!("{ip}:0")).await.unwrap();
    let (at, asked) = (socket.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let (count, mut task) = (Arc::clone(&asked), tokio::task::JoinSet::new());
    task.spawn(async move {
        let mut space = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut space).await {
            let message = Message::from_vec(&space[..length]).unwrap();
            if message.queries[0].name().to_ascii().contains("deploy-circle") {
                continue;
            }
            count.fetch_add(1, Ordering::Relaxed);
            if let Some(answer) = answer(message) {
                socket.send_to(&bytes(&answer), from).await.unwrap();
            }
        }
    });
    Other { at, asked, _task: task }
}

/// What a resolver of the world says.
fn world(mut message: Message) -> Option<Message> {
    let query = message.queries[0].clone();
    let (name, kind) = (query.name().to_lowercase().to_ascii(), query.query_type());
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    message.metadata.authentic_data = true;
    message.edns = None;
    let named = |name: &str| Name::from_ascii(name).unwrap();
    let mut put = |owner: &str, data| {
        message.answers.push(Record::from_rdata(named(owner), 300, data));
    };
    match (name.as_str(), kind) {
        ("a.example.", RecordType::A) => put("a.example.", RData::A(A::new(192, 0, 2, 1))),
        ("c.example.", RecordType::A) => {
            put("c.example.", RData::CNAME(CNAME(named("a.example."))));
            put("a.example.", RData::A(A::new(192, 0, 2, 1)));
        }
        ("s.example.", RecordType::SRV) => {
            put("s.example.", RData::SRV(SRV::new(1, 2, 80, named("a.example."))));
        }
        ("big.example.", RecordType::A) => {
            for at in 0..70 {
                put("big.example.", RData::A(A(Ipv4Addr::from_bits(at))));
            }
        }
        ("once.example.", RecordType::TXT) => {
            message.answers.push(Record::from_rdata(
                named("once.example."),
                0,
                RData::TXT(TXT::new(vec!["now".into()])),
            ));
        }
        ("fail.example.", _) => message.metadata.response_code = ResponseCode::ServFail,
        ("no.example.", _) | ("a.example.", _) => {
            if name == "no.example." {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            let soa = SOA::new(named("ns."), named("mail."), 1, 2, 3, 4, 60);
            message.authorities.push(Record::from_rdata(named("example."), 60, RData::SOA(soa)));
        }
        _ => return None,
    }
    Some(message)
}

/// A server of ours, and the one it asks.
async fn pair() -> (Alone, Other) {
    let other = other("127.0.0.1", world).await;
    let (alone, _) = with_resolvers_at(names(), "nameserver 127.0.0.1\n", other.at.port()).await;
    (alone, other)
}

#[tokio::test]
async fn what_others_say_is_passed_on_and_kept() {
    let (alone, other) = pair().await;
    for (name, kind, expected) in [
        ("a.example.", "A", &["answer a.example. 300 IN A 192.0.2.1"][..]),
        (
            "c.example.",
            "A",
            &["answer c.example. 300 IN CNAME a.example.", "answer a.example. 300 IN A 192.0.2.1"],
        ),
        ("s.example.", "SRV", &["answer s.example. 300 IN SRV 1 2 80 a.example."]),
        ("a.example.", "AAAA", &["authority example. 60 IN SOA ns. mail. 1 2 3 4 60"]),
        ("no.example.", "A", &["authority example. 60 IN SOA ns. mail. 1 2 3 4 60"]),
    ] {
        for _ in 0..2 {
            let told = alone.ask(&with_edns(question(name, kind), 1232)).await;
            // A second may have gone by between the two.
            let lines: Vec<String> = records(&told)
                .iter()
                .map(|line| line.replace(" 299 ", " 300 ").replace(" 59 ", " 60 "))
                .collect();
            assert_eq!(lines, expected);
            let none = name == "no.example.";
            let code = if none { ResponseCode::NXDomain } else { ResponseCode::NoError };
            assert_eq!(told.response_code, code);
            assert!(!told.authentic_data && !told.authoritative && told.recursion_available);
            assert!(told.edns.is_some());
        }
    }
    assert_eq!(other.asked.load(Ordering::Relaxed), 5);
    assert_eq!(alone.figure("dns_forwarded_total{end=\"kept\"}"), 5);
    assert_eq!(alone.figure("dns_forwarded_total{end=\"answered\"}"), 5);
}

#[tokio::test]
async fn the_letters_of_each_question_come_back_whoever_asked_before() {
    let (alone, _other) = pair().await;
    for name in ["a.ExAmple.", "A.EXAMPLE.", "a.example."] {
        let told = alone.ask(&question(name, "A")).await;
        assert!(told.queries[0].name().eq_case(&Name::from_ascii(name).unwrap()), "{told}");
        assert_eq!(told.answers.len(), 1);
    }
}

#[tokio::test]
async fn what_may_not_be_kept_is_asked_each_time() {
    let (alone, other) = pair().await;
    for _ in 0..3 {
        assert_eq!(alone.ask(&question("once.example.", "TXT")).await.answers.len(), 1);
    }
    // An answer of 0 seconds is good for the instant it came at.
    assert_eq!(other.asked.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_long_answer_is_cut_between_records_and_whole_by_a_connection() {
    let (alone, _other) = pair().await;
    let told = alone.ask(&question("big.example.", "A")).await;
    assert!(told.truncation && (25..32).contains(&told.answers.len()), "{}", told.answers.len());
    let told = alone.ask(&with_edns(question("big.example.", "A"), 1232)).await;
    assert_eq!((told.truncation, told.answers.len()), (false, 70));
}

#[tokio::test]
async fn who_does_not_want_others_asked_is_refused() {
    let (alone, other) = pair().await;
    let mut message = question("a.example.", "A");
    message.metadata.recursion_desired = false;
    for _ in 0..2 {
        assert_eq!(alone.ask(&message).await.response_code, ResponseCode::Refused);
        assert_eq!(alone.ask(&question("a.example.", "A")).await.answers.len(), 1);
    }
    assert_eq!(other.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_failure_is_told_as_one_and_not_tried_again_at_once() {
    let (alone, other) = pair().await;
    let fails = async || {
        let told = alone.ask(&question("fail.example.", "A")).await;
        assert_eq!(told.response_code, ResponseCode::ServFail);
    };
    fails().await;
    let asked = other.asked.load(Ordering::Relaxed);
    fails().await;
    assert_eq!(other.asked.load(Ordering::Relaxed), asked);
    assert_eq!(alone.figure("dns_forwarded_total{end=\"failed\"}"), 2);
    // Others are asked for another name, and for another type of the same.
    let told = alone.ask(&question("fail.example.", "AAAA")).await;
    assert_eq!(told.response_code, ResponseCode::ServFail);
    assert!(other.asked.load(Ordering::Relaxed) > asked);
}

#[tokio::test]
async fn short_names_are_nobody_elses_business() {
    let (alone, other) = pair().await;
    for (name, kind, code, answers) in [
        ("web.", "A", ResponseCode::NXDomain, 0),
        ("Printer.", "AAAA", ResponseCode::NXDomain, 0),
        ("localhost.", "A", ResponseCode::NoError, 1),
    ] {
        let told = alone.ask(&question(name, kind)).await;
        assert_eq!((told.response_code, told.answers.len()), (code, answers), "{name}");
    }
    assert_eq!(other.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_resolver_that_is_silent_is_told_before_the_c_library_gives_up() {
    let (alone, _other) = pair().await;
    let began = Instant::now();
    let told = alone.ask(&question("silent.example.", "A")).await;
    assert_eq!(told.response_code, ResponseCode::ServFail);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn one_who_asks_too_much_is_told_at_once_and_others_are_not_held_up() {
    let (alone, _other) = pair().await;
    let socket = alone.socket().await;
    for at in 0..TAKEN_EACH_MAX + 50 {
        let message = question(&format!("silent{at}.example."), "A");
        socket.send(&bytes(&message)).await.unwrap();
        // The kernel holds only some hundred datagrams.
        if at % 64 == 0 {
            tokio::task::yield_now().await;
            alone.ask(&question("web.deploy.", "A")).await;
        }
    }
    alone.ask(&question("web.deploy.", "A")).await;
    let busy = || alone.figure("dns_forwarded_total{end=\"busy\"}");
    assert!((1..=50).contains(&busy()), "{}", busy());
}

#[tokio::test]
async fn names_that_nobody_answers_hold_up_none_but_who_asks_them() {
    let seen = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let sees = Arc::clone(&seen);
    let other = other("127.0.0.1", move |message| {
        sees.lock().unwrap().insert(message.queries[0].name().to_ascii());
        world(message)
    });
    let other = other.await;
    let (alone, _) = with_resolvers_at(names(), "nameserver 127.0.0.1\n", other.at.port()).await;
    let socket = alone.socket().await;
    for at in 0..200 {
        let message = question(&format!("silent{at}.example."), "A");
        socket.send(&bytes(&message)).await.unwrap();
    }
    let neighbour = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    neighbour.connect(alone.at).await.unwrap();
    let began = Instant::now();
    let told = alone.ask_by(&neighbour, &question("a.example.", "A")).await;
    assert_eq!(told.answers.len(), 1);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let seen = seen.lock().unwrap().len();
    assert!((2..=OPEN_EACH_MAX + 1).contains(&seen), "{seen}");
}

#[tokio::test]
async fn a_circle_is_found_out_and_the_resolver_in_it_asked_no_more() {
    // The other asks us whatever it is asked, as a resolver does that was told to use us.
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let (alone, _) = with_resolvers_at(names(), "nameserver 127.0.0.1\n", at.port()).await;
    let ours = alone.at;
    let circle = async move {
        let mut space = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut space).await {
            // What we answer is passed on, too.
            let to = if from == ours { continue } else { ours };
            socket.send_to(&space[..length], to).await.unwrap();
        }
    };
    let asks = async {
        for at in 0.. {
            // Each time another one, since a failure is remembered.
            let began = Instant::now();
            let told = alone.ask(&question(&format!("a{at}.example."), "A")).await;
            assert_eq!(told.response_code, ResponseCode::ServFail);
            if began.elapsed() < Duration::from_millis(100) {
                return;
            }
        }
    };
    tokio::select! {
        () = circle => panic!("the other ended"),
        asked = tokio::time::timeout(Duration::from_secs(30), asks) => asked.unwrap(),
    }
    assert!(alone.figure("dns_forwarded_total{end=\"loop\"}") >= 1);
}
