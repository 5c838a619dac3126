//! Unpacked layers on the disk: `layers/<chain id>/{fs,meta}`, there whole or not at all.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::disk::{Disk, io_error};
use crate::{Error, Result};

/// What is known of an unpacked layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    pub(crate) diff_id: String,
    /// Bytes of its files.
    pub(crate) bytes: u64,
    /// Its files, directories and links.
    pub(crate) inodes: u64,
    /// It hides all layers below; they are not mounted with it.
    pub(crate) opaque: bool,
}

/// The directory overlayfs takes.
pub(crate) fn fs_dir(disk: &Disk, chain_id: &Digest) -> PathBuf {
    disk.layer(chain_id).join("fs")
}

/// What is known of a layer; none when it is not there.
pub(crate) fn load(disk: &Disk, chain_id: &Digest) -> Result<Option<Meta>> {
    let path = disk.layer(chain_id).join("meta");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("read", &path, e)),
    };
    let meta = serde_json::from_slice(&bytes);
    meta.map(Some)
        .map_err(|e| Error::Document { what: path.display().to_string(), why: e.to_string() })
}

/// A complete image without its name.
pub(crate) struct Stack {
    /// As in [`crate::Image::layers`].
    pub(crate) layers: Vec<PathBuf>,
    pub(crate) bytes: u64,
}

/// The layers with these chain ids; none when one is missing.
pub(crate) fn stack(disk: &Disk, chain: &[Digest]) -> Result<Option<Stack>> {
    let mut stack = Stack { layers: Vec::new(), bytes: 0 };
    for chain_id in chain {
        let Some(meta) = load(disk, chain_id)? else { return Ok(None) };
        if meta.opaque {
            stack.layers.clear();
        }
        stack.layers.push(fs_dir(disk, chain_id));
        stack.bytes += meta.bytes;
    }
    Ok(Some(stack))
}
