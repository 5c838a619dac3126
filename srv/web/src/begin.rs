//! What begins a deploy: locks taken, manifests written, and one line to the tree's `ctl` that
//! applies them all. Nothing is written while anything is known to stand in the way.

use crate::draft::Draft;
use crate::limits::WRITES_MAX;
use crate::refusal::{Refusal, Result};
use crate::tale::Manner;
use crate::trail::{Start, Trail};
use crate::tree::Tree;
use hyper::StatusCode;
use ninep::client::{File, Mode};
use tokio::task::JoinSet;

/// How often a place for a service is made that goes while it is opened.
const TRIES_MAX: u32 = 5;

/// Begins the deploy of these services, and gives the trail of what comes of it.
pub(crate) async fn begin(
    tree: Tree,
    drafts: &[Draft],
    atomic: bool,
    message: Option<&str>,
) -> Result<(Trail, Manner)> {
    let mut locks = Vec::new();
    let mut first = false;
    for draft in drafts {
        let lock = lock(&tree, &draft.service).await?;
        say(&lock, "from the http door").await?;
        if let Some(message) = message {
            say(&lock, &format!("message {message}")).await?;
        }
        locks.push(lock);
        first |= !at_rest(&tree, &draft.service).await?;
    }
    write(&tree, drafts).await?;
    // Before they are applied, so that nothing is missed.
    let (trail, _) = Trail::begin(&tree, "events", "watch", Start::Last(0)).await?;
    let verb = if atomic { "atomic" } else { "together" };
    let names: Vec<&str> = drafts.iter().map(|draft| draft.service.as_str()).collect();
    tree.write("ctl", &format!("{verb} {}\n", names.join(" "))).await?;
    Ok((trail, Manner { atomic, first }))
}

/// Whether a service is deployed already; one that is on its way is not to be disturbed.
async fn at_rest(tree: &Tree, service: &str) -> Result<bool> {
    let at = |file: &str| format!("active/{service}/{file}");
    let status = tree.find(&at("update_status")).await?.unwrap_or_default();
    if matches!(status.as_str(), "rolling" | "paused") {
        let text = format!("{service}: an update is in flight ({status})");
        return Err(Refusal::new(StatusCode::CONFLICT, text).hint("wait for it, or cancel it"));
    }
    Ok(tree.find(&at("version")).await?.is_some_and(|version| !version.is_empty()))
}

/// Writes the manifests, many at once: the server saves those that come together in one go.
async fn write(tree: &Tree, drafts: &[Draft]) -> Result<()> {
    for some in drafts.chunks(WRITES_MAX) {
        let mut writes = JoinSet::new();
        for draft in some {
            let (client, text) = (tree.client.clone(), draft.text.clone());
            let path = format!("manifests/{}", draft.service);
            writes.spawn(async move { client.put(&path, text.as_bytes()).await });
        }
        for written in writes.join_all().await {
            written.map_err(|error| Refusal::of_tree(&error))?;
        }
    }
    Ok(())
}

/// Opens the lock of a service, whose place is made where there is none.
async fn lock(tree: &Tree, service: &str) -> Result<File> {
    let directory = format!("active/{service}");
    let path = format!("{directory}/lock");
    let mut tries = 1;
    loop {
        match tree.client.open(&path, Mode::ReadWrite).await {
            Err(_) if tries < TRIES_MAX && tree.client.stat(&directory).await.is_err() => {
                // Somebody else may make it first; what else is wrong the open says.
                let _ = tree.client.mkdir(&directory).await;
                tries += 1;
            }
            done => return done.map_err(|error| Refusal::of_tree(&error)),
        }
    }
}

async fn say(lock: &File, line: &str) -> Result<()> {
    let said = lock.write_at(0, format!("{line}\n").as_bytes()).await;
    said.map(drop).map_err(|error| Refusal::of_tree(&error))
}
