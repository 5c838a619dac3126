//! Events, actions and states as the words that scripts are written in.

use super::world::World;
use crate::{
    Action, Event, Exit, Id, Instance, OnFailure, Restart, Spec, Stage, Strategy, Version,
};
use std::fmt;

/// Events told when a law is broken.
const STORY_MAX: usize = 40;

/// Reads one line of what happens. `spec` is that of the last manifest, which words change;
/// `newest` is the table that `served` means.
pub(super) fn event(line: &str, spec: &mut Spec, newest: u64) -> Event {
    let mut words = line.split_whitespace();
    let verb = words.next().expect("a line has a verb");
    let rest: Vec<&str> = words.collect();
    let id = || Id(number(rest[0]));
    let version = || Version(number(&rest[0][1..]) as u32);
    let reason = || rest[1..].join(" ");
    match verb {
        "apply" => Event::Applied { version: version(), spec: manifest(spec, &rest[1..]) },
        "change" => Event::Changed { version: version(), spec: manifest(spec, &rest[1..]) },
        "rollback" => {
            let (version, spec) = (version(), manifest(spec, &rest[1..]));
            Event::RolledBack { version, spec, reason: None }
        }
        "pause" => Event::Paused,
        "resume" => Event::Resumed,
        "cancel" => Event::Cancelled,
        "restart" if rest.is_empty() => Event::Restarted,
        "restart" => Event::InstanceRestarted { id: id() },
        "stop" if rest.is_empty() => Event::Stopped,
        "stop" => Event::InstanceStopped { id: id() },
        "remove" => Event::Removed,
        "pulled" => Event::Pulled { version: version() },
        "pull-failed" => {
            Event::PullFailed { version: version(), reason: reason(), permanent: false }
        }
        "pull-refused" => {
            Event::PullFailed { version: version(), reason: reason(), permanent: true }
        }
        "placed" => Event::Placed { id: id(), node: rest.get(1).unwrap_or(&"n1").to_string() },
        "no-room" => Event::NoRoom { id: id(), reason: reason() },
        "started" => Event::Started { id: id() },
        "start-failed" => Event::StartFailed { id: id(), reason: reason(), permanent: false },
        "start-refused" => Event::StartFailed { id: id(), reason: reason(), permanent: true },
        "healthy" => Event::Healthy { id: id(), ms: 50 },
        "unhealthy" => Event::Unhealthy { id: id(), reason: reason() },
        "exited" => Event::Exited { id: id(), exit: exit(&rest[1..]) },
        "forgotten" => Event::Forgotten { id: id() },
        "lost" => Event::Lost { id: id() },
        "served" => Event::Served { generation: rest.first().map_or(newest, |word| number(word)) },
        "drained" => Event::Drained { id: id() },
        "woke" => Event::Woke,
        _ => panic!("what is {verb}?"),
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

/// `3`, `KILL`, `KILL oom`; nothing is status 0.
fn exit(words: &[&str]) -> Exit {
    let oom = words.contains(&"oom");
    match words.first().map(|word| (word.parse(), word)) {
        None => Exit::default(),
        Some((Ok(code), _)) => Exit { code, oom, ..Exit::default() },
        Some((Err(_), name)) => {
            Exit { code: 137, signal: Some(name.to_string()), oom, ..Exit::default() }
        }
    }
}

/// `replicas=3 batch=2 replace` …
fn manifest(spec: &mut Spec, words: &[&str]) -> Spec {
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "replicas" => spec.replicas = number(value) as u32,
            "batch" => spec.batch = number(value) as u32,
            "pause" => spec.pause_ms = number(value),
            "drain" => spec.drain_ms = number(value),
            "validate" => spec.validate_ms = number(value),
            "health" => spec.health_deadline_ms = number(value),
            "progress" => spec.progress_deadline_ms = number(value),
            "stop" => spec.stop_timeout_ms = number(value),
            "max-restarts" => spec.max_restarts = number(value) as u32,
            "replace" => spec.strategy = Strategy::Replace,
            "rolling" => spec.strategy = Strategy::Rolling,
            "turn-round" => spec.turn_round = true,
            "failure" => {
                spec.on_failure = match value {
                    "abort" => OnFailure::Abort,
                    "rollback" => OnFailure::Rollback,
                    "pause" => OnFailure::Pause,
                    _ => panic!("failure={value}?"),
                }
            }
            "policy" => {
                spec.restart = match value {
                    "always" => Restart::Always,
                    "on-failure" => Restart::OnFailure,
                    "never" => Restart::Never,
                    _ => panic!("policy={value}?"),
                }
            }
            _ => panic!("what is {word}?"),
        }
    }
    spec.clone()
}

/// One action as a script writes it; the timer is not written, it works.
pub(super) fn action(world: &World, action: &Action) -> Option<String> {
    Some(match action {
        Action::Pull { version } => format!("pull {version}"),
        Action::Place { id } => format!("place {id}"),
        Action::Start { id, number, version } => format!("start {id} {version} at {number}"),
        Action::Publish { generation } => {
            let routed: Vec<String> =
                world.service.routed().iter().map(|id| format!(" {id}")).collect();
            let hold = if world.service.holding() { " hold" } else { "" };
            format!("publish {generation}:{}{hold}", routed.concat())
        }
        Action::Drain { id, .. } => format!("drain {id}"),
        Action::Stop { id } => format!("stop {id}"),
        Action::Forget { id } => format!("forget {id}"),
        Action::Delete => "delete".to_string(),
        Action::Wake { .. } => return None,
        Action::Tell(fact) => format!("'{fact}'"),
    })
}

/// `none v1 3/3: 0=v1#4 serving, 1=…`: status, version, progress, then place=version#id stage.
pub(super) fn state(world: &World) -> String {
    let s = &world.service;
    let current = s.current().map_or("-".to_string(), |v| v.to_string());
    let target = s.target().map_or(String::new(), |v| format!("→{v}"));
    let (new, wanted) = s.progress();
    let mut there: Vec<&Instance> = s.instances().values().collect();
    there.sort_by_key(|i| (i.number, i.id));
    let list: Vec<String> = there.iter().map(|i| instance(i)).collect();
    let phase = s.phase(world.now);
    let list = list.join(", ");
    let text = format!("{} {phase} {current}{target} {new}/{wanted}: {list}", s.status());
    text.trim_end().to_string()
}

fn instance(i: &Instance) -> String {
    let stage = match i.stage {
        Stage::Waiting { .. } => "waiting",
        Stage::Placing => "placing",
        Stage::Ready => "ready",
        Stage::Starting => "starting",
        Stage::Checking { .. } => "checking",
        Stage::Settled => "settled",
        Stage::Routing { .. } => "routing",
        Stage::Serving if i.healthy => "serving",
        Stage::Serving => "sick",
        Stage::Leaving { .. } => "leaving",
        Stage::Draining { .. } => "draining",
        Stage::Stopping => "stopping",
        Stage::Exited => "kept",
        Stage::Ended => "ended",
        Stage::GaveUp => "gave-up",
        Stage::Forgetting => "forgetting",
    };
    format!("{}={}#{} {stage}", i.number, i.version, i.id)
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.story.len().saturating_sub(STORY_MAX);
        let story = self.story[last..].join("\n");
        write!(f, "{story}\n? {}\n{:?}\n{:?}", state(self), self.bounds, self.service)
    }
}
