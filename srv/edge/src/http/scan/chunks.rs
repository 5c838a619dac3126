//! A body in chunks, as strict as its grammar (RFC 9112, section 7.1).

/// Digits of a chunk's size: more do not fit a number.
const DIGITS_MAX: u8 = 16;

/// Where in a body of chunks the next byte stands.
#[derive(Debug)]
pub(in crate::http) struct Chunks {
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size {
        digits: u8,
        size: u64,
    },
    Extension {
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataEnd,
    /// The beginning of a line after the last chunk.
    Trailer,
    TrailerLine,
    TrailerLineEnd,
    Last,
    Over,
}

/// A part of such a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Part {
    /// So many bytes around the data.
    Frame(usize),
    /// So many bytes of data.
    Data(usize),
}

impl Chunks {
    pub(in crate::http) fn new() -> Self {
        Self { at: At::Size { digits: 0, size: 0 } }
    }

    pub(in crate::http) fn is_over(&self) -> bool {
        self.at == At::Over
    }

    /// Takes the next part of one kind; nothing when it is bad. Of a body that is over, and of
    /// no bytes, it takes none.
    pub(in crate::http) fn part(&mut self, bytes: &[u8]) -> Option<Part> {
        if let At::Data { left } = self.at {
            let taken = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let left = left - taken as u64;
            self.at = if left == 0 { At::DataReturn } else { At::Data { left } };
            return Some(Part::Data(taken));
        }
        let mut from = 0;
        while from < bytes.len() && !matches!(self.at, At::Data { .. } | At::Over) {
            self.at = next(self.at, bytes[from])?;
            from += 1;
        }
        Some(Part::Frame(from))
    }

    /// Takes as much as belongs to the body; nothing when it is bad.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut from = 0;
        while from < bytes.len() && !self.is_over() {
            let (Part::Frame(taken) | Part::Data(taken)) = self.part(&bytes[from..])?;
            from += taken;
        }
        Some(from)
    }
}

fn next(at: At, byte: u8) -> Option<At> {
    Some(match (at, byte) {
        (At::Size { digits: 1.., size }, b'\r') => At::SizeEnd { size },
        (At::Size { digits: 1.., size }, b';' | b' ' | b'\t') => At::Extension { size },
        (At::Size { digits: 0..DIGITS_MAX, size }, _) => {
            let digit = char::from(byte).to_digit(16)?;
            let At::Size { digits, .. } = at else { return None };
            At::Size { digits: digits + 1, size: size << 4 | u64::from(digit) }
        }
        (At::Extension { size }, b'\r') => At::SizeEnd { size },
        (At::Extension { size }, byte) if byte != b'\n' && byte != 0 => At::Extension { size },
        (At::SizeEnd { size: 0 }, b'\n') => At::Trailer,
        (At::SizeEnd { size }, b'\n') => At::Data { left: size },
        (At::DataReturn, b'\r') => At::DataEnd,
        (At::DataEnd, b'\n') => At::Size { digits: 0, size: 0 },
        (At::Trailer, b'\r') => At::Last,
        (At::TrailerLine, b'\r') => At::TrailerLineEnd,
        (At::Trailer | At::TrailerLine, byte) if byte != b'\n' && byte != 0 => At::TrailerLine,
        (At::TrailerLineEnd, b'\n') => At::Trailer,
        (At::Last, b'\n') => At::Over,
        _ => return None,
    })
}
