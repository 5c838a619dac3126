//! Images on behalf of instances and of the node's `ctl`: fetched with events, listed, collected.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use image::{Image, Listed, Progress, Store, Usage};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::spawn_blocking;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::fact::Fact;
use crate::instance::Instance;
use crate::quote::quote;
use crate::spec::Spec;
use crate::world::World;

/// Images fetched or made at the same time; their layers come in parallel within each.
const PULLS_MAX: usize = 4;

/// The images of this node.
#[derive(Debug)]
pub(crate) struct Images {
    store: Store,
    facts: mpsc::Sender<Fact>,
    turns: Semaphore,
}

impl Images {
    /// Opens the store in `dir`.
    pub(crate) fn open(dir: &Path, facts: mpsc::Sender<Fact>) -> Result<Images> {
        Ok(Images { store: Store::open(dir)?, facts, turns: Semaphore::new(PULLS_MAX) })
    }

    /// The image of a spec, complete and with the digest it must have.
    pub(crate) async fn ensure(&self, spec: &Spec) -> Result<Image> {
        if !spec.digest.is_empty() {
            let digest = spec.digest.clone();
            if let Some(image) = self.blocking(move |store| store.get(&digest)).await? {
                return Ok(image);
            }
        }
        let image = self.fetch(&spec.image).await?;
        if spec.digest.is_empty() || spec.digest == image.digest {
            return Ok(image);
        }
        Err(image::Error::Digest {
            what: spec.image.clone(),
            expected: spec.digest.clone(),
            actual: image.digest,
        }
        .into())
    }

    /// Makes the image of a reference complete and tells how it went.
    pub(crate) async fn fetch(&self, reference: &str) -> Result<Image> {
        let turn = self.turns.acquire().await;
        let (facts, name) = (self.facts.clone(), reference.to_owned());
        let progress = move |Progress { layer, done, total }: Progress| {
            let reference = name.clone();
            // Nobody misses a step that finds no room: the next one says more.
            let event = Event::Pulling { reference, layer, done, total };
            let _ = facts.try_send(Fact::Told(event));
        };
        let pulled = self.store.pull(reference, progress).await;
        drop(turn);
        let reference = reference.to_owned();
        let event = match &pulled {
            Ok(image) => {
                Event::Pulled { reference, digest: image.digest.clone(), bytes: image.bytes }
            }
            Err(error) => {
                let (permanent, reason) = (error.permanent(), error.to_string());
                Event::PullFailed { reference, permanent, reason }
            }
        };
        self.tell(event).await;
        Ok(pulled?)
    }

    /// Makes an image of a directory or a program and tells how it went.
    pub(crate) async fn push(&self, name: String, path: &Path) {
        let turn = self.turns.acquire().await;
        let pushed = self.store.push(&name, path).await;
        drop(turn);
        let event = match pushed {
            Ok(image) => Event::Pushed { name, digest: image.digest },
            Err(error) => Event::PushFailed { name, reason: error.to_string() },
        };
        self.tell(event).await;
    }

    /// Forgets a reference.
    pub(crate) async fn remove(&self, reference: String) -> Result<()> {
        self.blocking(move |store| store.remove(&reference)).await
    }

    /// Removes what neither an instance nor a name nor `keep` needs.
    pub(crate) async fn collect(&self, keep: &[String]) -> Result<()> {
        let freed = self.store.gc(keep).await?;
        tracing::info!("collected {} bytes, {} layers", freed.bytes, freed.layers);
        Ok(())
    }

    /// Every name there is.
    pub(crate) async fn list(&self) -> Result<Vec<Listed>> {
        self.blocking(Store::list).await
    }

    /// What is used and what is free.
    pub(crate) async fn usage(&self) -> Result<Usage> {
        self.blocking(Store::usage).await
    }

    async fn tell(&self, event: Event) {
        // The loop that hears this ends last; when it has ended there is nobody to tell.
        let _ = self.facts.send(Fact::Told(event)).await;
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> image::Result<T> + Send + 'static,
    ) -> Result<T> {
        let store = self.store.clone();
        let done = spawn_blocking(move || work(&store)).await;
        Ok(done.map_err(|_| Error::Ended)??)
    }
}

/// The digests that the instances of `world` run from.
pub(crate) fn digests(world: &World) -> BTreeSet<String> {
    let wanted = |one: &Instance| one.written.as_ref().map(|written| written.spec.digest.clone());
    let used = world.instances.values().flat_map(|one| [one.digest.clone(), wanted(one)]);
    used.flatten().filter(|digest| !digest.is_empty()).collect()
}

/// The text of `images`: reference, digest, bytes, used by.
pub(crate) fn table(listed: &[Listed], world: &World) -> String {
    let mut text = String::new();
    for image in listed {
        let uses = world.instances.values().filter(|one| one.uses(&image.digest));
        let mut users = uses.map(|one| one.id.as_str()).collect::<Vec<_>>().join(",");
        if users.is_empty() {
            users.push('-');
        }
        let (reference, digest, bytes) = (quote(&image.reference), &image.digest, image.bytes);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{reference} {digest} {bytes} {users}");
    }
    text
}
