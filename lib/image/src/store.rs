//! The store: one directory with blobs by digest, unpacked layers by chain id, and the names.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::Semaphore;

use crate::digest::{Digest, chain};
use crate::disk::{Disk, io_error};
use crate::document::{self, Document};
use crate::image::Held;
use crate::lease::{Lease, Leases, Turns};
use crate::local::Local;
use crate::meta;
use crate::meter::Meter;
use crate::pull::{Pull, Source, Stop, blocking};
use crate::reference::{Lying, Reference, Remote};
use crate::registry::Registry;
use crate::tags::{Tag, Tags, now_s};
use crate::{Collected, Error, Image, Listed, Progress, Result, Usage, gc, missing, rootfs};

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
pub struct Store(Arc<Shared>);

/// What the clones share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) disk: Disk,
    pub(crate) leases: Arc<Leases>,
    pub(crate) turns: Turns,
    /// Threads that unpack at the same time.
    pub(crate) unpackers: Semaphore,
    tags: Mutex<Tags>,
}

impl Store {
    /// Opens the store in `dir`, made when missing, and removes what a dead process left half
    /// unpacked. Fails when another process has it open.
    pub fn open(dir: &Path) -> Result<Store> {
        let disk = Disk::open(dir)?;
        let tags = Mutex::new(Tags::load(&disk)?);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let unpackers = Semaphore::new(threads);
        let (leases, turns) = (Arc::default(), Turns::default());
        Ok(Self(Arc::new(Shared { disk, leases, turns, unpackers, tags })))
    }

    /// Makes the image of `reference` complete here and remembers the name.
    ///
    /// `reference` is `registry/repo:tag`, `repo@sha256:…`, `oci:DIR[:tag]`,
    /// `oci-archive:FILE[:tag]`, `docker-archive:FILE[:tag]`, `dir:ROOTFS`, each of them also with
    /// `@sha256:…`, or the `name:tag` of a push. One with a digest that is complete here needs no
    /// network and no file; pulls of the same thing
    /// at the same time share the work; a pull that died is resumed.
    pub async fn pull(
        &self,
        reference: &str,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Image> {
        let parsed = Reference::parse(reference)?;
        let what = parsed.to_string();
        let shared = &self.0;
        shared.renew(&parsed);
        let source = match parsed {
            Reference::Dir(dir, digest) => {
                if let Some(image) = shared.pinned(digest.as_ref(), &what)? {
                    return Ok(image);
                }
                return self.in_place(what, dir, digest).await;
            }
            Reference::Registry(remote) => {
                if let Some(image) = shared.here(&remote)? {
                    return Ok(image);
                }
                let fetched = self.fetch(&remote, Meter::new(progress)).await;
                return fetched.map_err(|error| missing::told(&shared.names(), &remote, error));
            }
            Reference::File(lying) => {
                if let Some(image) = shared.pinned(lying.digest.as_ref(), &what)? {
                    return Ok(image);
                }
                let (shared, what) = (Arc::clone(shared), what.clone());
                let open = move || Local::open(&shared.disk, &what, &lying);
                Source::Local(Arc::new(blocking(open).await?))
            }
        };
        let pull = Arc::new(Pull::new(shared, source, what.clone()));
        let digest = Arc::clone(&pull).run(Meter::new(progress)).await?;
        finish(pull, digest, what, false).await
    }

    async fn fetch(&self, remote: &Remote, meter: Meter) -> Result<Image> {
        let (source, what) = (Registry::open(remote).await?, remote.to_string());
        let pull = Arc::new(Pull::new(&self.0, Source::Registry(Box::new(source)), what.clone()));
        let digest = Arc::clone(&pull).run(meter).await?;
        finish(pull, digest, what, false).await
    }

    /// Makes an image called `name_tag` from a directory (its content becomes the root file
    /// system) or from one ELF executable with the libraries it needs. Same input, same digest.
    pub async fn push(&self, name_tag: &str, path: &Path) -> Result<Image> {
        self.push_until(name_tag, path, Arc::default()).await
    }

    /// The same until `given_up` is set: then it soon ends with [`Error::GivenUp`], and nothing of
    /// it is left, as after every other error. Once the image has its name it is too late.
    pub async fn push_until(
        &self,
        name_tag: &str,
        path: &Path,
        given_up: Arc<AtomicBool>,
    ) -> Result<Image> {
        let name = crate::reference::local_name(name_tag)?;
        let mut pull = Pull::new(&self.0, Source::Here, name.clone());
        pull.stop = Arc::clone(&given_up);
        let pull = Arc::new(pull);
        let _stop = Stop(Arc::clone(&pull));
        let error = match Arc::clone(&pull).make(path).await {
            Ok(digest) => match finish(Arc::clone(&pull), digest, name, true).await {
                Ok(image) => return Ok(image),
                Err(error) => error,
            },
            // That ends it too.
            Err(error @ (Error::Room { .. } | Error::Inodes { .. })) => error,
            Err(_) if given_up.load(Ordering::Relaxed) => Error::GivenUp { what: name },
            Err(error) => error,
        };
        blocking(move || pull.take_back()).await?;
        Err(error)
    }

    /// The image with this digest (`sha256:…`) or reference, when it is complete here. Never asks
    /// the network; reads a few small files.
    pub fn get(&self, digest_or_reference: &str) -> Result<Option<Image>> {
        let shared = &self.0;
        if let Some(digest) = Digest::parse(digest_or_reference) {
            return shared.image(&digest, &digest.to_string());
        }
        match Reference::parse(digest_or_reference)? {
            Reference::Registry(remote) => match (shared.here(&remote)?, remote.tagged()) {
                (Some(image), _) => Ok(Some(image)),
                (None, Some(name)) if remote.digest.is_none() => shared.known(&name),
                (None, _) => Ok(None),
            },
            ref other @ (Reference::File(Lying { ref digest, .. })
            | Reference::Dir(_, ref digest)) => match digest {
                Some(digest) => shared.image(digest, &other.to_string()),
                None => shared.known(&other.to_string()),
            },
        }
    }

    /// Every name the store knows, sorted. Reads a few small files an image.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let references = self.0.tags().references.clone();
        let mut listed = Vec::with_capacity(references.len());
        for (reference, tag) in references {
            let digest = Digest::parse(&tag.digest);
            let bytes = digest.map_or(Ok(0), |digest| self.0.bytes(&digest))?;
            listed.push(Listed { reference, digest: tag.digest, bytes, pushed: tag.pushed });
        }
        Ok(listed)
    }

