//! Users' bodies that break off, go wrong or stand still on their way to an instance.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::rig::{Instance, Rig, User, soon};
use crate::access::Access;
use crate::limits::Limits;
use crate::swap::Note;

const CHUNKS: &str = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What follows a good chunk and is none.
const BAD: &[&str] = &[
    "x\r\nabc\r\n",
    "\r\n",
    "-1\r\n",
    "3\nabc\r\n",
    "3 x\r\nabcd\r\n",
    "3;a\nb\r\nabc\r\n",
    "3\r\nabcd\r\n",
    "3\r\nabc0\r\n\r\n",
    "3\r\nabc\n0\r\n\r\n",
    "0\r\n\n",
    "10000000000000000\r\n",
];

/// How many were ended early, by reason.
fn cuts(rig: &Rig) -> Vec<String> {
    let text = crate::metrics::text(&rig.shared);
    let counts = text.lines().filter_map(|line| line.strip_prefix("deploy_requests_cut_total"));
    counts.filter(|count| !count.ends_with(" 0")).map(str::to_owned).collect()
}

/// Waits until no connection to this instance is open.
async fn closed(instance: &Instance) {
    soon("the connection to close", async {
        while instance.open.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_malformed_body_is_the_users_fault_and_not_that_of_his_instance() {
    for h2 in ["-", "h2"] {
        let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
        rig.table(&format!("* / a {h2} {}", a.line()));
        for bad in BAD {
            let mut user = rig.user().await;
            let seen = a.count();
            user.raw(format!("POST /take HTTP/1.1\r\n{CHUNKS}5\r\nfirst\r\n").as_bytes()).await;
            a.has_seen(seen + 1).await;
            user.raw(format!("{bad}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
            let got = user.rest().await;
            assert!(got.starts_with("HTTP/1.1 400 "), "{bad:?}: {got}");
            assert!(
                got.ends_with("400 bad request: the body breaks off, or its chunks are none\n")
            );
            assert_eq!(got.matches("HTTP/1.1").count(), 1, "{bad:?}: {got}");
            soon("the end at the instance", a.given_up.notified()).await;
            assert_eq!(a.count(), seen + 1, "{bad:?}: nothing behind it came to the instance");
            if h2 == "-" {
                closed(&a).await;
            }
        }
        assert_eq!(cuts(&rig), [""; 0]);
        let figures = rig.shared.live().backends["a"].figures.sum();
        let all = BAD.len() as u64;
        assert_eq!((figures.classes, figures.in_flight), ([0, 0, 0, all, 0, 0, 0], 0));
        assert_eq!(rig.ask("GET / HTTP/1.1\nHost: a\n\n").await.status, 200);
    }
}

#[tokio::test]
async fn a_malformed_body_whose_answer_has_begun_ends_the_connection() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for bad in BAD {
        let mut user = rig.user().await;
        user.raw(format!("POST /echo HTTP/1.1\r\n{CHUNKS}5\r\nfirst\r\n").as_bytes()).await;
        user.until("first").await;
        user.raw(format!("{bad}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
        let got = user.rest().await;
        assert!(!got.contains("HTTP/1.1") && !got.contains("0\r\n\r\n"), "{bad:?}: {got}");
        closed(&a).await;
    }
    assert_eq!((cuts(&rig), a.count()), (vec![], BAD.len()));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_users_fault() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for head in [CHUNKS, "Host: a\r\nContent-Length: 100\r\n\r\n"] {
        let mut user = rig.user().await;
        let seen = a.count();
        user.raw(format!("POST /take HTTP/1.1\r\n{head}5\r\nfirst").as_bytes()).await;
        a.has_seen(seen + 1).await;
        user.ends_half().await;
        assert_eq!(user.answer().await.status, 400);
        soon("the end at the instance", a.given_up.notified()).await;
        closed(&a).await;
        let mut gone = rig.user().await;
        gone.raw(format!("POST /take HTTP/1.1\r\n{head}5\r\nfirst").as_bytes()).await;
        a.has_seen(seen + 2).await;
        drop(gone);
        soon("the end at the instance", a.given_up.notified()).await;
        closed(&a).await;
    }
    assert_eq!(cuts(&rig), [""; 0]);
}

/// Sends the beginning of a body.
async fn begin(rig: &Rig, a: &Instance) -> User {
    let mut user = rig.user().await;
    let seen = a.count();
    user.raw(b"POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nfirst").await;
    a.has_seen(seen + 1).await;
    user
}

#[tokio::test]
async fn who_stops_in_the_middle_of_a_body_is_told_so_and_counted_once() {
    let stall_time = Duration::from_millis(200);
    let limits = Limits { workers: 1, stall_time, ..Limits::default() };
    let (mut rig, a) = (Rig::with(limits, Access::none()).await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = begin(&rig, &a).await;
    let answer = user.answer().await;
    assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
    assert_eq!(answer.body, "408 the request's body did not go on in time\n");
    assert_eq!(cuts(&rig), ["{reason=\"stall\"} 1"]);
}

#[tokio::test]
async fn an_instance_that_does_not_take_a_body_is_told_apart_from_a_user_who_sends_none() {
    // The kernel takes the connection and some bytes, and nobody reads.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let stall_time = Duration::from_millis(200);
    let limits = Limits { workers: 1, stall_time, ..Limits::default() };
    let mut rig = Rig::with(limits, Access::none()).await;
    rig.table(&format!("* / a - 1/a/v={}", silent.local_addr().expect("its address")));
    let mut user = rig.user().await;
    user.send("POST / HTTP/1.1\nHost: a\nContent-Length: 1000000000\n\n").await;
    let part = vec![b'x'; 1 << 16];
    // Until every buffer on the way is full, and then what is said of that.
    let full = Duration::from_millis(100);
    while tokio::time::timeout(full, user.raw(&part)).await.is_ok() {}
    let text = user.until("\n").await;
    assert_eq!(cuts(&rig), ["{reason=\"stall\"} 1"]);
    assert!(text.starts_with("HTTP/1.1 504 "), "{text}");
    assert!(user.rest().await.ends_with("504 the instance did not take the request in time\n"));
}

#[tokio::test]
async fn a_body_that_still_comes_when_the_drain_has_passed_is_to_be_sent_again() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / w drain=50 {}", a.line()));
    let mut user = begin(&rig, &a).await;
    rig.table("* / w -");
    assert!(matches!(rig.note().await, Note::Cut { count: 1, .. }));
    let answer = user.answer().await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(answer.field("connection"), Some("close"));
    let told = "503 the instance was stopped before the request was all there: send it again\n";
    assert_eq!(answer.body, told);
    assert_eq!(cuts(&rig), ["{reason=\"drain\"} 1"]);
}
