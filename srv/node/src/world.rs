//! The node's state and the one place where it changes: a fact in, actions out. Nothing here
//! reads a file, a clock or a socket; every verb is idempotent by the instance's id.

use std::collections::BTreeMap;
use std::time::Duration;

use health::Verdict;

use crate::error::{Error, Result};
use crate::event::Event;
use crate::fact::{Action, Fact, Found, Order, Phase, Request};
use crate::id::Id;
use crate::instance::{Health, Instance, State, Written};
use crate::verb::Verb;
use crate::wire::Said;

/// Instances kept at once, ended ones included.
pub(crate) const INSTANCES_MAX: usize = 4096;
/// Before a directory that could not be removed is tried again; twice as long each time.
const ERASE_PAUSE: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const ERASE_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Begins the warning about such a directory.
const NOT_REMOVED: &str = "could not be removed: ";

/// Everything the node knows.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// The instances by name.
    pub(crate) instances: BTreeMap<Id, Instance>,
    /// Everything is being stopped.
    pub(crate) going_down: bool,
    /// Grows when the list of instances changes.
    pub(crate) version: u32,
    serial: u64,
}

impl World {
    /// Whether a request would be done; a refusal changes nothing.
    pub(crate) fn check(&self, request: &Request) -> Result<()> {
        match request {
            Request::Make(id) if self.instances.contains_key(id) => {
                Err(Error::Exists(id.to_string()))
            }
            Request::Make(_) if self.going_down => Err(Error::GoingDown),
            Request::Make(_) if self.instances.len() >= INSTANCES_MAX => {
                Err(Error::TooMany(INSTANCES_MAX))
            }
            Request::Make(_) | Request::Down => Ok(()),
            Request::Specify { id, spec, .. } => match &self.get(id)?.written {
                Some(written) if *written.spec != **spec => Err(Error::SpecFixed(id.to_string())),
                Some(_) | None => Ok(()),
            },
            Request::Do { id, verb } => self.check_verb(id, verb),
        }
    }

    fn check_verb(&self, id: &Id, verb: &Verb) -> Result<()> {
        let instance = self.get(id)?;
        match verb {
            Verb::Start if instance.state != State::New || instance.retiring => Ok(()),
            Verb::Start if instance.removing => Err(Error::Removing(id.to_string())),
            Verb::Start if self.going_down => Err(Error::GoingDown),
            Verb::Start if instance.written.is_none() => Err(Error::NoSpec(id.to_string())),
            Verb::Signal(_) if instance.state != State::Running => {
                Err(Error::NotRunning(id.to_string()))
            }
            Verb::Start | Verb::Signal(_) | Verb::Stop { .. } | Verb::Remove => Ok(()),
        }
    }

    /// The instance of that name.
    pub(crate) fn get(&self, id: &Id) -> Result<&Instance> {
        self.instances.get(id).ok_or_else(|| Error::NoInstance(id.to_string()))
    }

    /// Thousandths of a core and bytes of memory that instances have which are started and have
    /// not ended.
    pub(crate) fn allocated(&self) -> (u64, u64) {
        let active = self.instances.values().filter(|one| match one.state {
            State::Pulling | State::Starting | State::Running => true,
            State::New | State::Exited | State::Failed => false,
        });
        active.filter_map(|one| one.written.as_ref()).fold((0, 0), |(cpu, memory), written| {
            (cpu + written.spec.cpu_milli, memory + written.spec.memory_bytes)
        })
    }

