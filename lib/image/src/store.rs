//! The store: one directory with blobs by digest, unpacked layers by chain id, and the names.

use std::path::Path;

use crate::{Collected, Image, Listed, Progress, Result, Usage};

/// The images of this machine in one directory; clones share it.
///
/// ```text
/// DIR/lock                   flock held while open: one process a store
/// DIR/tags                   reference → digest (JSON, replaced durably)
/// DIR/blobs/sha256/<hex>     manifests, configurations, layers as fetched
/// DIR/ingest/<hex>           a blob on its way; a later pull goes on where it ends
/// DIR/layers/<chain id>/fs   an unpacked layer; `meta` beside it
/// ```
#[derive(Clone, Debug)]
pub struct Store {}

impl Store {
    /// Opens the store in `dir`, made when missing, and removes what a dead process left half
    /// unpacked. Fails when another process has it open.
    pub fn open(dir: &Path) -> Result<Store> {
        todo!("{dir:?}")
    }

    /// Makes the image of `reference` complete here and remembers the name.
    ///
    /// `reference` is `registry/repo:tag`, `repo@sha256:…`, `oci:DIR[:tag]`,
    /// `oci-archive:FILE[:tag]`, `docker-archive:FILE[:tag]`, `dir:ROOTFS`, or the `name:tag` of
    /// a push. One with a digest that is complete here needs no network; pulls of the same thing
    /// at the same time share the work; a pull that died is resumed.
    pub async fn pull(
        &self,
        reference: &str,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Image> {
        let _ = progress;
        todo!("{reference}")
    }

    /// Makes an image called `name_tag` from a directory (its content becomes the root file
    /// system) or from one ELF executable with the libraries it needs. Same input, same digest.
    pub async fn push(&self, name_tag: &str, path: &Path) -> Result<Image> {
        todo!("{name_tag} {path:?}")
    }

    /// The image with this digest (`sha256:…`) or reference, when it is complete here. Never asks
    /// the network; reads a few small files.
    pub fn get(&self, digest_or_reference: &str) -> Result<Option<Image>> {
        todo!("{digest_or_reference}")
    }

    /// Every name the store knows, sorted. Reads a few small files an image.
    pub fn list(&self) -> Result<Vec<Listed>> {
        todo!()
    }

    /// Forgets a reference, or every reference of a digest. The bytes go with the next
    /// [`Store::gc`].
    pub fn remove(&self, reference: &str) -> Result<()> {
        todo!("{reference}")
    }

    /// Removes what nothing needs. Needed are: pushed names, names pulled in the last seven days,
    /// the digests in `keep` (instances and the versions one may go back to), and whatever a
    /// running pull holds or made since the collection began.
    pub async fn gc(&self, keep: &[String]) -> Result<Collected> {
        todo!("{keep:?}")
    }

    /// Bytes and inodes used here and free on the file system.
    pub fn usage(&self) -> Result<Usage> {
        todo!()
    }
}
