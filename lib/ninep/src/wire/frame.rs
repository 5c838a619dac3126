//! Where one message ends and the next begins.

use super::{HEADER_BYTES, Malformed};

/// The size in bytes of the message that `bytes` begins with, or none when even its size has not
/// arrived yet. The message itself may still be incomplete.
///
/// # Errors
/// A size below 7 or above `msize`: nothing after it can be made sense of.
pub fn frame_size(bytes: &[u8], msize: u32) -> Result<Option<usize>, Malformed> {
    let Some(&head) = bytes.first_chunk::<4>() else { return Ok(None) };
    let size = u32::from_le_bytes(head);
    if (size as usize) < HEADER_BYTES {
        Err(Malformed::Small(size))
    } else if size > msize {
        Err(Malformed::Large(size, msize))
    } else {
        Ok(Some(size as usize))
    }
}

/// The type byte of a frame; 0, which no message has, when it is too short to have one.
#[must_use]
pub fn type_of(frame: &[u8]) -> u8 {
    frame.get(4).copied().unwrap_or(0)
}

/// The tag of a frame, which an answer needs even when the rest is nonsense.
#[must_use]
pub fn tag_of(frame: &[u8]) -> u16 {
    match frame.get(5..HEADER_BYTES) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]),
        Some(_) | None => super::NOTAG,
    }
}
