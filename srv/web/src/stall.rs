//! A connection that is given up when its other side takes nothing of what is written to it: what
//! waits for a slow reader is bounded in bytes elsewhere, and in time here.

use crate::limits::STALL_TIME_MAX;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A stream and the moment until which its other side has to take something.
pub(crate) struct Stall<S> {
    stream: S,
    /// There while something waits to be taken.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Stall<S> {
    /// The stream, with nothing to be taken yet.
    pub(crate) fn new(stream: S) -> Stall<S> {
        Stall { stream, until: None }
    }

    /// Passes a result on; what is pending has an end.
    fn within(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if poll.is_ready() {
            self.until = None;
            return poll;
        }
        let until = || Box::pin(sleep_until(Instant::now() + STALL_TIME_MAX));
        ready!(self.until.get_or_insert_with(until).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stall<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.within(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush: only what it does not take counts.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up_and_who_takes_little_is_not() {
        let (near, mut far) = duplex(4);
        let mut near = Stall::new(near);
        let took = Instant::now();
        let reading = async {
            // Less than the whole each time, and never later than the limit.
            for _ in 0..3 {
                tokio::time::sleep(STALL_TIME_MAX / 2).await;
                far.read_exact(&mut [0; 4]).await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(near.write_all(&[7; 16]), reading);
        written.unwrap();
        assert!(took.elapsed() > STALL_TIME_MAX);
        let stuck = near.write_all(&[7; 16]).await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
        drop(far);
    }
}
