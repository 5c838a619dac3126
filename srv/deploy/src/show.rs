//! What the files say: the world printed. Reads only; nothing here decides or changes anything.

use crate::clock;
use crate::lock::Notes;
use crate::past::{self, Failure};
use crate::record::{By, Edition, Record};
use crate::table::{self, File};
use crate::verbs;
use crate::world::{Service, World, container};
use rollout::{Instance, Stage, Version};
use std::fmt::Write as _;

/// Letters of a reason in the table of services.
const WHY_CHARS_MAX: usize = 80;

/// The text of a file at the root or of a node; absent for files that have no such text.
#[must_use]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the files that are a text of this kind have one"
)]
pub fn at_root(world: &World, file: File, now: u64) -> Option<String> {
    let text = match file {
        File::Help => help(),
        File::RootError => line(&world.error),
        File::Status => status(world, now),
        File::NodeStatus => format!(
            "name={}\nstate={}\nservices={}\n",
            world.node.name,
            if world.node.up { "up" } else { "down" },
            world.services.len()
        ),
        File::Routes => String::from_utf8_lossy(&world.routes.newest().text).into_owned(),
        File::NodeCapacity => resources(world.node.capacity, world.node.volume_bytes),
        File::NodeAllocated => resources(world.allocated(), world.allocated_volumes()),
        _ => return None,
    };
    Some(text)
}

/// The text of a file of a service; absent for files that have no such text.
#[must_use]
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "only the files that are a text of this kind have one"
)]
pub fn of_service(service: &Service, file: File, now: u64) -> Option<String> {
    let record = &service.record;
    let rollout = &record.rollout;
    let text = match file {
        File::Version => name(record, rollout.current()),
        File::PreviousVersion => name(record, record.previous),
        File::TargetVersion => name(record, rollout.target()),
        File::UpdateStatus => line(&update_status(service)),
        File::UpdateProgress => pair(rollout.progress()),
        File::UpdatePhase => line(&phase(service, now)),
        File::State => state(service, now),
        File::Error => line(&service.error),
        File::Manifest => text_of(record, rollout.current()),
        File::PreviousManifest => text_of(record, record.previous),
        File::Replicas => pair(rollout.replicas()),
        File::Health => line(&health(service)),
        File::Endpoints => endpoints(service),
        File::Lock => service.lock.text(),
        File::Queue => service.lock.queue(),
        _ => return None,
    };
    Some(text)
}

fn help() -> String {
    let mut text = table::help();
    text.push_str("\nverbs, in the ctl of a service, or in the ctl at the root with its name:\n");
    for row in verbs::VERBS.iter().filter(|row| row.of_service) {
        let _ = writeln!(text, "{:<27} {}", verbs::usage(row, false), row.meaning);
    }
    text.push_str("\nverbs of the ctl at the root:\n");
    for row in verbs::VERBS.iter().filter(|row| !row.of_service) {
        let _ = writeln!(text, "{:<27} {}", verbs::usage(row, true), row.meaning);
    }
    text
}

/// A line with its newline; nothing when there is nothing to say.
fn line(text: &str) -> String {
    match text.trim_end() {
        "" => String::new(),
        text => format!("{text}\n"),
    }
}

fn pair((have, want): (u32, u32)) -> String {
    format!("{have}/{want}\n")
}

fn name(record: &Record, version: Option<Version>) -> String {
    record.edition(version).map(|e| format!("{}\n", e.name)).unwrap_or_default()
}

fn text_of(record: &Record, version: Option<Version>) -> String {
    record.edition(version).map(|e| e.text.clone()).unwrap_or_default()
}

fn resources(of: place::Resources, volumes: u64) -> String {
    format!("cpu={}\nmemory={}\nvolumes={volumes}\n", of.cpu_milli, of.memory_bytes)
}

/// `none | rolling | paused | failed`; an apply that waits for its image counts as rolling, and
/// one that failed before it became an update has failed.
#[must_use]
pub fn update_status(service: &Service) -> String {
    match service.record.preparing {
        Some(_) => "rolling".to_string(),
        None if refused_before(service).is_some() => "failed".to_string(),
        None => service.record.rollout.status().to_string(),
    }
}

/// Why the last apply came to nothing before it became an update.
fn refused_before(service: &Service) -> Option<&str> {
    service.record.outcome.as_deref()?.strip_prefix("failed: ")
}

/// Why things are as they are: why an update goes back, stands, or came to nothing, or a place
/// stays empty.
fn reason(service: &Service) -> String {
    let rollout = &service.record.rollout;
    let empty = rollout.instances().values().find(|i| i.stage == Stage::GaveUp);
    let empty = empty.map(|i| format!("{}: {}", i.number, i.reason.as_deref().unwrap_or_default()));
    let decided = match (rollout.update(), rollout.outcome()) {
        (Some(update), _) => update.reason.clone(),
        (None, _) if empty.is_some() && rollout.target().is_none() => empty,
        (None, Some(outcome)) => outcome.reason,
        (None, None) => None,
    };
    refused_before(service).map(String::from).or(decided).unwrap_or_default()
}

