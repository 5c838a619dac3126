//! The open file that most trees need: a text, as it was when it was opened.

use bytes::Bytes;

use crate::tree::{Answer, Open};

/// An open file that reads as `bytes`, the same for all of its life, and cannot be written.
pub fn text(bytes: impl Into<Bytes>) -> Box<dyn Open> {
    Box::new(Text(bytes.into()))
}

struct Text(Bytes);

impl Open for Text {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = start.saturating_add(count as usize).min(self.0.len());
        Answer::Now(Ok(self.0.slice(start..end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_from_any_offset_to_its_end() {
        let mut open = text("deploy\n");
        let mut check = |offset, count, want: &str| match open.read(offset, count) {
            Answer::Now(Ok(data)) => assert_eq!(data, want),
            Answer::Now(Err(_)) | Answer::Later(_) => panic!("not read"),
        };
        check(0, 3, "dep");
        check(3, 100, "loy\n");
        check(7, 1, "");
        check(u64::MAX, u32::MAX, "");
    }
}
