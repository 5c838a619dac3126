//! Plain requests from outside: what goes this way, and instances that answer badly.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::{Just, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::body::Body;
use crate::access::Access;
use crate::http::scan::Chunks;
use crate::http::test::rig::{Instance, Rig};
use crate::limits::Limits;
use crate::metrics::flights;

const GET: &str = "GET /x HTTP/1.1\nHost: a\n\n";

/// An instance that says the same bytes to every request, so many at once.
struct Parrot {
    line: String,
    heads: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
    work: AbortHandle,
}

impl Drop for Parrot {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Parrot {
    /// Says `words`, or the head that came if there are none; then ends the connection, or not.
    async fn new(words: impl Into<Vec<u8>>, part: usize, ends: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let line = format!("0/a/v={}", listener.local_addr().expect("its address"));
        let (heads, made) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, connections, words) = (Arc::clone(&heads), Arc::clone(&made), words.into());
        let work = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(say(stream, Arc::clone(&count), words.clone(), part, ends));
            }
        });
        Self { line, heads, made, work: work.abort_handle() }
    }

    fn asked(&self) -> usize {
        self.heads.load(Ordering::SeqCst)
    }
}

async fn say(
    mut stream: TcpStream,
    count: Arc<AtomicUsize>,
    words: Vec<u8>,
    part: usize,
    ends: bool,
) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        count.fetch_add(1, Ordering::SeqCst);
        let mut own = words.clone();
        if own.is_empty() {
            own = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len()).into_bytes();
            own.extend_from_slice(&head);
        }
        for bytes in own.chunks(part) {
            stream.write_all(bytes).await.ok()?;
            tokio::task::yield_now().await;
        }
        if ends {
            return None;
        }
    }
}

/// The data of chunks that are whole; nothing of others.
fn unchunked(mut all: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let end = all.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(str::from_utf8(&all[..end]).ok()?, 16).ok()?;
        let (part, rest) = all[end + 2..].split_at_checked(size)?;
        data.extend_from_slice(part);
        all = rest.strip_prefix(b"\r\n")?;
        if size == 0 {
            return all.is_empty().then_some(data);
        }
    }
}

#[tokio::test]
async fn a_plain_request_goes_the_short_way_and_any_other_the_long() {
    let (mut rig, a) = (Rig::new().await, Parrot::new("", 4096, false).await);
    rig.table(&format!("* / a - {}", a.line));
    // The short way leaves names as they were written.
    for (short, request) in [
        (true, GET),
        (true, "HEAD /x HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\nHost: a\n\n"),
        (true, "OPTIONS /?a=b HTTP/1.1\nConnection: Keep-Alive\nHost: a:80\nCookie: c\n\n"),
        (false, "\nGET / HTTP/1.1\nHost: a\n\n"),
        (false, "GET http://a/ HTTP/1.1\nHost: a\n\n"),
        (false, "GET / HTTP/1.1\nHost: a\nCookie: a\nCookie: b\n\n"),
        (false, "GET /| HTTP/1.1\nHost: a\n\n"),
        (false, "DELETE / HTTP/1.1\nHost: a\n\n"),
        (false, "GET / HTTP/1.1\nHost: a\nContent-Length: 0\n\n"),
        (false, "GET / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n"),
        (false, "GET / HTTP/1.1\nHost: a\nConnection: close\n\n"),
        (false, "GET / HTTP/1.1\nHost: a\nTE: trailers\n\n"),
        (false, "GET / HTTP/1.1\nHost: a\nKeep-Alive: 1\n\n"),
        (false, "GET / HTTP/1.1\nHost: a\nUpgrade: h2c\n\n"),
        (false, "GET / HTTP/1.1\nHost: a\nExpect: 100-continue\n\n"),
        (false, "GET / HTTP/1.1\nHost: a\nProxy-Authorization: x\n\n"),
    ] {
        let mut user = rig.user().await;
        user.send(request).await;
        let mut got = user.until("\r\n\r\n").await;
        if !request.starts_with("HEAD") {
            got = user.until("\r\n\r\n").await;
            assert!(!short || got.contains("Host: a"), "{request:?} got {got}");
            assert!(short || got.contains("host: a"), "{request:?} got {got}");
        }
        assert!(!got.is_empty(), "{request:?}");
    }
}

