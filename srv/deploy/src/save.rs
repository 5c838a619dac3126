//! The journal: services and events as they lie in the store. What is decided is on disk before
//! it is done (law 7).

use crate::audit::{self, Audit};
use crate::clock::Stopwatch;
use crate::past::Failure;
use crate::record::Record;
use crate::routes::Routes;
use crate::shelf;
use crate::turn::{Line, Turn};
use crate::world::{Service, World};
use rollout::Version;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::{Op, Redb, Store};
use thiserror::Error;

/// Lines of `events` that are kept on disk.
pub const EVENTS_MAX: u64 = 10_000;

/// Bytes that must be free on the disk of the state when something is begun: what follows from it
/// has to be saved as well, down to how the instances end.
const FREE_BYTES_MIN: u64 = 1 << 20;

const SERVICE: &str = "service/";
const EVENT: &str = "event/";
const GONE: &str = "gone/";
const VOLUME: &str = "volume/";
const TASK: &str = "task/";
const TASK_LAST: &str = "task-last";
const JOB: &str = "job/";
/// Then the service, and the version's number.
const FAILURE: &str = "failure/";
const INCARNATION: &str = "incarnation";
const GENERATION: &str = "generation";

/// Why the state could not be read or written.
#[derive(Debug, Error)]
pub enum Error {
    /// The store's own words.
    #[error("state: {0}")]
    Store(store::Error),
    /// No room for the state; it is tried anew at the next change.
    #[error("no space left on the disk for the state in {0}: make room and try again")]
    Full(String),
    /// What was asked for could not be written down, so that nothing of it is done.
    #[error("audit log: {0}")]
    Audit(std::io::Error),
    /// A record that this program cannot read.
    #[error("state: {0} is not readable by this version of deployfs: {1}")]
    Record(String, serde_json::Error),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        if let store::Error::Full(path) = &error {
            return Error::Full(path.display().to_string());
        }
        Error::Store(error)
    }
}

/// Where the world is saved.
pub struct Journal {
    /// Absent between an I/O error and the next try.
    store: Option<Box<dyn Store>>,
    /// Opened again after an I/O error: a full disk that has room again must not need a restart.
    path: Option<PathBuf>,
    audit: Option<Audit>,
    spent: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedLine {
    at: u64,
    service: Option<String>,
    text: String,
}

impl Journal {
    /// Opens, or makes, the journal in a state directory.
    ///
    /// # Errors
    /// The directory cannot be written, or another server has the journal.
    pub fn open(state: &Path) -> Result<Journal, Error> {
        let path = state.join("store.redb");
        let audit = Some(Audit::new(state));
        Ok(Journal {
            store: Some(Box::new(Redb::open(&path)?)),
            path: Some(path),
            audit,
            spent: Duration::ZERO,
        })
    }

    /// Whether there is room for what follows when something is begun. A disk that cannot be
    /// asked refuses nothing: saving says what is wrong with it.
    ///
    /// # Errors
    /// Less is free than has to be.
    pub fn has_room(&self) -> Result<(), Error> {
        let Some(dir) = self.path.as_deref().and_then(Path::parent) else { return Ok(()) };
        let found = nix::sys::statvfs::statvfs(dir);
        let free = found.map_or(u64::MAX, |disk| disk.blocks_available() * disk.fragment_size());
        if free < FREE_BYTES_MIN { Err(Error::Full(dir.display().to_string())) } else { Ok(()) }
    }

    /// A journal in any store.
    #[must_use]
    pub fn with(store: Box<dyn Store>) -> Journal {
        Journal { store: Some(store), path: None, audit: None, spent: Duration::ZERO }
    }