    /// Forgets a reference, or every reference of a digest. The bytes go with the next
    /// [`Store::gc`].
    pub fn remove(&self, reference: &str) -> Result<()> {
        let names = match Digest::parse(reference) {
            Some(digest) => vec![digest.to_string()],
            None => match Reference::parse(reference)? {
                Reference::Registry(remote) => {
                    let full = remote.to_string();
                    remote.short.into_iter().chain([full]).collect()
                }
                other @ (Reference::File(_) | Reference::Dir(..)) => vec![other.to_string()],
            },
        };
        let gone = self.0.change(|tags| {
            let before = tags.len();
            // A pushed name hides the registry's, so it is the one that is meant.
            match names.iter().find(|name| tags.contains_key(*name)) {
                Some(name) => drop(tags.remove(name)),
                None => tags.retain(|_, tag| !names.contains(&tag.digest)),
            }
            before != tags.len()
        })?;
        if gone { Ok(()) } else { Err(self.0.not_here(reference)) }
    }

    /// Removes what nothing needs, names first. Needed are the digests and references in `keep`
    /// (instances, versions one may go back to, manifests), names pulled or pushed in the last
    /// hour, and whatever an [`Image`] or a running pull holds or was made since the collection
    /// began. A digest in `keep` that cannot be read is an error, and nothing is removed; a
    /// reference that cannot be read is one that nothing here can have.
    pub async fn gc(&self, keep: &[String]) -> Result<Collected> {
        let keep = keep.to_vec();
        self.gc_all_but(move || keep).await
    }

