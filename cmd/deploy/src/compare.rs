//! `plan` and `diff`: what is deployed, read from the tree, beside what is wanted.

use crate::app::{self, App, Gone};
use crate::apply;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::files::Files;
use crate::flaw::{Flaw, errors};
use crate::link::Link;
use crate::out::Out;
use crate::parse::Command;
use crate::past::Past;
use crate::plan::{Deployed, Plan};
use crate::room::Node;
use crate::secret;
use crate::verb::Is;
use manifest::{Fate, Manifest};
use serde_json::json;
use std::collections::BTreeMap;
use tokio::task::JoinSet;

/// Compares every service asked for and prints what differs.
///
/// # Errors
/// A manifest that is not there or has errors; what the server refuses.
pub(crate) async fn run(
    link: &Link,
    out: Out,
    command: &Command,
    verb: Is,
    files: Files,
) -> Result<Exit> {
    let Files { drafts, apps } = files;
    for (job, text) in apps.iter().flat_map(|app| &app.jobs).filter(|_| verb == Is::Plan) {
        let what = match link.find(&format!("jobs/{job}")).await? {
            None => "new",
            Some(before) if before == *text => "unchanged",
            Some(_) => "changed",
        };
        match out.json {
            true => out.object(&json!({"job": job, "effect": what}))?,
            false => out.data(format!("job {job}: {what}, kept to be run\n").as_bytes())?,
        }
    }
    if drafts.is_empty() && apps.iter().any(|app| !app.jobs.is_empty()) {
        return Ok(Exit::Done);
    }
    let services = apply::services(link, command, &drafts).await?;
    let gone = app::gone(link, &apps, &drafts).await?;
    let mut all = deployed_all(link, &services).await?;
    let mut free = if verb == Is::Plan { nodes(link).await? } else { Vec::new() };
    let mut plans = Vec::new();
    for service in services {
        let (wanted, name) = match drafts.iter().find(|draft| draft.service == service) {
            Some(draft) => (draft.manifest.clone(), draft.path.clone()),
            None => kept(link, out, &service).await?,
        };
        let old = all.remove(&service).flatten();
        let mut wanted = wanted;
        let lacks = secret::resolve(link, &service, &mut wanted, old.as_ref()).await?;
        let mut plan = Plan::new(&service, old.as_ref(), &wanted);
        plan.lacks(lacks);
        if let Some(room) = plan.room_mut() {
            room.nodes.clone_from(&free);
            room.take_from(&mut free);
        }
        match (out.json, verb == Is::Diff) {
            (true, _) => out.object(&plan.json())?,
            (false, true) => out.data(plan.diff(&name).as_bytes())?,
            (false, false) => out.data(plan.text().as_bytes())?,
        }
        plans.push(plan);
    }
    for App { name, services, .. } in &apps {
        let of = plans.iter().filter(|plan| services.contains(&plan.service));
        let gone: Vec<&Gone> = gone.iter().filter(|gone| gone.app == *name).collect();
        sum_up(out, name, of.map(Plan::fate), &gone, command.prune)?;
    }
    let changed = plans.iter().any(Plan::is_change) || command.prune && !gone.is_empty();
    Ok(if changed && command.exit_code { Exit::Changes } else { Exit::Done })
}

/// What becomes of an app: those that are gone from it, and a count of the others.
fn sum_up(
    out: Out,
    app: &str,
    fates: impl Iterator<Item = Fate>,
    gone: &[&Gone],
    prune: bool,
) -> Result<()> {
    let fates: Vec<Fate> = fates.collect();
    let count = |fate: Fate| fates.iter().filter(|it| **it == fate).count();
    let [added, changed, unchanged] = [Fate::Added, Fate::Changed, Fate::Unchanged].map(count);
    if out.json {
        let gone: Vec<&str> = gone.iter().map(|gone| gone.service.as_str()).collect();
        return out.object(&json!({
            "app": app, "added": added, "changed": changed, "unchanged": unchanged, "gone": gone,
            "prune": prune,
        }));
    }
    let lines = gone.iter().map(|gone| format!("{}: {}\n", gone.service, gone.text(prune)));
    let sum = format!(
        "app {app}: {added} added, {changed} changed, {unchanged} unchanged, {} gone\n",
        gone.len()
    );
    out.data((lines.collect::<String>() + &sum).as_bytes())
}

/// What is deployed of each service, asked for at once.
async fn deployed_all(
    link: &Link,
    services: &[String],
) -> Result<BTreeMap<String, Option<Deployed>>> {
    let mut asked = JoinSet::new();
    for service in services {
        let (link, service) = (link.clone(), service.clone());
        asked.spawn(async move {
            let deployed = deployed(&link, &service).await;
            deployed.map(|deployed| (service, deployed))
        });
    }
    let mut all = BTreeMap::new();
    while let Some(found) = asked.join_next().await {
        let (service, deployed) = found.map_err(|why| Error::Other(why.to_string()))??;
        all.insert(service, deployed);
    }
    Ok(all)
}

/// The manifest in `manifests/`, and its name.
async fn kept(link: &Link, out: Out, service: &str) -> Result<(Manifest, String)> {
    let path = format!("manifests/{service}");
    let parsed = manifest::parse(service, &link.read(&path).await?);
    let flaws = parsed.errors.iter().map(|problem| Flaw::error(&path, problem.clone()));
    flaws.clone().try_for_each(|flaw| flaw.tell(out))?;
    let refused = || Error::Manifests(format!("{path} has {}", errors(flaws.len())));
    parsed.manifest.ok_or_else(refused).map(|manifest| (manifest, path))
}

async fn deployed(link: &Link, service: &str) -> Result<Option<Deployed>> {
    let file = async |file: &str| -> Result<String> {
        let text = link.find(&format!("active/{service}/{file}")).await?;
        Ok(text.unwrap_or_default().trim().to_string())
    };
    let version = file("version").await?;
    if version.is_empty() {
        return Ok(None);
    }
    let past = Past::read(link.read(&format!("active/{service}/history/{version}")).await?);
    let Some(manifest) = past.manifest(service) else {
        let text = format!("{service}: what is deployed cannot be read by this deploy: update it");
        return Err(Error::Other(text));
    };
    let unsettled = !file("target_version").await?.is_empty();
    let replicas = file("replicas").await?;
    let wanted = replicas.split_once('/').and_then(|(_, wanted)| wanted.parse().ok());
    let runs = wanted.unwrap_or(manifest.replicas);
    Ok(Some(Deployed { past, manifest, unsettled, runs }))
}

/// In one line, why what apply would do has no room; none where it has, or where one instance
/// can make room for the next.
pub(crate) async fn no_room(
    link: &Link,
    service: &str,
    wanted: &Manifest,
) -> Result<Option<String>> {
    let old = deployed(link, service).await?;
    let mut plan = Plan::new(service, old.as_ref(), wanted);
    let Some(room) = plan.room_mut() else { return Ok(None) };
    room.nodes = nodes(link).await?;
    let runs = old.map_or(0, |old| old.runs);
    // One of several can make room for its own successor.
    let more = wanted.replicas.saturating_sub(runs);
    Ok(room.lacks(if runs > 1 { more } else { room.needs() }))
}

async fn nodes(link: &Link) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for name in link.names_if_there("nodes").await? {
        let capacity = link.find(&format!("nodes/{name}/capacity")).await?.unwrap_or_default();
        let allocated = link.find(&format!("nodes/{name}/allocated")).await?.unwrap_or_default();
        nodes.push(Node::read(&name, &capacity, &allocated));
    }
    Ok(nodes)
}