    /// Takes in what happened and says what must be done.
    pub(crate) fn step(&mut self, fact: Fact) -> Vec<Action> {
        match fact {
            Fact::Accepted(Request::Make(id)) => {
                self.insert(id);
                Vec::new()
            }
            Fact::Accepted(Request::Specify { id, spec, text }) => self.change(&id, |one| {
                let spec = (*spec).into();
                one.written.get_or_insert(Written { spec, text });
                Vec::new()
            }),
            Fact::Accepted(Request::Do { id, verb }) => {
                self.change(&id, |one| verb_done(one, verb))
            }
            Fact::Accepted(Request::Down) => self.down(),
            Fact::Found(found) => self.found(found),
            Fact::Placed { id, digest, address, port, warnings } => self.change(&id, |one| {
                // Only of one that is being started: it may have ended meanwhile.
                if one.state == State::Pulling {
                    (one.state, one.digest) = (State::Starting, Some(digest));
                    (one.address, one.port, one.warnings) = (Some(address), port, warnings);
                }
                Vec::new()
            }),
            Fact::Said { id, said } => self.change(&id, |one| told(one, said)),
            Fact::Probed { id, answer, verdict } => {
                self.change(&id, |one| probed(one, answer, verdict))
            }
            Fact::Over(id) => {
                let mut actions = self.change(&id, |one| {
                    one.living = false;
                    if one.removing { vec![erase(one)] } else { Vec::new() }
                });
                actions.extend(self.end_if_down());
                actions
            }
            Fact::Erased { id, log_bytes } => {
                self.version += 1;
                let was = self.instances.remove(&id);
                was.map(|_| Action::Tell(Event::Removed { id, log_bytes })).into_iter().collect()
            }
            Fact::EraseFailed { id, reason } => self.change(&id, |one| {
                one.erase_tries = one.erase_tries.saturating_add(1);
                one.warnings.retain(|warning| !warning.starts_with(NOT_REMOVED));
                one.warnings.push(format!("{NOT_REMOVED}{reason}"));
                let event = Event::RemoveFailed { id: one.id.clone(), reason };
                vec![Action::Tell(event), erase(one)]
            }),
            Fact::Told(event) => vec![Action::Tell(event)],
        }
    }

    fn insert(&mut self, id: Id) -> &mut Instance {
        self.serial += 1;
        self.version += 1;
        let serial = self.serial;
        self.instances.entry(id.clone()).or_insert_with(|| Instance::new(id, serial))
    }

    /// Changes one instance; what is told of one that is gone already changes nothing.
    fn change(&mut self, id: &Id, f: impl FnOnce(&mut Instance) -> Vec<Action>) -> Vec<Action> {
        let Some(one) = self.instances.get_mut(id) else { return Vec::new() };
        one.version += 1;
        f(one)
    }

    fn down(&mut self) -> Vec<Action> {
        self.going_down = true;
        let living = self.instances.values().filter(|one| one.living);
        let stop = |one: &Instance| {
            Action::Order(one.id.clone(), Order::Stop { signal: None, timeout_ms: None })
        };
        let mut actions: Vec<Action> = living.map(stop).collect();
        actions.extend(self.end_if_down());
        actions
    }

    fn end_if_down(&self) -> Option<Action> {
        let living = self.instances.values().any(|one| one.living);
        (self.going_down && !living).then_some(Action::End)
    }

    fn found(&mut self, found: Found) -> Vec<Action> {
        let one = self.insert(found.id.clone());
        one.written = found.written;
        match found.phase {
            Phase::New => Vec::new(),
            Phase::Intended => verb_done(one, Verb::Start),
            Phase::Alive(alive) => {
                one.living = true;
                let host = std::net::Ipv4Addr::LOCALHOST;
                one.address = Some(alive.address.unwrap_or(host).into());
                (one.pid, one.port) = (alive.pid, alive.port);
                one.started_ms = alive.since_ms;
                one.digest = Some(alive.digest.clone());
                one.state = if alive.pid.is_some() { State::Running } else { State::Starting };
                one.health = match (alive.pid, alive.healthy) {
                    (None, _) => Health::None,
                    (Some(_), None) => Health::Starting,
                    (Some(_), Some(true)) => Health::Healthy,
                    (Some(_), Some(false)) => Health::Unhealthy,
                };
                vec![Action::Adopt(found.id, alive)]
            }
            Phase::Ended(exit) => {
                // It ended under an earlier node; whoever asks reads it in the status.
                told(one, exit.into());
                Vec::new()
            }
        }
    }
}

