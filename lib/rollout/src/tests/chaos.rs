//! One run by chance: choices are read from a list, so that a failing run can be made shorter.

use super::world::World;
use crate::{
    Action, Event, Exit, Fact, Id, Instance, OnFailure, Restart, Service, Spec, Stage, Status,
    Strategy, Version, resume, step,
};
use std::collections::{BTreeMap, BTreeSet};

/// Events after the last choice within which everything must have come to its end.
const EVENTS_MAX: usize = 20_000;

/// What the node really has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Container {
    Running { healthy: bool },
    Exited,
}

/// The run: the service and its world, the node's truth, and answers on their way.
pub(super) struct Chaos {
    choices: std::vec::IntoIter<u8>,
    world: World,
    containers: BTreeMap<Id, Container>,
    images: BTreeSet<Version>,
    queue: Vec<Event>,
    heard: Vec<Event>,
    specs: BTreeMap<Version, Spec>,
    completed: Vec<Version>,
    /// Updates that ended so far.
    pub(super) ended: u64,
}

impl Chaos {
    pub(super) fn new(choices: Vec<u8>) -> Chaos {
        Chaos {
            choices: choices.into_iter(),
            world: World::new(),
            containers: BTreeMap::new(),
            images: BTreeSet::new(),
            queue: Vec::new(),
            heard: Vec::new(),
            specs: BTreeMap::new(),
            completed: Vec::new(),
            ended: 0,
        }
    }

    /// Makes all choices, then lets everything go well and looks at the end.
    pub(super) fn run(&mut self) {
        self.apply();
        while self.choices.len() > 0 {
            match self.choose(40) {
                0..=21 => self.answer(),
                22..=26 => self.verb(),
                27..=29 => self.mischief(),
                30..=34 => self.time(),
                35 => self.crash(),
                36 => self.again(),
                37 => self.happens(Event::Woke),
                _ => self.apply(),
            }
        }
        self.calm();
        if self.world.service.status() == Status::Paused {
            self.happens(Event::Cancelled);
            self.calm();
        }
        self.look_at_the_end();
    }

    /// The next choice, below `n`; when there is none left, 0, which means well.
    fn choose(&mut self, n: u8) -> u8 {
        self.choices.next().map_or(0, |choice| choice % n)
    }

    fn happens(&mut self, event: Event) {
        let actions = self.world.happens(event);
        self.note(&actions);
        if self.choose(60) == 1 {
            // Saved, and the power fails before anything of it is done.
            return self.crash();
        }
        for action in actions {
            self.perform(&action);
        }
    }

    fn note(&mut self, actions: &[Action]) {
        for action in actions {
            if let Action::Tell(Fact::Ended(outcome)) = action {
                self.ended += 1;
                let current = self.world.service.current();
                if current == outcome.to {
                    self.completed.extend(current);
                }
            }
        }
    }

    /// Does as told, idempotently, and sends the answers on their way.
    fn perform(&mut self, action: &Action) {
        let luck = self.choose(24);
        match *action {
            Action::Pull { version } => {
                if luck > 1 || luck == 0 || self.images.contains(&version) {
                    self.images.insert(version);
                    self.queue.push(Event::Pulled { version });
                } else {
                    let permanent = self.choose(2) == 1;
                    let reason = "no image".to_string();
                    self.queue.push(Event::PullFailed { version, reason, permanent });
                }
            }
            Action::Place { id } if luck == 1 => {
                self.queue.push(Event::NoRoom { id, reason: "full".to_string() });
            }
            Action::Place { id } => self.queue.push(Event::Placed { id, node: "n".to_string() }),
            Action::Start { id, .. } => self.start(id, luck),
            Action::Publish { generation } => self.queue.push(Event::Served { generation }),
            Action::Drain { id, .. } if luck != 1 => self.queue.push(Event::Drained { id }),
            Action::Stop { id } => {
                self.containers.insert(id, Container::Exited);
                self.queue.push(Event::Exited { id, exit: Exit::default() });
            }
            Action::Forget { id } => {
                self.containers.remove(&id);
                self.queue.push(Event::Forgotten { id });
            }
            Action::Drain { .. } | Action::Delete | Action::Wake { .. } | Action::Tell(_) => {}
        }
    }

    /// An id is started at most once; asked again, the node tells how it is.
    fn start(&mut self, id: Id, luck: u8) {
        if self.containers.contains_key(&id) {
            return self.tell_state(id);
        }
        let healthy = luck != 3 && luck != 4;
        let state = if luck == 4 { Container::Exited } else { Container::Running { healthy } };
        match luck {
            1 | 2 => {
                self.containers.insert(id, Container::Exited);
                let reason = "cannot start".to_string();
                self.queue.push(Event::StartFailed { id, reason, permanent: luck == 2 });
            }
            _ => {
                self.containers.insert(id, state);
                self.tell_state(id);
            }
        }
    }

