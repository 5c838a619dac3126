//! Requests of a shape that two servers might read in two ways: none passes.

use super::rig::{Instance, Rig};

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let host = "Host: a\r\n";
    let next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (what, request) in [
        (
            "two lengths",
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ),
        ("a list of lengths", format!("POST / HTTP/1.1\r\n{host}Content-Length: 1, 1\r\n\r\na")),
        ("a signed length", format!("POST / HTTP/1.1\r\n{host}Content-Length: +1\r\n\r\na")),
        (
            "another encoding",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunked not last",
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunks in 1.0",
            format!("POST / HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "space before the colon",
            format!("POST / HTTP/1.1\r\n{host}Content-Length : 3\r\n\r\nabc"),
        ),
        ("a folded line", format!("GET / HTTP/1.1\r\n{host}X: a\r\n b\r\n\r\n")),
        ("a bare return", format!("GET / HTTP/1.1\r\n{host}X: a\rY: b\r\n\r\n")),
        ("a zero byte", format!("GET / HTTP/1.1\r\n{host}X: a\0b\r\n\r\n")),
        ("no host", "GET / HTTP/1.1\r\n\r\n".into()),
        ("two hosts", format!("GET / HTTP/1.1\r\n{host}Host: b\r\n\r\n")),
        ("a host that is not the target's", format!("GET http://b/ HTTP/1.1\r\n{host}\r\n")),
        ("a target with a space", format!("GET /a b HTTP/1.1\r\n{host}\r\n")),
        ("a method of none", format!("GE(T / HTTP/1.1\r\n{host}\r\n")),
        ("another version", format!("GET / HTTP/1.2\r\n{host}\r\n")),
    ] {
        let mut user = rig.user().await;
        user.raw(request.as_bytes()).await;
        user.raw(next.as_bytes()).await;
        let got = user.rest().await;
        assert!(got.starts_with("HTTP/1.1 400 "), "{what}: {got}");
        assert_eq!(got.matches("HTTP/1.1").count(), 1, "{what}: the connection ends: {got}");
        assert_eq!(a.count(), 0, "{what}: nothing of it came to the instance");
    }
}

#[tokio::test]
async fn a_bad_chunk_ends_the_request_and_the_connection() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for chunk in [
        "x\r\nabc\r\n",
        "3\nabc\r\n",
        "3;a\nb\r\nabc\r\n",
        "3\r\nabcd\r\n",
        "-1\r\n",
        "10000000000000000\r\n",
    ] {
        let mut user = rig.user().await;
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        user.raw(
            format!("{head}{chunk}0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
        )
        .await;
        let got = user.rest().await;
        assert!(!got.contains("hello") && got.matches("HTTP/1.1").count() <= 1, "{chunk:?}: {got}");
    }
    assert_eq!(rig.ask("GET / HTTP/1.1\nHost: a\n\n").await.status, 200);
}

#[tokio::test]
async fn a_head_has_bounds() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let many: String = (0..101).map(|n| format!("X-{n}: 1\n")).collect();
    let long = format!("X: {}\n", "a".repeat(rig.shared.limits.head_bytes));
    for fields in [many, long] {
        let mut user = rig.user().await;
        user.send(&format!("GET / HTTP/1.1\nHost: a\n{fields}\n")).await;
        let got = user.rest().await;
        assert!(got.starts_with("HTTP/1.1 431 "), "{got}");
    }
    assert_eq!(a.count(), 0);
}
