//! What has been received and not yet understood: one buffer that grows as far as a message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::wire::{Malformed, frame_size};

/// What a connection begins with, in bytes; many have only a blocked read.
const BYTES_MIN: usize = 4 * 1024;

/// A buffer grows to this when a read has filled it, in bytes, so that a client that sends much
/// at once is read from with few calls; beyond it only for a message that needs it.
const BATCH_BYTES: usize = 64 * 1024;

/// Received bytes.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// The size of the message whose beginning is at `start`, once it is known.
    wanted: usize,
}

impl Buffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BYTES_MIN], start: 0, end: 0, wanted: 0 }
    }

    /// The next whole message, if it has arrived.
    pub(super) fn next(&mut self, msize: u32) -> Result<Option<&[u8]>, Malformed> {
        let held = &self.bytes[self.start..self.end];
        let Some(size) = frame_size(held, msize)? else { return Ok(None) };
        if size > held.len() {
            self.wanted = size;
            return Ok(None);
        }
        let from = self.start;
        self.start += size;
        Ok(Some(&self.bytes[from..self.start]))
    }

    /// Whether a part of a message is there.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads once; the number of bytes, of which 0 is the end. Losing the call loses no bytes.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut space = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(stream).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        self.end += count;
        if self.end == self.bytes.len() && self.bytes.len() < BATCH_BYTES {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
        Poll::Ready(Ok(count))
    }

    /// Moves what is held to the front, and grows if the message it begins with needs that; there
    /// is always some room then.
    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.wanted > self.bytes.len() {
            self.bytes.resize(self.wanted, 0);
        }
        self.wanted = 0;
        // A read into no room gives 0 bytes, and that is what the end looks like.
        if self.end == self.bytes.len() {
            self.bytes.resize(self.bytes.len() + BYTES_MIN, 0);
        }
    }
}
