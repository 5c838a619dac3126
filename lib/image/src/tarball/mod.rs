//! Tar archives read as a stream: headers by the `tar` crate, everything that decides by us.
//!
//! The crate's own iterator reads extended headers of any length into memory and passes over
//! what it does not like; here each header has a limit and what is not understood is an error
//! that names the entry (POSIX pax format, GNU long names; no sparse files).

mod pax;

use std::io::{self, Read};

use tar::Header;

pub(crate) use pax::Extended;

/// Bytes of a tar block.
pub(crate) const BLOCK_BYTES: usize = 512;
/// Bytes of a path or link target, Linux' PATH_MAX.
const PATH_BYTES_MAX: u64 = 4096;
/// Bytes of the extended header of one entry; extended attributes are the longest part of it and
/// Linux allows 64 KiB each.
const PAX_BYTES_MAX: u64 = 1 << 20;
/// Bytes of an entry's name in a message.
const SHOWN_BYTES_MAX: usize = 200;

/// What an entry makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
    Fifo,
    /// A character or block device.
    Device,
}

/// One entry without its data.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970, never before.
    pub(crate) mtime: (i64, u32),
    /// Target of a symbolic or hard link.
    pub(crate) link: Vec<u8>,
    /// Bytes of data.
    pub(crate) size: u64,
    /// Extended attributes: name and value.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why an archive cannot be read on.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Reading failed below, or the archive ends early.
    Io(io::Error),
    /// An entry is malformed or not allowed.
    Entry {
        /// Its name, fit to be shown.
        name: String,
        /// What is wrong.
        why: String,
    },
}

impl Broken {
    /// An entry that is not allowed.
    pub(crate) fn entry(name: &[u8], why: impl Into<String>) -> Self {
        Self::Entry { name: shown(name), why: why.into() }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A name of an archive as it may stand in a message: escaped and cut.
pub(crate) fn shown(name: &[u8]) -> String {
    let cut = &name[..name.len().min(SHOWN_BYTES_MAX)];
    let dots = if cut.len() < name.len() { "…" } else { "" };
    format!("{}{dots}", String::from_utf8_lossy(cut).escape_debug())
}

/// A tar archive. After [`Archive::entry`], reading gives that entry's data.
pub(crate) struct Archive<R> {
    inner: R,
    /// Bytes read from `inner`.
    offset: u64,
    /// Bytes of data of the current entry not read yet.
    left: u64,
    /// Bytes up to the next block after them.
    padding: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, offset: 0, left: 0, padding: 0 }
    }

    /// Where the current entry's data begins, when none of it was read yet.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next entry; data of the current one that was not read is passed over.
    pub(crate) fn entry(&mut self) -> Result<Option<Entry>, Broken> {
        let mut extended = Extended::default();
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let name = header.path_bytes().into_owned();
            let size = pax::number(&header.as_old().size, header.entry_size())
                .ok_or_else(|| Broken::entry(&name, "bad size field"))?;
            match header.entry_type().as_byte() {
                b'x' => extended.read(&self.small(&name, size, PAX_BYTES_MAX)?, &name)?,
                // Comments of git and the like; an entry's own header decides.
                b'g' => drop(self.small(&name, size, PAX_BYTES_MAX)?),
                b'L' => extended.path = Some(self.long_name(&name, size)?),
                b'K' => extended.link = Some(self.long_name(&name, size)?),
                kind => {
                    let entry = extended.entry(&header, kind, size)?;
                    self.expect(entry.size);
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Reads to the end of everything: what follows the archive is part of its digest.
    pub(crate) fn drain(mut self) -> Result<R, Broken> {
        io::copy(&mut self.inner, &mut io::sink())?;
        Ok(self.inner)
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        let over = size % BLOCK_BYTES as u64;
        self.padding = if over == 0 { 0 } else { BLOCK_BYTES as u64 - over };
    }

    /// The next header block; none at the end mark or the end of the stream.
    fn header(&mut self) -> Result<Option<Header>, Broken> {
        self.skip()?;
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut have = 0;
        while have < BLOCK_BYTES {
            let n = self.inner.read(&mut block[have..])?;
            self.offset += n as u64;
            match n {
                // Some writers leave the end mark out.
                0 if have == 0 => return Ok(None),
                0 => return Err(ends_early().into()),
                n => have += n,
            }
        }
        if block.iter().all(|b| *b == 0) {
            return Ok(None);
        }
        let sum: u32 = header.as_bytes().iter().map(|b| u32::from(*b)).sum();
        // The sum is made with blanks in place of its own eight bytes (POSIX ustar).
        let own: u32 = header.as_old().cksum.iter().map(|b| u32::from(*b)).sum();
        if header.cksum().ok() != Some(sum - own + 8 * u32::from(b' ')) {
            return Err(Broken::entry(&header.path_bytes(), "header checksum is wrong"));
        }
        Ok(Some(header))
    }

    fn skip(&mut self) -> Result<(), Broken> {
        let skip = self.left + self.padding;
        let skipped = io::copy(&mut (&mut self.inner).take(skip), &mut io::sink())?;
        self.offset += skipped;
        // Writers that leave the end mark out may also leave out the last padding.
        if skipped < self.left {
            return Err(ends_early().into());
        }
        (self.left, self.padding) = (0, 0);
        Ok(())
    }

    /// The whole data of an extending entry.
    fn small(&mut self, name: &[u8], size: u64, max: u64) -> Result<Vec<u8>, Broken> {
        if size > max {
            let why = format!("extended header of {size} bytes, at most {max} are allowed");
            return Err(Broken::entry(name, why));
        }
        self.expect(size);
        let mut data = Vec::new();
        self.read_to_end(&mut data)?;
        Ok(data)
    }

    fn long_name(&mut self, name: &[u8], size: u64) -> Result<Vec<u8>, Broken> {
        let mut data = self.small(name, size, PATH_BYTES_MAX)?;
        if let Some(end) = data.iter().position(|b| *b == 0) {
            data.truncate(end);
        }
        Ok(data)
    }
}

impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..want])?;
        if n == 0 {
            return Err(ends_early());
        }
        self.left -= n as u64;
        self.offset += n as u64;
        Ok(n)
    }
}

fn ends_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside of an entry")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> Result<Vec<String>, Broken> {
        let mut archive = Archive::new(bytes);
        let mut names = Vec::new();
        while let Some(entry) = archive.entry()? {
            names.push(format!("{} {}", shown(&entry.path), entry.size));
        }
        Ok(names)
    }

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, data) in files {
            let mut header = Header::new_gnu();
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn names_of_any_length_and_data_passed_over_are_read() {
        let long = format!("{}/x", "d".repeat(200));
        let bytes = tar(&[("a", b"12345"), (&long, b""), ("b", &[7; 512])]);
        let cut = format!("{} 0", &long[..200]).replace(" 0", "… 0");
        assert_eq!(names(&bytes).unwrap(), ["a 5".to_owned(), cut, "b 512".to_owned()]);
        // Without the end mark it is the same archive.
        assert_eq!(names(&bytes[..bytes.len() - 1024]).unwrap().len(), 3);
    }

    #[test]
    fn a_cut_or_changed_archive_is_refused() {
        let bytes = tar(&[("a", &[1; 600])]);
        assert!(matches!(names(&bytes[..700]), Err(Broken::Io(_))));
        assert!(matches!(names(&bytes[..100]), Err(Broken::Io(_))));
        let mut changed = bytes.clone();
        changed[0] = b'b';
        assert!(matches!(names(&changed), Err(Broken::Entry { .. })));
    }
}
