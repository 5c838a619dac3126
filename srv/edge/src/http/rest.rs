//! A user's connection between two requests: after a while nothing is kept of it but its stream,
//! so that ten thousand that only stand open are cheap.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;
use tokio::time::sleep_until;

/// How long after an answer the parser and its memory are kept for the next request.
pub(super) const REST_AFTER: Duration = Duration::from_millis(100);
/// Bytes that are taken before the parser is there to take them.
const FIRST_BYTES: usize = 2048;

/// Where a stream is put back by who had it.
pub(super) type Slot<S> = Arc<Mutex<Option<S>>>;

/// What was put back, if anything.
pub(super) fn take<S>(slot: &Slot<S>) -> Option<S> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Puts it back.
pub(super) fn put<S>(slot: &Slot<S>, stream: Option<S>) {
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = stream;
}

/// Waits for the first bytes; gives none when the edge leaves, and nothing at all when the
/// connection has ended or has rested until `end`.
pub(super) async fn rest<S: AsyncRead + Unpin>(
    stream: &mut S,
    leave: &mut watch::Receiver<bool>,
    end: Instant,
) -> Option<Vec<u8>> {
    let first = poll_fn(|context| {
        let mut space = [MaybeUninit::uninit(); FIRST_BYTES];
        let mut first = ReadBuf::uninit(&mut space);
        Pin::new(&mut *stream).poll_read(context, &mut first).map(|read| {
            let came = read.is_ok() && !first.filled().is_empty();
            came.then(|| first.filled().to_vec())
        })
    });
    tokio::select! {
        biased;
        first = first => first,
        Ok(_) = leave.wait_for(|leaves| *leaves) => Some(Vec::new()),
        () = sleep_until(end.into()) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::guard::{Guard, Pulse};
    use super::super::scan::Scan;
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn what_came_while_it_rested_is_read_first_and_the_stream_is_put_back() {
        let (mut user, mut stream) = duplex(64);
        let (_leaving, mut leave) = watch::channel(false);
        let end = Instant::now() + Duration::from_secs(60);
        user.write_all(b"GET / HTTP/1.1\r\n").await.expect("room");
        let first = rest(&mut stream, &mut leave, end).await.expect("first bytes");
        user.write_all(b"Host: a\r\n\r\n").await.expect("room");
        let (back, pulse) = (Slot::default(), Pulse::new(&Arc::default()));
        let mut guard = Guard::new(stream, &back, first, Scan::new(1000, true), &pulse);
        let mut came = Vec::new();
        while !pulse.is_whole() {
            assert!(guard.read_buf(&mut came).await.expect("bytes") > 0);
        }
        assert_eq!(came, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(take(&back).is_none());
        drop(guard);
        assert!(take(&back).is_some());
    }

    #[tokio::test]
    async fn a_connection_that_rests_hears_of_its_end_and_of_the_leaving_edge() {
        let (user, mut stream) = duplex(64);
        let (leaving, mut leave) = watch::channel(false);
        let far = Instant::now() + Duration::from_secs(60);
        assert_eq!(rest(&mut stream, &mut leave, Instant::now()).await, None);
        leaving.send_replace(true);
        assert_eq!(rest(&mut stream, &mut leave, far).await, Some(Vec::new()));
        drop(user);
        assert_eq!(rest(&mut stream, &mut leave, far).await, None);
    }
}
