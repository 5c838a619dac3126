//! Instances that speak HTTP/2: how many requests share a connection, and those that are refused.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyper::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::rig::{Instance, Rig, soon};
use crate::access::Access;
use crate::limits::Limits;

#[tokio::test]
async fn a_request_that_a_connection_has_no_room_for_has_another() {
    // By our own limit, and by that of the instance.
    for (upstream_streams, allowed) in [(2, 200), (100, 2)] {
        let limits = Limits { workers: 1, upstream_streams, ..Limits::default() };
        let mut rig = Rig::with(limits, Access::none()).await;
        let a = Instance::with_streams("a", allowed).await;
        rig.table(&format!("* / w h2 {}", a.line()));
        let mut users = Vec::new();
        for _ in 0..5 {
            let mut user = rig.user().await;
            user.send("GET /chunks HTTP/1.1\nHost: w\n\n").await;
            user.until("\r\n\r\n").await;
            users.push(user);
        }
        assert_eq!(a.made.load(Ordering::SeqCst), 3, "two on each");
        a.go.add_permits(3 * users.len());
        for user in &mut users {
            user.until("0\r\n\r\n").await;
        }
        assert_eq!(rig.ask("GET / HTTP/1.1\nHost: w\n\n").await.body, "hello from a");
        assert_eq!(a.made.load(Ordering::SeqCst), 3, "there is room again");
    }
}

/// How an instance says that it has not looked at a request.
#[derive(Clone, Copy)]
enum No {
    /// It refuses the stream.
    Refuses,
    /// It goes away.
    Leaves,
}

/// A server that says no to its first request, and answers with what it took. Each request it
/// hears of rings.
async fn reluctant(no: No) -> (String, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address").to_string();
    let (ring, refused) = (Arc::new(Notify::new()), Arc::new(Mutex::new(false)));
    let rung = Arc::clone(&ring);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (ring, refused) = (Arc::clone(&rung), Arc::clone(&refused));
            tokio::spawn(async move {
                let first = match no {
                    No::Leaves => !std::mem::replace(&mut *refused.lock().expect("it"), true),
                    No::Refuses => false,
                };
                match first {
                    true => go_away(stream, &ring).await,
                    false => take(stream, no, &ring, &refused).await,
                }
            });
        }
    });
    (address, ring)
}

/// Says that it goes away, and that no stream was begun, when anything has come.
async fn go_away(mut stream: TcpStream, ring: &Notify) {
    let mut came = [0; 4096];
    assert!(stream.read(&mut came).await.expect("a request") > 0);
    let frame = |len, kind| [0, 0, len, kind, 0, 0, 0, 0, 0];
    let said = [&frame(0, 4)[..], &frame(8, 7), &[0; 8]].concat();
    stream.write_all(&said).await.expect("says so");
    ring.notify_one();
    while stream.read(&mut came).await.is_ok_and(|len| len > 0) {}
}

async fn take(stream: TcpStream, no: No, ring: &Notify, refused: &Mutex<bool>) {
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    while let Some(Ok((request, mut answer))) = connection.accept().await {
        ring.notify_one();
        if let No::Refuses = no
            && !std::mem::replace(&mut *refused.lock().expect("it"), true)
        {
            answer.send_reset(h2::Reason::REFUSED_STREAM);
            continue;
        }
        tokio::spawn(async move {
            let (mut body, mut all) = (request.into_body(), Vec::new());
            while let Some(Ok(part)) = body.data().await {
                all.extend_from_slice(&part);
            }
            let head = Response::builder().header("content-length", all.len());
            let head = head.body(()).expect("a head");
            let mut send = answer.send_response(head, false).expect("an answer");
            send.send_data(Bytes::from(all), true).expect("a body");
        });
    }
}

#[tokio::test]
async fn a_request_that_was_refused_unseen_is_sent_again_whatever_its_method() {
    for no in [No::Refuses, No::Leaves] {
        for body in ["", "hello"] {
            let (address, ring) = reluctant(no).await;
            let mut rig = Rig::new().await;
            rig.table(&format!("* / w h2 0/w/v={address}"));
            let mut user = rig.user().await;
            let len = body.len();
            user.send(&format!("POST / HTTP/1.1\nHost: w\nContent-Length: {len}\n\n")).await;
            soon("the first try", ring.notified()).await;
            soon("the second", ring.notified()).await;
            // Nothing of it was there for the first.
            user.raw(body.as_bytes()).await;
            let answer = user.answer().await;
            assert_eq!((answer.status, &*answer.body), (200, body));
            assert_eq!(rig.shared.cuts.of(crate::metrics::Reason::Instance), 0);
        }
    }
}

#[tokio::test]
async fn a_request_that_was_refused_with_a_part_of_its_body_is_not_sent_again() {
    let (address, ring) = reluctant(No::Refuses).await;
    let mut rig = Rig::new().await;
    rig.table(&format!("* / w h2 0/w/v={address}"));
    let answer = rig.ask("POST / HTTP/1.1\nHost: w\nContent-Length: 5\n\nhello").await;
    assert_eq!(answer.status, 502);
    soon("the one try", ring.notified()).await;
    let answer = rig.ask("POST / HTTP/1.1\nHost: w\nContent-Length: 5\n\nagain").await;
    assert_eq!((answer.status, &*answer.body), (200, "again"), "this is its second request");
}
