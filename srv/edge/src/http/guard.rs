//! What stands between a user's stream and the parser: the scan of what comes, and the pulse by
//! which a connection that does nothing is known.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::rest::{self, Slot};
use super::scan::{Found, Scan};
use crate::limits::Limits;

/// Bytes that are read and thrown away after the last answer.
const AWAY_BYTES_MAX: usize = 256 * 1024;

/// When something began, in milliseconds since the connection was made; 0 when nothing did.
#[derive(Debug)]
pub(super) struct Pulse {
    made: Instant,
    head: AtomicU64,
    write: AtomicU64,
    /// Since the user ended his side: when something was written last, or else that.
    half: AtomicU64,
    /// All that has come was whole requests of HTTP/1.1.
    whole: AtomicBool,
    /// Requests that are on their way.
    busy: Arc<AtomicU32>,
}

impl Pulse {
    pub(super) fn new(busy: &Arc<AtomicU32>) -> Arc<Self> {
        let (head, write, half) = Default::default();
        let (whole, busy) = (AtomicBool::new(false), Arc::clone(busy));
        Arc::new(Self { made: Instant::now(), head, write, half, whole, busy })
    }

    fn now(&self) -> u64 {
        1 + u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    fn at(&self, of: &AtomicU64) -> Option<Instant> {
        let ms = of.load(Ordering::Relaxed);
        (ms > 0).then(|| self.made + Duration::from_millis(ms))
    }

    fn begin(&self, of: &AtomicU64) {
        if of.load(Ordering::Relaxed) == 0 {
            of.store(self.now(), Ordering::Relaxed);
        }
    }

    /// All that comes is whole requests, until it is looked at.
    pub(super) fn holds_nothing(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }

    /// What was to be written is written, or is not.
    pub(super) fn wrote(&self, all: bool) {
        if !all {
            self.begin(&self.write);
        } else if self.is_writing() {
            self.write.store(0, Ordering::Relaxed);
        }
    }

    /// Something went to the user.
    pub(super) fn moved(&self) {
        if self.is_half() {
            self.half.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Whether something waits for the user to take it.
    pub(super) fn is_writing(&self) -> bool {
        self.write.load(Ordering::Relaxed) != 0
    }

    /// The user has ended his side. He may have gone, or wait for what he has asked for.
    pub(super) fn ends_half(&self) {
        self.begin(&self.half);
    }

    /// Whether he has.
    pub(super) fn is_half(&self) -> bool {
        self.half.load(Ordering::Relaxed) != 0
    }

    /// Whether there is something to be answered.
    fn answers(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0 || self.is_writing()
    }

    /// Whether the parser holds nothing that would be lost with it, once no request is on its way.
    pub(super) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Relaxed) && !self.is_writing()
    }

    /// When the connection has to be given up unless something happens; `rested` is since when
    /// no request is on its way, if none is.
    pub(super) fn deadline(&self, rested: Option<Instant>, limits: &Limits) -> Option<Instant> {
        let write = self.at(&self.write).map(|since| since + limits.stall_time);
        let head = self.at(&self.head).map(|since| since + limits.head_time);
        let idle = rested.map(|since| match since <= self.made {
            // It has not asked for anything yet.
            true => since + limits.head_time,
            false => since + limits.idle_time,
        });
        let quiet = head.or(idle).filter(|_| rested.is_some());
        // While something waits to be taken, that tells whether he is there.
        let half = self.at(&self.half).filter(|_| rested.is_none() && write.is_none());
        let half = half.map(|since| since + limits.half_time);
        [write, quiet, half].into_iter().flatten().min()
    }
}

/// A user's stream; put back into its slot when the parser is dropped.
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: Option<S>,
    back: Slot<S>,
    /// What came before the parser was there, and how much of it the parser has.
    first: Vec<u8>,
    given: usize,
    scan: Scan,
    pulse: Arc<Pulse>,
    /// What is still to be said to a parser that waits for the end of what is spoilt.
    end: &'static [u8],
    /// Bytes that are still thrown away after the end.
    left: usize,
    /// The parser, which is not told yet that the user has ended his side.
    untold: Option<Waker>,
}

impl<S> Guard<S> {
    /// `scan` is what looks at the bytes of `first` and then of `stream`.
    pub(super) fn new(
        stream: S,
        back: &Slot<S>,
        first: Vec<u8>,
        scan: Scan,
        pulse: &Arc<Pulse>,
    ) -> Self {
        Self {
            stream: Some(stream),
            back: Arc::clone(back),
            first,
            given: 0,
            scan,
            pulse: Arc::clone(pulse),
            end: b"\0\r\n\r\n",
            left: AWAY_BYTES_MAX,
            untold: None,
        }
    }

    /// The user has ended his side. The parser would take him for gone: it is told when all that he
    /// has asked for is answered.
    fn half_ended(&mut self, context: &Context<'_>) -> Poll<io::Result<()>> {
        self.pulse.ends_half();
        if !(self.scan.is_whole() && self.pulse.answers()) {
            return Poll::Ready(Ok(()));
        }
        self.untold = Some(context.waker().clone());
        Poll::Pending
    }