#[test]
fn both_ways_tell_the_instance_the_same() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (rig, _a) = runtime.block_on(async {
        let (mut rig, a) = (Rig::new().await, Instance::new("a").await);
        rig.table(&format!("* / a - {}", a.line()));
        (rig, a)
    });
    const NAMES: &[&str] = &[
        "Accept",
        "Cookie",
        "Forwarded",
        "Referer",
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-FORWARDED-PROTO",
        "X-Request-Id",
        "Via",
        "x-a",
        "X-Real-IP",
        "X-Forwarded-Port",
        "Connection",
        "Max-Forwards",
    ];
    let name = proptest::sample::select(NAMES);
    let value = prop_oneof!["[!-~]([ -~]{0,9}[!-~])?", Just("keep-alive".to_owned())];
    let fields = proptest::collection::vec((name, value), 0..6);
    let path = "(/[a-z0-9._~%!$&'()*+,;=:@/-]{0,9}){0,3}([?][a-z=&?/]{0,5})?";
    let config = Config { cases: 150, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let same = runner.run(&(fields, path), |(fields, path)| {
        let fields: String = fields.iter().map(|(n, v)| format!("{n}: {v}\n")).collect();
        let told = |more: &str| {
            let request = format!("GET /head{path} HTTP/1.1\nHost: Shop:80\n{fields}{more}\n");
            let request = request.replace("/head/", "/head?/");
            runtime.block_on(async {
                let answer = rig.ask(&request).await;
                let lines = answer.body.lines().map(str::to_owned);
                let own = |line: &String| line.starts_with("x-request-id: ") && line.len() == 30;
                let mut lines: Vec<String> = lines.filter(|line| !own(line)).collect();
                lines.sort_unstable();
                (answer.status, lines)
            })
        };
        // What is for one connection only is taken away in the long way.
        proptest::prop_assert_eq!(told(""), told("Keep-Alive: 1\n"));
        Ok(())
    });
    same.expect("the same");
}

