//! A layer's archive becomes a directory for overlayfs (image-spec `layer.md`).
//!
//! Law: nothing outside of the layer's directory is read, changed or made, whatever the archive
//! says. Every step into a directory is one component, opened without following links and
//! without leaving the file system; links are resolved by us inside of the layer.
//!
//! The rest of the rules: `..` in a name is refused; whiteouts become overlayfs' own; of the
//! extended attributes only `user.*` and `security.capability` are kept; devices are left out.

mod fixup;
mod inside;
mod lower;
mod make;
mod path;
mod stream;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::budget::Budget;
use crate::digest::Digest;
use crate::disk::Disk;
use crate::tarball::{Archive, Broken, Kind};
use crate::{Error, Result};

pub(crate) use fixup::Over;
pub(crate) use make::allowed_xattr;
pub(crate) use stream::{Compression, compressed, decompress};

/// Headers of a layer's archive.
const ENTRIES_MAX: u64 = 2_000_000;

/// What is left to be done when the layers below are there, and what was used.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// Bytes of the files.
    pub(crate) bytes: u64,
    /// Files, directories and links.
    pub(crate) inodes: u64,
    /// The layer hides everything below it.
    pub(crate) opaque: bool,
    /// Directories the archive did not name: they look like those below (depth first).
    implicit: Vec<PathBuf>,
    /// Hard links to files that must be in a layer below.
    links: Vec<Link>,
}

/// A hard link that waits for the layers below.
#[derive(Debug)]
struct Link {
    path: PathBuf,
    target: PathBuf,
}

/// One layer to be unpacked.
pub(crate) struct Job<'a> {
    pub(crate) disk: &'a Disk,
    /// What its pull may take.
    pub(crate) budget: &'a Budget,
    /// The digest the layer has in its manifest, for messages.
    pub(crate) layer: &'a Digest,
    /// What its uncompressed bytes must be.
    pub(crate) diff_id: &'a Digest,
    /// An empty directory.
    pub(crate) root: &'a Path,
    /// Set when nobody wants the layer any more.
    pub(crate) stop: &'a AtomicBool,
}

impl Job<'_> {
    /// Unpacks the blob; the directory is to be thrown away after an error.
    pub(crate) fn run(&self, blob: File) -> Result<Unpacked> {
        let bytes = blob.metadata().map_err(|e| self.broken(e.into()))?.len();
        let plain =
            stream::Plain::open(blob, bytes, self.stop).map_err(|e| self.broken(e.into()))?;
        let mut archive = Archive::new(plain, ENTRIES_MAX);
        let root = inside::Inside::open(self.root).map_err(|e| self.broken(e.into()))?;
        let mut make = make::Make::new(root, self.disk, self.budget);
        while let Some(entry) = archive.entry().map_err(|e| self.broken(e))? {
            if entry.kind == Kind::Device {
                tracing::debug!("layer {}: device left out", self.layer);
                continue;
            }
            make.entry(&entry, &mut archive).map_err(|e| self.broken(e))?;
        }
        let plain = archive.drain().map_err(|e| self.broken(e))?;
        let actual = plain.finish();
        if actual != *self.diff_id {
            let what = format!("layer {} uncompressed", self.layer);
            let (expected, actual) = (self.diff_id.to_string(), actual.to_string());
            return Err(Error::Digest { what, expected, actual });
        }
        make.finish().map_err(|e| self.broken(e.into()))
    }

    /// The error of this layer; a full disk is told apart.
    fn broken(&self, broken: Broken) -> Error {
        let layer = self.layer.to_string();
        match broken {
            Broken::Entry { name, why } => Error::Entry { layer, entry: name, why },
            Broken::Io(e) => match self.disk.full(&e) {
                Some(full) => full,
                None if is_ours(&e) => {
                    Error::Io { what: format!("unpack layer {layer}"), source: e }
                }
                None => Error::Layer { layer, why: e.to_string() },
            },
        }
    }
}

/// True for what the operating system answered; the rest is what the bytes made of themselves.
fn is_ours(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
}
