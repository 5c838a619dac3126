//! Bytes both ways between a user and an instance, until either ends it; and whose end that was.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};

/// How a stream or tunnel has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    /// Bytes that the instance sent.
    pub(crate) down: u64,
    /// Its connection ended with an error. One that it closes as it should tells nothing.
    pub(crate) broke: bool,
}

/// Passes bytes on until both sides have ended, or one has failed.
pub(crate) async fn join<U, I>(mut user: U, instance: I) -> Joined
where
    U: AsyncRead + AsyncWrite + Unpin,
    I: AsyncRead + AsyncWrite + Unpin,
{
    let joined = Joined { down: 0, broke: false };
    let mut instance = Watched { stream: instance, joined, ended: false };
    // Which side failed, the result does not say.
    let _: io::Result<(u64, u64)> = copy_bidirectional(&mut user, &mut instance).await;
    instance.joined
}

/// The instance's side.
struct Watched<I> {
    stream: I,
    joined: Joined,
    /// It has sent all: who still writes to it may be too late, and nothing is broken.
    ended: bool,
}

impl<I> Watched<I> {
    fn see<T>(&mut self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.joined.broke |= !self.ended && matches!(polled, Poll::Ready(Err(_)));
        polled
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        let came = into.filled().len() - before;
        self.joined.down += came as u64;
        self.ended |= came == 0 && matches!(polled, Poll::Ready(Ok(()))) && into.remaining() > 0;
        self.see(polled)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.see(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.see(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        self.see(polled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    /// Both ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let near = TcpStream::connect(listener.local_addr().expect("its address"));
        let (near, far) = tokio::join!(near, listener.accept());
        (near.expect("connects"), far.expect("a connection").0)
    }

    #[tokio::test]
    async fn an_instance_that_closes_is_told_from_one_that_breaks_off() {
        for (resets, says_on) in [(false, false), (true, false), (false, true)] {
            let ((mut user, near), (far, mut instance)) = (pair().await, pair().await);
            let joined = tokio::spawn(join(near, far));
            instance.write_all(b"hello").await.expect("writes");
            user.read_exact(&mut [0; 5]).await.expect("what it wrote");
            if resets {
                instance.set_zero_linger().expect("no lingering");
            }
            drop(instance);
            assert_eq!(user.read(&mut [0; 5]).await.unwrap_or(0), 0);
            if says_on {
                // The first is answered with a reset, which the second meets.
                while user.write_all(b"too late").await.is_ok() {
                    tokio::task::yield_now().await;
                }
            }
            drop(user);
            let joined = joined.await.expect("an end");
            assert_eq!(joined, Joined { down: 5, broke: resets }, "says on: {says_on}");
        }
    }
}
