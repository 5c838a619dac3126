//! Tables that change under requests.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::rig::{Instance, Rig, SOON, listen, soon};
use crate::access::Access;
use crate::limits::Limits;
use crate::swap::Note;
use crate::worker::Kind;

const WS: &str = "GET /ws HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\n";

fn drained(id: &str) -> Note {
    Note::Drained { id: id.into() }
}

#[tokio::test]
async fn an_instance_drains_when_its_last_request_has_ended_and_not_before() {
    let (mut rig, a, b) = (Rig::new().await, Instance::new("a").await, Instance::new("b").await);
    rig.table(&format!("* / w - {}", a.line()));
    let mut user = rig.user().await;
    user.send("GET /wait HTTP/1.1\nHost: a\n\n").await;
    a.has_seen(1).await;
    rig.table(&format!("* / w - {}", b.line()));
    assert_eq!(rig.shared.draining(), [("a".into(), 1)]);
    assert_eq!(rig.ask("GET / HTTP/1.1\nHost: a\n\n").await.body, "hello from b");
    assert!(rig.notes.try_recv().is_err(), "a request is still on its way");
    a.go.add_permits(1);
    assert_eq!(user.answer().await.body, "waited at a");
    assert_eq!(rig.note().await, drained("a"));
    assert_eq!(rig.shared.draining(), []);
    soon("connections to close", async {
        while a.open.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    user.send("GET / HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(user.answer().await.body, "hello from b", "the user's connection goes on");
}

#[tokio::test]
async fn an_instance_without_requests_drains_at_once_and_its_connections_close() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / w - {}", a.line()));
    assert_eq!(rig.ask("GET / HTTP/1.1\nHost: a\n\n").await.status, 200);
    rig.table("* / w -");
    assert_eq!(rig.note().await, drained("a"));
    rig.table(&format!("* / w - {}", a.line()));
    assert_eq!(rig.ask("GET / HTTP/1.1\nHost: a\n\n").await.status, 200, "it may come back");
    rig.table("* / w -");
    assert_eq!(rig.note().await, drained("a"), "and leave again");
}

#[tokio::test]
async fn what_is_still_on_its_way_at_the_limit_is_cut_and_counted() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / w websocket,drain=50 {}", a.line()));
    let (mut waits, mut streams, mut tunnel) =
        (rig.user().await, rig.user().await, rig.user().await);
    waits.send("GET /wait HTTP/1.1\nHost: a\n\n").await;
    a.has_seen(1).await;
    streams.send("GET /chunks HTTP/1.1\nHost: a\n\n").await;
    streams.until("\r\n\r\n").await;
    tunnel.send(WS).await;
    tunnel.until("\r\n\r\n").await;
    rig.table("* / w -");
    match rig.note().await {
        Note::Cut { id, count, why } => {
            assert_eq!((&*id, count), ("a", 3));
            assert_eq!(why, "still on the way 50 ms after it left the table");
        }
        other @ (Note::Drained { .. } | Note::Told { .. }) => {
            panic!("{other:?} with requests on their way")
        }
    }
    assert_eq!(rig.note().await, drained("a"));
    let answer = waits.answer().await;
    assert_eq!(
        (answer.status, &*answer.body),
        (504, "504 the instance was stopped before it answered\n")
    );
    assert!(!streams.rest().await.contains("0\r\n\r\n"), "a cut answer does not look whole");
    assert_eq!(tunnel.rest().await, "");
    let text = crate::metrics::text(&rig.shared);
    assert!(text.contains("deploy_requests_cut_total{reason=\"drain\"} 3\n"), "{text}");
    assert!(text.contains("deploy_requests_cut_total{reason=\"instance\"} 0\n"), "{text}");
}

#[tokio::test]
async fn a_user_who_does_not_read_cannot_hold_up_a_drain() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / w drain=50 {}", a.line()));
    let mut user = rig.user().await;
    user.send("POST /echo HTTP/1.1\nHost: a\nContent-Length: 100000000\n\n").await;
    let part = vec![b'x'; 1 << 16];
    // Until every buffer on the way is full.
    let full = Duration::from_millis(200);
    while tokio::time::timeout(full, user.raw(&part)).await.is_ok() {}
    rig.table("* / w -");
    assert!(matches!(rig.note().await, Note::Cut { count: 1, .. }));
    assert_eq!(rig.note().await, drained("a"));
}