#[tokio::test]
async fn whatever_its_parts_an_answer_is_the_same() {
    let one = "HTTP/1.0 200 Fine\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\none";
    let cases = [
        ("a length", one, false, "200 Fine", "one"),
        (
            "chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\non\r\n1\r\ne\r\n0\r\n\
             X-Secret: 1\r\n\r\n",
            false,
            "200 OK",
            "one",
        ),
        ("until it closes", "HTTP/1.1 404 Not Found\r\n\r\none", true, "404 Not Found", "one"),
        ("1.0", "HTTP/1.0 200 OK\r\n\r\n", true, "200 OK", ""),
        (
            "heads before",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
             HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
            false,
            "200 OK",
            "one",
        ),
        ("nothing", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", false, "204 ", ""),
        ("not modified", "HTTP/1.1 304 \r\nEtag: x\r\n\r\n", false, "304 Not Modified", ""),
    ];
    for (what, words, ends, status, body) in cases {
        for part in [1, 2, 3, 7, 4096] {
            let (mut rig, a) = (Rig::new().await, Parrot::new(words, part, ends).await);
            rig.table(&format!("* / a - {}", a.line));
            let mut user = rig.user().await;
            for _ in 0..2 {
                user.send(GET).await;
                let answer = user.answer().await;
                let chunks = answer.field("transfer-encoding").is_some();
                let whole = if chunks { unchunked(answer.body.as_bytes()) } else { None };
                let got = whole.unwrap_or(answer.body.clone().into_bytes());
                let wanted = format!("HTTP/1.1 {status}");
                assert!(answer.head.starts_with(&wanted), "{what} by {part}: {answer:?}");
                assert_eq!(got, body.as_bytes(), "{what} by {part}: {answer:?}");
                assert!(answer.head.contains("date: "), "{what} by {part}: {answer:?}");
            }
            let made = a.made.load(Ordering::SeqCst);
            assert_eq!(made, if ends { 2 } else { 1 }, "{what} by {part}: connections");
        }
    }
}

#[tokio::test]
async fn a_bad_head_of_an_instance_is_a_502_and_is_not_asked_for_twice() {
    let fields = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nab");
    for (what, words) in [
        ("no HTTP", "hello\r\n\r\n".to_owned()),
        ("another version", "HTTP/2.0 200 OK\r\n\r\n".to_owned()),
        ("no status", "HTTP/1.1 abc OK\r\n\r\n".to_owned()),
        ("a status of none", "HTTP/1.1 099 OK\r\n\r\n".to_owned()),
        ("a switch", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n".to_owned()),
        ("two lengths", fields("Content-Length: 1\r\nContent-Length: 2")),
        ("a list of two lengths", fields("Content-Length: 1, 2")),
        ("a list that ends early", fields("Content-Length: 2,")),
        ("a signed length", fields("Content-Length: +1")),
        ("no length", fields("Content-Length:")),
        ("a length and chunks", fields("Content-Length: 1\r\nTransfer-Encoding: chunked")),
        ("another encoding", fields("Transfer-Encoding: gzip, chunked")),
        ("chunks twice", fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked")),
        ("chunks in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        ("a folded line", fields("X: a\r\n b")),
        ("a zero byte", fields("X: a\0b")),
        ("a space before the colon", fields("Content-Length : 2")),
        ("heads without end", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000)),
        ("a head without end", format!("HTTP/1.1 200 OK\r\nX: {}", "a".repeat(200_000))),
        ("too many fields", fields(&"X: y\r\n".repeat(101))),
    ] {
        let (mut rig, a) = (Rig::new().await, Parrot::new(words, 70_000, false).await);
        rig.table(&format!("* / a - {}", a.line));
        let mut user = rig.user().await;
        for asked in 1..3 {
            user.send(GET).await;
            let answer = user.answer().await;
            assert_eq!((answer.status, a.asked()), (502, asked), "{what}: {answer:?}");
            assert_eq!(answer.body, "502 the instance's answer makes no sense\n", "{what}");
        }
        let text = crate::metrics::text(&rig.shared);
        let told = text.contains("deploy_requests_cut_total{reason=\"instance\"} 2\n");
        assert!(told, "{what}: {text}");
        assert_eq!(a.made.load(Ordering::SeqCst), 2, "{what}: it is not asked there again");
    }
}

#[tokio::test]
async fn a_length_that_an_instance_says_twice_is_told_once_in_both_ways() {
    for lengths in ["Content-Length: 2\r\ncontent-length: 2", "Content-Length: 2, 2"] {
        let words = format!("HTTP/1.1 200 OK\r\n{lengths}\r\n\r\nab");
        let (mut rig, a) = (Rig::new().await, Parrot::new(words, 4096, false).await);
        rig.table(&format!("* / a - {}", a.line));
        for request in [GET, "GET /x HTTP/1.1\nHost: a\nKeep-Alive: 1\n\n"] {
            let mut user = rig.user().await;
            for _ in 0..2 {
                user.send(request).await;
                let answer = user.answer().await;
                let head = answer.head.to_ascii_lowercase();
                assert_eq!((answer.status, &*answer.body), (200, "ab"), "{lengths}: {head}");
                assert_eq!(head.matches("content-length: 2\r\n").count(), 1, "{head}");
                assert_eq!(head.matches("content-length").count(), 1, "{head}");
            }
        }
    }
}

#[tokio::test]
async fn each_request_that_an_instance_loses_is_counted_whether_it_may_be_tried_again_or_not() {
    const ASKED: usize = 30;
    // What may be tried again at first is soon used up.
    let limits = Limits { workers: 1, retry_percent: 0, ..Limits::default() };
    let mut rig = Rig::with(limits, Access::none()).await;
    let a = Parrot::new("HTTP", 4, true).await;
    rig.table(&format!("* / a - {}", a.line));
    for _ in 0..ASKED {
        let answer = rig.ask(GET).await;
        let told = "502 the instance closed the connection before it answered\n";
        assert_eq!((answer.status, &*answer.body), (502, told));
    }
    assert!(a.asked() < 2 * ASKED, "most were tried once: {}", a.asked());
    let text = crate::metrics::text(&rig.shared);
    let wanted = format!("deploy_requests_cut_total{{reason=\"instance\"}} {ASKED}\n");
    assert!(text.contains(&wanted), "{text}");
}

#[tokio::test]
async fn a_request_that_goes_over_to_the_long_way_is_no_longer_on_its_way_in_the_short_one() {
    const DEAD: usize = 8;
    let limits = Limits { workers: 1, ..Limits::default() };
    let mut rig = Rig::with(limits, Access::none()).await;
    // Each is asked in the short way once; then it is doubted for a while.
    let closed = [(); DEAD].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a place"));
    let lines = closed.iter().enumerate().map(|(number, listener)| {
        let address = listener.local_addr().expect("its address");
        format!("h{number} / s{number} - 0/i{number}/v={address}")
    });
    rig.table(&lines.collect::<Vec<_>>().join("\n"));
    drop(closed);
    for number in 0..DEAD {
        let answer = rig.ask(&format!("GET / HTTP/1.1\nHost: h{number}\n\n")).await;
        assert_eq!((answer.status, &*answer.body), (502, "502 no instance could be reached\n"));
    }
    let file = flights::file().expect("a file");
    rig.shared.flights.keep(file.try_clone().expect("the same file").into());
    rig.shared.flights.rest(0);
    assert_eq!(flights::written(&file).expect("a count"), 0);
}

/// One that closes its first connection when it has been asked for so long, and says nothing on
/// any other; as two instances.
async fn sulky(breaks: Duration) -> (String, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("its address");
    let line = format!("0/a/v={address} 1/b/v={address}");
    let work = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.expect("a connection");
        first.read_u8().await.expect("a request");
        // How long it takes to fail.
        tokio::time::sleep(breaks).await;
        drop(first);
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
    });
    (line, work.abort_handle())
}

#[tokio::test]
async fn a_request_that_goes_over_to_the_long_way_waits_no_longer_for_that() {
    // The end of it is looked for every second.
    let (answer_time, look) = (Duration::from_secs(2), Duration::from_secs(1));
    let breaks = answer_time - Duration::from_millis(100);
    let limits = Limits { workers: 1, answer_time, ..Limits::default() };
    let mut rig = Rig::with(limits, Access::none()).await;
    let (line, work) = sulky(breaks).await;
    rig.table(&format!("* / a - {line}"));
    let began = Instant::now();
    let answer = rig.ask(GET).await;
    let took = began.elapsed();
    assert_eq!((answer.status, &*answer.body), (504, "504 the instance did not answer in time\n"));
    assert!((breaks..breaks + answer_time).contains(&took), "{took:?}");
    assert!(breaks + answer_time > answer_time + look, "what is measured is longer than a look");
    let text = crate::metrics::text(&rig.shared);
    assert!(text.contains("deploy_requests_cut_total{reason=\"stall\"} 1\n"), "{text}");
    work.abort();
}

#[tokio::test]
async fn an_answer_that_ends_early_or_goes_wrong_does_not_look_whole() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n";
    for (words, ends) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none".to_owned(), true),
        (chunked.to_owned(), true),
        (format!("{chunked}0\r\n"), true),
        (format!("{chunked}x\r\n"), false),
        (format!("{chunked}3\ntwo\n"), false),
        (format!("{chunked}1\r\ntwo\r\n"), false),
        (format!("{chunked}-1\r\n"), false),
        (format!("{chunked}1;{}", "a".repeat(20_000)), false),
        (format!("{chunked}0\r\n{}", "X: y\r\n".repeat(5000)), false),
    ] {
        let (mut rig, a) = (Rig::new().await, Parrot::new(words.clone(), 4096, ends).await);
        rig.table(&format!("* / a - {}", a.line));
        let mut user = rig.user().await;
        user.send(GET).await;
        let head = user.until("\r\n\r\n").await;
        let rest = user.rest().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{words:?}: {head}");
        assert!(unchunked(rest.as_bytes()).is_none() && rest.len() < 20, "{words:?}: {rest}");
        assert_eq!(a.asked(), 1, "{words:?}: what was answered is not asked again");
        let text = crate::metrics::text(&rig.shared);
        assert!(text.contains("deploy_requests_cut_total{reason=\"instance\"} 1\n"), "{text}");
    }
}