    /// Something was written, or could not be.
    fn wrote(&mut self, polled: &Poll<io::Result<usize>>) {
        self.pulse.wrote(polled.is_ready());
        if polled.is_ready() {
            self.pulse.moved();
            self.tell();
        }
    }

    /// Lets the parser look again whether the user has ended his side.
    fn tell(&mut self) {
        if let Some(untold) = self.untold.take() {
            untold.wake();
        }
    }

    /// The stream, which is only away when this is dropped.
    fn stream(&mut self) -> io::Result<Pin<&mut S>>
    where
        S: Unpin,
    {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Gives of what came before; whether there was any.
    fn give(&mut self, to: &mut ReadBuf<'_>) -> bool {
        let rest = &self.first[self.given..];
        let now = rest.len().min(to.remaining());
        to.put_slice(&rest[..now]);
        self.given += now;
        if self.given == self.first.len() {
            (self.first, self.given) = (Vec::new(), 0);
        }
        now > 0
    }
}

impl<S> Drop for Guard<S> {
    fn drop(&mut self) {
        rest::put(&self.back, self.stream.take());
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.scan.is_spoilt() {
            let (now, later) = this.end.split_at(this.end.len().min(to.remaining()));
            to.put_slice(now);
            this.end = later;
            return Poll::Ready(Ok(()));
        }
        let before = to.filled().len();
        let polled = match this.give(to) {
            true => Poll::Ready(Ok(())),
            false if this.pulse.is_half() => return this.half_ended(context),
            false => this.stream()?.poll_read(context, to),
        };
        if let Poll::Ready(Ok(())) = polled
            && to.filled().len() == before
            && to.remaining() > 0
        {
            return this.half_ended(context);
        }
        if let Poll::Ready(Ok(())) = polled {
            let came = &mut to.filled_mut()[before..];
            match this.scan.look(came, Instant::now()) {
                Found::Fine => {}
                // No head and no chunk has these: the parser answers 400.
                Found::Spoilt(at) => came[at..].fill(0),
                Found::Flood => {
                    to.set_filled(before);
                    return Poll::Ready(Err(io::Error::other("too many frames for nothing")));
                }
            }
            if this.scan.is_in_head() {
                this.pulse.begin(&this.pulse.head);
            } else if this.pulse.head.load(Ordering::Relaxed) != 0 {
                this.pulse.head.store(0, Ordering::Relaxed);
            }
            this.pulse.whole.store(this.scan.is_whole(), Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.stream()?.poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = polled {
            this.scan.wrote(&bytes[..count.min(bytes.len())]);
        }
        this.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.stream()?.poll_write_vectored(context, bytes);
        if let Poll::Ready(Ok(mut left)) = polled {
            for part in bytes {
                let (now, _) = part.split_at(left.min(part.len()));
                this.scan.wrote(now);
                left -= now.len();
            }
        }
        this.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(S::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.stream()?.poll_flush(context);
        let waited = this.pulse.is_writing();
        // Over TLS what was taken may not have gone.
        this.pulse.wrote(polled.is_ready());
        if waited && polled.is_ready() {
            this.tell();
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.stream()?.poll_shutdown(context))?;
        // Closing on bytes that were not read resets the connection, and the user may lose the
        // answer that says why. What he still sends is thrown away, for as long as he may rest.
        while !this.scan.is_between() && this.left > 0 {
            let mut space = [0; 4096];
            let mut away = ReadBuf::new(&mut space);
            let read = ready!(this.stream()?.poll_read(context, &mut away));
            match away.filled().len() {
                came @ 1.. if read.is_ok() => this.left = this.left.saturating_sub(came),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn frame(kind: u8, length: u32, payload: &[u8]) -> Vec<u8> {
        [&length.to_be_bytes()[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    #[tokio::test]
    async fn who_floods_is_ended_without_a_byte_that_he_did_not_send() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let scan = Scan::new(1000, true);
        let mut guard =
            Guard::new(near, &Slot::default(), Vec::new(), scan, &Pulse::new(&Arc::default()));
        let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(0, 3000, b"body")[..]].concat();
        far.write_all(&begin).await.expect("the beginning");
        let mut got = vec![0; begin.len()];
        guard.read_exact(&mut got).await.expect("what is fine");
        assert_eq!(got, begin);
        // The rest of the body, and with it more of nothing than there may be.
        far.write_all(&[b'x'; 2996]).await.expect("the rest");
        far.write_all(&frame(6, 8, &[0; 8]).repeat(10_000)).await.expect("pings");
        let mut got = vec![b'?'; 1 << 20];
        guard.read(&mut got).await.expect_err("an end");
        let zeros = got[..2996].iter().filter(|byte| **byte == 0).count();
        assert_eq!(zeros, 0, "the body is as it was sent");
    }
}
