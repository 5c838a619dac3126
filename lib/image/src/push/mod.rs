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

use serde_json::Value;

use crate::digest::{Digest, Hashed};
use crate::disk::rename_durably;
use crate::document::{self, Config, Descriptor, Manifest};
use crate::pull::Pull;
use crate::{Error, Result, rootfs};

/// The layers are kept as they are: the bytes of a compressed one change with the compressor.
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

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

/// Makes the image `name` of what is at `path`.
pub(crate) fn build(pull: &Pull, name: &str, path: &Path) -> Result<Built> {
    let disk = &pull.shared.disk;
    let path = &fs::canonicalize(path).map_err(|e| source(path, &e.to_string()))?;
    let scratch = disk.scratch();
    let file = File::create(&scratch.0).map_err(|e| disk.fail("make", &scratch.0, e))?;
    let mut out = Hashed::new(BufWriter::with_capacity(BUFFER_BYTES, file));
    let failed = |error: io::Error| {
        disk.full(&error)
            .unwrap_or_else(|| Error::Source { path: path.clone(), why: error.to_string() })
    };
    let shape = if path.is_dir() {
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
        made.tree.write(&mut out).map_err(failed)?;
        Shape { entry: vec![format!("/{base}")], env: made.env }
    };
    out.flush().map_err(failed)?;
    let (digest, size) = out.finish();
    File::open(&scratch.0)
        .and_then(|file| file.sync_all())
        .map_err(|e| disk.fail("sync", &scratch.0, e))?;
    pull.lease.hold(&digest);
    let blob = disk.blob(&digest);
    rename_durably(&scratch.0, &blob).map_err(|e| disk.fail("write", &blob, e))?;
    let layer = Descriptor { digest, size, media_type: LAYER_TYPE.into() };
    describe(pull, &shape, layer)
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
