//! What is written down about requests.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::rig::{Instance, Rig, User, listen, soon};
use crate::access::Access;
use crate::http::Scheme;
use crate::limits::Limits;
use crate::worker::Kind;

/// A log that hands on what is written to it.
struct Paper(mpsc::UnboundedSender<String>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8(bytes.to_vec()).map_err(io::Error::other)?;
        self.0.send(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log whose writer waits until this is let go.
struct Stuck(Arc<Mutex<()>>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        drop(self.0.lock());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_request_has_a_line_that_says_who_asked_what_and_who_answered() {
    let (paper, mut written) = mpsc::unbounded_channel();
    let log = Access::to(Paper(paper)).expect("a log");
    let limits = Limits { workers: 1, ..Limits::default() };
    let (mut rig, a) = (Rig::with(limits, log).await, Instance::new("web-17").await);
    rig.table(&format!("shop / web - {}", a.line()));
    let fields = "Referer: http://x/\nUser-Agent: curl \"8\"\nX-Request-Id: id-1\n";
    let mut user = rig.user().await;
    user.send(&format!("GET /y?q=1 HTTP/1.1\nHost: shop\n{fields}\n")).await;
    assert_eq!(user.answer().await.status, 200);
    user.send("GET / HTTP/1.1\nHost: other\n\n").await;
    assert_eq!(user.answer().await.status, 404);
    let mut text = String::new();
    while text.lines().count() < 2 {
        text += &soon("lines", written.recv()).await.expect("lines");
    }
    let lines: Vec<&str> = text.lines().collect();
    let (before, rest) = lines[0].split_once(" [").expect("a time");
    let (_, rest) = rest.split_once("] ").expect("a time");
    assert_eq!(before, "127.0.0.1 - -");
    let wanted =
        "\"GET /y?q=1 HTTP/1.1\" 200 17 \"http://x/\" \"curl \\\"8\\\"\" shop web web-17 v1 0.0";
    assert!(rest.starts_with(wanted) && rest.ends_with(" id-1 -"), "{rest}");
    let wanted = "\"GET / HTTP/1.1\" 404 0 \"-\" \"-\" other - - - 0.0";
    assert!(lines[1].contains(wanted), "{}", lines[1]);
}

#[tokio::test]
async fn a_line_says_what_ended_an_answer_before_its_time() {
    let (paper, mut written) = mpsc::unbounded_channel();
    let log = Access::to(Paper(paper)).expect("a log");
    let limits = Limits { workers: 1, ..Limits::default() };
    let (mut rig, a) = (Rig::with(limits, log).await, Instance::new("a").await);
    let mut line = async || soon("a line", written.recv()).await.expect("a line");
    rig.table(&format!("* / w websocket,drain=50 {}", a.line()));
    // The short way, the long way, and a tunnel.
    let (fields, upgrade) = ("Keep-Alive: 1\n", "Connection: Upgrade\nUpgrade: websocket\n");
    for (path, fields) in [("/chunks", ""), ("/chunks", fields), ("/ws", upgrade)] {
        rig.table(&format!("* / w websocket,drain=50 {}", a.line()));
        let mut user = rig.user().await;
        user.send(&format!("GET {path} HTTP/1.1\nHost: a\n{fields}\n")).await;
        user.until("\r\n\r\n").await;
        rig.table("* / w -");
        user.rest().await;
        let got = line().await;
        assert!(got.ends_with(" drain\n"), "{path}: {got}");
    }
    rig.table(&format!("* / w - {}", a.line()));
    let mut user = rig.user().await;
    user.send("GET /chunks HTTP/1.1\nHost: a\n\n").await;
    user.until("\r\n\r\n").await;
    a.hang_up();
    user.rest().await;
    let got = line().await;
    assert!(got.contains("\" 200 0 ") && got.ends_with(" instance\n"), "{got}");
}

#[tokio::test]
async fn a_log_that_is_stuck_drops_lines_and_holds_up_nobody() {
    let stuck = Arc::new(Mutex::new(()));
    let held = stuck.lock().expect("the writer");
    let log = Access::to(Stuck(Arc::clone(&stuck))).expect("a log");
    for _ in 0..1000 {
        log.write(b"line\n".to_vec(), 1);
    }
    assert!((700..1000).contains(&log.dropped()), "{}", log.dropped());
    drop(held);
}

#[tokio::test]
async fn figures_tell_of_routes_and_instances() {
    let (mut rig, a) = (Rig::new().await, Instance::new("web-17").await);
    let (second, _leave, _served) = listen(&rig.shared, Kind::Http(Scheme::Http)).await;
    rig.table(&format!("shop /x web - {}\n*.quiet / quiet -\n* /quiet quiet -", a.line()));
    for _ in 0..3 {
        assert_eq!(rig.ask("GET /x HTTP/1.1\nHost: shop\n\n").await.status, 200);
    }
    let mut user = User::to(second).await;
    user.send("GET /x HTTP/1.1\nHost: shop\n\n").await;
    assert_eq!(user.answer().await.status, 200);
    assert_eq!(rig.ask("GET / HTTP/1.1\nHost: shop\n\n").await.status, 404);
    let mut waits = rig.user().await;
    waits.send("GET /x HTTP/1.1\nHost: shop\n\n").await;
    waits.answer().await;
    let text = crate::metrics::text(&rig.shared);
    for line in [
        "deploy_route_requests_total{service=\"web\",host=\"shop\",path=\"/x\",class=\"2xx\"} 5",
        "deploy_requests_total{service=\"web\",instance=\"web-17\",version=\"v1\",class=\"2xx\"} 5",
        "deploy_inflight{service=\"web\",instance=\"web-17\",version=\"v1\"} 0",
        "deploy_request_seconds_count{service=\"web\",instance=\"web-17\",version=\"v1\"} 5",
        "deploy_requests_cut_total{reason=\"drain\"} 0",
        "deploy_unrouted_total 1",
        "deploy_generation 1",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
    // Of what nobody asked for, only the bucket that every histogram has.
    for (place, lines) in [("\"*.quiet\",path=\"/\"", 1), ("\"*\",path=\"/quiet\"", 1)] {
        let bucket = "deploy_route_request_seconds_bucket{service=\"quiet\",host=";
        assert_eq!(text.matches(&format!("{bucket}{place},le=")).count(), lines, "{text}");
    }
    let p99 = "deploy_request_seconds_quantile{service=\"web\",instance=\"web-17\",\
               version=\"v1\",quantile=\"0.99\"}";
    assert!(text.contains(p99), "{text}");
}