    fn tell_state(&mut self, id: Id) {
        match self.containers.get(&id) {
            Some(Container::Running { healthy }) => {
                self.queue.push(Event::Started { id });
                let reason = "probe".to_string();
                let health = if *healthy {
                    Event::Healthy { id, ms: 5 }
                } else {
                    Event::Unhealthy { id, reason }
                };
                self.queue.push(health);
            }
            Some(Container::Exited) => {
                self.queue.push(Event::Exited { id, exit: Exit { code: 1, ..Exit::default() } });
            }
            None => self.queue.push(Event::Lost { id }),
        }
    }

    /// Some answer arrives; those about one instance in their order.
    fn answer(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let pick = usize::from(self.choose(255)) % self.queue.len();
        let about = subject(&self.queue[pick]);
        let first = self.queue.iter().position(|event| about.is_some() && subject(event) == about);
        let event = self.queue.remove(first.unwrap_or(pick));
        self.heard.push(event.clone());
        self.happens(event);
    }

    /// An answer arrives once more.
    fn again(&mut self) {
        let back = usize::from(self.choose(8)) + 1;
        let Some(at) = self.heard.len().checked_sub(back) else { return };
        let event = self.heard[at].clone();
        // What probes say is news by its order; all else can be said twice.
        if !matches!(event, Event::Healthy { .. } | Event::Unhealthy { .. }) {
            self.happens(event);
        }
    }

    fn time(&mut self) {
        let ms = [1, 50, 200, 1_000, 5_000, 20_000, 70_000][usize::from(self.choose(7))];
        let end = self.world.now + ms;
        while let Some(at) = self.world.wake.filter(|at| *at <= end) {
            self.world.now = self.world.now.max(at);
            self.happens(Event::Woke);
        }
        self.world.now = end;
    }

    /// Something happens to a container by itself.
    fn mischief(&mut self) {
        let running: Vec<Id> = self
            .containers
            .iter()
            .filter(|(_, c)| matches!(c, Container::Running { .. }))
            .map(|(id, _)| *id)
            .collect();
        if running.is_empty() {
            return;
        }
        let id = running[usize::from(self.choose(255)) % running.len()];
        match self.choose(4) {
            0 => self.change(id, Some(Container::Running { healthy: true })),
            1 => self.change(id, Some(Container::Exited)),
            2 => self.change(id, Some(Container::Running { healthy: false })),
            _ => self.change(id, None),
        }
    }

    fn change(&mut self, id: Id, to: Option<Container>) {
        if self.containers.get(&id).copied() == to {
            return;
        }
        match to {
            Some(state) => self.containers.insert(id, state),
            None => self.containers.remove(&id),
        };
        self.tell_state(id);
    }

    /// The server dies with all that was on its way, and comes back with what is on disk.
    fn crash(&mut self) {
        self.queue.clear();
        let saved = serde_json::to_vec(&self.world.service).expect("state is written");
        self.world.service = serde_json::from_slice(&saved).expect("state is read");
        self.world.wake = None;
        for action in resume(&self.world.service, self.world.now) {
            if let Action::Wake { at } = action {
                self.world.wake = Some(at);
            }
            self.perform(&action);
        }
        let live = |i: &&Instance| i.is_live() && i.stage != Stage::Starting;
        let known: Vec<Id> =
            self.world.service.instances().values().filter(live).map(|i| i.id).collect();
        for id in known {
            self.tell_state(id);
        }
    }

    fn verb(&mut self) {
        match self.choose(16) {
            0 | 1 => self.ask(Event::Paused),
            2..=4 => self.ask(Event::Resumed),
            5 => self.ask(Event::Cancelled),
            6 | 7 => self.roll_back(),
            8 | 9 => self.ask(Event::Restarted),
            10 | 11 => self.change_in_place(),
            12 => self.ask(Event::Stopped),
            13 => {
                let ids: Vec<Id> = self.world.service.instances().keys().copied().collect();
                let pick = usize::from(self.choose(255));
                if let Some(&id) = ids.get(pick % ids.len().max(1)) {
                    let stop = self.choose(2) == 0;
                    self.ask(match stop {
                        true => Event::InstanceStopped { id },
                        false => Event::InstanceRestarted { id },
                    });
                }
            }
            14 if self.choose(4) == 0 => self.ask(Event::Removed),
            _ => self.apply(),
        }
    }

    /// A verb that is refused must change nothing.
    fn ask(&mut self, event: Event) {
        if self.world.service.removed() {
            let next = self.world.service.next_id();
            self.world = World::new_from(Service::new(next), self.world.now);
            self.queue.clear();
            self.heard.clear();
            self.containers.clear();
            self.completed.clear();
        }
        let before = self.world.service.clone();
        if crate::refusal::asks(&event).is_some_and(|verb| crate::may(&before, verb).is_err()) {
            let mut after = before.clone();
            assert!(step(&mut after, self.world.now, event).is_empty());
            assert_eq!(before, after, "a refused verb changes nothing");
        } else {
            self.happens(event);
        }
    }

