//! Probes against small servers on loopback that behave well and badly.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use health::{Answer, Check, Exec, Ran, Running, Target, probe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Long enough for anything that answers.
const PATIENT_MS: u64 = 10_000;

/// What a program inside the instance does.
struct Program(Result<Ran, String>);

impl Exec for Program {
    fn exec<'a>(&'a self, _argv: &'a [String], _timeout: Duration) -> Running<'a> {
        Box::pin(async { self.0.clone() })
    }
}

/// A program that never ends and cannot be killed.
struct Hanging;

impl Exec for Hanging {
    fn exec<'a>(&'a self, _argv: &'a [String], _timeout: Duration) -> Running<'a> {
        Box::pin(std::future::pending())
    }
}

fn no_program() -> Program {
    Program(Err("nothing to run".to_owned()))
}

async fn ask(kind: &Check, ms: u64) -> Answer {
    let target = Target { address: LOOPBACK, root: PathBuf::from("/") };
    probe(kind, &target, Duration::from_millis(ms), &no_program()).await
}

/// Reads a request's head.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap();
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap()
}

/// Asks a server that sends `reply` and, if `end`, closes; answers the request's head as well.
async fn http(reply: &'static [u8], end: bool, ms: u64) -> (Answer, String, u16) {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = head(&mut stream).await;
        stream.write_all(reply).await.unwrap();
        let kept = if end { None } else { Some(stream) };
        (head, kept)
    });
    let answer = ask(&Check::Http { path: "/up?x=1".to_owned(), port }, ms).await;
    let (head, _kept) = server.join_next().await.unwrap().unwrap();
    (answer, head, port)
}

async fn check_http(reply: &'static [u8], ok: bool, text: &str) {
    let (answer, _, port) = http(reply, true, PATIENT_MS).await;
    let text = text.replace("ADDRESS", &format!("127.0.0.1:{port}"));
    assert_eq!(answer, Answer { ok, text }, "{}", String::from_utf8_lossy(reply));
}

#[tokio::test]
async fn http_is_healthy_from_200_to_399() {
    check_http(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true, "HTTP 200").await;
    check_http(b"HTTP/1.1 204 No Content\r\n\r\n", true, "HTTP 204").await;
    check_http(b"HTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n", true, "HTTP 302").await;
    check_http(b"HTTP/1.0 200 OK\r\n\r\nok", true, "HTTP 200").await;
    check_http(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false, "HTTP 404").await;
    let continued = b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    check_http(continued, true, "HTTP 200").await;
}

#[tokio::test]
async fn a_bad_status_shows_the_first_80_bytes_of_the_body_on_one_line() {
    let reply = b"HTTP/1.1 503 No\r\n\r\ndatabase\n\tis \x1b[1mnot\x07 there";
    check_http(reply, false, "HTTP 503: database is [1mnot there").await;
    let long = b"HTTP/1.1 500 No\r\n\r\n0123456789012345678901234567890123456789\
        0123456789012345678901234567890123456789 and more";
    let text = format!("HTTP 500: {}", "0123456789".repeat(8));
    check_http(long, false, &text).await;
}

#[tokio::test]
async fn a_body_that_never_ends_does_not_hide_the_status() {
    let (answer, _, _) = http(b"HTTP/1.1 503 No\r\n\r\nwait", false, PATIENT_MS).await;
    assert_eq!(answer.text, "HTTP 503: wait");
}

#[tokio::test]
async fn what_is_not_http_is_said_so() {
    check_http(
        b"SSH-2.0-OpenSSH_9.2\r\n",
        false,
        "ADDRESS does not speak HTTP/1.1: invalid HTTP version parsed",
    )
    .await;
    check_http(b"", false, "ADDRESS closed the connection without an answer").await;
    let half = b"HTTP/1.1 200 OK\r\ncontent-";
    check_http(half, false, "ADDRESS closed the connection without an answer").await;
}

