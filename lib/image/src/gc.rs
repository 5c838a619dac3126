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
        keep.contains(&tag.digest) || !(old(tag) || name.contains("@sha256:"))
    };
    shared.change(|tags| tags.retain(|name, tag| stays(name, tag)))?;
    let marks = Marks::named(shared, keep);
    let mut sweep = Sweep { shared, marks, began: now, collected: Collected::default() };
    sweep.layers()?;
    sweep.blobs()?;
    sweep.ingests()?;
    Ok(sweep.collected)
}

/// Removes these layers, unless another pull holds one or has made an image of it meanwhile.
pub(crate) fn take_back(shared: &Arc<Shared>, chain_ids: &[Digest]) -> Result<()> {
    let _collecting = shared.leases.collecting();
    let marks = Marks::named(shared, &[]);
    let mut collected = Collected::default();
    // The upper ones first: none is ever without those below it.
    for chain_id in chain_ids.iter().rev().filter(|it| !marks.layers.contains(it)) {
        layer(shared, chain_id, &mut collected)?;
    }
    tracing::info!("no room: {} layers removed again", collected.layers);
    Ok(())
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
    /// Marks what every name and these digests stand for.
    fn named(shared: &Shared, keep: &[String]) -> Self {
        let mut marks = Self::default();
        let names = shared.names();
        for text in names.values().map(|tag| &tag.digest).chain(keep) {
            if let Some(digest) = Digest::parse(text) {
                marks.image(shared, digest);
            }
        }
        marks
    }

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

/// Removes a layer unless it is held.
fn layer(shared: &Shared, chain_id: &Digest, collected: &mut Collected) -> Result<()> {
    let disk = &shared.disk;
    let path = disk.layer(chain_id);
    let bytes = meta::load(disk, chain_id)?.map_or(0, |meta| meta.bytes);
    // A layer goes with one rename, so a half removed one is never taken for whole.
    let scratch = disk.scratch();
    match shared.leases.unless_held(chain_id, || fs::rename(&path, &scratch.0)) {
        None => return Ok(()),
        Some(Err(e)) => return Err(io_error("remove", &path, e)),
        Some(Ok(())) => {}
    }
    collected.layers += 1;
    collected.bytes += bytes;
    Ok(())
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
            layer(self.shared, &digest, collected)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::tags::Tag;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[tokio::test]
    async fn a_pulled_name_keeps_its_image_for_a_week_and_a_pushed_one_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let mut digests = Vec::new();
        for name in ["pushed", "pulled", "pinned"] {
            fs::write(root.join("file"), name).unwrap();
            digests.push(store.push(name, &root).await.unwrap().digest);
        }
        let shared = store.shared();
        shared
            .change(|tags| {
                let pulled = |n: usize| Tag::new(&Digest::parse(&digests[n]).unwrap(), false);
                tags.retain(|name, _| name == "pushed:latest");
                tags.insert("quay.io/a:1".into(), pulled(1));
                tags.insert(format!("quay.io/a@{}", digests[2]), pulled(2));
            })
            .unwrap();
        let after = |days: u32, keep: &[String]| {
            collect(shared, keep, SystemTime::now() + DAY * days).unwrap();
            digests.iter().map(|d| store.get(d).unwrap().is_some()).collect::<Vec<_>>()
        };
        assert_eq!(after(1, &digests[2..]), [true, true, true]);
        assert_eq!(after(1, &[]), [true, true, false]);
        assert_eq!(after(8, &digests[1..2]), [true, true, false]);
        assert_eq!(after(8, &[]), [true, false, false]);
        assert_eq!(store.list().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_a_pull_holds_and_what_is_new_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let shared = store.shared();
        let held = Digest::of(b"held");
        let lease = crate::lease::Lease::new(&shared.leases);
        lease.hold(&held);
        for text in ["held", "free"] {
            fs::write(shared.disk.blob(&Digest::of(text.as_bytes())), text).unwrap();
            fs::write(shared.disk.ingest(&Digest::of(text.as_bytes())), text).unwrap();
        }
        let check = |after: Duration, blobs: u64, bytes: u64| {
            let got = collect(shared, &[], SystemTime::now() + after).unwrap();
            assert_eq!(got, Collected { bytes, blobs, layers: 0 });
        };
        let began = SystemTime::now() - DAY;
        assert_eq!(collect(shared, &[], began).unwrap(), Collected::default());
        // The free blob now, the free download after a day, the held ones when they are free.
        check(Duration::from_secs(60), 1, 4);
        check(DAY * 2, 0, 4);
        drop(lease);
        check(DAY * 2, 1, 8);
    }
}
