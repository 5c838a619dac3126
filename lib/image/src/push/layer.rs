//! Writing a layer's archive: nothing in it but what its caller says, so that the same input
//! gives the same bytes.

use std::io::{self, Read, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};

/// What every entry has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970.
    pub(super) mtime_s: u64,
}

/// A layer being written.
pub(super) struct Layer<W: Write>(Builder<W>);

impl<W: Write> Layer<W> {
    pub(super) fn new(out: W) -> Self {
        Self(Builder::new(out))
    }

    /// A directory.
    pub(super) fn directory(&mut self, path: &Path, look: Look) -> io::Result<()> {
        let mut header = header(EntryType::Directory, look, 0);
        // The slash is how tar(1) writes one.
        self.0.append_data(&mut header, path.join(""), io::empty())
    }

    /// A regular file of exactly `size` bytes.
    pub(super) fn file(
        &mut self,
        path: &Path,
        look: Look,
        size: u64,
        data: impl Read,
    ) -> io::Result<()> {
        let mut header = header(EntryType::Regular, look, size);
        let mut data = data.take(size);
        self.0.append_data(&mut header, path, &mut data)?;
        match data.limit() {
            0 => Ok(()),
            _ => Err(io::Error::other(format!("{} changed while it was read", path.display()))),
        }
    }

    /// A symbolic link; its text is not looked at.
    pub(super) fn symlink(&mut self, path: &Path, target: &Path, look: Look) -> io::Result<()> {
        self.0.append_link(&mut header(EntryType::Symlink, look, 0), path, target)
    }

    /// Another name of a file written before.
    pub(super) fn hardlink(&mut self, path: &Path, target: &Path, look: Look) -> io::Result<()> {
        self.0.append_link(&mut header(EntryType::Link, look, 0), path, target)
    }

    /// A named pipe.
    pub(super) fn fifo(&mut self, path: &Path, look: Look) -> io::Result<()> {
        self.0.append_data(&mut header(EntryType::Fifo, look, 0), path, io::empty())
    }

    /// Extended attributes of the entry that is written next, sorted by the caller.
    pub(super) fn xattrs(&mut self, xattrs: &[(String, Vec<u8>)]) -> io::Result<()> {
        let keys: Vec<String> = xattrs.iter().map(|(k, _)| format!("SCHILY.xattr.{k}")).collect();
        let values = xattrs.iter().map(|(_, value)| value.as_slice());
        match keys.is_empty() {
            true => Ok(()),
            false => self.0.append_pax_extensions(keys.iter().map(String::as_str).zip(values)),
        }
    }

    /// Writes the end.
    pub(super) fn finish(self) -> io::Result<()> {
        self.0.into_inner().map(drop)
    }
}

fn header(kind: EntryType, look: Look, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(look.mode);
    header.set_uid(look.uid.into());
    header.set_gid(look.gid.into());
    header.set_mtime(look.mtime_s);
    header.set_size(size);
    header
}
