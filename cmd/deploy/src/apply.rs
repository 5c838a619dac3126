//! `apply`: manifests checked here, locked, looked at and built, written there, and followed to
//! the end.

use crate::ahead;
use crate::app::{self, Gone};
use crate::ask::{self, FOREVER};
use crate::build::Built;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::files::{self, Draft, Files};
use crate::hold::{self, Held};
use crate::link::Link;
use crate::out::Out;
use crate::parse::Command;
use crate::stop::Stop;
use crate::total::Total;
use crate::verb::Is;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use ninep::dial::Address;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Manifests that are written at once: a server has few at a time that are not closed yet.
const WRITES_MAX: usize = 32;

/// What every step of an apply needs.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    /// The server.
    pub(crate) link: &'a Link,
    /// Where it is, for what is run here.
    pub(crate) address: &'a Address,
    /// Where words go.
    pub(crate) out: Out,
    /// What was said.
    pub(crate) command: &'a Command,
    /// Until when others are waited for; none of who does not wait.
    pub(crate) until: Option<Instant>,
}

impl<'a> Stage<'a> {
    /// Of a command that begins now.
    pub(crate) fn new(
        link: &'a Link,
        address: &'a Address,
        out: Out,
        command: &'a Command,
    ) -> Stage<'a> {
        let wait = |limit: Option<Duration>| Instant::now() + limit.unwrap_or(FOREVER);
        Stage { link, address, out, command, until: command.wait_lock.map(wait) }
    }
}

/// Applies files and what is in `manifests/`.
///
/// # Errors
/// Before anything is written: what is wrong with a file, its work tree or its build, or who has
/// the lock. Then what the server refuses.
pub(crate) async fn run(stage: &Stage<'_>, files: Files) -> Result<Exit> {
    let Stage { link, out, command, .. } = *stage;
    let Files { drafts, apps } = files;
    if drafts.is_empty() && apps.iter().any(|app| !app.jobs.is_empty()) {
        // A file of tasks alone: nothing is deployed by it.
        app::keep_jobs(link, out, &apps, command.prune).await?;
        let gone = app::gone(link, &apps, &drafts).await?;
        return after(stage, gone, Exit::Done).await;
    }
    let services = services(link, command, &drafts).await?;
    let held = match ahead(stage, &drafts).await? {
        Some(held) => held,
        None => return given_up(out, &services),
    };
    if command.supersede {
        for service in &services {
            ahead::supersede(link, out, service).await?;
        }
    }
    write(link, &drafts).await?;
    app::keep_jobs(link, out, &apps, command.prune).await?;
    let gone = app::gone(link, &apps, &drafts).await?;
    let names = apps.into_iter().map(|app| app.name).collect::<Vec<_>>();
    let several = command.atomic || !names.is_empty();
    let total = several.then(|| Total::new(names, command.atomic));
    let lines = services.into_iter().map(|service| (service, "apply".to_string())).collect();
    let exit = ask::run(link, out, command, Is::Apply, lines, held, total).await?;
    after(stage, gone, exit).await
}

/// Writes the drafts, many at once: the server saves those that come together in one go.
async fn write(link: &Link, drafts: &[Draft]) -> Result<()> {
    let writes = stream::iter(drafts).map(async |draft| {
        let path = format!("manifests/{}", draft.service);
        let done = link.client.put(&path, draft.text.as_bytes()).await;
        done.map_err(|error| Error::at(&path, error))
    });
    writes.buffered(WRITES_MAX).try_collect().await
}

/// What is gone from the files is removed, where that is asked for and all else has succeeded;
/// else it is named.
async fn after(stage: &Stage<'_>, gone: Vec<Gone>, exit: Exit) -> Result<Exit> {
    let Stage { link, out, command, .. } = *stage;
    if command.prune && exit == Exit::Done && !gone.is_empty() {
        let lines = gone.into_iter().map(|gone| (gone.service, "remove".to_string())).collect();
        return ask::run(link, out, command, Is::Remove, lines, Vec::new(), None).await;
    }
    gone.iter().try_for_each(|gone| gone.tell(out)).map(|()| exit)
}

/// What is done on this side, with the locks held: nothing when the user gave up, and then nothing
/// is left of it.
async fn ahead(stage: &Stage<'_>, drafts: &[Draft]) -> Result<Option<Vec<Arc<Held>>>> {
    if drafts.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let mut stop = Stop::new();
    let looked = tokio::select! {
        looked = look(stage, drafts) => looked?,
        () = stop.asked() => return Ok(None),
    };
    let (held, commits) = looked;
    for (draft, commit) in drafts.iter().zip(commits) {
        let Some(lock) = lock_of(&held, draft) else { continue };
        let built = ahead::build(stage, draft, lock, commit, &mut stop).await;
        if built.map_err(|error| error.of(&draft.service))? == Built::Stopped {
            return Ok(None);
        }
    }
    Ok(Some(held))
}

/// Locks all, and looks at all; gives the commit of each.
async fn look(
    stage: &Stage<'_>,
    drafts: &[Draft],
) -> Result<(Vec<Arc<Held>>, Vec<Option<String>>)> {
    let services: Vec<String> = drafts.iter().map(|draft| draft.service.clone()).collect();
    let held = hold::all(stage, &services).await?;
    let mut commits = Vec::new();
    for draft in drafts {
        let of = |error: Error| error.of(&draft.service);
        ahead::settled(stage, &draft.service).await.map_err(of)?;
        commits.push(match lock_of(&held, draft) {
            Some(lock) => ahead::pre_flight(stage, draft, lock).await.map_err(of)?,
            None => None,
        });
    }
    Ok((held, commits))
}

fn lock_of<'a>(held: &'a [Arc<Held>], draft: &Draft) -> Option<&'a Held> {
    held.iter().find(|held| held.service == draft.service).map(|held| &**held)
}

fn given_up(out: Out, services: &[String]) -> Result<Exit> {
    let exit = Exit::Interrupted;
    match out.json {
        true => services.iter().try_for_each(|service| {
            let (reason, exit) = ("interrupted; nothing was changed", exit.code());
            out.object(&json!({
                "service": service, "phase": "failed", "reason": reason, "exit": exit,
            }))
        })?,
        false => out.message("deploy: interrupted; nothing was changed"),
    }
    Ok(exit)
}

/// Those of the files, and those named; without either, all there are manifests of.
///
/// # Errors
/// When there is nothing at all.
pub(crate) async fn services(
    link: &Link,
    command: &Command,
    drafts: &[Draft],
) -> Result<Vec<String>> {
    let mut services: Vec<String> = drafts.iter().map(|draft| draft.service.clone()).collect();
    for word in &command.words {
        if !services.contains(word) {
            services.push(word.clone());
        }
    }
    if services.is_empty() && !command.files.is_empty() {
        return Err(Error::Manifests("the files have no service: nothing was written".to_string()));
    }
    if services.is_empty() {
        services = link.names("manifests").await?;
        // An editor's own files are no service's.
        services.retain(|name| manifest::check_name(name).is_ok());
    }
    match services.is_empty() {
        true => Err(Error::Other("manifests/ is empty: say apply -f FILE".to_string())),
        false => Ok(services),
    }
}

/// The files of a command line.
///
/// # Errors
/// As [`files::load`].
pub(crate) fn files(out: Out, command: &Command) -> Result<Files> {
    files::load(out, &command.files)
}
