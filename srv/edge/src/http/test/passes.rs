//! What a request and its answer look like on the way.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Request;
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::rig::{Instance, Rig, soon};
use crate::access::Access;
use crate::limits::Limits;

#[tokio::test]
async fn a_request_gets_the_answer_of_its_route() {
    let (mut rig, a, b) = (Rig::new().await, Instance::new("a").await, Instance::new("b").await);
    rig.table(&format!("shop / a - {}\nshop /x b - {}", a.line(), b.line()));
    let answer = rig.ask("GET / HTTP/1.1\nHost: shop\n\n").await;
    assert_eq!((answer.status, &*answer.body), (200, "hello from a"));
    let answer = rig.ask("GET /x/y?q HTTP/1.1\nHost: SHOP:80\n\n").await;
    assert_eq!((answer.status, &*answer.body), (200, "hello from b"));
    let answer = rig.ask("GET / HTTP/1.1\nHost: other\n\n").await;
    assert_eq!((answer.status, &*answer.body), (404, "404 no route for this host and path\n"));
}

#[tokio::test]
async fn a_connection_serves_many_requests_on_both_sides() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = rig.user().await;
    for _ in 0..50 {
        user.send("GET / HTTP/1.1\nHost: a\n\n").await;
        assert_eq!(user.answer().await.body, "hello from a");
    }
    let made = a.made.load(std::sync::atomic::Ordering::SeqCst);
    // The connection may still be ending its last answer when the next request comes.
    assert!(made <= 2, "{made} connections for one user");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = rig.user().await;
    user.send("GET /1 HTTP/1.1\nHost: a\n\nHEAD /2 HTTP/1.1\nHost: a\n\n").await;
    user.send("POST /echo HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc").await;
    assert_eq!(user.answer().await.body, "hello from a");
    let head = user.until("\r\n\r\n").await;
    assert!(head.contains("content-length: 12"), "{head}");
    assert_eq!(user.answer().await.body, "abc");
}

#[tokio::test]
async fn a_body_of_unknown_length_passes_in_chunks_both_ways() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = rig.user().await;
    user.send("POST /echo HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n").await;
    for word in ["one", "two"] {
        user.send(&format!("3\n{word}\n")).await;
        let got = user.until(word).await;
        assert!(!got.is_empty(), "what was sent comes back before the rest is sent");
    }
    user.send("0\n\n").await;
    user.until("0\r\n\r\n").await;
    user.send("GET / HTTP/1.1\nHost: a\n\n").await;
    assert_eq!(user.answer().await.body, "hello from a");
}

/// The head and the body of one request, in chunks, as an instance gets them; then the connection
/// ends.
async fn whole(listener: &TcpListener) -> String {
    let (mut stream, _) = soon("a connection", listener.accept()).await.expect("a connection");
    let mut got = Vec::new();
    while !got.ends_with(b"\r\n0\r\n\r\n") {
        let more = soon("a body in chunks", stream.read_buf(&mut got)).await.expect("more");
        assert!(more > 0, "no body came: {}", String::from_utf8_lossy(&got));
    }
    let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
    stream.write_all(answer).await.expect("answers");
    String::from_utf8(got).expect("text")
}

#[tokio::test]
async fn a_body_of_unknown_length_passes_whatever_the_method_and_says_once_how_it_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let mut rig = Rig::new().await;
    rig.table(&format!("* / a - 0/a/v={}", listener.local_addr().expect("its address")));
    let stream = TcpStream::connect(rig.address).await.expect("connects");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.expect("a handshake");
    let driver = tokio::spawn(connection);
    let check = |got: String, method: &str| {
        let (head, body) = got.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(&format!("{method} /count HTTP/1.1")), "{got}");
        assert_eq!(head.matches("transfer-encoding: chunked").count(), 1, "{got}");
        assert!(!head.contains("content-length"), "{got}");
        assert_eq!(body, "6\r\nhello\n\r\n0\r\n\r\n", "{got}");
    };
    for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "PROPFIND"] {
        let mut user = rig.user().await;
        let head = format!("{method} /count HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n");
        user.raw(
            format!("{head}6\nhello+\n0\n\n").replace('\n', "\r\n").replace('+', "\n").as_bytes(),
        )
        .await;
        check(whole(&listener).await, method);
        assert_eq!(user.answer().await.status, 204);
        // As a stream, whose length nobody knows before its end.
        let hello = Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(b"hello\n")));
        let body = StreamBody::new(futures_util::stream::iter([hello]));
        let request = Request::builder().method(method).uri("http://a/count").body(body);
        let answer = sender.send_request(request.expect("a request"));
        let (got, answer) = tokio::join!(whole(&listener), soon("an answer", answer));
        check(got, method);
        assert_eq!(answer.expect("an answer").status(), 204);
    }
    driver.abort();
}

