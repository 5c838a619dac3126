//! What has been received and not yet understood: one buffer that grows as far as a message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use zeroize::Zeroize;

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
            self.grow(self.bytes.len() * 2);
        }
        Poll::Ready(Ok(count))
    }

    /// Wipes all that has been taken, wherever it lay.
    pub(super) fn wipe(&mut self) {
        self.bytes[..self.start].zeroize();
        self.bytes[self.end..].zeroize();
    }

    /// Nobody knows yet whether what is held may be left behind.
    fn grow(&mut self, size: usize) {
        let mut wider = vec![0; size];
        wider[..self.end].copy_from_slice(&self.bytes[..self.end]);
        self.bytes.zeroize();
        self.bytes = wider;
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
            self.grow(self.wanted);
        }
        self.wanted = 0;
        // A read into no room gives 0 bytes, and that is what the end looks like.
        if self.end == self.bytes.len() {
            self.grow(self.bytes.len() + BYTES_MIN);
        }
    }
}

impl Drop for Buffer {
    /// A message that broke off may be one that nobody else is to see.
    fn drop(&mut self) {
        if !self.is_empty() {
            self.bytes.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of 9P's form: its size, and then itself.
    fn message(text: &str) -> Vec<u8> {
        let size = u32::try_from(text.len() + 7).unwrap().to_le_bytes();
        [&size[..], &[118, 1, 0], text.as_bytes()].concat()
    }

    /// Fills from bytes that come in pieces of that length.
    fn fill(buffer: &mut Buffer, mut bytes: &[u8], piece: usize) {
        while !bytes.is_empty() {
            let (mut now, rest) = bytes.split_at(piece.min(bytes.len()));
            let mut cx = Context::from_waker(std::task::Waker::noop());
            while !now.is_empty() {
                assert!(buffer.poll_fill(&mut now, &mut cx).is_ready());
            }
            bytes = rest;
        }
    }

    #[test]
    fn nothing_is_left_of_a_message_that_was_taken_and_wiped_however_it_came() {
        let secret = "0123456789abcdef".repeat(600);
        let all = [message("first"), message(&secret), message("last")].concat();
        for piece in [1, 700, 4096, all.len()] {
            let mut buffer = Buffer::new();
            fill(&mut buffer, &all[..40], piece);
            buffer.next(1 << 20).unwrap().unwrap();
            // What is half there is moved to the front, and to another place as it grows.
            fill(&mut buffer, &all[40..], piece);
            assert_eq!(&buffer.next(1 << 20).unwrap().unwrap()[7..], secret.as_bytes());
            buffer.wipe();
            let left = buffer.bytes.windows(16).any(|part| part == b"0123456789abcdef");
            assert!(!left, "pieces of {piece}");
            assert_eq!(&buffer.next(1 << 20).unwrap().unwrap()[7..], b"last");
        }
    }
}
