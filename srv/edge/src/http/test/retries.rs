//! Instances that break, and what users see of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::rig::{Instance, Rig, User, listen, soon};
use crate::access::Access;
use crate::limits::Limits;
use crate::metrics::Reason;
use crate::worker::Kind;

/// An address where nobody listens.
fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    listener.local_addr().expect("its address").to_string()
}

#[tokio::test]
async fn an_instance_that_is_not_there_costs_no_request_whatever_its_method() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - 1/dead/v={} {}", nowhere(), a.line()));
    for _ in 0..10 {
        let answer = rig.ask("POST /echo HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc").await;
        assert_eq!((answer.status, &*answer.body), (200, "abc"));
    }
}

#[tokio::test]
async fn without_any_instance_there_the_user_is_told_which_way_it_failed() {
    let mut rig = Rig::new().await;
    rig.table(&format!("a / a - 1/dead/v={}\nb / b -", nowhere()));
    let answer = rig.ask("GET / HTTP/1.1\nHost: a\n\n").await;
    assert_eq!((answer.status, &*answer.body), (502, "502 no instance could be reached\n"));
    let answer = rig.ask("GET / HTTP/1.1\nHost: b\n\n").await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(answer.body, "503 no healthy instance of b\n");
}

#[tokio::test]
async fn an_instance_that_does_not_answer_in_time_is_not_waited_for() {
    // The kernel takes the connection, and nobody reads from it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let limits = Limits { answer_time: Duration::from_millis(20), ..Limits::default() };
    let mut rig = Rig::with(limits, Access::none()).await;
    rig.table(&format!("* / a - 1/a/v={}", silent.local_addr().expect("its address")));
    let answer = soon("504", rig.ask("GET / HTTP/1.1\nHost: a\n\n")).await;
    assert_eq!((answer.status, &*answer.body), (504, "504 the instance did not answer in time\n"));
}

#[tokio::test]
async fn a_connection_that_the_instance_closed_is_not_used_again() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for _ in 0..20 {
        assert_eq!(rig.ask("POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n").await.status, 200);
        a.hang_up();
        while a.open.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// A server that reads a request and closes the connection, so often, and then answers.
async fn moody(broken: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address").to_string();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let byte = stream.read_u8().await.expect("a head");
                head.push(byte);
            }
            if counted.fetch_add(1, Ordering::SeqCst) >= broken {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                stream.write_all(answer).await.expect("answers");
                break;
            }
        }
    });
    (address, seen)
}

#[tokio::test]
async fn a_request_that_may_be_sent_twice_is() {
    // One worker, whose first turn is the first instance's.
    let limits = Limits { workers: 1, ..Limits::default() };
    let mut rig = Rig::with(limits, Access::none()).await;
    let ((first, seen), (second, served)) = (moody(9).await, moody(0).await);
    rig.table(&format!("* / a - 0/a/v={first}\nb / b - 0/a/v={first} 1/b/v={second}"));
    let answer = rig.ask("GET / HTTP/1.1\nHost: b\n\n").await;
    assert_eq!((answer.status, &*answer.body), (200, "ok"));
    let each = || (seen.load(Ordering::SeqCst), served.load(Ordering::SeqCst));
    assert_eq!(each(), (1, 1), "the first has broken off, and the second has answered");
    let answer = rig.ask("GET / HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(answer.status, 502, "there is no other to send it to");
    assert_eq!(each(), (2, 1));
}

#[tokio::test]
async fn what_ends_an_instance_is_sent_to_one_more_and_to_no_third() {
    // What goes the short way, and what does not; HTTP/2 is none that these understand.
    for fields in ["", "Keep-Alive: 1\n"] {
        let limits = Limits { workers: 1, ..Limits::default() };
        let mut rig = Rig::with(limits, Access::none()).await;
        let all = [moody(9).await, moody(9).await, moody(9).await];
        let line = |(at, (address, _)): (usize, &(String, _))| format!("{at}/{at}/v={address}");
        let lines: Vec<String> = all.iter().enumerate().map(line).collect();
        // Who was never reached takes nothing of what is allowed.
        rig.table(&format!("* / a - 8/dead/v={} {}", nowhere(), lines.join(" ")));
        for turn in 1..=3 {
            let answer = rig.ask(&format!("GET /end HTTP/1.1\nHost: a\n{fields}\n")).await;
            assert_eq!(answer.status, 502);
            let told = "502 the instance closed the connection before it answered\n";
            assert_eq!(answer.body, told);
            let seen = all.iter().map(|(_, seen)| seen.load(Ordering::SeqCst)).sum::<usize>();
            assert_eq!(seen, 2 * turn, "{fields:?}: each request was sent twice");
        }
    }
}

#[tokio::test]
async fn a_request_that_was_sent_and_may_not_be_sent_twice_is_not() {
    let mut rig = Rig::new().await;
    let (address, seen) = moody(1).await;
    rig.table(&format!("* / a - 0/a/v={address}"));
    let answer = rig.ask("POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.body, "502 the instance closed the connection before it answered\n");
    assert_eq!(rig.ask("POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n").await.status, 200);
    assert_eq!(seen.load(Ordering::SeqCst), 2, "each came once");
}

/// A server that says `answer` to the first bytes that come, and resets when more have come.
async fn resets(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address").to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut came = [0; 4096];
        assert!(stream.read(&mut came).await.expect("bytes") > 0);
        stream.write_all(answer.as_bytes()).await.expect("answers");
        assert!(stream.read(&mut came).await.expect("bytes") > 0);
        stream.set_zero_linger().expect("no lingering");
    });
    address
}

#[tokio::test]
async fn a_stream_that_its_instance_breaks_off_is_counted_as_cut() {
    let mut rig = Rig::new().await;
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
                  Upgrade: websocket\r\n\r\n";
    let (tunnel, stream) = (resets(switch).await, resets("hello").await);
    let (address, _leave, _served) = listen(&rig.shared, Kind::Tcp(5432)).await;
    rig.table(&format!("* / w websocket 0/w/v={tunnel}\ntcp 5432 db - 0/db/v={stream}"));
    let mut user = rig.user().await;
    user.send("GET / HTTP/1.1\nHost: w\nConnection: Upgrade\nUpgrade: websocket\n\n").await;
    user.until("\r\n\r\n").await;
    let mut other = User::to(address).await;
    other.send("hello").await;
    other.until("hello").await;
    for (user, cuts) in [(&mut user, 1), (&mut other, 2)] {
        user.send("more").await;
        assert_eq!(user.rest().await, "");
        soon("the count", async {
            while rig.shared.cuts.of(Reason::Instance) < cuts {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    let text = crate::metrics::text(&rig.shared);
    let route = "deploy_route_requests_total{service=\"db\",host=\"tcp\",path=\"5432\"";
    let line = format!("{route},class=\"5xx\"}} 1\n");
    assert!(text.contains(&line), "{line}{text}");
    for service in ["w", "db"] {
        let line = format!("service=\"{service}\",instance=\"{service}\",version=\"v\"");
        let line = format!("deploy_requests_total{{{line},class=\"5xx\"}} 1\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}