    /// The world as it was saved.
    ///
    /// # Errors
    /// The store cannot be read, or holds what this version does not know.
    pub async fn load(&self) -> Result<World, Error> {
        let audit = self.audit.as_ref().map(|audit| audit.place().to_path_buf());
        let mut world = World { audit, ..World::default() };
        let store = self.store.as_ref().ok_or(store::Error::Closed)?;
        for kv in store.list(SERVICE).await?.0 {
            let name = kv.key[SERVICE.len()..].to_string();
            let record: Record = serde_json::from_slice(&kv.value)
                .map_err(|error| Error::Record(kv.key.clone(), error))?;
            world.last_incarnation = world.last_incarnation.max(record.incarnation);
            if record.is_blank() {
                // Its place was for a lock, which nobody holds any more; the numbers it was made
                // with lie nowhere else.
                world.gone.extend(record.numbers().map(|numbers| (name, numbers)));
                continue;
            }
            world.services.insert(name.clone(), Service::new(&name, record));
        }
        world.secrets = shelf::load(&**store).await?;
        if let Some(kv) = store.get(INCARNATION).await?.0 {
            let saved = serde_json::from_slice(&kv.value)
                .map_err(|error| Error::Record(kv.key.clone(), error))?;
            world.last_incarnation = world.last_incarnation.max(saved);
        }
        if let Some(kv) = store.get(GENERATION).await?.0 {
            let used = serde_json::from_slice(&kv.value)
                .map_err(|error| Error::Record(kv.key.clone(), error))?;
            world.routes = Routes::after(used);
        }
        for kv in store.list(FAILURE).await?.0 {
            let failure = serde_json::from_slice(&kv.value)
                .map_err(|error| Error::Record(kv.key.clone(), error))?;
            let of = kv.key[FAILURE.len()..].rsplit_once('/');
            let of = of.and_then(|(name, number)| Some((name, Version(number.parse().ok()?))));
            if let Some((name, version)) = of
                && let Some(service) = world.services.get_mut(name)
            {
                service.failures.insert(version, failure);
            }
        }
        for kv in store.list(GONE).await?.0 {
            let numbers = serde_json::from_slice(&kv.value)
                .map_err(|error| Error::Record(kv.key.clone(), error))?;
            world.gone.insert(kv.key[GONE.len()..].to_string(), numbers);
        }
        for kv in store.list(VOLUME).await?.0 {
            let volume = serde_json::from_slice(&kv.value)
                .map_err(|error| Error::Record(kv.key.clone(), error))?;
            world.volumes.insert(kv.key[VOLUME.len()..].to_string(), volume);
        }
        errands(&**store, &mut world).await?;
        for kv in store.list(EVENT).await?.0 {
            let saved: SavedLine = serde_json::from_slice(&kv.value)
                .map_err(|error| Error::Record(kv.key.clone(), error))?;
            let line = Line { at: saved.at, service: saved.service, text: saved.text };
            let number = kv.key[EVENT.len()..].parse().unwrap_or(0);
            world.last_event = world.last_event.max(number);
            world.events.push(&line.at_root());
            let service = line.service.as_ref().and_then(|name| world.services.get(name));
            service.iter().for_each(|service| service.events.push(&line.at_service()));
        }
        Ok(world)
    }

    /// Saves what a turn touched and told, and before that who asked for it. The world is already
    /// as it shall be.
    ///
    /// # Errors
    /// The store's words; nothing of the turn may be performed then.
    pub async fn save(&mut self, changes: &[Op], asked: &[audit::Line]) -> Result<(), Error> {
        let watch = Stopwatch::start();
        let saved = self.save_all(changes, asked).await;
        self.spent += watch.took();
        saved
    }

    /// Time spent on saving since it was opened.
    #[must_use]
    pub fn spent(&self) -> Duration {
        self.spent
    }

