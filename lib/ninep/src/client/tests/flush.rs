//! What becomes of tags and fids when somebody loses interest, and of the connection.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_util::future::{join_all, poll_immediate};
use tokio::io::ReadBuf;

use super::*;
use crate::client::table::REQUESTS_MAX;
use crate::client::{File, Mode};

async fn open(client: &Client, peer: &mut Peer, mode: Mode) -> File {
    let file = beside(client.open("f", mode), async {
        let tags = peer.hears_any(2).await;
        peer.says(&tags, &[walked(1), opened()]).await;
    });
    file.await.unwrap()
}

#[tokio::test]
async fn a_dropped_read_is_flushed_and_its_fid_clunked_when_all_of_it_is_over() {
    let (client, mut peer) = pair().await;
    let mut tags = Vec::new();
    {
        let mut read = pin!(client.read("wait"));
        assert!(poll_immediate(read.as_mut()).await.is_none());
        tags.extend(peer.hears_any(3).await);
        peer.says(&tags[..2], &[walked(1), opened()]).await;
        let waits = poll_immediate(read.as_mut()).await;
        assert!(waits.is_none());
    }
    // Whether the first two answers were taken before the drop is the scheduler's business.
    let mut flushes = Vec::new();
    for _ in 0..3 {
        let (tag, message) = peer.next().await.unwrap();
        flushes.push((tag, message));
        if flushes.last().unwrap().1 == format!("Tflush oldtag {}", tags[2]) {
            break;
        }
    }
    for (tag, _) in &flushes {
        peer.says(&[*tag], &[Rmsg::Flush {}]).await;
    }
    peer.hears("Tclunk fid 1").await;
}