    /// The same; `keep` is asked when the collection has begun, so that whatever was handed out
    /// before is in it, and what is handed out later is held.
    pub async fn gc_all_but(
        &self,
        keep: impl FnOnce() -> Vec<String> + Send + 'static,
    ) -> Result<Collected> {
        let shared = Arc::clone(&self.0);
        blocking(move || gc::collect(&shared, keep, SystemTime::now())).await
    }

    /// Bytes and inodes used here and free on the file system.
    pub fn usage(&self) -> Result<Usage> {
        gc::usage(&self.0.disk)
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }

    async fn in_place(
        &self,
        what: String,
        dir: std::path::PathBuf,
        wanted: Option<Digest>,
    ) -> Result<Image> {
        let shared = Arc::clone(&self.0);
        blocking(move || {
            let (root, digest, bytes) = rootfs::digest(&dir)?;
            if let Some(wanted) = wanted {
                same(&what, &wanted, &digest)?;
            }
            let reference = Reference::Dir(root.clone(), None).to_string();
            tracing::debug!("{what} is {digest}");
            shared.tag(&reference, Tag::new(&digest, false))?;
            Ok(shared.place(&root, &digest, bytes))
        })
        .await
    }
}

/// Names what is complete now. The name is there before the pull gives its leases back.
async fn finish(pull: Arc<Pull>, digest: Digest, name: String, pushed: bool) -> Result<Image> {
    blocking(move || {
        let shared = &pull.shared;
        shared.tag(&name, Tag::new(&digest, pushed))?;
        shared.image(&digest, &name)?.ok_or_else(|| shared.not_here(&name))
    })
    .await
}

/// Fails when what lies on this machine is another image by now than the reference means.
pub(crate) fn same(what: &str, wanted: &Digest, actual: &Digest) -> Result<()> {
    let (expected, actual) = (wanted.to_string(), actual.to_string());
    match expected == actual {
        true => Ok(()),
        false => Err(Error::Changed { what: what.to_owned(), expected, actual }),
    }
}

impl Shared {
    fn tags(&self) -> MutexGuard<'_, Tags> {
        // A change is made on a copy, so a panic leaves the table whole.
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the names.
    pub(crate) fn names(&self) -> BTreeMap<String, Tag> {
        self.tags().references.clone()
    }

