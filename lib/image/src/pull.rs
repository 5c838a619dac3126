//! From a manifest to unpacked layers: all layers at once, each fetched, verified, unpacked into
//! a scratch directory, finished over the one below it, and only then given its name.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::syncfs;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinSet, spawn_blocking};

use crate::budget::Budget;
use crate::digest::{Digest, Hashed, chain};
use crate::disk::{RESERVE_BYTES, RESERVE_INODES, Scratch, io_error, rename_durably};
use crate::document::{self, Config, Descriptor, Document, Manifest};
use crate::gc;
use crate::lease::Lease;
use crate::local::Local;
use crate::meta::{self, Meta};
use crate::meter::Meter;
use crate::push;
use crate::registry::Registry;
use crate::store::Shared;
use crate::unpack::{Job, Over, Unpacked};
use crate::{Error, Result};

/// Blobs fetched at the same time by one pull.
const FETCHES_MAX: usize = 16;
/// Unpacked bytes expected of a byte of compressed layer; usual ones have 2 to 3.
const EXPANSION: u64 = 3;
/// Unpacked bytes of an inode; distributions have about 10 KiB a file, their share of links and
/// directories included.
const INODE_BYTES: u64 = 8 << 10;

/// Where the bytes come from.
pub(crate) enum Source {
    Registry(Box<Registry>),
    Local(Arc<Local>),
    /// The store has them already.
    Here,
}

/// A pull under way.
pub(crate) struct Pull {
    pub(crate) shared: Arc<Shared>,
    pub(crate) source: Source,
    /// The full reference, for messages.
    pub(crate) what: String,
    pub(crate) lease: Lease,
    /// Set when nobody waits for it any more.
    pub(crate) stop: Arc<AtomicBool>,
    /// The room it takes.
    pub(crate) budget: Budget,
    made: Mutex<Made>,
}

/// What a pull has brought that was not there before.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Chain ids, lower ones first.
    pub(crate) layers: Vec<Digest>,
    pub(crate) blobs: Vec<Digest>,
}

/// A manifest with all that is needed to fetch its layers.
pub(crate) struct Plan {
    manifest: Manifest,
    config: Config,
    chain: Vec<Digest>,
    meter: Meter,
    fetches: Semaphore,
}

