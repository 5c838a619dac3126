//! What an earlier node left: every instance's directory says how far it had come.
//!
//! Law: an id is started at most once. One whose intent is there but for which no shim was ever
//! told anything was certainly never started, and is started now; one whose shim may have lived
//! is either found living or has ended.
//!
//! Law: what lives stays alive, whatever its files look like, and one instance's files never keep
//! the node from the others: a fault in them is that instance's own end at the most.

use std::fs;
use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::dirs::Dirs;
use crate::error::{Error, Result};
use crate::exe::Exe;
use crate::fact::{Alive, Found, Phase};
use crate::id::Id;
use crate::instance::Written;
use crate::kept;
use crate::process::{self, Living};
use crate::record;
use crate::spec::Spec;
use crate::volumes;
use crate::wire::{Exit, Given};

/// Dead shims cleaned up after at the same time.
const REAPS_MAX: usize = 8;

/// What a directory shows.
#[derive(Debug, PartialEq)]
enum Sight {
    /// How far the instance has come.
    Clear(Phase),
    /// Its shim is dead and may have left anything behind.
    Dead,
}

/// Every instance there is, in an order in which those that hold addresses come before those
/// that will want one; dead shims are cleaned up after.
pub(crate) async fn scan(dirs: &Dirs, exe: &Exe) -> Result<Vec<Found>> {
    let at = dirs.clone();
    let swept = spawn_blocking(move || {
        kept::sweep(&at.logs())?;
        volumes::sweep(&at)?;
        ids(&at.instances())
    });
    let ids = swept.await.map_err(|_| Error::Ended)??;
    let found = stream::iter(ids).map(|id| one(dirs, exe, id));
    let mut found: Vec<Found> = found.buffer_unordered(REAPS_MAX).collect().await;
    found.sort_by_key(|found| found.phase == Phase::Intended);
    Ok(found)
}

/// The names in the directory; what was on its way out goes.
fn ids(dir: &Path) -> Result<Vec<Id>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let entry = entry.map_err(Error::io("read", dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(record::REMOVING) {
            record::remove_tree(&entry.path());
            continue;
        }
        match name.parse() {
            Ok(id) => ids.push(id),
            Err(error) => tracing::warn!("{}: {error}", dir.display()),
        }
    }
    Ok(ids)
}

async fn one(dirs: &Dirs, exe: &Exe, id: Id) -> Found {
    let dir = dirs.instance(&id);
    let written = written(&id, &dir);
    let phase = match look(&id, &dir, written.as_ref()) {
        Sight::Clear(phase) => phase,
        Sight::Dead => {
            if let Err(error) = exe.reap(&dir).await {
                tracing::warn!("{id}: {error}");
            }
            Phase::Ended(ended(&id, &dir))
        }
    };
    tracing::info!("found {id}: {}", word(&phase));
    Found { id, written, phase }
}

/// How one ended that is cleaned up after; when nobody can say, that is written down, so that the
/// next node need not clean up once more.
fn ended(id: &Id, dir: &Path) -> Exit {
    let exit = match record::exit(dir) {
        Ok(Some(exit)) => return exit,
        Ok(None) => record::died("the shim died".to_owned()),
        Err(error) => record::died(format!("nobody knows how it ended: {error}")),
    };
    if let Err(error) = record::write_exit(dir, &exit) {
        tracing::warn!("{id}: {error}");
    }
    exit
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::New => "not started",
        Phase::Intended => "to be started",
        Phase::Alive(_) => "running",
        Phase::Ended(_) => "ended",
    }
}

/// The spec, when one was written: as far as it can be understood, for it was good when it was
/// taken. One that is no JSON at all is none.
fn written(id: &Id, dir: &Path) -> Option<Written> {
    let path = dir.join(record::SPEC);
    let text = match fs::read(&path) {
        Ok(text) => Bytes::from(text),
        Err(why) if why.kind() == io::ErrorKind::NotFound => return None,
        Err(why) => {
            tracing::warn!("{}", Error::io("read", &path)(why));
            return None;
        }
    };
    let spec = match Spec::parse(id, &text) {
        Ok(spec) => spec,
        Err(error) => {
            tracing::warn!("{error}");
            let given: Value = serde_json::from_slice(&text).ok().filter(Value::is_object)?;
            Spec::recover(&given)
        }
    };
    Some(Written { spec: spec.into(), text })
}

fn look(id: &Id, dir: &Path, written: Option<&Written>) -> Sight {
    // Before anything else: what lives is not dead for what its files say or do not say.
    if let Some(living) = process::shim(dir) {
        return Sight::Clear(Phase::Alive(alive(dir, written, &living)));
    }
    let intended = dir.join(record::INTENT).exists();
    match record::exit(dir) {
        Ok(Some(exit)) => {
            // The shim cleans up after the exit is written; what it left then is still there.
            let left = ["upper", "work", "merged", "run"].map(|name| dir.join(name).exists());
            return if left.contains(&true) {
                Sight::Dead
            } else {
                Sight::Clear(Phase::Ended(exit))
            };
        }
        Ok(None) if !intended => return Sight::Clear(Phase::New),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!("{id}: {error}");
            return Sight::Dead;
        }
    }
    if written.is_none() || process::living(dir).is_some() {
        return Sight::Dead;
    }
    if !dir.join(record::SHIM).exists() {
        // The secrets it was to be started with went with the node that had them.
        if written.is_some_and(|written| !written.spec.secrets.is_empty()) {
            return Sight::Clear(Phase::New);
        }
        return Sight::Clear(Phase::Intended);
    }
    // A shim may have been started that came as far as nothing: that was this id's one start.
    let reason = "the node ended while it was being started".to_owned();
    if let Err(error) = record::write_exit(dir, &record::failed(reason, false)) {
        tracing::warn!("{id}: {error}");
    }
    Sight::Dead
}

fn alive(dir: &Path, written: Option<&Written>, living: &Living) -> Alive {
    let given = fs::read(dir.join(record::SHIM)).map(|text| Given::recover(&text));
    let given = given.unwrap_or_default();
    let address = given.address.as_deref();
    let address = address.and_then(|text| text.split('/').next()?.parse().ok());
    let spec = match (given.spec, written) {
        (Some(spec), _) => spec.into(),
        (None, Some(written)) => written.spec.clone(),
        (None, None) => Spec::recover(&Value::Null).into(),
    };
    let (pid, port, healthy) = (living.init, spec.port, record::marked(dir));
    let (digest, since_ms) = (given.image_digest, living.since_ms);
    Alive { spec, digest, pid, since_ms, address, port, healthy }
}

#[cfg(test)]
#[path = "adopt_test.rs"]
pub(crate) mod tests;
