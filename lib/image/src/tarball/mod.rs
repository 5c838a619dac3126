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
/// Bytes of all extended headers of one entry; extended attributes are the longest part of them
/// and Linux allows 64 KiB each.
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
    /// Headers there may still be: those that extend an entry are work as any.
    headers_left: u64,
    headers_max: u64,
}

impl<R: Read> Archive<R> {
    /// An archive of at most so many headers, of entries and of what extends them.
    pub(crate) fn new(inner: R, headers_max: u64) -> Self {
        Self { inner, offset: 0, left: 0, padding: 0, headers_left: headers_max, headers_max }
    }

    /// Where the current entry's data begins, when none of it was read yet.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next entry; data of the current one that was not read is passed over.
    pub(crate) fn entry(&mut self) -> Result<Option<Entry>, Broken> {
        let mut extended = Extended::default();
        // What extends one entry has one limit together, however many headers it is in.
        let mut room = PAX_BYTES_MAX;
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let name = header.path_bytes().into_owned();
            self.headers_left = self.headers_left.checked_sub(1).ok_or_else(|| {
                Broken::entry(&name, format!("more than {} entries", self.headers_max))
            })?;
            let size = pax::number(&header.as_old().size, header.entry_size())
                .ok_or_else(|| Broken::entry(&name, "bad size field"))?;
            match header.entry_type().as_byte() {
                b'x' => extended.read(&self.small(&name, size, &mut room)?, &name)?,
                // Comments of git and the like; an entry's own header decides.
                b'g' => drop(self.small(&name, size, &mut room)?),
                b'L' => extended.path = Some(self.long_name(&name, size)?),
                b'K' => extended.link = Some(self.long_name(&name, size)?),
                kind => {
                    let entry = extended.entry(&header, kind, size)?;
                    self.expect(&entry.path, entry.size)?;
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

    fn expect(&mut self, name: &[u8], size: u64) -> Result<(), Broken> {
        let whole = size.checked_next_multiple_of(BLOCK_BYTES as u64);
        let whole = whole.ok_or_else(|| Broken::entry(name, format!("size {size} is too much")))?;
        (self.left, self.padding) = (size, whole - size);
        Ok(())
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
        // No overflow: `expect` has made the sum once.
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

    /// The whole data of an extending entry, which is taken off the room there is for it.
    fn small(&mut self, name: &[u8], size: u64, room: &mut u64) -> Result<Vec<u8>, Broken> {
        *room = room.checked_sub(size).ok_or_else(|| {
            let why = format!("extended header of {size} bytes, at most {room} are allowed");
            Broken::entry(name, why)
        })?;
        self.expect(name, size)?;
        let mut data = Vec::new();
        self.read_to_end(&mut data)?;
        Ok(data)
    }

    fn long_name(&mut self, name: &[u8], size: u64) -> Result<Vec<u8>, Broken> {
        let mut data = self.small(name, size, &mut { PATH_BYTES_MAX })?;
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
        let mut archive = Archive::new(bytes, 100);
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

    /// A header and its data.
    fn raw(kind: u8, data: &[u8]) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_path("x").unwrap();
        header.set_size(data.len() as u64);
        header.set_cksum();
        let mut bytes = [header.as_bytes(), data].concat();
        bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
        bytes
    }

    #[test]
    fn what_extends_entries_is_limited_in_bytes_and_in_number() {
        let check = |parts: &[Vec<u8>], times: usize, want: Option<&str>| {
            let got = names(&[parts.concat().repeat(times), raw(b'0', b"1")].concat());
            match (got, want) {
                (Ok(_), None) => {}
                (Err(Broken::Entry { why, .. }), Some(want)) => {
                    assert!(why.contains(want), "{why}")
                }
                (got, want) => panic!("{got:?}, expected {want:?}"),
            }
        };
        let value = "v".repeat(400_000);
        let pax = format!("400023 SCHILY.xattr.a={value}\n");
        let pax = raw(b'x', pax.as_bytes());
        let global = raw(b'g', &[b' '; 400_000]);
        check(std::slice::from_ref(&pax), 2, None);
        check(std::slice::from_ref(&pax), 3, Some("extended header of 400023 bytes"));
        check(&[pax.clone(), global.clone()], 2, Some("extended header of 400023 bytes"));
        let path = raw(b'x', format!("5011 path={}\n", "p".repeat(5000)).as_bytes());
        check(&[path], 1, Some("a name of 5000 bytes"));
        // Each entry has the room anew.
        check(&[pax, raw(b'0', b"")], 5, None);
        for kind in [b'x', b'g', b'L', b'K'] {
            check(&[raw(kind, b"")], 99, None);
            check(&[raw(kind, b"")], 100, Some("more than 100 entries"));
        }
    }

    #[test]
    fn a_size_no_number_can_hold_is_refused() {
        let pax = raw(b'x', b"29 size=18446744073709551615\n");
        let got = names(&[pax, raw(b'0', b"1")].concat());
        assert!(matches!(got, Err(Broken::Entry { .. })), "{got:?}");
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
