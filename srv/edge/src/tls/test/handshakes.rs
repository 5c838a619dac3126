//! Handshakes that are slow, too many, or none.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::rig::{Secure, ask};
use crate::http::test::rig::{User, soon};
use crate::limits::Limits;

/// The first bytes of a handshake that goes no further.
const BEGUN: [u8; 5] = [22, 3, 1, 2, 0];

#[tokio::test]
async fn slow_handshakes_end_in_time_and_hold_nobody_up() {
    let handshake_time = Duration::from_secs(2);
    let edge = Secure::with(Limits { workers: 2, handshake_time, ..Limits::default() }).await;
    let shop = edge.make("shop", "shop.example");
    edge.keep().await;
    let mut slow = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        stream.write_all(&BEGUN[..number % 5]).await.unwrap();
        slow.push(stream);
    }
    let began = Instant::now();
    let stream = edge.user("shop.example", &shop, &[]).await.unwrap();
    assert_eq!(ask(stream, "/").await.1, "hello from a");
    assert!(began.elapsed() < handshake_time / 2, "{:?}", began.elapsed());
    for mut stream in slow {
        // A reset is an end as well.
        let rest = soon("the end", stream.read(&mut [0; 64])).await;
        assert!(matches!(rest, Ok(0) | Err(_)), "{rest:?}");
    }
    assert_eq!(edge.rig.shared.tls.unshaken(), (100, 0));
}

#[tokio::test]
async fn a_handshake_over_the_limit_is_closed_at_once_and_counted() {
    let edge = Secure::with(Limits { workers: 1, handshakes: 1, ..Limits::default() }).await;
    let shop = edge.make("shop", "shop.example");
    edge.keep().await;
    let stream = edge.user("shop.example", &shop, &[]).await.unwrap();
    let slow = TcpStream::connect(edge.address).await.unwrap();
    let mut more = TcpStream::connect(edge.address).await.unwrap();
    assert_eq!(soon("the end", more.read(&mut [0; 64])).await.unwrap(), 0);
    assert_eq!(edge.rig.shared.tls.unshaken(), (0, 1));
    assert_eq!(ask(stream, "/").await.0, 200, "what was agreed on before goes on");
    drop(slow);
    soon("a place", async { while !edge.shows("shop.example", &shop).await {} }).await;
}

#[tokio::test]
async fn who_does_not_speak_tls_is_told_so() {
    let edge = Secure::new().await;
    edge.make("shop", "shop.example");
    edge.keep().await;
    let mut user = User::to(edge.address).await;
    let body = "x".repeat(100_000);
    user.send(&format!("POST / HTTP/1.1\nHost: shop.example\nContent-Length: 100000\n\n{body}"))
        .await;
    let answer = user.answer().await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.body, "400 bad request: this port takes TLS only: use https://\n");
    assert_eq!(user.rest().await, "");
}

#[tokio::test]
async fn an_edge_that_leaves_ends_what_rests_and_waits_for_what_does_not() {
    let handshake_time = Duration::from_secs(5);
    let mut edge = Secure::with(Limits { workers: 2, handshake_time, ..Limits::default() }).await;
    let shop = edge.make("shop", "shop.example");
    edge.keep().await;
    let (address, leave, served) = crate::http::test::rig::listen(
        &edge.rig.shared,
        crate::worker::Kind::Http(crate::http::Scheme::Https),
    )
    .await;
    edge.address = address;
    let busy = edge.user("shop.example", &shop, &[]).await.unwrap();
    let asked = tokio::spawn(ask(busy, "/wait"));
    edge.instance.has_seen(1).await;
    let mut resting = edge.user("shop.example", &shop, &[]).await.unwrap();
    let (shaking, mut silent) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    silent.write_all(&BEGUN).await.unwrap();
    // Both are taken: one that comes later is answered.
    let last = edge.user("shop.example", &shop, &[]).await.unwrap();
    assert_eq!(ask(last, "/").await.0, 200);
    leave.send_replace(true);
    assert_eq!(soon("the end", resting.read(&mut [0; 64])).await.unwrap_or(0), 0);
    // From far away a handshake takes longer than what rests here.
    let config = super::rig::client(&shop, &[]);
    let late = edge.over(shaking, "shop.example", config).await.unwrap();
    assert_eq!(ask(late, "/").await, (200, "hello from a".to_owned()));
    assert_eq!(soon("the end", silent.read(&mut [0; 64])).await.unwrap_or(0), 0);
    assert!(!served.is_finished());
    edge.instance.go.add_permits(1);
    assert_eq!(asked.await.unwrap(), (200, "waited at a".to_owned()));
    soon("the end of all", served).await.unwrap();
}