pub(crate) fn phase(service: &Service, now: u64) -> String {
    match (&service.record.preparing, service.begun_by()) {
        (Some(_), _) => "pull".to_string(),
        (None, Some(held)) => held.phase.to_string(),
        (None, None) => service.record.rollout.phase(now).to_string(),
    }
}

fn health(service: &Service) -> String {
    service.record.rollout.health().to_string()
}

/// The update in one file.
fn state(service: &Service, now: u64) -> String {
    let record = &service.record;
    let update = record.rollout.update();
    let edition = record.edition(record.rollout.target().or(record.rollout.current()));
    let held = service.begun_by();
    let started = match (&record.preparing, update, held) {
        (Some(preparing), ..) => clock::stamp(preparing.at),
        (None, Some(update), _) => clock::stamp(update.started),
        (None, None, Some(held)) => clock::stamp(held.since.stamp),
        // A deploy that is validated goes on until that is over.
        (None, None, None) => {
            let watched = record.rollout.watch().and_then(|_| record.rollout.outcome());
            watched.map(|outcome| clock::stamp(outcome.started)).unwrap_or_default()
        }
    };
    let before = record.edition(record.previous);
    let nobody = By { uid: 0, name: String::new() };
    let (by, notes) = match (&record.preparing, held, edition) {
        (Some(preparing), ..) => (&preparing.by, &preparing.notes),
        (None, Some(held), _) => (held.by(), &held.notes),
        (None, None, Some(edition)) => (&edition.by, &edition.notes),
        (None, None, None) => (&nobody, &Notes::default()),
    };
    format!(
        "status={}\nphase={}\nstarted={started}\nby={}\nprevious={}\ncurrent={}\ntarget={}\n\
         reason={}\ncommit={}\nmessage={}\nprevious_commit={}\n",
        update_status(service),
        phase(service, now),
        by.name,
        name(record, record.previous).trim_end(),
        name(record, record.rollout.current()).trim_end(),
        name(record, record.rollout.target()).trim_end(),
        reason(service).replace('\n', "\\n"),
        notes.commit.as_deref().unwrap_or_default(),
        notes.message.as_deref().unwrap_or_default(),
        before.and_then(|edition| edition.notes.commit.as_deref()).unwrap_or_default(),
    )
}

fn endpoints(service: &Service) -> String {
    let mut text = String::new();
    for instance in shown(service) {
        let Some(found) = service.containers.get(&instance.id) else { continue };
        let Some(address) = address(service, instance).filter(|_| !instance.is_gone()) else {
            continue;
        };
        let node = instance.node.as_deref().unwrap_or("-");
        let state = word(instance, &found.state);
        let _ = writeln!(text, "{} {node} {address} {state}", instance.number);
    }
    text
}

/// `10.89.0.5:8080`, or the address alone when the program has no port.
fn address(service: &Service, instance: &Instance) -> Option<String> {
    let (address, port) = address_of(service, instance)?;
    Some(port.map_or(address.to_string(), |port| format!("{address}:{port}")))
}

/// Where an instance is reached, as far as the node has told.
pub(crate) fn address_of<'a>(
    service: &'a Service,
    instance: &Instance,
) -> Option<(&'a str, Option<u16>)> {
    let found = service.containers.get(&instance.id).filter(|c| !c.address.is_empty())?;
    let manifest = service.manifests.get(&instance.version);
    Some((&found.address, found.port.or_else(|| manifest.and_then(|m| m.port))))
}

/// The instances that have a directory: one a place, running ones before kept logs.
pub fn shown(service: &Service) -> impl Iterator<Item = &Instance> {
    let rollout = &service.record.rollout;
    let mut numbers: Vec<u32> = rollout.instances().values().map(|i| i.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().filter_map(|number| rollout.at(number))
}

/// An instance's state in one word.
pub(crate) fn word(instance: &Instance, container: &str) -> &'static str {
    match instance.stage {
        Stage::Waiting { .. } => "waiting",
        Stage::Placing | Stage::Ready => "scheduled",
        Stage::Starting if container == "pulling" => "pulling",
        Stage::Starting => "starting",
        Stage::Checking { .. } => "checking",
        Stage::Settled | Stage::Routing { .. } => "healthy",
        Stage::Serving => "serving",
        Stage::Leaving { .. } | Stage::Draining { .. } => "draining",
        Stage::Stopping => "stopping",
        Stage::Exited | Stage::Ended | Stage::Forgetting => "exited",
        Stage::GaveUp => "failed",
    }
}

/// What this server knows of an edge; what it tells of itself follows.
#[must_use]
pub fn edge(world: &World, name: &str) -> String {
    let Some(edge) = world.edges.all().get(name) else { return String::new() };
    let newest = world.edges.newest().unwrap_or_default();
    let mut text =
        format!("name={name}\nstate={}\nserves={}\nnewest={newest}\n", edge.word(), edge.serving());
    if name == crate::edge::NAME {
        let asked = world.names_at.as_deref().unwrap_or("the machine's resolvers");
        let _ = writeln!(text, "instances_ask={asked}");
    }
    text
}