    async fn save_all(&mut self, changes: &[Op], asked: &[audit::Line]) -> Result<(), Error> {
        if let Some(audit) = &mut self.audit {
            let full = std::io::ErrorKind::StorageFull;
            audit.write(asked).map_err(|error| match error.kind() == full {
                true => Error::Full(audit.place().display().to_string()),
                false => Error::Audit(error),
            })?;
        }
        let saved = self.save_changes(changes).await;
        if let (Err(error), Some(audit)) = (&saved, &mut self.audit) {
            // What was accepted is refused after all.
            let late = asked.iter().filter(|line| line.refused.is_none());
            let refused =
                late.map(|line| audit::Line { refused: Some(error.to_string()), ..line.clone() });
            let _ = audit.write(&refused.collect::<Vec<_>>());
        }
        saved
    }

    async fn save_changes(&mut self, changes: &[Op]) -> Result<(), Error> {
        // A transaction has a limit; a turn that outgrows it is saved in several, records first,
        // which is safe: a record says all that is still to be done, a line says nothing.
        let parts = || changes.chunks(store::OPS_MAX).map(<[Op]>::to_vec).collect();
        let Err(error) = self.write(parts()).await else { return Ok(()) };
        // The file must be let go of before it can be opened again.
        let Some(path) = &self.path else { return Err(error) };
        self.store = None;
        self.store = Some(Box::new(Redb::open(path)?));
        self.write(parts()).await
    }

