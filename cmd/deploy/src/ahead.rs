//! What `apply -f` does on this side before anything is written: pre-flight and build.

use crate::apply::Stage;
use crate::build::{Build, Built};
use crate::compare;
use crate::error::{Error, Result};
use crate::files::Draft;
use crate::hold::Held;
use crate::link::{Lines, Link};
use crate::out::Out;
use crate::row::values;
use crate::stop::Stop;
use crate::work_tree::{WorkTree, place};
use serde_json::json;
use std::path::Path;
use tokio::time::timeout_at;

/// Hex digits of a commit that are shown to people.
pub(crate) const COMMIT_CHARS: usize = 12;

/// How often an update is given up that is followed by another one at once.
const CANCELS_MAX: u32 = 5;

/// Looks whether everything is as it should be: the update of before, the work tree, the room.
/// Gives the commit, where there is a work tree.
///
/// # Errors
/// What is not.
pub(crate) async fn pre_flight(
    stage: &Stage<'_>,
    draft: &Draft,
    held: &Held,
) -> Result<Option<String>> {
    let manifest = &draft.manifest;
    if manifest.source.is_none() && manifest.build.is_empty() {
        // Nothing is begun on this side, and the server looks before it begins anything.
        return Ok(None);
    }
    let Stage { link, out, command, .. } = stage;
    held.say("pre-flight\n").await?;
    if !command.supersede {
        at_rest(link, &draft.service).await?;
    }
    let mut commit = None;
    if let Some(source) = &manifest.source {
        let place = place(&draft.path, Some(source));
        let tree = WorkTree::look(&place).await?;
        held.say(&format!("commit {}\n", tree.commit())).await?;
        told(*out, &draft.service, &place, &tree)?;
        commit = Some(tree.hash);
    }
    match compare::no_room(link, &draft.service, manifest).await? {
        Some(text) => Err(Error::NoRoom(format!("{}: {text}; nothing was changed", draft.service))),
        None => Ok(commit),
    }
}

/// Who waits for others waits for what they began, too: their update goes on when their lock is
/// free.
///
/// # Errors
/// It does not end in time.
pub(crate) async fn settled(stage: &Stage<'_>, service: &str) -> Result<()> {
    let Some(until) = stage.until.filter(|_| !stage.command.supersede) else { return Ok(()) };
    let path = |file: &str| format!("active/{service}/{file}");
    loop {
        let status = stage.link.find(&path("update_status")).await?.unwrap_or_default();
        if status.trim() != "rolling" {
            return Ok(());
        }
        let mut wait = Lines::open(stage.link, &path("wait")).await?;
        timeout_at(until, wait.next()).await.map_err(|_| {
            Error::TimeOver(format!("{service}: an update is in flight; it was waited for in vain"))
        })??;
    }
}

fn told(out: Out, service: &str, place: &Path, tree: &WorkTree) -> Result<()> {
    if out.json {
        return out.object(&json!({
            "service": service, "phase": "pre-flight", "source": place.display().to_string(),
            "branch": tree.branch, "commit": tree.hash, "subject": tree.subject,
        }));
    }
    let branch = tree.branch.as_deref().unwrap_or("no branch");
    let hash = tree.hash.get(..COMMIT_CHARS).unwrap_or(&tree.hash);
    out.message(&format!("  {service}: commit {hash} on {branch}: {}", tree.subject));
    Ok(())
}

/// Refuses while an update is in flight, before time is spent on a build for nothing.
async fn at_rest(link: &Link, service: &str) -> Result<()> {
    let state = link.read(&format!("active/{service}/state")).await?;
    let state = values(&state);
    let of = |key: &str| state.get(key).copied().unwrap_or_default();
    if !matches!(of("status"), "rolling" | "paused") {
        return Ok(());
    }
    let to = if of("target").is_empty() { String::new() } else { format!(" to {}", of("target")) };
    Err(Error::Busy(format!(
        "{service}: update{to} in flight since {}, phase {}; wait for it, cancel it, or say \
         --supersede",
        of("started"),
        of("phase")
    )))
}

/// Runs a manifest's `build`, where it has one.
///
/// # Errors
/// As [`Build::run`].
pub(crate) async fn build(
    stage: &Stage<'_>,
    draft: &Draft,
    held: &Held,
    commit: Option<String>,
    stop: &mut Stop,
) -> Result<Built> {
    let manifest = &draft.manifest;
    if manifest.build.is_empty() {
        return Ok(Built::Done);
    }
    let watch = held.watch(stage.link).await?;
    held.say("build\n").await?;
    let place = place(&draft.path, manifest.source.as_deref());
    let address = ("DEPLOY_ADDR", stage.address.to_string());
    let commit = commit.map(|commit| ("DEPLOY_COMMIT", commit));
    let env = [address].into_iter().chain(commit).collect();
    let build = Build { service: &draft.service, words: &manifest.build, place, env };
    build.run(stage.out, stop, held.lost(watch)).await
}

/// Gives up the update that is in flight, and waits for its end.
///
/// # Errors
/// What the server refuses.
pub(crate) async fn supersede(link: &Link, out: Out, service: &str) -> Result<()> {
    let path = |file: &str| format!("active/{service}/{file}");
    for _ in 0..CANCELS_MAX {
        let status = link.find(&path("update_status")).await?.unwrap_or_default();
        if !matches!(status.trim(), "rolling" | "paused") {
            return Ok(());
        }
        let mut wait = Lines::open(link, &path("wait")).await?;
        match link.write(&path("ctl"), "cancel").await {
            Ok(()) => {}
            // It ends by itself, or has ended.
            Err(Error::Refused { text, .. })
                if text.contains("already being ended") || text.contains("no update in flight") => {
            }
            Err(error) => return Err(error),
        }
        let outcome = wait.next().await?.join(" ");
        match out.json {
            true => out.object(&json!({
                "service": service, "phase": "superseded", "outcome": outcome,
            }))?,
            false => out.message(&format!("  {service}: superseded: {outcome}")),
        }
    }
    Err(Error::Other(format!("{service}: one update follows the other; try again")))
}
