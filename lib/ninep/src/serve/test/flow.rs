//! How messages and answers move.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::timeout;

use super::*;
use crate::serve::trace::Trace;
use crate::wire::Data;

/// A stream that counts the writes made to it.
struct Counting(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn what_is_sent_back_to_back_is_answered_in_one_write() {
    let writes = Arc::new(AtomicUsize::new(0));
    let server = Arc::new(Server::new(Arc::new(Ram::new()), Limits::default()));
    let (ours, theirs) = duplex(64 * 1024);
    tokio::spawn(server.serve_connection(Counting(theirs, Arc::clone(&writes)), root()));
    let mut raw = Raw::new(ours);
    raw.greet().await;
    let before = writes.load(Ordering::Relaxed);
    let open = Tmsg::Open { fid: 1, mode: 0 };
    let clunk = Tmsg::Clunk { fid: 1 };
    raw.send(&[(1, walk(0, 1, "status")), (2, open), (3, read(1)), (4, clunk)]).await;
    assert_eq!(raw.next().await, "1 Rwalk qids 1 (1 0 00)");
    assert_eq!(raw.next().await, "2 Ropen qid (1 0 00) iounit 0");
    assert_eq!(raw.next().await, "3 Rread data 12 \"all is well\\n\"");
    assert_eq!(raw.next().await, "4 Rclunk");
    assert_eq!(writes.load(Ordering::Relaxed) - before, 1);
}

#[tokio::test]
async fn messages_may_arrive_byte_by_byte_while_events_happen() {
    let (ram, _task, mut raw) = serving(Limits::default()).await;
    raw.open(1, "watch").await;
    raw.send(&[(9, read(1))]).await;
    for byte in bytes(&[(2, walk(0, 2, "status")), (3, Tmsg::Clunk { fid: 2 })]) {
        raw.stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
        ram.release("event watch");
    }
    let mut answers = vec![raw.next().await, raw.next().await, raw.next().await];
    answers.sort();
    let want = ["2 Rwalk qids 1 (1 0 00)", "3 Rclunk", "9 Rread data 6 \"event\\n\""];
    assert_eq!(answers, want);
}

#[tokio::test]
async fn a_message_as_large_as_msize_is_taken_and_one_larger_ends_the_connection() {
    let (ram, task, mut raw) = serving(Limits::default()).await;
    raw.send(&[(1, walk(0, 1, "ctl")), (1, Tmsg::Open { fid: 1, mode: 1 })]).await;
    raw.next().await;
    raw.next().await;
    let data = vec![b'x'; 131_096 - 23];
    raw.send(&[(1, Tmsg::Write { fid: 1, offset: 0, data: Data(&data) })]).await;
    assert_eq!(raw.next().await, format!("1 Rwrite count {}", data.len()));
    raw.stream.write_all(&131_097u32.to_le_bytes()).await.unwrap();
    assert_eq!(raw.next_or_end().await, None);
    task.await.unwrap();
    assert_eq!(ram.state().log.last().map(String::as_str), Some("close ctl"));
}

#[tokio::test]
async fn a_read_that_waits_is_flushed_at_once() {
    let (_ram, _task, mut raw) = serving(Limits::default()).await;
    raw.open(1, "watch").await;
    raw.send(&[(5, read(1))]).await;
    raw.send(&[(6, Tmsg::Flush { oldtag: 5 }), (5, Tmsg::Clunk { fid: 1 })]).await;
    assert_eq!(raw.next().await, "6 Rflush");
    assert_eq!(raw.next().await, "5 Rclunk");
}

#[tokio::test]
async fn a_thousand_reads_wait_and_all_are_answered() {
    let (ram, _task, mut raw) = serving(Limits::default()).await;
    raw.open(1, "watch").await;
    let reads: Vec<_> = (0..1000).map(|tag| (tag, read(1))).collect();
    raw.send(&reads).await;
    raw.send(&[(2000, Tmsg::Stat { fid: 0 })]).await;
    assert!(raw.next().await.starts_with("2000 Rstat"), "the others wait");
    while ram.release("event watch") {}
    let mut answered = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        let answer = raw.next().await;
        let (tag, event) = answer.split_once(' ').unwrap();
        assert_eq!(event, "Rread data 6 \"event\\n\"");
        answered.insert(tag.parse::<u16>().unwrap());
    }
    assert!(answered.into_iter().eq(0..1000), "each once");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_not_read_from() {
    let (_ram, _task, mut raw) = serving(Limits::default()).await;
    raw.open(1, "big").await;
    let ask = bytes(&[(1, Tmsg::Read { fid: 1, offset: 0, count: 131_072 })]);
    let mut asked = 0;
    // The clock is stopped: it goes on only when nobody can do anything.
    while timeout(Duration::from_secs(1), raw.stream.write_all(&ask)).await.is_ok() {
        asked += 1;
        assert!(asked < 50_000, "the server takes requests without end");
    }
    let want = format!("1 Rread data 131072 \"{}\"...", "x".repeat(40));
    for _ in 0..asked {
        assert_eq!(raw.next().await, want);
    }
}

#[tokio::test]
async fn a_peer_that_sends_while_much_has_yet_to_be_sent_to_it_is_not_taken_for_gone() {
    const READS: u16 = 60;
    const STATS: usize = 20_000;
    let (ram, _task, mut raw) = serving(Limits::default()).await;
    let clone = Tmsg::Walk { fid: 0, newfid: 1, names: Names::new(&[]).unwrap() };
    let create = Tmsg::Create { fid: 1, name: b"slow-big", perm: 0o666, mode: 2 };
    let data = vec![b'x'; 100_000];
    let write = Tmsg::Write { fid: 1, offset: 0, data: Data(&data) };
    raw.send(&[(1, clone), (1, create), (2, write)]).await;
    let ask = |tag| (10 + tag, Tmsg::Read { fid: 1, offset: 0, count: 131_072 });
    raw.send(&(0..READS).map(ask).collect::<Vec<_>>()).await;
    raw.send(&[(3, Tmsg::Stat { fid: 0 })]).await;
    assert_eq!(raw.next().await, "1 Rwalk qids 0");
    assert!(raw.next().await.starts_with("3 Rstat"));
    // All of it waits for the file to be made, and the answers are more than fits on the way.
    assert!(ram.release("created slow-big"));
    let (received, mut sent) = tokio::io::split(raw.stream);
    let stats = bytes(&vec![(9, Tmsg::Stat { fid: 0 }); STATS]);
    let sending = async move { sent.write_all(&stats).await.map(|()| sent) };
    let answered = async move {
        let mut raw = Raw::new(tokio::io::join(received, tokio::io::sink()));
        let mut answers = 0;
        while answers < 2 + usize::from(READS) + STATS && raw.next_or_end().await.is_some() {
            answers += 1;
        }
        answers
    };
    let (sent, answers) = tokio::join!(sending, answered);
    assert_eq!(answers, 2 + usize::from(READS) + STATS);
    sent.unwrap();
}

#[test]
fn a_trace_has_a_line_for_each_message() {
    let trace = Trace { connection: 3 };
    let asked = trace.line_asked(&bytes(&[(7, Tmsg::Clunk { fid: 1 })]), Some(Dialect::P9), false);
    assert_eq!(asked, "<-3- tag 7 Tclunk fid 1");
    let write = Tmsg::Write { fid: 1, offset: 0, data: Data(b"hunter2") };
    let asked = |hidden| trace.line_asked(&bytes(&[(7, write)]), Some(Dialect::P9), hidden);
    assert_eq!(asked(false), "<-3- tag 7 Twrite fid 1 offset 0 data 7 \"hunter2\"");
    assert_eq!(asked(true), "<-3- tag 7 Twrite fid 1 offset 0 data 0 \"\", 7 hidden");
    let answered = trace.line_answered(&[8, 0, 0, 0, 121, 7, 0, 0], None);
    assert_eq!(answered, "-3-> tag 7 message has 1 bytes too many");
}
