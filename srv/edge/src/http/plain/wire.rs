//! A connection to an instance, as bytes.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use crate::http::dial::write_first;
use crate::http::pool::Held;

/// Bytes that are read at once, at first and at most.
const READ_BYTES: usize = 4 * 1024;
const READ_BYTES_MAX: usize = 64 * 1024;

/// A connection, and what came on it and was not taken.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    /// It takes bytes before the runtime knows of it.
    there: bool,
    pub(super) came: Vec<u8>,
    _held: Held,
}

impl Wire {
    pub(in crate::http) fn new(stream: TcpStream, there: bool, held: Held) -> Self {
        Self { stream, there, came: Vec::new(), _held: held }
    }

    /// Whether it stands open and the instance has said nothing unasked.
    pub(in crate::http) fn is_quiet(&mut self) -> bool {
        self.came.is_empty() && self.poll_more(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    /// Reads more; no bytes when the instance has closed it.
    pub(super) fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.came.len() == self.came.capacity() {
            self.grow();
        }
        pin!(self.stream.read_buf(&mut self.came)).poll(context)
    }

    /// Writes some.
    pub(super) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.there) {
            match write_first(&self.stream, bytes) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// These have been taken.
    pub(super) fn take(&mut self, bytes: usize) {
        if bytes == self.came.len() {
            let full = bytes == self.came.capacity();
            self.came.clear();
            if full && bytes < READ_BYTES_MAX {
                self.grow();
            }
        } else {
            self.came.drain(..bytes);
        }
    }

    /// More comes than there was room for: the next will be more as well.
    fn grow(&mut self) {
        let have = self.came.capacity();
        self.came.reserve_exact(have - self.came.len() + have.clamp(READ_BYTES, READ_BYTES_MAX));
    }

    /// Makes it small again, to rest.
    pub(super) fn shrink(&mut self) {
        if self.came.capacity() > 4 * READ_BYTES {
            self.came = Vec::new();
        }
    }
}