#[tokio::test]
async fn the_next_request_goes_by_the_new_table() {
    let (mut rig, a, b) = (Rig::new().await, Instance::new("a").await, Instance::new("b").await);
    let mut took = Vec::new();
    let mut user = rig.user().await;
    for turn in 0..20 {
        let (now, line) = if turn % 2 == 0 { ("a", a.line()) } else { ("b", b.line()) };
        rig.table(&format!("* / w - {line}"));
        let began = Instant::now();
        user.send("GET / HTTP/1.1\nHost: a\n\n").await;
        assert_eq!(user.answer().await.body, format!("hello from {now}"));
        took.push(began.elapsed());
    }
    took.sort_unstable();
    assert!(took[10] < Duration::from_millis(20), "{took:?}");
}

#[tokio::test]
async fn nothing_is_lost_while_instances_are_replaced() {
    let mut rig = Rig::new().await;
    let mut old = Instance::new("i0").await;
    rig.table(&format!("* / w - {}", old.line()));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let users: Vec<_> = (0..8)
        .map(|number| {
            let (address, stopped, done) = (rig.address, stopped.clone(), done.clone());
            tokio::spawn(async move {
                let mut user = super::rig::User::to(address).await;
                while !*stopped.borrow() {
                    let request = match number % 2 {
                        0 => "GET / HTTP/1.1\nHost: a\n\n",
                        _ => "POST /echo HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello",
                    };
                    user.send(request).await;
                    let answer = user.answer().await;
                    assert!(answer.status == 200 && answer.body.starts_with("hello"), "{answer:?}");
                    done.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for number in 1..40 {
        let new = Instance::new(&format!("i{number}")).await;
        soon("requests", async {
            while done.load(Ordering::SeqCst) < number * 20 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        rig.table(&format!("* / w - {}", new.line()));
        let gone = format!("i{}", number - 1);
        assert_eq!(rig.note().await, drained(&gone));
        // As a program that exits at once on TERM.
        old.kill();
        old = new;
    }
    stop.send_replace(true);
    for user in users {
        soon("a user", user).await.expect("no request was lost");
    }
}

#[tokio::test]
async fn a_plain_stream_is_joined_drained_and_cut() {
    let (mut rig, a, b) = (Rig::new().await, Instance::new("a").await, Instance::new("b").await);
    let (address, leave, served) = listen(&rig.shared, Kind::Tcp(5432)).await;
    rig.table(&format!("tcp 5432 db drain=50 {}", a.line()));
    let mut user = super::rig::User::to(address).await;
    user.send("GET / HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(user.answer().await.body, "hello from a");
    rig.table(&format!("tcp 5432 db drain=50 {}", b.line()));
    let mut other = super::rig::User::to(address).await;
    other.send("GET / HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(other.answer().await.body, "hello from b");
    assert!(matches!(rig.note().await, Note::Cut { count: 1, .. }));
    assert_eq!(rig.note().await, drained("a"));
    assert_eq!(user.rest().await, "");
    drop(other);
    leave.send_replace(true);
    soon("the listener's end", served).await.expect("ends");
}

#[tokio::test]
async fn an_edge_that_leaves_loses_no_request() {
    let limits = Limits { workers: 2, linger_time: SOON, ..Limits::default() };
    let (mut rig, a) = (Rig::with(limits, Access::none()).await, Instance::new("a").await);
    rig.table(&format!("* / w - {}", a.line()));
    let (mut rests, mut waits) = (rig.user().await, rig.user().await);
    rests.send("GET / HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(rests.answer().await.status, 200);
    waits.send("GET /wait HTTP/1.1\nHost: a\n\n").await;
    a.has_seen(2).await;
    rig.leave.send_replace(true);
    soon("the listener to close", async {
        while tokio::net::TcpStream::connect(rig.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    rests.send("GET / HTTP/1.1\nHost: a\n\n").await;
    let answer = rests.answer().await;
    assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
    assert_eq!(rests.rest().await, "");
    a.go.add_permits(1);
    assert_eq!(waits.answer().await.body, "waited at a");
    soon("the end", &mut rig.served).await.expect("ends");
}
