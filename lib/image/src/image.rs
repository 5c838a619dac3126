//! What the store hands out: an image ready to run, a line of a listing, a step of a pull, the
//! result of a collection.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use crate::lease::Lease;

/// An image that is complete on this machine: every layer unpacked and verified. No collection
/// takes any of it while this value or a clone lives.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// `sha256:…` of what the reference names: the manifest, or the index when the reference
    /// names an image for many platforms. Pin with `reference@digest`.
    pub digest: String,
    /// The reference in its full form, as [`Listed::reference`] shows it.
    pub reference: String,
    /// The OCI image configuration (image-spec `config.md`): `config.Entrypoint`, `config.Env`
    /// and so on. A `dir:` image gets a minimal one.
    pub config: Value,
    /// Lower directories for overlayfs, bottom first, top-most last; absolute. Whiteouts are
    /// already in overlayfs' form. Read-only for everybody. Empty for an image without layers.
    pub layers: Vec<PathBuf>,
    /// True when `layers` is one directory of the user's (`dir:`), used where it lies.
    pub in_place: bool,
    /// Bytes of the unpacked layers; of a `dir:` image the bytes of its files.
    pub bytes: u64,
    /// Keeps collections away.
    pub(crate) held: Held,
}

/// The leases of everything an image is made of. They say nothing of what it is.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    _lease: Option<Arc<Lease>>,
}

impl Held {
    /// None: there is nothing of it in the store.
    pub(crate) fn new(lease: Option<Lease>) -> Self {
        Self { _lease: lease.map(Arc::new) }
    }
}

impl PartialEq for Held {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A line of [`Store::list`](crate::Store::list).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The full reference: `docker.io/library/redis:7`, `oci:/srv/x:1`, or `web:1` when pushed.
    pub reference: String,
    /// `sha256:…`
    pub digest: String,
    /// Bytes of the unpacked layers; layers shared with other images count in each, and those of
    /// a `dir:` image not at all.
    pub bytes: u64,
    /// Made on this machine by a push; there is nowhere to fetch it from again.
    pub pushed: bool,
}

/// How far a pull is; told at most four times a second and once at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Digest of the blob that moved last.
    pub layer: String,
    /// Bytes fetched of the whole image, those already here included.
    pub done: u64,
    /// Bytes of the whole image as stored in the registry.
    pub total: u64,
}

/// A name that a collection took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// As [`Listed::reference`].
    pub reference: String,
    /// `sha256:…`
    pub digest: String,
    /// Bytes that were freed with it. What it shared with an image that stays is not among them,
    /// nor what it shared with one that stands before it.
    pub bytes: u64,
}

/// What a collection freed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// The names that went, sorted.
    pub images: Vec<Removed>,
    /// Bytes of blobs, of unpacked layers and of abandoned downloads; more than those of the
    /// names when something had none.
    pub bytes: u64,
    /// Blobs removed (manifests, configurations, compressed layers).
    pub blobs: u64,
    /// Unpacked layers removed.
    pub layers: u64,
}

/// What the store uses and what is left on its file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of blobs and unpacked layers.
    pub bytes: u64,
    /// Files and directories of unpacked layers.
    pub inodes: u64,
    /// Bytes free for us on the file system.
    pub free_bytes: u64,
    /// Inodes free for us; `u64::MAX` where the file system has no such limit.
    pub free_inodes: u64,
}