    /// Changes the names, on the disk first.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Tag>) -> T,
    ) -> Result<T> {
        let mut tags = self.tags();
        let mut changed = tags.clone();
        let answer = change(&mut changed.references);
        if changed != *tags {
            changed.save(&self.disk)?;
            *tags = changed;
        }
        Ok(answer)
    }

    fn tag(&self, name: &str, tag: Tag) -> Result<()> {
        self.change(|tags| drop(tags.insert(name.to_owned(), tag)))
    }

    /// An image that is asked for by a name, or by the digest of one, is about to be used: its
    /// names are new again. Done before it is looked for, so that no collection comes between.
    fn renew(&self, reference: &Reference) {
        let (short, digest) = match reference {
            Reference::Registry(Remote { short, digest, .. }) => (short.as_deref(), digest),
            Reference::File(Lying { digest, .. }) | Reference::Dir(_, digest) => (None, digest),
        };
        let digest = digest.as_ref().map(ToString::to_string);
        let at_s = now_s();
        let renewed = self.change(|tags| {
            let meant = |name: &str, tag: &Tag| match &digest {
                Some(digest) => tag.digest == *digest,
                None => short == Some(name),
            };
            tags.iter_mut()
                .filter(|(name, tag)| meant(name, tag))
                .for_each(|(_, tag)| tag.at_s = at_s);
        });
        if let Err(error) = renewed {
            // What is here is handed out all the same.
            tracing::warn!("{reference}: its time is not written down: {error}");
        }
    }

    fn not_here(&self, what: &str) -> Error {
        Error::NotFound { what: what.to_owned(), place: self.disk.dir().display().to_string() }
    }

    /// The image of a reference with a digest, when it is here: its source is not asked.
    fn pinned(&self, digest: Option<&Digest>, what: &str) -> Result<Option<Image>> {
        digest.map_or(Ok(None), |digest| self.image(digest, what))
    }

    /// The image of a registry's reference that needs no registry: with its digest, or pushed.
    fn here(&self, remote: &Remote) -> Result<Option<Image>> {
        if let Some(digest) = &remote.digest {
            return self.image(digest, &remote.to_string());
        }
        match &remote.short {
            Some(short) => self.known(short),
            None => Ok(None),
        }
    }

    /// The image a name stood for.
    fn known(&self, name: &str) -> Result<Option<Image>> {
        let digest = self.tags().digest(name);
        digest.map_or(Ok(None), |digest| self.image(&digest, name))
    }

    /// The image of a digest, when it is complete. What it is made of is held before it is looked
    /// for, so that what is handed out is there.
    pub(crate) fn image(&self, digest: &Digest, reference: &str) -> Result<Option<Image>> {
        let lease = Lease::new(&self.leases);
        lease.hold(digest);
        let Some(parts) = self.parts(digest)? else { return self.placed(digest) };
        parts
            .documents
            .iter()
            .chain(&parts.layers)
            .chain(&parts.chain)
            .for_each(|it| lease.hold(it));
        // They were read before they were held.
        let whole = parts.documents.iter().all(|it| self.disk.blob(it).exists());
        let Some(stack) = meta::stack(&self.disk, &parts.chain)?.filter(|_| whole) else {
            return Ok(None);
        };
        Ok(Some(Image {
            digest: digest.to_string(),
            reference: reference.to_owned(),
            config: parts.config,
            layers: stack.layers,
            in_place: false,
            bytes: stack.bytes,
            held: Held::new(Some(lease)),
        }))
    }

    /// Bytes of an image's unpacked layers; none when it is not complete. Holds nothing.
    fn bytes(&self, digest: &Digest) -> Result<u64> {
        let Some(parts) = self.parts(digest)? else { return Ok(0) };
        Ok(meta::stack(&self.disk, &parts.chain)?.map_or(0, |stack| stack.bytes))
    }

    /// A `dir:` image that had this digest and is still there.
    fn placed(&self, digest: &Digest) -> Result<Option<Image>> {
        let text = digest.to_string();
        let tags = self.tags();
        let mut same = tags.references.iter().filter(|(_, tag)| tag.digest == text);
        let root = same.find_map(|(name, _)| name.strip_prefix("dir:"));
        Ok(root.map(Path::new).filter(|root| root.is_dir()).map(|root| self.place(root, digest, 0)))
    }

    fn place(&self, root: &Path, digest: &Digest, bytes: u64) -> Image {
        Image {
            digest: digest.to_string(),
            reference: Reference::Dir(root.to_owned(), None).to_string(),
            config: rootfs::config(root),
            layers: vec![root.to_owned()],
            in_place: true,
            bytes,
            held: Held::new(None),
        }
    }

    /// What an image is made of, when its documents are here.
    pub(crate) fn parts(&self, digest: &Digest) -> Result<Option<Parts>> {
        let what = digest.to_string();
        let Some(bytes) = self.document(digest)? else { return Ok(None) };
        let mut documents = vec![digest.clone()];
        let manifest = match document::document(&what, &bytes)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(choices) => {
                let chosen = &document::choose(&what, &choices)?.manifest.digest;
                documents.push(chosen.clone());
                let Some(bytes) = self.document(chosen)? else { return Ok(None) };
                match document::document(&what, &bytes)? {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => return Ok(None),
                }
            }
        };
        let Some(bytes) = self.document(&manifest.config.digest)? else { return Ok(None) };
        let config = document::config(&what, &bytes, manifest.layers.len())?;
        documents.push(manifest.config.digest);
        let layers = manifest.layers.into_iter().map(|layer| layer.digest).collect();
        let chain = chain(&config.diff_ids);
        Ok(Some(Parts { documents, layers, chain, config: config.value }))
    }

    fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let path = self.disk.blob(digest);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("read", &path, e)),
        }
    }
}

/// What an image is made of.
pub(crate) struct Parts {
    /// Index, manifest, configuration.
    pub(crate) documents: Vec<Digest>,
    /// Blobs of the layers.
    pub(crate) layers: Vec<Digest>,
    /// Chain ids.
    pub(crate) chain: Vec<Digest>,
    pub(crate) config: Value,
}
