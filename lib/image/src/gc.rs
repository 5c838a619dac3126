//! Collection: mark from names, kept digests and leases, sweep the rest.
//!
//! Law: what is marked, leased, or newer than the beginning of the collection stays.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::digest::Digest;
use crate::disk::{Disk, io_error};
use crate::meta::{self, Meta};
use crate::pull::Made;
use crate::reference::{Lying, Reference};
use crate::store::Shared;
use crate::tags::Tag;
use crate::{Collected, Removed, Result, Usage};

/// A name keeps its image for an hour after it was pulled or pushed, for whoever did it is about
/// to use it.
const FRESH_S: u64 = 3600;
/// A download nobody went on with for a day is given up.
const INGEST_S_MAX: u64 = 24 * 3600;

/// Removes what nothing needs `now`; `keep` gives digests and references that are needed.
pub(crate) fn collect(
    shared: &Arc<Shared>,
    keep: impl FnOnce() -> Vec<String>,
    now: SystemTime,
) -> Result<Collected> {
    let _collecting = shared.leases.collecting();
    let keep = Keep::read(&keep())?;
    let now_s = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let stays =
        |name: &str, tag: &Tag| keep.has(name, tag) || tag.at_s.saturating_add(FRESH_S) > now_s;
    let gone: Vec<_> = shared.change(|tags| {
        let (stay, go) = std::mem::take(tags).into_iter().partition(|(name, tag)| stays(name, tag));
        *tags = stay;
        let go: BTreeMap<String, Tag> = go;
        go.into_iter().collect()
    })?;
    let gone: Vec<Gone> =
        gone.into_iter().map(|(name, tag)| Gone::new(shared, name, tag)).collect();
    let marks = Marks::named(shared, &keep.digests);
    let mut sweep = Sweep { shared, marks, began: now, swept: Swept::default() };
    sweep.layers()?;
    sweep.blobs()?;
    sweep.ingests()?;
    Ok(sweep.swept.by_name(gone))
}

/// What is needed besides what is leased or fresh.
#[derive(Default)]
struct Keep {
    digests: HashSet<String>,
    names: HashSet<String>,
}

impl Keep {
    /// Law: a digest that cannot be read refuses the collection. A name that cannot be read is
    /// passed over: whoever wrote it down, nothing here can have it.
    fn read(keep: &[String]) -> Result<Self> {
        let mut read = Self::default();
        for text in keep {
            if Digest::parse(text).is_some() {
                read.digests.insert(text.clone());
                continue;
            }
            let parsed = match Reference::parse(text) {
                Ok(parsed) => parsed,
                Err(bad) if text.is_empty() || text.starts_with("sha256:") => return Err(bad),
                Err(bad) => {
                    tracing::warn!("collection: {bad}");
                    continue;
                }
            };
            let (digest, names) = match &parsed {
                Reference::Registry(remote) => {
                    // It stands for what was pushed under it, and else for the registry's.
                    (&remote.digest, remote.short.iter().cloned().chain(remote.tagged()).collect())
                }
                Reference::File(Lying { digest, .. }) | Reference::Dir(_, digest) => {
                    (digest, vec![parsed.to_string()])
                }
            };
            match digest {
                Some(digest) => drop(read.digests.insert(digest.to_string())),
                None => read.names.extend(names),
            }
        }
        Ok(read)
    }

    fn has(&self, name: &str, tag: &Tag) -> bool {
        self.names.contains(name) || self.digests.contains(&tag.digest)
    }
}

/// A name that was taken away, and what its image was made of.
struct Gone {
    name: String,
    digest: String,
    parts: Vec<Digest>,
}

impl Gone {
    fn new(shared: &Shared, name: String, tag: Tag) -> Self {
        let digest = Digest::parse(&tag.digest);
        // One whose documents cannot be read costs its own bytes and never the collection.
        let parts = digest.and_then(|digest| shared.parts(&digest).ok().flatten());
        let parts = parts.map(|it| [it.documents, it.layers, it.chain].concat());
        Self { name, digest: tag.digest, parts: parts.unwrap_or_default() }
    }
}

/// What was removed, with the bytes of each blob and layer.
#[derive(Default)]
struct Swept {
    collected: Collected,
    bytes: HashMap<Digest, u64>,
}

