//! The body of an instance's answer on its way to a user of HTTP/1.1: bytes in, bytes out.

use std::io::Write;

use super::super::scan::{Chunks, Part};
use super::Bad;

/// Bytes around the data of chunks that may follow one another without any data.
const FRAME_BYTES_MAX: usize = 16 * 1024;

/// How long a body goes on.
#[derive(Debug)]
pub(super) enum Body {
    /// It has ended, or there is none.
    Over,
    /// For so many bytes.
    Length(u64),
    /// As its chunks say; so many bytes were not data since the last that was.
    Chunks(Chunks, usize),
    /// Until the instance closes the connection.
    Close,
}

/// What was taken of what came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Bytes that belong to the body.
    pub(super) taken: usize,
    /// Those of them that are data.
    pub(super) data: usize,
}

impl Body {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// Takes what belongs to the body, and writes it as the user gets it: a length stays, chunks
    /// are made anew without their extensions and trailers.
    pub(super) fn pass(&mut self, came: &[u8], out: &mut Vec<u8>) -> Result<Passed, Bad> {
        let mut passed = Passed::default();
        match self {
            Self::Over => {}
            Self::Length(left) => {
                let taken = came.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                out.extend_from_slice(&came[..taken]);
                passed = Passed { taken, data: taken };
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Over;
                }
            }
            Self::Close => {
                chunk(came, out);
                passed = Passed { taken: came.len(), data: came.len() };
            }
            Self::Chunks(chunks, frame) => {
                while passed.taken < came.len() && !chunks.is_over() {
                    let rest = &came[passed.taken..];
                    match chunks.part(rest).ok_or(Bad("a chunk"))? {
                        Part::Data(bytes) => {
                            chunk(&rest[..bytes], out);
                            passed.taken += bytes;
                            passed.data += bytes;
                            *frame = 0;
                        }
                        Part::Frame(bytes) => {
                            passed.taken += bytes;
                            *frame += bytes;
                        }
                    }
                    if *frame > FRAME_BYTES_MAX {
                        return Err(Bad("too much around chunks"));
                    }
                }
                if chunks.is_over() {
                    out.extend_from_slice(LAST);
                    *self = Self::Over;
                }
            }
        }
        Ok(passed)
    }

    /// The instance has closed the connection; whether the body is whole.
    pub(super) fn ends(&mut self, out: &mut Vec<u8>) -> bool {
        if let Self::Close = self {
            out.extend_from_slice(LAST);
            *self = Self::Over;
        }
        self.is_over()
    }
}

/// The chunk that ends a body.
const LAST: &[u8] = b"0\r\n\r\n";

fn chunk(data: &[u8], out: &mut Vec<u8>) {
    if !data.is_empty() {
        // Writing to memory does not fail.
        let _ = write!(out, "{:x}\r\n", data.len());
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
    }
}
