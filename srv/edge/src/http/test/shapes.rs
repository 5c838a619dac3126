//! Requests of a shape that two servers might read in two ways: none passes.

use super::rig::{Instance, Rig};
use crate::access::Access;
use crate::limits::Limits;

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let host = "Host: a\r\n";
    let (length, chunks) = ("Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n");
    let next = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (what, request) in [
        (
            "two lengths",
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ),
        ("a list of lengths", format!("POST / HTTP/1.1\r\n{host}Content-Length: 1, 1\r\n\r\na")),
        ("a signed length", format!("POST / HTTP/1.1\r\n{host}Content-Length: +1\r\n\r\na")),
        ("a length and chunks", format!("POST / HTTP/1.1\r\n{host}{length}{chunks}\r\n0\r\n\r\n")),
        ("chunks and a length", format!("POST / HTTP/1.1\r\n{host}{chunks}{length}\r\n0\r\n\r\n")),
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
        ("a bare line feed", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n".into()),
        ("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n".into()),
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
async fn a_body_in_any_coding_but_chunks_alone_is_refused_wherever_its_request_stands() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for (status, values) in [
        (200, &["chunked"][..]),
        (200, &["Chunked"]),
        (200, &["\t CHUNKED \t"]),
        // What is coded so that nobody can tell where it ends, or is no list of codings.
        (400, &["identity"]),
        (400, &["gzip"]),
        (400, &["xchunked"]),
        (400, &["chunkedx"]),
        (400, &["chunked, gzip"]),
        (400, &["chunked", "gzip"]),
        (400, &["chunked, identity"]),
        (400, &["chunked, chunked"]),
        (400, &["chunked", "chunked"]),
        (400, &["gzip, chunked, chunked"]),
        (400, &["chunked", "gzip", "chunked"]),
        (400, &["chunked;q=1"]),
        (400, &["chunked;"]),
        (400, &["gzip, chunked;q=1"]),
        (400, &["\"chunked\""]),
        (400, &["chun ked"]),
        (400, &["chunked gzip"]),
        (400, &[""]),
        (400, &[","]),
        (400, &["chunked,"]),
        (400, &[",chunked"]),
        (400, &["", "chunked"]),
        (400, &["chunked", ""]),
        (400, &["\u{b}chunked"]),
        // What could be read, if the coding were known.
        (501, &["gzip, chunked"]),
        (501, &["gzip,chunked"]),
        (501, &["gzip", "chunked"]),
        (501, &["gzip;q=1, chunked"]),
        (501, &["identity, chunked"]),
        (501, &["deflate, gzip, chunked"]),
        (501, &["xchunked, CHUNKED"]),
    ] {
        let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        // First on a connection, and behind a request that goes the short way.
        for before in ["", plain] {
            let fields: String =
                values.iter().map(|value| format!("Transfer-Encoding: {value}\r\n")).collect();
            let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let next = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let (mut user, seen) = (rig.user().await, a.count());
            user.raw(format!("{before}{head}2\r\nab\r\n0\r\n\r\n{next}").as_bytes()).await;
            if !before.is_empty() {
                assert_eq!(user.answer().await.body, "hello from a");
            }
            let got = user.rest().await;
            let what = format!("{values:?} behind {before:?}: {got}");
            assert!(got.starts_with(&format!("HTTP/1.1 {status} ")), "{what}");
            let answers = if status == 200 { 2 } else { 1 };
            assert_eq!(got.matches("HTTP/1.1").count(), answers, "{what}");
            assert_eq!(a.count(), seen + usize::from(!before.is_empty()) + 2 * (answers - 1));
        }
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

#[tokio::test]
async fn who_is_slow_with_a_head_or_asks_nothing_is_sent_away() {
    let soon = std::time::Duration::from_millis(100);
    let limits = Limits { workers: 1, head_time: soon, idle_time: soon, ..Limits::default() };
    let (mut rig, a) = (Rig::with(limits, Access::none()).await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let (mut silent, mut slow, mut idle) = (rig.user().await, rig.user().await, rig.user().await);
    slow.send("GET / HTTP/1.1\nHo").await;
    idle.send("GET / HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(idle.answer().await.status, 200);
    for user in [&mut silent, &mut slow, &mut idle] {
        assert_eq!(user.rest().await, "");
    }
    let mut waits = rig.user().await;
    waits.send("GET /wait HTTP/1.1\nHost: a\n\n").await;
    a.has_seen(2).await;
    tokio::time::sleep(soon * 3).await;
    a.go.add_permits(1);
    assert_eq!(waits.answer().await.body, "waited at a", "who waits for an answer may stay");
}

#[tokio::test]
async fn a_user_who_does_not_take_the_answer_is_sent_away() {
    let stall_time = std::time::Duration::from_millis(100);
    let head_time = stall_time;
    let limits = Limits { workers: 1, stall_time, head_time, ..Limits::default() };
    let (mut rig, a) = (Rig::with(limits, Access::none()).await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = rig.user().await;
    user.send("POST /echo HTTP/1.1\nHost: a\nContent-Length: 100000000\n\n").await;
    let part = vec![b'x'; 1 << 16];
    while user.stream_takes(&part).await {}
    let text = crate::metrics::text(&rig.shared);
    assert!(text.contains("deploy_requests_cut_total{reason=\"stall\"} 1\n"), "{text}");
}
