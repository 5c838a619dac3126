//! Instances that break, and what users see of it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::rig::{Instance, Rig, soon};
use crate::access::Access;
use crate::limits::Limits;

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
async fn moody(broken: usize) -> (String, tokio::task::JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address").to_string();
    let served = tokio::spawn(async move {
        let mut seen = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let byte = stream.read_u8().await.expect("a head");
                head.push(byte);
            }
            seen += 1;
            if seen > broken {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
                stream.write_all(answer).await.expect("answers");
                break;
            }
        }
        seen
    });
    (address, served)
}

#[tokio::test]
async fn a_request_that_may_be_sent_twice_is() {
    let mut rig = Rig::new().await;
    let ((first, _), (second, served)) = (moody(9).await, moody(0).await);
    rig.table(&format!("* / a - 0/a/v={first}\nb / b - 0/a/v={first} 1/b/v={second}"));
    let answer = rig.ask("GET / HTTP/1.1\nHost: b\n\n").await;
    assert_eq!((answer.status, &*answer.body), (200, "ok"));
    served.abort();
    let answer = rig.ask("GET / HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(answer.status, 502, "there is no other to send it to");
    let (lone, _) = moody(9).await;
    rig.table(&format!("* / a - 0/lone/v={lone} 1/b/v={second}"));
}

#[tokio::test]
async fn a_request_that_was_sent_and_may_not_be_sent_twice_is_not() {
    let mut rig = Rig::new().await;
    let (address, served) = moody(1).await;
    rig.table(&format!("* / a - 0/a/v={address}"));
    let answer = rig.ask("POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n").await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.body, "502 the instance closed the connection before it answered\n");
    assert_eq!(rig.ask("POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n").await.status, 200);
    assert_eq!(soon("the server", served).await.expect("served"), 2, "each came once");
}