#[tokio::test]
async fn an_answer_comes_as_it_is_made() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = rig.user().await;
    user.send("GET /chunks HTTP/1.1\nHost: a\n\n").await;
    user.until("\r\n\r\n").await;
    for count in 0..3 {
        a.go.add_permits(1);
        user.until(&format!("chunk {count}\n")).await;
    }
    user.until("0\r\n\r\n").await;
}

#[tokio::test]
async fn a_user_who_goes_away_gives_up_the_request() {
    let half_time = std::time::Duration::from_millis(100);
    let limits = Limits { workers: 1, half_time, ..Limits::default() };
    let (mut rig, a) = (Rig::with(limits, Access::none()).await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    for path in ["/wait", "/chunks"] {
        let mut user = rig.user().await;
        user.send(&format!("GET {path} HTTP/1.1\nHost: a\n\n")).await;
        soon("the request", a.came.notified()).await;
        drop(user);
        soon("the end of it", a.given_up.notified()).await;
    }
}

#[tokio::test]
async fn who_expects_to_be_told_to_go_on_is_told() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let mut user = rig.user().await;
    user.send("POST /echo HTTP/1.1\nHost: a\nContent-Length: 2\nExpect: 100-continue\n\n").await;
    assert_eq!(user.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    user.send("ok").await;
    assert_eq!(user.answer().await.body, "ok");
}

#[tokio::test]
async fn an_upgrade_is_a_tunnel_where_the_route_allows_it() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("ws / a websocket {}\nno / a - {}", a.line(), a.line()));
    let ask = "GET /ws HTTP/1.1\nHost: HOST\nConnection: Upgrade\nUpgrade: websocket\n\n";
    let mut user = rig.user().await;
    user.send(&ask.replace("HOST", "ws")).await;
    let head = user.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: websocket"), "{head}");
    for word in ["one", "two"] {
        user.raw(word.as_bytes()).await;
        user.until(word).await;
    }
    assert_eq!(rig.shared.live().backends["a"].figures.sum().in_flight, 1);
    let answer = rig.ask(&ask.replace("HOST", "no")).await;
    assert_eq!(answer.status, 502, "an instance that switches unasked is not believed");
}

#[tokio::test]
async fn http2_passes_with_trailers_to_a_server_of_grpc() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a - {}", a.line()));
    let stream = TcpStream::connect(rig.address).await.expect("connects");
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.expect("a handshake");
    let driver = tokio::spawn(connection);
    let mut trailers = hyper::HeaderMap::new();
    trailers.insert("x-sum", "42".parse().expect("a value"));
    let body = Full::new(Bytes::from_static(b"message"))
        .with_trailers(async move { Some(Ok::<_, std::convert::Infallible>(trailers)) });
    let request = Request::post("http://shop/grpc")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(BodyExt::boxed(body))
        .expect("a request");
    let answer = soon("an answer", sender.send_request(request)).await.expect("an answer");
    let whole = answer.into_body().collect().await.expect("a body");
    let trailers = whole.trailers().expect("trailers").clone();
    assert_eq!(whole.to_bytes(), "message");
    assert_eq!(
        (&trailers["grpc-status"], &trailers["x-sum"]),
        (&"0".parse().expect("a value"), &"42".parse().expect("a value"))
    );
    let body = BodyExt::boxed(Full::new(Bytes::new()).with_trailers(async { None }));
    let request = Request::get("http://shop/head").body(body).expect("a request");
    let answer = soon("an answer", sender.send_request(request)).await.expect("an answer");
    let text = answer.into_body().collect().await.expect("a body").to_bytes();
    let text = String::from_utf8_lossy(&text);
    assert!(text.starts_with("GET /head HTTP/1.1\n"), "{text}");
    assert!(text.contains("host: shop\n"), "{text}");
    drop(sender);
    driver.abort();
}

#[tokio::test]
async fn an_instance_that_speaks_http2_is_spoken_to_so() {
    let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
    rig.table(&format!("* / a h2 {}", a.line()));
    let answer = rig.ask("GET /head HTTP/1.1\nHost: shop\n\n").await;
    assert!(answer.body.starts_with("GET http://shop/head HTTP/2.0\n"), "{}", answer.body);
    assert!(!answer.body.contains("\nhost: "), "the host is said twice: {}", answer.body);
    assert!(answer.body.contains("\nx-forwarded-host: shop\n"), "{}", answer.body);
    let answer = rig.ask("POST /echo HTTP/1.1\nHost: shop\nContent-Length: 3\n\nabc").await;
    assert_eq!(answer.body, "abc");
}
