//! What an earlier node left: every instance's directory says how far it had come.
//!
//! Law: an id is started at most once. One whose intent is there but for which no shim was ever
//! told anything was certainly never started, and is started now; one whose shim may have lived
//! is either found living or has ended.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::task::spawn_blocking;

use crate::dirs::Dirs;
use crate::error::{Error, Result};
use crate::exe::Exe;
use crate::fact::{Alive, Found, Phase};
use crate::id::Id;
use crate::instance::Written;
use crate::process::{self, Living};
use crate::record;
use crate::spec::Spec;
use crate::wire::Given;

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
    let ids = spawn_blocking(move || ids(&at.instances())).await.map_err(|_| Error::Ended)??;
    let found = stream::iter(ids).map(|id| one(dirs, exe, id));
    let found: Vec<Result<Found>> = found.buffer_unordered(REAPS_MAX).collect().await;
    let mut found: Vec<Found> = found.into_iter().collect::<Result<_>>()?;
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

async fn one(dirs: &Dirs, exe: &Exe, id: Id) -> Result<Found> {
    let dir = dirs.instance(&id);
    let written = written(&id, &dir)?;
    let phase = match look(&dir, written.as_ref())? {
        Sight::Clear(phase) => phase,
        Sight::Dead => {
            if let Err(error) = exe.reap(&dir).await {
                tracing::warn!("{id}: {error}");
            }
            let exit = record::exit(&dir)?;
            Phase::Ended(exit.unwrap_or_else(|| record::died("the shim died".to_owned())))
        }
    };
    tracing::info!("found {id}: {}", word(&phase));
    Ok(Found { id, written, phase })
}

fn word(phase: &Phase) -> &'static str {
    match phase {
        Phase::New => "not started",
        Phase::Intended => "to be started",
        Phase::Alive(_) => "running",
        Phase::Ended(_) => "ended",
    }
}

/// The spec, when one was written. One that this node cannot read is none.
fn written(id: &Id, dir: &Path) -> Result<Option<Written>> {
    let path = dir.join(record::SPEC);
    let text = match fs::read(&path) {
        Ok(text) => Bytes::from(text),
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(Error::io("read", &path)(why)),
    };
    match Spec::parse(id, &text) {
        Ok(spec) => Ok(Some(Written { spec: spec.into(), text })),
        Err(error) => {
            tracing::warn!("{error}");
            Ok(None)
        }
    }
}

fn look(dir: &Path, written: Option<&Written>) -> Result<Sight> {
    let living = process::living(dir);
    let shim = living.as_ref().and_then(|living| living.shim);
    let exit = record::exit(dir)?;
    let Some(written) = written else {
        return Ok(match (exit, dir.join(record::INTENT).exists()) {
            (Some(exit), _) => Sight::Clear(Phase::Ended(exit)),
            (None, true) => Sight::Dead,
            (None, false) => Sight::Clear(Phase::New),
        });
    };
    if shim.is_some() {
        return Ok(Sight::Clear(Phase::Alive(alive(dir, written, living))));
    }
    if let Some(exit) = exit {
        // It cleans up after the exit is written; what it left then is still there.
        let left = ["upper", "work", "merged", "run"].iter().any(|name| dir.join(name).exists());
        return Ok(if left { Sight::Dead } else { Sight::Clear(Phase::Ended(exit)) });
    }
    if !dir.join(record::INTENT).exists() {
        return Ok(Sight::Clear(Phase::New));
    }
    if living.is_some() {
        return Ok(Sight::Dead);
    }
    if !dir.join(record::SHIM).exists() {
        return Ok(Sight::Clear(Phase::Intended));
    }
    if process::shim_in(dir).is_some() {
        return Ok(Sight::Clear(Phase::Alive(alive(dir, written, None))));
    }
    // A shim may have been started that came as far as nothing: that was this id's one start.
    let reason = "the node ended while it was being started".to_owned();
    record::write_exit(dir, &record::failed(reason, false))?;
    Ok(Sight::Dead)
}

fn alive(dir: &Path, written: &Written, living: Option<Living>) -> Alive {
    let path: PathBuf = dir.join(record::SHIM);
    let given = fs::read(path).ok().and_then(|text| serde_json::from_slice::<Given>(&text).ok());
    let address = given.as_ref().and_then(|given| given.address.as_deref());
    let address = address.and_then(|text| text.split('/').next()?.parse().ok());
    let (spec, digest) = match given {
        Some(given) => (given.spec.into(), given.image_digest),
        None => (written.spec.clone(), String::new()),
    };
    let (pid, port) = (living.and_then(|living| living.init), spec.port);
    Alive { spec, digest, pid, address, port, healthy: record::marked(dir) }
}

#[cfg(test)]
#[path = "adopt_test.rs"]
mod tests;
