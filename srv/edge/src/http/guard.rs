//! What stands between a user's stream and the parser: the scan of what comes, and the pulse by
//! which a connection that does nothing is known.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
}

impl Pulse {
    pub(super) fn new() -> Arc<Self> {
        let (head, write) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { made: Instant::now(), head, write })
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
        [write, quiet].into_iter().flatten().min()
    }
}

/// A user's stream.
#[derive(Debug)]
pub(super) struct Guard<S> {
    stream: S,
    scan: Scan,
    pulse: Arc<Pulse>,
    /// What is still to be said to a parser that waits for the end of what is spoilt.
    end: &'static [u8],
    /// Bytes that are still thrown away after the end.
    left: usize,
}

impl<S> Guard<S> {
    pub(super) fn new(stream: S, pulse: Arc<Pulse>, limits: &Limits) -> Self {
        let scan = Scan::new(limits.head_bytes);
        Self { stream, scan, pulse, end: b"\0\r\n\r\n", left: AWAY_BYTES_MAX }
    }

    fn wrote<T>(&self, polled: &Poll<T>) {
        if polled.is_pending() {
            self.pulse.begin(&self.pulse.write);
        } else if self.pulse.write.load(Ordering::Relaxed) != 0 {
            self.pulse.write.store(0, Ordering::Relaxed);
        }
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
        let polled = Pin::new(&mut this.stream).poll_read(context, to);
        if let Poll::Ready(Ok(())) = polled {
            let came = &mut to.filled_mut()[before..];
            if let Found::Spoilt(at) = this.scan.look(came) {
                // No head and no chunk has these: the parser answers 400.
                came[at..].fill(0);
            }
            if this.scan.is_in_head() {
                this.pulse.begin(&this.pulse.head);
            } else if this.pulse.head.load(Ordering::Relaxed) != 0 {
                this.pulse.head.store(0, Ordering::Relaxed);
            }
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
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(&polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
        this.wrote(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
        // Closing on bytes that were not read resets the connection, and the user may lose the
        // answer that says why. What he still sends is thrown away, for as long as he may rest.
        while !this.scan.is_between() && this.left > 0 {
            let mut space = [0; 4096];
            let mut away = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut this.stream).poll_read(context, &mut away));
            match away.filled().len() {
                came @ 1.. if read.is_ok() => this.left = this.left.saturating_sub(came),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