    fn apply(&mut self) {
        let retry = self.world.service.target().filter(|_| self.world.service.update().is_none());
        let version = match retry {
            Some(target) if self.choose(3) == 1 => target,
            _ => self.next_version(),
        };
        let made = self.manifest();
        let spec = self.world.service.spec(version).cloned().unwrap_or(made);
        self.specs.insert(version, spec.clone());
        self.ask(Event::Applied { version, spec });
    }

    fn change_in_place(&mut self) {
        let spec = self.manifest();
        let version = match self.world.service.current() {
            Some(current) if self.choose(2) == 1 => current,
            _ => self.next_version(),
        };
        self.specs.insert(version, spec.clone());
        self.ask(Event::Changed { version, spec });
    }

    fn roll_back(&mut self) {
        let earlier = usize::from(self.choose(4));
        let known = self.completed.iter().rev().nth(earlier).copied();
        let to = self.world.service.rollback_target().or(known);
        let Some(version) = to else { return };
        let spec = self.world.service.spec(version).or(self.specs.get(&version)).cloned();
        if let Some(spec) = spec {
            self.ask(Event::RolledBack { version, spec, reason: None });
        }
    }

    fn next_version(&self) -> Version {
        Version(self.specs.keys().last().map_or(1, |v| v.0 + 1))
    }

    fn manifest(&mut self) -> Spec {
        let batch = u32::from(self.choose(3));
        let replicas = u32::from(self.choose(6));
        Spec {
            replicas,
            strategy: if self.choose(5) == 1 { Strategy::Replace } else { Strategy::Rolling },
            batch,
            pause_ms: [0, 0, 1_000, 30_000][usize::from(self.choose(4))],
            on_failure: match self.choose(4) {
                1 => OnFailure::Rollback,
                2 => OnFailure::Pause,
                _ => OnFailure::Abort,
            },
            health_deadline_ms: 5_000,
            progress_deadline_ms: [60_000, 10_000][usize::from(self.choose(2))],
            validate_ms: [0, 20_000][usize::from(self.choose(2))],
            drain_ms: [0, 5_000][usize::from(self.choose(2))],
            stop_timeout_ms: 3_000,
            restart: match self.choose(6) {
                1 => Restart::OnFailure,
                2 => Restart::Never,
                _ => Restart::Always,
            },
            max_restarts: u32::from(self.choose(4)) + 1,
            turn_round: self.choose(5) == 1 && replicas > 1,
        }
    }

    /// From now on all goes well.
    fn calm(&mut self) {
        let sick: Vec<Id> = self
            .containers
            .iter()
            .filter(|(_, c)| **c == Container::Running { healthy: false })
            .map(|(id, _)| *id)
            .collect();
        for id in sick {
            self.change(id, Some(Container::Running { healthy: true }));
        }
        for _ in 0..EVENTS_MAX {
            if !self.queue.is_empty() {
                self.answer();
            } else if let Some(at) = self.world.wake {
                self.world.now = self.world.now.max(at);
                self.happens(Event::Woke);
            } else {
                return;
            }
        }
        panic!("law 5: it does not end\n{}", self.world);
    }

    /// Nothing in flight, nothing outstanding, node and records agree, and what is wanted serves.
    fn look_at_the_end(&self) {
        let (w, s) = (&self.world, &self.world.service);
        let waits = w.outstanding();
        assert!(s.update().is_none(), "law 5: it does not end\n{w}");
        assert!(waits.iter().all(|a| *a == Action::Delete), "law 5: {waits:?}\n{w}");
        for (id, container) in &self.containers {
            let record = s.instances().get(id);
            assert!(record.is_some(), "law 8: {id} has no record\n{w}");
            let runs = matches!(container, Container::Running { .. });
            let live = record.is_some_and(Instance::is_live);
            assert_eq!(runs, live, "law 8: {id} {container:?}\n{w}");
        }
        let (serve, wanted) = s.replicas();
        let rests = |i: &Instance| matches!(i.stage, Stage::Ended | Stage::GaveUp);
        let resting = s.instances().values().filter(|i| rests(i)).count() as u32;
        let enough = if resting == 0 { serve == wanted } else { serve + resting >= wanted };
        assert!(enough || s.removed(), "{serve} of {wanted} serve\n{w}");
    }
}

/// The instance that an answer is about.
fn subject(event: &Event) -> Option<Id> {
    match event {
        Event::Placed { id, .. }
        | Event::NoRoom { id, .. }
        | Event::Started { id }
        | Event::StartFailed { id, .. }
        | Event::Healthy { id, .. }
        | Event::Unhealthy { id, .. }
        | Event::Exited { id, .. }
        | Event::Forgotten { id }
        | Event::Lost { id }
        | Event::Drained { id }
        | Event::InstanceRestarted { id }
        | Event::InstanceStopped { id } => Some(*id),
        Event::Pulled { .. } | Event::PullFailed { .. } | Event::Served { .. } | Event::Woke => {
            None
        }
        Event::Applied { .. }
        | Event::Changed { .. }
        | Event::Paused
        | Event::Resumed
        | Event::Cancelled
        | Event::RolledBack { .. }
        | Event::Restarted
        | Event::Stopped
        | Event::Removed => None,
    }
}
