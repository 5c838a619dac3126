//! Collection: mark from names, kept digests and leases, sweep the rest.
//!
//! Law: what is marked, leased, or newer than the beginning of the collection stays.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::digest::Digest;
use crate::disk::{Disk, io_error};
use crate::meta::{self, Meta};
use crate::store::Shared;
use crate::{Collected, Result, Usage};

/// A name that was pulled keeps its image for seven days after the last pull; it can be had
/// again. (Instances and versions keep theirs by digest.)
const PULLED_S_MAX: u64 = 7 * 24 * 3600;
/// A download nobody went on with for a day is given up.
const INGEST_S_MAX: u64 = 24 * 3600;

/// Removes what nothing needs `now`.
pub(crate) fn collect(shared: &Arc<Shared>, keep: &[String], now: SystemTime) -> Result<Collected> {
    let _collecting = shared.leases.collecting();
    let now_s = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let old = |tag: &crate::tags::Tag| !tag.pushed && tag.at_s.saturating_add(PULLED_S_MAX) < now_s;
    let stays = |name: &String, tag: &crate::tags::Tag| {
        keep.contains(&tag.digest) || !(old(tag) || name.contains('@'))
    };
    shared.change(|tags| tags.retain(|name, tag| stays(name, tag)))?;
    let mut marks = Marks::default();
    let names = shared.names();
    for text in names.values().map(|tag| &tag.digest).chain(keep) {
        if let Some(digest) = Digest::parse(text) {
            marks.image(shared, digest);
        }
    }
    let mut sweep = Sweep { shared, marks, began: now, collected: Collected::default() };
    sweep.layers()?;
    sweep.blobs()?;
    sweep.ingests()?;
    Ok(sweep.collected)
}

/// Bytes and inodes of the store.
pub(crate) fn usage(disk: &Disk) -> Result<Usage> {
    let mut usage = Usage::default();
    each(&disk.layers(), |digest, _| {
        if let Some(Meta { bytes, inodes, .. }) = meta::load(disk, &digest)? {
            usage.bytes += bytes;
            usage.inodes += inodes;
        }
        Ok(())
    })?;
    each(&disk.blobs(), |_, found| {
        usage.bytes += found.len();
        Ok(())
    })?;
    (usage.free_bytes, usage.free_inodes) = disk.free()?;
    Ok(usage)
}

#[derive(Default)]
struct Marks {
    blobs: HashSet<Digest>,
    layers: HashSet<Digest>,
}

impl Marks {
    /// Marks all an image is made of. One whose documents cannot be read is no image; what
    /// cannot be understood costs its own bytes and never the collection.
    fn image(&mut self, shared: &Shared, digest: Digest) {
        match shared.parts(&digest) {
            Ok(Some(parts)) => {
                self.blobs.extend(parts.documents);
                self.blobs.extend(parts.layers);
                self.layers.extend(parts.chain);
            }
            Ok(None) => {}
            Err(e) => tracing::warn!("collection: {digest}: {e}"),
        }
        self.blobs.insert(digest);
    }
}

struct Sweep<'a> {
    shared: &'a Shared,
    marks: Marks,
    began: SystemTime,
    collected: Collected,
}

impl Sweep<'_> {
    fn layers(&mut self) -> Result<()> {
        let disk = &self.shared.disk;
        let (marks, collected) = (&self.marks.layers, &mut self.collected);
        each(&disk.layers(), |digest, found| {
            if marks.contains(&digest) || newer(found, self.began) {
                return Ok(());
            }
            let path = disk.layer(&digest);
            let bytes = meta::load(disk, &digest)?.map_or(0, |meta| meta.bytes);
            // A layer goes with one rename, so a half removed one is never taken for whole.
            let scratch = disk.scratch();
            let moved = self.shared.leases.unless_held(&digest, || fs::rename(&path, &scratch.0));
            match moved {
                None => return Ok(()),
                Some(Err(e)) => return Err(io_error("remove", &path, e)),
                Some(Ok(())) => {}
            }
            collected.layers += 1;
            collected.bytes += bytes;
            Ok(())
        })
    }

    fn blobs(&mut self) -> Result<()> {
        let disk = &self.shared.disk;
        let (marks, collected) = (&self.marks.blobs, &mut self.collected);
        each(&disk.blobs(), |digest, found| {
            if marks.contains(&digest) || newer(found, self.began) {
                return Ok(());
            }
            let path = disk.blob(&digest);
            match self.shared.leases.unless_held(&digest, || fs::remove_file(&path)) {
                None => {}
                Some(Err(e)) => return Err(io_error("remove", &path, e)),
                Some(Ok(())) => {
                    collected.blobs += 1;
                    collected.bytes += found.len();
                }
            }
            Ok(())
        })
    }

    fn ingests(&mut self) -> Result<()> {
        let disk = &self.shared.disk;
        let old = self.began - Duration::from_secs(INGEST_S_MAX);
        let collected = &mut self.collected;
        each(&disk.ingests(), |digest, found| {
            if newer(found, old) {
                return Ok(());
            }
            let path = disk.ingest(&digest);
            match self.shared.leases.unless_held(&digest, || fs::remove_file(&path)) {
                None => {}
                Some(Err(e)) => return Err(io_error("remove", &path, e)),
                Some(Ok(())) => collected.bytes += found.len(),
            }
            Ok(())
        })
    }
}

/// True for what was made at `than` or later. Times of files are some milliseconds behind; what
/// a pull made meanwhile is leased as well.
fn newer(found: &fs::Metadata, than: SystemTime) -> bool {
    found.modified().map_or(true, |at| at >= than)
}

/// Does something with everything in a directory that is named by a digest.
fn each(dir: &Path, mut work: impl FnMut(Digest, &fs::Metadata) -> Result<()>) -> Result<()> {
    let failed = |e| io_error("read", dir, e);
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(digest) = Digest::parse(&format!("sha256:{}", name.to_string_lossy())) else {
            continue;
        };
        match entry.metadata() {
            Ok(found) => work(digest, &found)?,
            // Gone since: renamed into its place, or removed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(())
}