/// A verb on one instance; what is done already is done.
fn verb_done(one: &mut Instance, verb: Verb) -> Vec<Action> {
    let id = one.id.clone();
    match verb {
        Verb::Start if one.may_start() => {
            (one.state, one.living) = (State::Pulling, true);
            vec![Action::Begin(id)]
        }
        Verb::Start => Vec::new(),
        Verb::Stop { .. } if one.may_start() => {
            one.retiring = true;
            vec![Action::Retire(id)]
        }
        Verb::Stop { signal, timeout_ms } if one.living && !one.state.ended() => {
            vec![Action::Order(id, Order::Stop { signal, timeout_ms })]
        }
        Verb::Stop { .. } => Vec::new(),
        Verb::Signal(signal) => vec![Action::Order(id, Order::Signal(signal))],
        Verb::Remove if one.removing => Vec::new(),
        Verb::Remove => {
            one.removing = true;
            match (one.living, one.retiring) {
                (true, _) => vec![Action::Order(id, Order::Kill)],
                // Its end is being written into the directory; that comes first.
                (false, true) => Vec::new(),
                (false, false) => vec![erase(one)],
            }
        }
    }
}

/// The removal of a directory, later the more often it has failed.
fn erase(one: &Instance) -> Action {
    let pause = match one.erase_tries {
        0 => Duration::ZERO,
        tries => ERASE_PAUSE.saturating_mul(2_u32.saturating_pow(tries - 1)).min(ERASE_PAUSE_MAX),
    };
    Action::Erase(one.id.clone(), pause)
}

/// What the shim says; the end is told once.
fn told(one: &mut Instance, said: Said) -> Vec<Action> {
    if one.state.ended() {
        return Vec::new();
    }
    let id = one.id.clone();
    // Whatever ended here, nothing writes into its directory any more.
    let retired = match &said {
        Said::Exited(_) | Said::Failed { .. } => std::mem::take(&mut one.retiring),
        Said::Starting | Said::Running { .. } => false,
    };
    let mut actions = heard(one, id, said);
    if retired && one.removing {
        actions.push(erase(one));
    }
    actions
}

fn heard(one: &mut Instance, id: Id, said: Said) -> Vec<Action> {
    match said {
        Said::Starting => {
            one.state = State::Starting;
            Vec::new()
        }
        Said::Running { pid, started_ms, warnings } => {
            // Not whether it is known to run: this node may only have found its process.
            let known = std::mem::replace(&mut one.told, true);
            (one.state, one.pid, one.started_ms) = (State::Running, Some(pid), Some(started_ms));
            if !known {
                one.warnings.extend(warnings);
            }
            if one.health == Health::None {
                one.health = Health::Starting;
            }
            let (address, port, warnings) = (one.address, one.port, one.warnings.clone());
            let event = Event::Started { id, pid, address, port, warnings };
            if known { Vec::new() } else { vec![Action::Tell(event)] }
        }
        Said::Exited(exit) => {
            (one.state, one.pid, one.health) = (State::Exited, None, Health::None);
            (one.exit, one.signal, one.oom) = (Some(exit.code), exit.signal.clone(), exit.oom);
            (one.reason, one.finished_ms) = (exit.reason.clone(), Some(exit.finished_ms));
            let (code, signal, oom, reason) = (exit.code, exit.signal, exit.oom, exit.reason);
            vec![Action::Tell(Event::Exited { id, code, signal, oom, reason })]
        }
        Said::Failed { reason, permanent } => {
            (one.state, one.pid, one.health) = (State::Failed, None, Health::None);
            (one.reason, one.permanent) = (Some(reason.clone()), permanent);
            vec![Action::Tell(Event::Failed { id, permanent, reason })]
        }
    }
}

/// An answer to a probe; only what is new is told.
fn probed(one: &mut Instance, answer: String, verdict: Verdict) -> Vec<Action> {
    if one.state != State::Running {
        return Vec::new();
    }
    let mut actions = Vec::new();
    let id = || one.id.clone();
    if one.probe.as_ref() != Some(&answer) {
        actions.push(Action::Tell(Event::Probe { id: id(), answer: answer.clone() }));
    }
    match verdict {
        Verdict::Nothing => {}
        Verdict::Healthy { ms } => {
            actions.push(Action::Mark(id(), true));
            actions.push(Action::Tell(Event::Healthy { id: id(), ms }));
            one.health = Health::Healthy;
        }
        Verdict::Unhealthy => {
            actions.push(Action::Mark(id(), false));
            actions.push(Action::Tell(Event::Unhealthy { id: id(), reason: answer.clone() }));
            one.health = Health::Unhealthy;
        }
    }
    one.probe = Some(answer);
    actions
}

#[cfg(test)]
#[path = "world_test.rs"]
mod tests;