#[tokio::test]
async fn what_an_instance_says_unasked_answers_nobody() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (words, part) in [
        (format!("{ok}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), 4096),
        (ok.replace("\r\n\r\n", "\r\nConnection: X, Close\r\n\r\n"), 4096),
    ] {
        let (mut rig, a) = (Rig::new().await, Parrot::new(words, part, false).await);
        rig.table(&format!("* / a - {}", a.line));
        let mut user = rig.user().await;
        for made in 1..4 {
            user.send(GET).await;
            let answer = user.answer().await;
            assert_eq!((answer.status, &*answer.body), (200, "ok"));
            assert_eq!(a.made.load(Ordering::SeqCst), made, "it is not used again");
        }
    }
}

#[test]
fn whatever_the_parts_a_body_passes_whole_and_no_more_of_it() {
    let chunks = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6);
    let parts = proptest::collection::vec(1_usize..30, 1..20);
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let whole = runner.run(&(chunks, parts, any::<bool>()), |(chunks, parts, length)| {
        let data = chunks.concat();
        let mut sent = Vec::new();
        let mut body = if length && !data.is_empty() {
            sent.extend_from_slice(&data);
            Body::Length(data.len() as u64)
        } else {
            for chunk in &chunks {
                sent.extend_from_slice(format!("{:X};e\r\n", chunk.len()).as_bytes());
                sent.extend_from_slice(chunk);
                sent.extend_from_slice(b"\r\n");
            }
            sent.extend_from_slice(b"0\r\nT: r\r\n\r\n");
            Body::Chunks(Chunks::new(), 0)
        };
        let is_length = matches!(body, Body::Length(_));
        let all = sent.len();
        sent.extend_from_slice(b"HTTP/1.1 200 next");
        let (mut out, mut from, mut moved) = (Vec::new(), 0, 0);
        for part in parts.iter().cycle() {
            proptest::prop_assert!(from <= all && (from < all || body.is_over()));
            if body.is_over() {
                break;
            }
            let came = &sent[from..sent.len().min(from + part)];
            let passed = body.pass(came, &mut out).expect("a good body");
            from += passed.taken;
            moved += passed.data;
        }
        proptest::prop_assert_eq!((from, moved), (all, data.len()));
        let got = if is_length { Some(out) } else { unchunked(&out) };
        proptest::prop_assert_eq!(got, Some(data));
        Ok(())
    });
    whole.expect("whole");
}