#[tokio::test]
async fn a_walk_that_was_flushed_before_it_was_done_leaves_no_fid_to_clunk() {
    let (client, mut peer) = pair().await;
    {
        let mut stat = pin!(client.stat("f"));
        assert!(poll_immediate(stat.as_mut()).await.is_none());
        peer.hears("Twalk fid 0 newfid 1 names 1 \"f\"\nTstat fid 1").await;
    }
    let flushes = peer.hears("Tflush oldtag 0\nTflush oldtag 1").await;
    peer.says(&flushes, &[Rmsg::Flush {}, Rmsg::Flush {}]).await;
    for name in ["g", "h"] {
        let got = beside(client.stat(name), async {
            let (walk, asked) = peer.next().await.unwrap();
            assert!(asked.ends_with(&format!(r#"names 1 "{name}""#)), "no clunk: {asked}");
            let (stat, _) = peer.next().await.unwrap();
            peer.says(&[walk, stat], &[no("gone"), no("unknown fid")]).await;
        });
        assert_eq!(got.await.unwrap_err(), refused("gone"));
    }
}

#[tokio::test]
async fn a_tag_is_used_again_only_after_rflush() {
    let (client, mut peer) = pair().await;
    let file = open(&client, &mut peer, Mode::Read).await;
    let mut used = Vec::new();
    for _ in 0..REQUESTS_MAX {
        let mut read = Box::pin(file.read_at(0, 1));
        assert!(poll_immediate(read.as_mut()).await.is_none());
        let tag = peer.hears("Tread fid 1 offset 0 count 1").await[0];
        drop(read);
        let flush = peer.hears(&format!("Tflush oldtag {tag}")).await[0];
        assert!(!used.contains(&(tag, flush)), "tag {tag} was used twice");
        used.push((tag, flush));
    }
    // All tags are taken: a read waits until one flush is answered, and has that one's tag.
    let (tag, flush) = used[17];
    let mut read = pin!(file.read_at(7, 1));
    assert!(poll_immediate(read.as_mut()).await.is_none());
    peer.says(&[flush], &[Rmsg::Flush {}]).await;
    let got = beside(read, async {
        assert_eq!(peer.hears("Tread fid 1 offset 7 count 1").await, [tag]);
        peer.says(&[tag], &[data(b"x")]).await;
    });
    assert_eq!(got.await.unwrap(), "x");
}

#[tokio::test]
async fn an_answer_that_overtakes_its_flush_is_taken_and_forgotten() {
    let (client, mut peer) = pair().await;
    let file = open(&client, &mut peer, Mode::Read).await;
    let mut read = Box::pin(file.read_at(0, 1));
    assert!(poll_immediate(read.as_mut()).await.is_none());
    let old = peer.hears("Tread fid 1 offset 0 count 1").await;
    drop(read);
    let flush = peer.hears(&format!("Tflush oldtag {}", old[0])).await;
    peer.says(&[old[0], flush[0]], &[data(b"x"), Rmsg::Flush {}]).await;
    let again = beside(file.read_at(1, 1), async {
        let tags = peer.hears("Tread fid 1 offset 1 count 1").await;
        peer.says(&tags, &[data(b"y")]).await;
    });
    assert_eq!(again.await.unwrap(), "y");
}

#[tokio::test]
async fn a_read_next_that_is_given_up_loses_nothing() {
    let (client, mut peer) = pair().await;
    let mut file = open(&client, &mut peer, Mode::Read).await;
    for _ in 0..3 {
        let mut next = pin!(file.read_next(100));
        assert!(poll_immediate(next.as_mut()).await.is_none());
    }
    let tags = peer.hears("Tread fid 1 offset 0 count 100").await;
    peer.says(&tags, &[data(b"first event\n")]).await;
    assert_eq!(soon(file.read_next(5)).await.unwrap(), "first");
    assert_eq!(soon(file.read_next(100)).await.unwrap(), " event\n");
    let end = beside(file.read_next(100), async {
        let tags = peer.hears("Tread fid 1 offset 12 count 100").await;
        peer.says(&tags, &[data(b"")]).await;
    });
    assert_eq!(end.await.unwrap(), "");
}

#[tokio::test]
async fn a_file_that_is_dropped_while_it_waits_is_flushed_and_clunked() {
    let (client, mut peer) = pair().await;
    let mut file = open(&client, &mut peer, Mode::Read).await;
    let next = poll_immediate(pin!(file.read_next(9))).await;
    assert!(next.is_none());
    let old = peer.hears("Tread fid 1 offset 0 count 9").await;
    drop(file);
    let flush = peer.hears(&format!("Tflush oldtag {}", old[0])).await;
    peer.says(&flush, &[Rmsg::Flush {}]).await;
    peer.hears("Tclunk fid 1").await;
}

#[tokio::test]
async fn a_fid_is_used_again_after_its_clunk_is_answered() {
    let (client, mut peer) = pair().await;
    drop(open(&client, &mut peer, Mode::Write).await);
    let clunk = peer.hears("Tclunk fid 1").await;
    let second = open(&client, &mut peer, Mode::Write).await;
    peer.says(&clunk, &[Rmsg::Clunk {}]).await;
    drop(second);
    peer.hears("Tclunk fid 2").await;
    let third = beside(client.remove("x"), async {
        let tags = peer.hears("Twalk fid 0 newfid 1 names 1 \"x\"\nTremove fid 1").await;
        peer.says(&tags, &[walked(1), Rmsg::Remove {}]).await;
    });
    third.await.unwrap();
}

#[tokio::test]
async fn requests_wait_for_tags_and_all_get_their_answer() {
    let (client, mut peer) = pair().await;
    let many = usize::from(REQUESTS_MAX) * 3;
    let all = join_all((0..many).map(|_| client.stat("x")));
    let got = beside(all, async {
        for _ in 0..many {
            let tags = peer.hears_any(2).await;
            peer.says(&tags, &[no("nothing here"), no("unknown fid")]).await;
        }
    });
    assert!(got.await.into_iter().all(|one| one.unwrap_err() == refused("nothing here")));
}

#[tokio::test]
async fn the_connection_is_closed_when_the_last_holder_is_gone() {
    let (client, mut peer) = pair().await;
    let file = open(&client, &mut peer, Mode::Read).await;
    let closed = client.closed();
    drop(client);
    assert!(poll_immediate(pin!(peer.next())).await.is_none(), "a file holds it");
    drop(file);
    while peer.next().await.is_some() {}
    assert_eq!(soon(closed).await.to_string(), "connection lost: closed here");
}

#[tokio::test]
async fn everybody_is_told_when_the_server_goes() {
    let (client, mut peer) = pair().await;
    let file = open(&client, &mut peer, Mode::Read).await;
    let gone = "connection lost: the server ended it";
    let (read, ()) = tokio::join!(file.read_at(0, 1), async {
        peer.hears_any(1).await;
        drop(peer);
    });
    assert_eq!(read.unwrap_err().to_string(), gone);
    assert_eq!(soon(client.closed()).await.to_string(), gone);
    assert_eq!(soon(client.read("x")).await.unwrap_err().to_string(), gone);
    assert_eq!(soon(file.clunk()).await.unwrap_err().to_string(), gone);
}

/// Counts the writes that go to a stream.
struct Counted {
    inner: DuplexStream,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn messages_that_depend_on_each_other_go_out_in_one_write() {
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = writes.clone();
    let (client, mut peer) = pair_over(|inner| Counted { inner, writes: counted }).await;
    assert_eq!(writes.load(Ordering::Relaxed), 1, "version and attach");
    let got = beside(client.read("status"), async {
        let tags = peer.hears_any(3).await;
        assert_eq!(writes.load(Ordering::Relaxed), 2, "walk, open and read");
        peer.says(&tags, &[walked(1), opened(), data(b"ok")]).await;
    });
    assert_eq!(got.await.unwrap(), b"ok");
}