    async fn write(&self, parts: Vec<Vec<Op>>) -> Result<(), Error> {
        if parts.is_empty() {
            return Ok(());
        }
        let store = self.store.as_ref().ok_or(store::Error::Closed)?;
        Ok(store.write(parts).await?)
    }
}

/// The changes of the store that a turn amounts to; numbers its lines.
pub fn changes(world: &mut World, turn: &Turn) -> Vec<Op> {
    let mut changes = Vec::new();
    for (name, before) in &turn.touched {
        let key = format!("{SERVICE}{name}");
        let now = world.services.get(name).map(|service| &*service.record);
        // What is as it was lies there as it was: the turn before was saved, or taken back.
        let differs = now.is_none() || now != before.as_ref();
        match now.filter(|_| differs).map(serde_json::to_vec) {
            Some(Ok(value)) => changes.push(Op::put(key, value)),
            // A record is plain data with text keys, which always has a JSON form.
            Some(Err(error)) => tracing::error!("{name} has no JSON form: {error}"),
            None if differs => changes.push(Op::delete(key)),
            None => {}
        }
        // Its numbers lie apart only while there is no service of the name.
        let key = format!("{GONE}{name}");
        match world.gone.get(name).map(serde_json::to_vec) {
            Some(Ok(value)) => changes.push(Op::put(key, value)),
            Some(Err(error)) => tracing::error!("{name} has no JSON form: {error}"),
            None if before.is_none() => changes.push(Op::delete(key)),
            None => {}
        }
    }
    for (name, before) in &turn.failures {
        let now = world.services.get(name).map(|service| &service.failures);
        let empty = BTreeMap::new();
        changes.extend(failures(name, before, now.unwrap_or(&empty)));
    }
    for name in turn.volumes.keys() {
        changes.extend(change(format!("{VOLUME}{name}"), world.volumes.get(name)));
    }
    for number in turn.tasks.keys() {
        let key = format!("{TASK}{number:010}");
        changes.extend(change(key, world.tasks.all.get(number)));
    }
    if !turn.tasks.is_empty() {
        changes.push(Op::put(TASK_LAST, world.tasks.last.to_string()));
    }
    for job in turn.jobs.keys() {
        changes.extend(change(format!("{JOB}{job}"), world.jobs.get(job)));
    }
    if let Some(before) = &turn.secrets {
        changes.extend(shelf::changes(before, &world.secrets));
    }
    if turn.touched.values().any(Option::is_none) {
        // Of a service that is removed again, nothing else would remember it.
        changes.push(Op::put(INCARNATION, world.last_incarnation.to_string()));
    }
    if let Some(used) = world.routes.to_reserve() {
        changes.push(Op::put(GENERATION, used.to_string()));
    }
    for line in &turn.lines {
        world.last_event += 1;
        let saved =
            SavedLine { at: line.at, service: line.service.clone(), text: line.text.clone() };
        let value = serde_json::to_vec(&saved).unwrap_or_default();
        changes.push(Op::put(format!("{EVENT}{:016}", world.last_event), value));
        if let Some(old) = world.last_event.checked_sub(EVENTS_MAX) {
            changes.push(Op::delete(format!("{EVENT}{old:016}")));
        }
    }
    changes
}

/// What makes the store say of a thing what it is, or that it is not.
fn change(key: String, now: Option<&impl Serialize>) -> Option<Op> {
    match now.map(serde_json::to_vec) {
        Some(Ok(value)) => Some(Op::put(key, value)),
        // It is plain data with text keys, which always has a JSON form.
        Some(Err(error)) => {
            tracing::error!("{key} has no JSON form: {error}");
            None
        }
        None => Some(Op::delete(key)),
    }
}

/// Tasks and jobs as they were saved.
async fn errands(store: &dyn Store, world: &mut World) -> Result<(), Error> {
    let bad = |key: &str| {
        let key = key.to_string();
        move |error| Error::Record(key, error)
    };
    for kv in store.list(TASK).await?.0 {
        let task = serde_json::from_slice(&kv.value).map_err(bad(&kv.key))?;
        let number = kv.key[TASK.len()..].parse().unwrap_or(0);
        world.tasks.all.insert(number, task);
    }
    if let Some(kv) = store.get(TASK_LAST).await?.0 {
        world.tasks.last = serde_json::from_slice(&kv.value).map_err(bad(&kv.key))?;
    }
    for kv in store.list(JOB).await?.0 {
        let job = serde_json::from_slice(&kv.value).map_err(bad(&kv.key))?;
        world.jobs.insert(kv.key[JOB.len()..].to_string(), job);
    }
    Ok(())
}

/// What a change is about.
pub(crate) fn key(op: &Op) -> &str {
    let (Op::Put { key, .. } | Op::Delete { key }) = op;
    key
}

/// What makes the store as it was before changes that may have happened or not: the world has been
/// put back already. Lines that were deleted for their age stay so.
pub fn restored(world: &World, changes: &[Op]) -> Vec<(String, Op)> {
    let put = |key: &str, value: serde_json::Result<Vec<u8>>| value.ok().map(|v| Op::put(key, v));
    let restore = |op: &Op| {
        let key = key(op);
        let was = if let Some(name) = key.strip_prefix(SERVICE) {
            let service = world.services.get(name)?;
            put(key, serde_json::to_vec(&*service.record))
        } else if let Some(name) = key.strip_prefix(GONE) {
            put(key, serde_json::to_vec(world.gone.get(name)?))
        } else if let Some(name) = key.strip_prefix(VOLUME) {
            put(key, serde_json::to_vec(world.volumes.get(name)?))
        } else if let Some(op) = shelf::held(&world.secrets, key) {
            Some(op)
        } else if let Some(number) = key.strip_prefix(TASK) {
            put(key, serde_json::to_vec(world.tasks.all.get(&number.parse().ok()?)?))
        } else if let Some(job) = key.strip_prefix(JOB) {
            put(key, serde_json::to_vec(world.jobs.get(job)?))
        } else if let Some((name, number)) = key.strip_prefix(FAILURE)?.rsplit_once('/') {
            let version = Version(number.parse().ok()?);
            put(key, serde_json::to_vec(world.services.get(name)?.failures.get(&version)?))
        } else {
            None
        };
        was.map(|op| (key.to_string(), op))
    };
    let undone = |op: &Op| match op {
        // Numbers up to which others are used may be higher than they are.
        Op::Put { key, .. } => ![INCARNATION, GENERATION, TASK_LAST].contains(&key.as_str()),
        Op::Delete { key } => !key.starts_with(EVENT),
    };
    let changed = changes.iter().filter(|op| undone(op));
    let absent = |op: &Op| (key(op).to_string(), Op::delete(key(op)));
    changed.map(|op| restore(op).unwrap_or_else(|| absent(op))).collect()
}

/// What is to be saved of a service's failures.
fn failures(
    service: &str,
    before: &BTreeMap<Version, Failure>,
    now: &BTreeMap<Version, Failure>,
) -> Vec<Op> {
    let key = |version: &Version| format!("{FAILURE}{service}/{}", version.0);
    let gone = before.keys().filter(|version| !now.contains_key(version));
    let mut changes: Vec<Op> = gone.map(|version| Op::delete(key(version))).collect();
    for (version, failure) in now.iter().filter(|(version, now)| before.get(version) != Some(now)) {
        match serde_json::to_vec(failure) {
            Ok(value) => changes.push(Op::put(key(version), value)),
            Err(error) => tracing::error!("{service} has a failure without a JSON form: {error}"),
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival::{Arrival, Heard, Request};
    use crate::world::Numbers;

    #[tokio::test]
    async fn what_was_saved_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        let mut world = journal.load().await.unwrap();
        let mut turn = Turn::new(7);
        let (answer, _) = tokio::sync::oneshot::channel();
        let text = "image web:v1\n".to_string();
        let request = Request::Manifest { service: "web".to_string(), text };
        world.arrive(Arrival::Asked(request, answer), &mut turn);
        turn.tell("web", "something happened");
        let changes = changes(&mut world, &turn);
        let all = "record, no numbers of an earlier one, incarnation, generations, line";
        assert_eq!(changes.len(), 5, "{all}");
        journal.save(&changes, &[]).await.unwrap();
        drop(journal);
        let again = Journal::open(dir.path()).unwrap().load().await.unwrap();
        let draft = again.services["web"].record.draft.as_ref().unwrap();
        assert_eq!(draft.text, "image web:v1\n");
        assert_eq!(again.last_event, 1);
        assert_eq!(again.routes.to_reserve(), Some(2 * crate::routes::BLOCK));
        assert_eq!(again.services["web"].events.length().0, 40);
        world.route(&turn);
        // What a turn leaves as it was is not written again.
        let mut turn = Turn::new(8);
        let service = "web".to_string();
        world.arrive(Arrival::Heard(Heard::Woke { service }), &mut turn);
        assert!(turn.touched.contains_key("web"));
        assert_eq!(super::changes(&mut world, &turn), []);
    }

    #[tokio::test]
    async fn the_numbers_of_a_place_that_nothing_came_of_are_not_used_again_after_a_crash() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap();
        let mut world = journal.load().await.unwrap();
        let numbers = Numbers { next_id: 21, last_version: 7 };
        world.gone.insert("web".to_string(), numbers);
        let mut turn = Turn::new(1);
        world.placed("web", &mut turn).unwrap();
        journal.save(&changes(&mut world, &turn), &[]).await.unwrap();
        drop(journal);

        let mut journal = Journal::open(dir.path()).unwrap();
        let mut world = journal.load().await.unwrap();
        assert!(!world.services.contains_key("web"));
        assert_eq!(world.gone["web"], numbers);
        // Nor after it was made and left once more, and another restart.
        let mut turn = Turn::new(2);
        world.placed("web", &mut turn).unwrap();
        assert_eq!(world.services["web"].record.last_version, 7);
        assert_eq!(world.services["web"].record.rollout.next_id().0, 21);
        journal.save(&changes(&mut world, &turn), &[]).await.unwrap();
        let mut turn = Turn::new(3);
        world.delete("web", &mut turn);
        journal.save(&changes(&mut world, &turn), &[]).await.unwrap();
        drop(journal);
        let again = Journal::open(dir.path()).unwrap().load().await.unwrap();
        assert_eq!(again.gone["web"], numbers);
    }
}