/// The `status` of an instance.
#[must_use]
pub fn instance(name: &str, service: &Service, instance: &Instance) -> String {
    let unknown = crate::report::Container::default();
    let found = service.containers.get(&instance.id).unwrap_or(&unknown);
    let version = service.record.edition(Some(instance.version));
    let exit = instance.exit.as_ref().or(found.exit.as_ref());
    // What is decided by counts, and not only what the node told since it was last connected.
    let health = match (instance.is_gone(), instance.healthy, instance.started) {
        (true, ..) | (_, _, None) => "none",
        (false, true, _) => "healthy",
        (false, false, _) if found.health == "unhealthy" => "unhealthy",
        (false, false, _) => "starting",
    };
    let mut text = String::new();
    let mut put = |key: &str, value: &str| {
        let _ = writeln!(text, "{key}={}", value.replace('\n', "\\n"));
    };
    put("id", &container(name, instance.id));
    put("version", version.map_or("", |edition| edition.name.as_str()));
    put("node", instance.node.as_deref().unwrap_or(""));
    put("pid", &if found.pid == 0 { String::new() } else { found.pid.to_string() });
    put("address", &address(service, instance).unwrap_or_default());
    put("state", word(instance, &found.state));
    put("health", health);
    put("probe", &found.probe);
    put("restarts", &instance.restarts.to_string());
    put("exit", &exit.map(how).unwrap_or_default());
    put("reason", instance.reason.as_deref().unwrap_or(&found.reason));
    put("started", &instance.started.map(clock::stamp).unwrap_or_default());
    for warning in &found.warnings {
        put("warning", warning);
    }
    text
}

/// How a process ended, in words: `3`, `137 KILL`, `137 KILL out of memory`.
pub(crate) fn how(exit: &rollout::Exit) -> String {
    let mut text = exit.code.to_string();
    if let Some(signal) = &exit.signal {
        text = format!("{text} {signal}");
    }
    if exit.oom {
        text.push_str(" out of memory");
    }
    text
}

/// A version's file in `history/`: facts as comments, then the manifest, so that it can be used
/// as one again.
#[must_use]
pub fn past(version: Version, edition: &Edition, failure: Option<&Failure>) -> String {
    let story = past::story(edition, failure);
    let lines: String = story.iter().map(|line| format!("# {line}\n")).collect();
    format!(
        "# version {} {version}\n# image {}\n# by {} (uid {})\n# at {}\n# ended {}\n\
         # commit {}\n# message {}\n# story {}\n{lines}{}",
        edition.name,
        edition.digest,
        edition.by.name,
        edition.by.uid,
        clock::stamp(edition.at),
        edition.ended.as_deref().unwrap_or("not yet"),
        edition.notes.commit.as_deref().unwrap_or_default(),
        edition.notes.message.as_deref().unwrap_or_default(),
        story.len(),
        edition.text
    )
}

/// The table of services, a line each.
fn status(world: &World, now: u64) -> String {
    let mut rows = vec![
        ["SERVICE", "VERSION", "REPLICAS", "HEALTH", "UPDATE", "PHASE", "PROGRESS", "WHY"]
            .map(String::from),
    ];
    for (service_name, service) in &world.services {
        let record = &service.record;
        let version = record.rollout.current();
        let label = match (version, record.edition(version)) {
            (Some(version), Some(edition)) => format!("{version} {}", edition.name),
            _ => "-".to_string(),
        };
        let of = |pair: (u32, u32)| format!("{}/{}", pair.0, pair.1);
        rows.push([
            service_name.clone(),
            label,
            of(record.rollout.replicas()),
            match version {
                None => "-".to_string(),
                Some(_) if record.rollout.stopped() => "stopped".to_string(),
                Some(_) => health(service),
            },
            update_status(service),
            phase(service, now),
            of(record.rollout.progress()),
            why(service),
        ]);
    }
    table(&rows)
}

/// What one file deployed together, a line a service: `-` for a version that is not there yet.
#[must_use]
pub fn app(world: &World, app: &str) -> String {
    let mut text = String::new();
    for (service_name, service) in world.of_app(app) {
        let rollout = &service.record.rollout;
        let version = name(&service.record, rollout.current());
        let version = if version.is_empty() { "-" } else { version.trim_end() };
        let (have, want) = rollout.replicas();
        let update = update_status(service);
        let _ = writeln!(text, "{service_name} {version} {have}/{want} {update}");
    }
    text
}

/// What is wrong, where something is, within the width of a table.
fn why(service: &Service) -> String {
    let wrong = matches!(update_status(service).as_str(), "failed" | "paused");
    let reason = if wrong { reason(service) } else { String::new() };
    // Two blanks part the columns.
    let words = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().take(WHY_CHARS_MAX).collect()
}

/// Columns as wide as their widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}
