//! Images on behalf of instances and of the node's `ctl`: fetched with events, listed, collected.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use image::{Image, Listed, Progress, Removed, Store, Usage};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::spawn_blocking;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::fact::Fact;
use crate::instance::Instance;
use crate::pushes::{Push, Pushes};
use crate::quote::quote;
use crate::spec::Spec;
use crate::world::World;

/// Images fetched or made at the same time; their layers come in parallel within each.
const PULLS_MAX: usize = 4;
/// Names that a collection took which are told one by one; the sum counts them all.
const TOLD_MAX: usize = 256;
/// Bytes of the list of what a collection leaves: more than 100,000 digests.
pub(crate) const KEEP_BYTES_MAX: usize = 8 << 20;

/// The images of this node.
#[derive(Debug)]
pub(crate) struct Images {
    store: Store,
    facts: mpsc::Sender<Fact>,
    turns: Semaphore,
    /// Held by the collection that goes on.
    collecting: Mutex<()>,
    /// Those that go on.
    pub(crate) pushes: Pushes,
}

impl Images {
    /// Opens the store in `dir`.
    pub(crate) fn open(dir: &Path, facts: mpsc::Sender<Fact>) -> Result<Images> {
        let (store, turns) = (Store::open(dir)?, Semaphore::new(PULLS_MAX));
        let (collecting, pushes) = (Mutex::default(), Pushes::default());
        Ok(Images { store, facts, turns, collecting, pushes })
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

    /// Makes an image of a directory or a program, unless it is given up, and tells how it went.
    pub(crate) async fn push(&self, push: Push, path: &Path) {
        let turn = tokio::select! {
            biased;
            () = push.stopped() => None,
            turn = self.turns.acquire() => Some(turn),
        };
        // One that was given up ends at once, in the store's own words.
        let pushed = self.store.push_until(&push.name, path, push.given_up()).await;
        drop(turn);
        let name = push.name.clone();
        // Whoever hears of the end may begin the next.
        drop(push);
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

    /// Removes what is not in `keep` and not in use, and tells what went. `keep` is asked once the
    /// collection has begun: what is handed out from then on stays. There is one at a time, for
    /// one that waited would remove what was not needed when it was asked for.
    pub(crate) async fn collect(
        &self,
        keep: impl FnOnce() -> Vec<String> + Send + 'static,
    ) -> Result<()> {
        let _collecting = self.collecting.try_lock().map_err(|_| Error::Collecting)?;
        let collected = self.store.gc_all_but(keep).await?;
        let images = collected.images.len();
        for Removed { reference, digest, bytes } in collected.images.into_iter().take(TOLD_MAX) {
            self.tell(Event::Collected { reference, digest, bytes }).await;
        }
        self.tell(Event::Swept { images, bytes: collected.bytes }).await;
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

/// Reads what a collection is to leave: a digest or a reference a line, and `gc` last, so that a
/// list which was cut short removes nothing.
pub(crate) fn keep(bytes: &[u8]) -> Result<Vec<String>> {
    let text = str::from_utf8(bytes).map_err(|_| Error::Keep("not text".into()))?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match lines.pop() {
        Some(last) if last == "gc" && text.ends_with('\n') => Ok(lines),
        Some(_) | None => Err(Error::Keep("the last line is to be 'gc'".into())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_collection_is_refused_while_another_goes_on_and_not_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let (facts, _heard) = mpsc::channel(64);
        let images = Images::open(dir.path(), facts).unwrap();
        let (began, begun) = tokio::sync::oneshot::channel();
        let (go, wait) = std::sync::mpsc::channel();
        let first = images.collect(move || {
            began.send(()).unwrap();
            wait.recv().unwrap();
            Vec::new()
        });
        let second = async {
            begun.await.unwrap();
            let refused = images.collect(Vec::new).await.unwrap_err().refusal();
            assert_eq!(refused, "a collection goes on: wait for its end");
            go.send(()).unwrap();
        };
        let (ended, ()) = tokio::join!(first, second);
        ended.unwrap();
        images.collect(Vec::new).await.unwrap();
    }
}
