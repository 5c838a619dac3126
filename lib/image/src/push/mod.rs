//! An image of one layer from a directory or a program.

mod directory;
mod elf;
mod layer;
mod libraries;
mod program;
mod tree;

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;
use std::sync::atomic::Ordering;

use serde_json::Value;

use crate::digest::{Digest, Hashed};
use crate::disk::{Disk, RESERVE_BYTES, RESERVE_INODES};
use crate::document::{self, Config, Descriptor, Manifest};
use crate::pull::{Pull, given_up};
use crate::{Error, Result, rootfs};

/// The layers are kept as they are: the bytes of a compressed one change with the compressor.
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;
/// What an entry takes besides its bytes: a header, and the rest of a file's last block.
const ENTRY_BYTES: u64 = 4096;

/// An image whose documents and layer are in the store, not yet unpacked.
pub(crate) struct Built {
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) config: Config,
}

/// What the kind of source decides.
struct Shape {
    entry: Vec<String>,
    env: Vec<String>,
}

/// What the archive of a layer will take, found out before anything is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    /// Of the files in it.
    bytes: u64,
    /// Files, directories and links.
    entries: u64,
}

impl Size {
    /// Fails when there is no room for the archive, what it unpacks to, and the reserve.
    fn check_room(self, disk: &Disk) -> Result<()> {
        let plain = self.bytes.saturating_add(self.entries.saturating_mul(ENTRY_BYTES));
        let bytes = plain.saturating_mul(2).saturating_add(RESERVE_BYTES);
        disk.check_room(bytes, self.entries.saturating_add(RESERVE_INODES))
    }
}

/// Makes the image of what is at `path`.
pub(crate) fn build(pull: &Pull, path: &Path) -> Result<Built> {
    let (disk, name) = (&pull.shared.disk, pull.what.as_str());
    let path = &fs::canonicalize(path).map_err(|e| source(path, &e.to_string()))?;
    let scratch = disk.scratch();
    let file = File::create(&scratch.0).map_err(|e| disk.fail("make", &scratch.0, e))?;
    let out = Out { pull, file };
    let mut out = Hashed::new(BufWriter::with_capacity(BUFFER_BYTES, out));
    let failed = |error: io::Error| {
        disk.full(&error)
            .unwrap_or_else(|| Error::Source { path: path.clone(), why: error.to_string() })
    };
    let shape = if path.is_dir() {
        directory::size(path, &pull.stop).map_err(failed)?.check_room(disk)?;
        directory::write(&mut out, path).map_err(failed)?;
        let config = rootfs::config(path);
        let entry = config.pointer("/config/Entrypoint").and_then(Value::as_array);
        let words = entry.into_iter().flatten().filter_map(Value::as_str);
        Shape { entry: words.map(str::to_owned).collect(), env: Vec::new() }
    } else {
        check_program(path)?;
        let base = name.split(':').next().unwrap_or(name);
        let base = base.rsplit('/').next().unwrap_or(base);
        let made = program::gather(base, path)?;
        made.tree.size().map_err(failed)?.check_room(disk)?;
        made.tree.write(&mut out).map_err(failed)?;
        Shape { entry: vec![format!("/{base}")], env: made.env }
    };
    out.flush().map_err(failed)?;
    let (digest, size) = out.finish();
    File::open(&scratch.0)
        .and_then(|file| file.sync_all())
        .map_err(|e| disk.fail("sync", &scratch.0, e))?;
    pull.lease.hold(&digest);
    pull.name_blob(&digest, &scratch.0)?;
    let layer = Descriptor { digest, size, media_type: LAYER_TYPE.into() };
    describe(pull, &shape, layer)
}

/// The archive on the disk, which leaves the reserve and can be given up.
struct Out<'a> {
    pull: &'a Pull,
    file: File,
}

impl Write for Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.pull.stop.load(Ordering::Relaxed) {
            return Err(given_up());
        }
        self.pull.budget.charge(&self.pull.shared.disk, bytes.len() as u64, 0)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Makes configuration and manifest.
fn describe(pull: &Pull, shape: &Shape, layer: Descriptor) -> Result<Built> {
    let diff_ids = [layer.digest.clone()];
    let config = rootfs::describe(shape.entry.clone(), &shape.env, &diff_ids);
    let config = config.to_string().into_bytes();
    pull.save(&Digest::of(&config), &config)?;
    let manifest = document::write_manifest(&config, &[layer]);
    let digest = Digest::of(&manifest);
    pull.save(&digest, &manifest)?;
    let config = document::config(&pull.what, &config, diff_ids.len())?;
    match document::document(&pull.what, &manifest)? {
        document::Document::Manifest(manifest) => Ok(Built { digest, manifest, config }),
        document::Document::Index(_) => Err(source(Path::new(&pull.what), "became an index")),
    }
}

/// Only a program the kernel starts by itself can be an image of its own.
fn check_program(path: &Path) -> Result<()> {
    let mut first = Vec::new();
    let file = File::open(path).map_err(|e| source(path, &e.to_string()))?;
    file.take(4).read_to_end(&mut first).map_err(|e| source(path, &e.to_string()))?;
    if first.starts_with(b"#!") {
        return Err(source(
            path,
            "is a script; push a directory with its interpreter and an executable /entrypoint, \
             or use an image that has the interpreter",
        ));
    }
    if first != *b"\x7fELF" {
        return Err(source(path, "is neither a directory nor an ELF program"));
    }
    Ok(())
}

fn source(path: &Path, why: &str) -> Error {
    Error::Source { path: path.to_owned(), why: why.to_owned() }
}