impl Swept {
    fn take(&mut self, digest: &Digest, bytes: u64) {
        self.collected.bytes += bytes;
        *self.bytes.entry(digest.clone()).or_default() += bytes;
    }

    /// Each part counts for the first of the names it belonged to.
    fn by_name(mut self, gone: Vec<Gone>) -> Collected {
        for Gone { name, digest, parts } in gone {
            let bytes = parts.iter().filter_map(|part| self.bytes.remove(part)).sum();
            self.collected.images.push(Removed { reference: name, digest, bytes });
        }
        self.collected
    }
}

/// Removes these layers and blobs, unless another pull holds one or has made an image of it
/// meanwhile.
pub(crate) fn take_back(shared: &Arc<Shared>, made: &Made) -> Result<()> {
    let _collecting = shared.leases.collecting();
    let marks = Marks::named(shared, &HashSet::new());
    let mut swept = Swept::default();
    // The upper ones first: none is ever without those below it.
    for chain_id in made.layers.iter().rev().filter(|it| !marks.layers.contains(it)) {
        layer(shared, chain_id, &mut swept)?;
    }
    for digest in made.blobs.iter().filter(|it| !marks.blobs.contains(it)) {
        let path = shared.disk.blob(digest);
        let bytes = fs::metadata(&path).map_or(0, |found| found.len());
        blob(shared, digest, &path, bytes, &mut swept)?;
    }
    let Collected { bytes, blobs, layers, .. } = swept.collected;
    tracing::info!("given up: {blobs} blobs and {layers} layers removed again, {bytes} bytes");
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
    fn named(shared: &Shared, keep: &HashSet<String>) -> Self {
        let mut marks = Self::default();
        let names = shared.names();
        let named = names.values().map(|tag| &tag.digest).chain(keep);
        // Many names may stand for one image.
        for text in named.collect::<HashSet<_>>() {
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
fn layer(shared: &Shared, chain_id: &Digest, swept: &mut Swept) -> Result<()> {
    let disk = &shared.disk;
    let path = disk.layer(chain_id);
    let bytes = meta::load(disk, chain_id)?.map_or(0, |meta| meta.bytes);
    // A layer goes with one rename, so a half removed one is never taken for whole.
    let scratch = disk.scratch();
    match shared.leases.unless_held(chain_id, || fs::rename(&path, &scratch.0)) {
        None => {}
        Some(Err(e)) if e.kind() == io::ErrorKind::NotFound => {}
        Some(Err(e)) => return Err(io_error("remove", &path, e)),
        Some(Ok(())) => {
            swept.collected.layers += 1;
            swept.take(chain_id, bytes);
        }
    }
    Ok(())
}

/// Removes a blob unless it is held.
fn blob(
    shared: &Shared,
    digest: &Digest,
    path: &Path,
    bytes: u64,
    swept: &mut Swept,
) -> Result<()> {
    match shared.leases.unless_held(digest, || fs::remove_file(path)) {
        None => {}
        Some(Err(e)) if e.kind() == io::ErrorKind::NotFound => {}
        Some(Err(e)) => return Err(io_error("remove", path, e)),
        Some(Ok(())) => {
            swept.collected.blobs += 1;
            swept.take(digest, bytes);
        }
    }
    Ok(())
}

struct Sweep<'a> {
    shared: &'a Shared,
    marks: Marks,
    began: SystemTime,
    swept: Swept,
}

impl Sweep<'_> {
    fn layers(&mut self) -> Result<()> {
        let disk = &self.shared.disk;
        let (marks, swept) = (&self.marks.layers, &mut self.swept);
        each(&disk.layers(), |digest, found| {
            if marks.contains(&digest) || newer(found, self.began) {
                return Ok(());
            }
            layer(self.shared, &digest, swept)
        })
    }

    fn blobs(&mut self) -> Result<()> {
        let disk = &self.shared.disk;
        let (marks, swept) = (&self.marks.blobs, &mut self.swept);
        each(&disk.blobs(), |digest, found| {
            if marks.contains(&digest) || newer(found, self.began) {
                return Ok(());
            }
            blob(self.shared, &digest, &disk.blob(&digest), found.len(), swept)
        })
    }

    fn ingests(&mut self) -> Result<()> {
        let disk = &self.shared.disk;
        let old = self.began - Duration::from_secs(INGEST_S_MAX);
        let collected = &mut self.swept.collected;
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
    async fn a_name_keeps_its_image_for_an_hour_and_then_what_is_needed_keeps_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let mut digests = Vec::new();
        for (name, size) in [("pushed:1", 1000), ("named:1", 2000), ("run:1", 3000)] {
            fs::write(root.join("file"), "x".repeat(size)).unwrap();
            digests.push(store.push(name, &root).await.unwrap().digest);
        }
        let shared = store.shared();
        let digest = Digest::parse(&digests[2]).unwrap();
        let pulled = format!("quay.io/a@{digest}");
        shared.change(|tags| tags.insert(pulled.clone(), Tag::new(&digest, false))).unwrap();
        let after = |seconds: u64, keep: &[&str]| {
            let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
            let now = SystemTime::now() + Duration::from_secs(seconds);
            let got = collect(shared, || keep, now).unwrap();
            let sum: u64 = got.images.iter().map(|it| it.bytes).sum();
            assert_eq!(sum, got.bytes, "{got:?}");
            let names = got.images.into_iter().map(|it| (it.reference, it.bytes > 1000));
            names.collect::<Vec<_>>()
        };
        let run = digests[2].as_str();
        let gone = |name: &str, alone: bool| (name.to_owned(), alone);
        assert_eq!(after(3500, &[]), []);
        assert_eq!(after(3700, &["named:1", run]), [gone("pushed:1", true)]);
        let full = "docker.io/library/named:1";
        assert_eq!(after(3700, &[full, run]), [gone("named:1", true)]);
        // What two names share counts once.
        assert_eq!(after(3700, &[]), [gone(&pulled, true), gone("run:1", false)]);
        assert!(store.list().unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_handed_out_again_is_new_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let shared = store.shared();
        for name in ["name:1", "digest:1", "idle:1"] {
            fs::write(root.join("file"), name).unwrap();
            store.push(name, &root).await.unwrap();
        }
        let old = |tags: &mut BTreeMap<String, Tag>| {
            tags.values_mut().for_each(|tag| tag.at_s -= FRESH_S + 60);
            tags["digest:1"].digest.clone()
        };
        let digest = shared.change(old).unwrap();
        // Whoever looks has not been given anything.
        store.get("idle:1").unwrap().unwrap();
        drop(store.pull("name:1", |_| ()).await.unwrap());
        drop(store.pull(&format!("digest@{digest}"), |_| ()).await.unwrap());
        let got = collect(shared, Vec::new, SystemTime::now()).unwrap();
        let gone: Vec<_> = got.images.iter().map(|it| it.reference.as_str()).collect();
        assert_eq!(gone, ["idle:1"]);
        let left: Vec<_> = store.list().unwrap().into_iter().map(|it| it.reference).collect();
        assert_eq!(left, ["digest:1", "name:1"]);
    }

    #[tokio::test]
    async fn a_name_nothing_can_have_stops_no_collection_and_a_broken_digest_does() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let long = format!("oci:/{}", "a".repeat(5000));
        for name in [long.as_str(), "A:1", "oci:", "a b"] {
            let got = store.gc(&[name.to_owned()]).await.unwrap();
            assert_eq!(got, Collected::default(), "{name}");
        }
        for digest in ["", "sha256:", "sha256:12", &format!("sha256:{}", "g".repeat(64))] {
            let refused = store.gc(&[digest.to_owned()]).await.unwrap_err().to_string();
            assert!(refused.starts_with("bad image reference '"), "{digest}: {refused}");
        }
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
            let got = collect(shared, Vec::new, SystemTime::now() + after).unwrap();
            assert_eq!(got, Collected { bytes, blobs, ..Collected::default() });
        };
        let began = SystemTime::now() - DAY;
        assert_eq!(collect(shared, Vec::new, began).unwrap(), Collected::default());
        // The free blob now, the free download after a day, the held ones when they are free.
        check(Duration::from_secs(60), 1, 4);
        check(DAY * 2, 0, 4);
        drop(lease);
        check(DAY * 2, 1, 8);
    }
}