/// Tells the threads that build and unpack that nobody waits for them.
pub(crate) struct Stop(pub(crate) Arc<Pull>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

impl Pull {
    pub(crate) fn new(shared: &Arc<Shared>, source: Source, what: String) -> Self {
        let lease = Lease::new(&shared.leases);
        let (budget, made, stop) = Default::default();
        Self { shared: Arc::clone(shared), source, what, lease, stop, budget, made }
    }

    /// Makes everything the reference names complete here; gives the digest it names.
    pub(crate) async fn run(self: Arc<Self>, meter: Meter) -> Result<Digest> {
        let _stop = Stop(Arc::clone(&self));
        let (top, bytes) = self.document(None).await?;
        let manifest = match document::document(&self.what, &bytes)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(choices) => {
                let chosen = document::choose(&self.what, &choices)?;
                let (_, bytes) = self.document(Some(&chosen.manifest)).await?;
                match document::document(&self.what, &bytes)? {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => {
                        let why = "an index in an index".into();
                        return Err(Error::Document { what: self.what.clone(), why });
                    }
                }
            }
        };
        self.lease.hold(&manifest.config.digest);
        self.fetch(&manifest.config, &meter).await?;
        let path = self.shared.disk.blob(&manifest.config.digest);
        let bytes = fs::read(&path).map_err(|e| self.shared.disk.fail("read", &path, e))?;
        let config = document::config(&self.what, &bytes, manifest.layers.len())?;
        self.layers(manifest, config, meter).await?;
        Ok(top)
    }

    /// Makes the image of a push; gives its digest.
    pub(crate) async fn make(self: Arc<Self>, path: &Path) -> Result<Digest> {
        let (pull, path) = (Arc::clone(&self), path.to_owned());
        let built = blocking(move || push::build(&pull, &path)).await?;
        self.layers(built.manifest, built.config, Meter::new(|_| ())).await?;
        Ok(built.digest)
    }

    /// The document the reference names, or this one; size and digest are checked, and it is kept.
    async fn document(self: &Arc<Self>, wanted: Option<&Descriptor>) -> Result<(Digest, Vec<u8>)> {
        let (digest, bytes) = match &self.source {
            Source::Registry(registry) => registry.manifest(wanted.map(|d| &d.digest)).await?,
            Source::Local(local) => local.manifest(wanted)?,
            Source::Here => {
                return Err(Error::NotFound { what: self.what.clone(), place: "the store".into() });
            }
        };
        match wanted {
            Some(wanted) if wanted.size != bytes.len() as u64 => Err(Error::Size {
                what: format!("manifest {digest}"),
                expected: wanted.size,
                actual: bytes.len() as u64,
            }),
            _ => {
                let pull = Arc::clone(self);
                blocking(move || pull.save(&digest, &bytes).map(|()| (digest, bytes))).await
            }
        }
    }

    /// Keeps a document whose digest was checked.
    pub(crate) fn save(&self, digest: &Digest, bytes: &[u8]) -> Result<()> {
        self.lease.hold(digest);
        let path = self.shared.disk.blob(digest);
        if path.exists() {
            return Ok(());
        }
        self.shared.disk.replace(&path, bytes)?;
        self.made().blobs.push(digest.clone());
        Ok(())
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a blob that is whole its name.
    pub(crate) fn name_blob(&self, digest: &Digest, path: &Path) -> Result<()> {
        let disk = &self.shared.disk;
        let blob = disk.blob(digest);
        let mut made = self.made();
        if self.stop.load(Ordering::Relaxed) {
            return Err(io_error("write", &blob, given_up()));
        }
        let new = !blob.exists();
        rename_durably(path, &blob).map_err(|e| disk.fail("write", &blob, e))?;
        if new {
            made.blobs.push(digest.clone());
        }
        Ok(())
    }

    /// Fetches and unpacks the layers of a manifest.
    pub(crate) async fn layers(
        self: &Arc<Self>,
        manifest: Manifest,
        config: Config,
        meter: Meter,
    ) -> Result<()> {
        let chain = chain(&config.diff_ids);
        for digest in manifest.layers.iter().map(|layer| &layer.digest).chain(&chain) {
            self.lease.hold(digest);
        }
        meter.begin(manifest.total().unwrap_or(u64::MAX));
        let fetches = Semaphore::new(FETCHES_MAX);
        let plan = Arc::new(Plan { manifest, config, chain, meter, fetches });
        self.check_room(&plan)?;
        let done = self.all(&plan).await;
        if let Err(Error::Room { .. } | Error::Inodes { .. }) = done {
            let pull = Arc::clone(self);
            blocking(move || pull.take_back()).await?;
        }
        done
    }

    /// What there was no room to finish, or what nobody can ask for, does not keep the room of
    /// others.
    pub(crate) fn take_back(&self) -> Result<()> {
        // Said before the lock is taken: whoever has it next makes no more.
        self.stop.store(true, Ordering::Relaxed);
        let mut made = self.made();
        made.layers.iter().chain(&made.blobs).for_each(|digest| self.lease.give_back(digest));
        gc::take_back(&self.shared, &std::mem::take(&mut *made))
    }

    async fn all(self: &Arc<Self>, plan: &Arc<Plan>) -> Result<()> {
        let mut tasks = JoinSet::new();
        let mut below = None;
        for n in 0..plan.chain.len() {
            let (above, next) = oneshot::channel();
            let (pull, plan) = (Arc::clone(self), Arc::clone(plan));
            tasks.spawn(pull.layer(plan, n, below.replace(next), above));
        }
        let mut gave_up = false;
        while let Some(done) = tasks.join_next().await {
            match done.map_err(io::Error::other) {
                Ok(Ok(())) => {}
                // The one below failed and says why.
                Ok(Err(None)) => gave_up = true,
                Ok(Err(Some(error))) => return Err(error),
                Err(source) => return Err(Error::Io { what: "unpack".into(), source }),
            }
        }
        plan.meter.end();
        match gave_up {
            false => Ok(()),
            true => Err(Error::Layer { layer: self.what.clone(), why: "given up".into() }),
        }
    }

    fn check_room(&self, plan: &Plan) -> Result<()> {
        let disk = &self.shared.disk;
        let (mut bytes, mut inodes) = (0_u64, 0_u64);
        for (layer, chain_id) in plan.manifest.layers.iter().zip(&plan.chain) {
            if disk.layer(chain_id).exists() {
                continue;
            }
            let packed = layer.media_type.ends_with("gzip") || layer.media_type.ends_with("zstd");
            let plain = if packed { layer.size.saturating_mul(EXPANSION) } else { layer.size };
            let fetched = if disk.blob(&layer.digest).exists() { 0 } else { layer.size };
            bytes = bytes.saturating_add(plain).saturating_add(fetched);
            inodes += plain.div_ceil(INODE_BYTES);
        }
        match bytes {
            0 => Ok(()),
            bytes => disk.check_room(bytes.saturating_add(RESERVE_BYTES), inodes + RESERVE_INODES),
        }
    }

    /// Makes one layer; `below` and `above` are those of its neighbours. `Err(None)` when the
    /// one below failed.
    async fn layer(
        self: Arc<Self>,
        plan: Arc<Plan>,
        n: usize,
        below: Option<oneshot::Receiver<()>>,
        above: oneshot::Sender<()>,
    ) -> Result<(), Option<Error>> {
        let (layer, chain_id) = (&plan.manifest.layers[n], &plan.chain[n]);
        let _turn = self.shared.turns.wait(format!("layer {chain_id}")).await;
        let here = meta::load(&self.shared.disk, chain_id)?.is_some();
        let mut unpacked = None;
        if here {
            plan.meter.moved(&layer.digest, i64::try_from(layer.size).unwrap_or(i64::MAX));
        } else {
            let fetch = plan.fetches.acquire().await.map_err(|_| None)?;
            self.fetch(layer, &plan.meter).await?;
            drop(fetch);
            let _thread = self.shared.unpackers.acquire().await.map_err(|_| None)?;
            let (pull, plan) = (Arc::clone(&self), Arc::clone(&plan));
            unpacked = Some(blocking(move || pull.unpack(&plan, n)).await?);
        }
        if let Some(below) = below {
            below.await.map_err(|_| None)?;
        }
        if let Some((scratch, unpacked)) = unpacked {
            let (pull, plan) = (Arc::clone(&self), Arc::clone(&plan));
            blocking(move || pull.commit(&plan, n, &scratch, unpacked)).await?;
        }
        // The one above may have failed already.
        let _ = above.send(());
        Ok(())
    }

    /// Brings a blob into the store unless it is there.
    async fn fetch(&self, wanted: &Descriptor, meter: &Meter) -> Result<()> {
        let disk = &self.shared.disk;
        let _turn = self.shared.turns.wait(format!("blob {}", wanted.digest)).await;
        let blob = disk.blob(&wanted.digest);
        let moved = |n| meter.moved(&wanted.digest, n);
        if blob.exists() {
            moved(i64::try_from(wanted.size).unwrap_or(i64::MAX));
            return Ok(());
        }
        let path = disk.ingest(&wanted.digest);
        match &self.source {
            Source::Registry(registry) => registry.blob(disk, wanted, &path, &moved).await?,
            Source::Local(local) => {
                let (shared, local) = (Arc::clone(&self.shared), Arc::clone(local));
                let (descriptor, path) = (wanted.clone(), path.clone());
                blocking(move || copy(&shared, &local, &descriptor, &path)).await?;
                moved(i64::try_from(wanted.size).unwrap_or(i64::MAX));
            }
            Source::Here => {
                let (what, place) = (wanted.digest.to_string(), "the store".into());
                return Err(Error::NotFound { what, place });
            }
        }
        self.name_blob(&wanted.digest, &path)
    }

    fn unpack(&self, plan: &Plan, n: usize) -> Result<(Scratch, Unpacked)> {
        let disk = &self.shared.disk;
        let layer = &plan.manifest.layers[n].digest;
        let scratch = disk.scratch();
        let root = scratch.0.join("fs");
        fs::create_dir_all(&root).map_err(|e| disk.fail("make", &root, e))?;
        let path = disk.blob(layer);
        let blob = File::open(&path).map_err(|e| disk.fail("open", &path, e))?;
        let diff_id = &plan.config.diff_ids[n];
        let (stop, budget) = (&self.stop, &self.budget);
        let job = Job { disk, budget, layer, diff_id, root: &root, stop };
        let unpacked = job.run(blob).inspect_err(|error| {
            // A blob that went bad on the disk is fetched again by the next pull.
            if error.permanent() {
                let _ = fs::remove_file(&path);
            }
        })?;
        Ok((scratch, unpacked))
    }

    /// Finishes an unpacked layer over those below and gives it its name.
    fn commit(
        &self,
        plan: &Plan,
        n: usize,
        scratch: &Scratch,
        mut unpacked: Unpacked,
    ) -> Result<()> {
        let disk = &self.shared.disk;
        let below = match meta::stack(disk, &plan.chain[..n])? {
            Some(stack) => stack.layers,
            None => {
                let (what, place) = ("the layer below".into(), disk.dir().display().to_string());
                return Err(Error::NotFound { what, place });
            }
        };
        let layer = &plan.manifest.layers[n].digest;
        let root = scratch.0.join("fs");
        let over = Over { disk, budget: &self.budget, layer, root: &root, below: &below };
        over.complete(&mut unpacked)?;
        let meta = Meta {
            diff_id: plan.config.diff_ids[n].to_string(),
            bytes: unpacked.bytes,
            inodes: unpacked.inodes,
            opaque: unpacked.opaque,
        };
        let path = disk.layer(&plan.chain[n]);
        let name = || -> io::Result<()> {
            fs::write(scratch.0.join("meta"), serde_json::to_vec(&meta)?)?;
            // One call for all files: each by itself would take minutes.
            syncfs(File::open(&root)?)?;
            let mut made = self.made();
            if self.stop.load(Ordering::Relaxed) {
                return Err(given_up());
            }
            rename_durably(&scratch.0, &path)?;
            made.layers.push(plan.chain[n].clone());
            Ok(())
        };
        name().map_err(|e| disk.fail("write", &path, e))
    }
}

/// The error of work that nobody waits for any more.
pub(crate) fn given_up() -> io::Error {
    io::Error::other("it was given up")
}

/// Copies a blob from this machine; what is not what it should be is removed again.
fn copy(shared: &Shared, local: &Local, wanted: &Descriptor, path: &Path) -> Result<()> {
    let disk = &shared.disk;
    let mut from = Hashed::new(local.blob(&wanted.digest)?.take(wanted.size.saturating_add(1)));
    let mut write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        io::copy(&mut from, &mut file)?;
        file.sync_all()
    };
    let written = write().map_err(|e| disk.fail("write", path, e));
    let (actual, bytes) = from.finish();
    let what = || format!("blob of {}", wanted.digest);
    let checked = written.and_then(|()| match () {
        () if bytes != wanted.size => {
            Err(Error::Size { what: what(), expected: wanted.size, actual: bytes })
        }
        () if actual != wanted.digest => {
            let (expected, actual) = (wanted.digest.to_string(), actual.to_string());
            Err(Error::Digest { what: "blob".into(), expected, actual })
        }
        () => Ok(()),
    });
    checked.inspect_err(|_| {
        // Half a copy is of no use.
        let _ = fs::remove_file(path);
    })
}

/// Runs what waits for the disk on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Error::Io { what: "image work".into(), source: io::Error::other(e) }),
    }
}