#[tokio::test]
async fn a_request_names_its_host_and_asks_to_close() {
    let (_, head, port) = http(b"HTTP/1.1 200 OK\r\n\r\n", true, PATIENT_MS).await;
    assert!(head.starts_with("GET /up?x=1 HTTP/1.1\r\n"), "{head}");
    for line in [format!("host: 127.0.0.1:{port}\r\n"), "connection: close\r\n".to_owned()] {
        assert!(head.contains(&line), "{head}");
    }
    assert!(head.contains("user-agent: deploy-health/"), "{head}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_in_time() {
    let (answer, _, port) = http(b"", false, 50).await;
    assert_eq!(answer.text, format!("no answer from 127.0.0.1:{port} within 50 ms"));
    assert!(!answer.ok);
}

#[tokio::test]
async fn nobody_listening_is_a_refused_connection() {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let healthy = ask(&Check::Tcp { port }, PATIENT_MS).await;
    assert_eq!(healthy, Answer { ok: true, text: format!("connected to 127.0.0.1:{port}") });
    drop(listener);
    for kind in [Check::Tcp { port }, Check::Http { path: "/".to_owned(), port }] {
        let answer = ask(&kind, PATIENT_MS).await;
        let text = format!("connection refused by 127.0.0.1:{port}");
        assert_eq!(answer, Answer { ok: false, text });
    }
}

#[tokio::test]
async fn a_path_that_is_none_is_said_so() {
    let answer = ask(&Check::Http { path: "/a b".to_owned(), port: 1 }, PATIENT_MS).await;
    assert_eq!(answer, Answer { ok: false, text: "bad path `/a b`".to_owned() });
}

#[tokio::test]
async fn a_file_is_looked_at_through_the_instances_root() {
    let directory = tempfile::tempdir().unwrap();
    let target = Target { address: LOOPBACK, root: directory.path().to_owned() };
    let kind = Check::File { path: "/ready".to_owned() };
    let wait = Duration::from_millis(PATIENT_MS);
    let before = probe(&kind, &target, wait, &no_program()).await;
    assert_eq!(before, Answer { ok: false, text: "/ready is not there".to_owned() });
    std::fs::write(directory.path().join("ready"), "1").unwrap();
    let after = probe(&kind, &target, wait, &no_program()).await;
    assert_eq!(after, Answer { ok: true, text: "/ready is there".to_owned() });
    let own = Target::new(LOOPBACK, std::process::id());
    let kind = Check::File { path: "/proc/version".to_owned() };
    assert!(probe(&kind, &own, wait, &no_program()).await.ok);
}

async fn check_exec(program: &dyn Exec, ms: u64, ok: bool, text: &str) {
    let kind = Check::Exec { argv: vec!["/bin/check".to_owned(), "-v".to_owned()] };
    let target = Target::new(LOOPBACK, 1);
    let answer = probe(&kind, &target, Duration::from_millis(ms), program).await;
    assert_eq!(answer, Answer { ok, text: text.to_owned() });
}

#[tokio::test]
async fn a_program_is_healthy_when_it_exits_with_0() {
    let ran = |code, output: &str| Program(Ok(Ran { code, output: output.to_owned() }));
    check_exec(&ran(0, ""), PATIENT_MS, true, "/bin/check exited with 0").await;
    check_exec(&ran(0, "fine\n"), PATIENT_MS, true, "/bin/check exited with 0: fine").await;
    check_exec(&ran(2, "no\ndb"), PATIENT_MS, false, "/bin/check exited with 2: no db").await;
    let absent = Program(Err("/bin/check: no such file".to_owned()));
    check_exec(&absent, PATIENT_MS, false, "/bin/check: no such file").await;
}

#[tokio::test(start_paused = true)]
async fn a_program_nobody_can_kill_holds_no_probe_up() {
    check_exec(&Hanging, 5_000, false, "/bin/check did not end within 5 s").await;
}

#[tokio::test]
async fn an_instance_without_a_check_just_runs() {
    assert_eq!(ask(&Check::Running, 1).await, Answer { ok: true, text: "running".to_owned() });
}

#[tokio::test]
async fn a_text_is_never_longer_than_its_limit() {
    let output = "ä".repeat(1_000);
    let long = Program(Ok(Ran { code: 1, output }));
    let kind = Check::Exec { argv: vec!["x".to_owned()] };
    let answer = probe(&kind, &Target::new(LOOPBACK, 1), Duration::from_secs(1), &long).await;
    assert!(answer.text.len() <= health::TEXT_BYTES_MAX, "{}", answer.text.len());
}
