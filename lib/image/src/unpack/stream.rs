//! A layer's blob as plain tar bytes: gzip (many members), zstd (many frames) or plain, told
//! apart by their first bytes because media types lie; hashed, limited, and stoppable.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use crate::digest::{Digest, Hashed};

/// First bytes of gzip (RFC 1952, 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b];
/// First bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// First bytes of a skippable zstd frame but for the low half of the first (RFC 8878, 3.1.2).
const ZSTD_SKIP: &[u8] = &[0x2a, 0x4d, 0x18];
/// Bytes read at a time.
const BUFFER_BYTES: usize = 256 << 10;
/// Uncompressed bytes a layer may have whatever it comes from.
const PLAIN_BYTES_MAX: u64 = 256 << 30;
/// Uncompressed bytes a layer may always have.
const PLAIN_BYTES_FREE: u64 = 1 << 30;
/// Beyond that it may be this many times its compressed size. Deflate ends at 1032; real layers
/// are below 50, so more is a bomb.
const RATIO_MAX: u64 = 200;

/// The compressions a blob may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Zstd,
    Plain,
}

/// What the first bytes of a blob say.
pub(crate) fn compressed(first: &[u8]) -> Compression {
    let skippable = first.len() >= 4 && first[0] & 0xf0 == 0x50 && first[1..4] == *ZSTD_SKIP;
    match first {
        _ if first.starts_with(GZIP) => Compression::Gzip,
        _ if first.starts_with(ZSTD) || skippable => Compression::Zstd,
        _ => Compression::Plain,
    }
}

/// The plain bytes of a blob.
pub(crate) struct Plain<'a> {
    inner: Hashed<Box<dyn Read>>,
    left: u64,
    stop: &'a AtomicBool,
}

impl<'a> Plain<'a> {
    /// Looks at the first bytes; `bytes` is the size of the blob.
    pub(super) fn open(blob: File, bytes: u64, stop: &'a AtomicBool) -> io::Result<Self> {
        let left = bytes.saturating_mul(RATIO_MAX).clamp(PLAIN_BYTES_FREE, PLAIN_BYTES_MAX);
        Ok(Self { inner: Hashed::new(decompress(blob)?), left, stop })
    }

    /// The digest of everything that was read.
    pub(super) fn finish(self) -> Digest {
        self.inner.finish().0
    }
}

/// The plain bytes of a compressed or plain file.
pub(crate) fn decompress(file: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut blob = BufReader::with_capacity(BUFFER_BYTES, file);
    Ok(match compressed(blob.fill_buf()?) {
        Compression::Gzip => {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(blob)))
        }
        Compression::Zstd => Box::new(BufReader::with_capacity(BUFFER_BYTES, Frames::new(blob))),
        Compression::Plain => Box::new(blob),
    })
}

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            // Not `Interrupted`: that kind means to try again.
            return Err(io::Error::other("the pull was given up"));
        }
        let n = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(n as u64).ok_or_else(|| {
            let why = format!("unpacks to more than {RATIO_MAX} times its size");
            io::Error::other(why)
        })?;
        Ok(n)
    }
}

/// Zstd frames one after the other.
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
    /// Within a frame.
    open: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), open: false }
    }

    /// Begins the next frame; false at the end of the blob.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut (&mut self.source).take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(e) => return Err(io::Error::other(format!("zstd: {e}"))),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use ruzstd::decoding::BlockDecodingStrategy::UptoBytes;
        loop {
            if !self.open && !self.begin()? {
                return Ok(0);
            }
            self.open = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let step = self.decoder.decode_blocks(&mut self.source, UptoBytes(BUFFER_BYTES));
                step.map_err(|e| io::Error::other(format!("zstd: {e}")))?;
            }
            let n = self.decoder.read(buffer)?;
            if n > 0 || buffer.is_empty() {
                return Ok(n);
            }
            self.open = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn read(blob: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        decompress(io::Cursor::new(blob.to_vec()))?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn every_compression_is_read_in_one_or_many_parts() {
        let (a, b) = (vec![1_u8; 700_000], vec![2_u8; 10]);
        let both = [a.clone(), b.clone()].concat();
        let skip = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
        assert_eq!(read(&both).unwrap(), both);
        assert_eq!(read(&[gzip(&a), gzip(&b)].concat()).unwrap(), both);
        assert_eq!(read(&[zstd(&a), skip.clone(), zstd(&b)].concat()).unwrap(), both);
        assert_eq!(read(&[skip, zstd(&b)].concat()).unwrap(), b);
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn cut_streams_are_errors() {
        let bytes = (0..90_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>();
        for blob in [gzip(&bytes), zstd(&bytes)] {
            assert!(read(&blob[..blob.len() / 2]).is_err());
        }
    }

    #[test]
    fn a_bomb_is_stopped_by_its_ratio() {
        let file = tempfile::tempfile().unwrap();
        let stop = AtomicBool::new(false);
        let mut plain = Plain::open(file, 0, &stop).unwrap();
        plain.inner = Hashed::new(Box::new(io::repeat(0).take(PLAIN_BYTES_FREE + 1)));
        plain.left = 1000;
        let error = io::copy(&mut plain, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("more than 200 times"), "{error}");
        stop.store(true, Ordering::Relaxed);
        let error = plain.read(&mut [0]).unwrap_err();
        assert!(error.to_string().contains("given up"), "{error}");
    }
}
