//! What the node tells: reports become events of the decision, and the mirror of its containers.

use crate::arrival::{Awaited, Order};
use crate::kept::Kept;
use crate::record::{Edition, Preparing, spec};
use crate::report::{Container, Report};
use crate::turn::{NODE_LOST, Turn};
use crate::world::{NodeMirror, Service, World, container, split};
use place::Resources;
use rollout::{Event, Id, Version};
use std::collections::BTreeMap;

impl World {
    /// Takes one report.
    pub(crate) fn told(&mut self, report: Report, turn: &mut Turn) {
        if self.task_told(&report, turn) {
            return;
        }
        match report {
            Report::Pulling { reference, done, .. } => self.pulls.came(&reference, done, turn.now),
            Report::Pulled { reference, digest } => self.pulled(&reference, &digest, turn),
            Report::PullFailed { reference, reason, permanent } => {
                self.pull_failed(&reference, &reason, permanent, turn);
            }
            Report::Pushed { name, digest } => self.pushed(name, Ok(digest), turn),
            Report::PushFailed { name, reason } => self.pushed(name, Err(reason), turn),
            Report::Collected { name, digest, bytes } => {
                turn.note(format!("collected {name} {digest} {bytes} bytes"));
            }
            Report::Swept { images, bytes } => self.swept(images, bytes, turn),
            // An order of a server that died came to the node after all (law 8).
            Report::Started { container, .. }
            | Report::Failed { container, .. }
            | Report::Exited { container, .. }
                if self.owner(&container).is_none() =>
            {
                turn.orders.push(Order::Remove { container });
            }
            Report::Started { container, pid, address, port } => {
                let now = turn.stamp;
                self.container(&container, turn, |found| {
                    found.state = "running".to_string();
                    found.health = "starting".to_string();
                    (found.pid, found.address, found.port) = (pid, address, port);
                    found.started = now;
                    |id| Some(Event::Started { id })
                });
            }
            Report::Failed { container, reason, permanent } => {
                self.container(&container, turn, |found| {
                    found.state = "failed".to_string();
                    found.reason.clone_from(&reason);
                    move |id| Some(Event::StartFailed { id, reason, permanent })
                });
            }
            Report::Probe { container, answer } => {
                self.container(&container, turn, |found| {
                    found.probe = answer;
                    |_| None
                });
            }
            Report::Healthy { container, ms } => self.container(&container, turn, |found| {
                found.health = "healthy".to_string();
                move |id| Some(Event::Healthy { id, ms })
            }),
            Report::Unhealthy { container, reason } => {
                self.container(&container, turn, |found| {
                    found.health = "unhealthy".to_string();
                    move |id| Some(Event::Unhealthy { id, reason })
                });
            }
            Report::Exited { container, exit } => self.container(&container, turn, |found| {
                (found.state, found.pid) = ("exited".to_string(), 0);
                found.health = "none".to_string();
                found.exit = Some(exit.clone());
                move |id| Some(Event::Exited { id, exit })
            }),
            Report::RemoveFailed { container, reason } => {
                turn.note(format!("{container} is not removed yet, tried again: {reason}"));
            }
            Report::Removed { container, log_bytes } => {
                if let Some((name, id)) = split(&container) {
                    let name = name.to_string();
                    self.step(&name, Event::Forgotten { id }, turn);
                    if let Some(service) = self.services.get_mut(&name) {
                        service.containers.remove(&id);
                    }
                }
                if log_bytes > 0 {
                    // After the step: the service may have gone with its last instance.
                    self.keep(&container, Kept { at: turn.stamp, bytes: log_bytes }, turn);
                }
            }
        }
    }

    /// A push has ended: who asked for it is answered, and the next of that name may begin.
    fn pushed(&mut self, name: String, ended: Result<String, String>, turn: &mut Turn) {
        self.node.pushing.remove(&name);
        let answer = match ended {
            Ok(digest) => {
                turn.note(format!("pushed {name} {digest}"));
                Ok(())
            }
            Err(reason) => {
                turn.note(format!("push {name} failed: {reason}"));
                Err(self.refused(None, format!("push {name}: {reason}")))
            }
        };
        turn.came.push((Awaited::Push(name), answer));
    }

    /// A collection has ended. What went without a name is not told: all are asked for again.
    fn swept(&mut self, images: u64, bytes: u64, turn: &mut Turn) {
        self.node.images.clear();
        self.node.collecting = false;
        turn.note(format!("collection done: {images} images, {bytes} bytes freed"));
    }

    /// Changes the mirror of a container, and takes the event that follows from it.
    fn container<E>(
        &mut self,
        name: &str,
        turn: &mut Turn,
        change: impl FnOnce(&mut Container) -> E,
    ) where
        E: FnOnce(Id) -> Option<Event>,
    {
        let Some((service, id)) = self.owner(name) else { return };
        let service = service.to_string();
        let Some(found) = self.touch(&service, turn) else { return };
        let event = change(found.containers.entry(id).or_default())(id);
        if let Some(event) = event {
            self.step(&service, event, turn);
        }
    }

    /// An image is there: applies that waited for it go on, and versions that asked for it.
    fn pulled(&mut self, reference: &str, digest: &str, turn: &mut Turn) {
        self.node.images.insert(digest.to_string());
        self.tasks_pulled(reference, digest, turn);
        for (name, waits) in self.concerned(reference) {
            if waits && !self.waits_for_others(&name, digest, turn) {
                self.resolved(&name, digest, turn);
            }
            for version in self.wanting(&name, reference) {
                self.step(&name, Event::Pulled { version }, turn);
            }
        }
    }

    fn pull_failed(&mut self, reference: &str, reason: &str, permanent: bool, turn: &mut Turn) {
        self.tasks_not_pulled(reference, reason, turn);
        for (name, waits) in self.concerned(reference) {
            if waits {
                self.unprepare(&name, &format!("failed: {}", about(reference, reason)), turn);
            }
            for version in self.wanting(&name, reference) {
                let reason = about(reference, reason);
                self.step(&name, Event::PullFailed { version, reason, permanent }, turn);
            }
        }
    }

    /// An apply has waited too long; others that wait for the same image may have longer.
    pub(crate) fn pull_late(&mut self, name: &str, reference: &str, reason: &str, turn: &mut Turn) {
        let preparing = self.services.get(name).and_then(|one| one.record.preparing.as_ref());
        if preparing.is_some_and(|preparing| preparing.reference == reference) {
            self.unprepare(name, &format!("failed: {}", about(reference, reason)), turn);
        }
    }

    /// The services that a pull of that reference means something to: with an apply that waits
    /// for it, or a version.
    fn concerned(&self, reference: &str) -> Vec<(String, bool)> {
        let waits = |service: &Service| {
            service.record.preparing.as_ref().is_some_and(|p| p.reference == reference)
        };
        let all = self.services.iter().map(|(name, service)| (name, waits(service)));
        let concerned =
            all.filter(|(name, waits)| *waits || !self.wanting(name, reference).is_empty());
        concerned.map(|(name, waits)| (name.clone(), waits)).collect()
    }

    /// The versions of a service that wait for their image, which, pinned, is that reference.
    fn wanting(&self, name: &str, reference: &str) -> Vec<Version> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
        let missing = service.record.rollout.images_missing();
        missing.filter(|v| self.pinned(name, *v).as_deref() == Some(reference)).collect()
    }

    /// An apply that came to nothing before it became an update.
    pub(crate) fn unprepare(&mut self, name: &str, outcome: &str, turn: &mut Turn) {
        self.pulls.end(name);
        let Some(service) = self.touch(name, turn) else { return };
        (service.record.preparing, service.coming) = (None, None);
        service.record.outcome = Some(outcome.to_string());
        turn.tell(name, outcome);
        self.look_at_bond(name, turn);
    }

    /// The image of an apply has its digest, so the version has its name: it is compared with
    /// what is deployed, and becomes an update, a change in place, or nothing.
    pub(crate) fn resolved(&mut self, name: &str, digest: &str, turn: &mut Turn) {
        self.pulls.end(name);
        let Some(service) = self.touch(name, turn) else { return };
        service.coming = None;
        let Some(preparing) = service.record.preparing.take() else { return };
        // The version that serves may have gone back by itself meanwhile.
        if let Err(busy) = rollout::may(&service.record.rollout, rollout::Verb::Apply) {
            return self.unprepare(name, &format!("failed: {busy}"), turn);
        }
        let Some(mut manifest) = manifest::parse(name, &preparing.text).manifest else {
            // It parsed when it was applied: another version of this server took it.
            return self.unprepare(name, "failed: the manifest is refused now; apply again", turn);
        };
        let Preparing { text, by, at, notes, secrets, .. } = preparing;
        manifest.secrets_are(|name| secrets.get(name).copied().unwrap_or_default());
        let new = Edition { notes, ..Edition::new(&manifest, &text, digest, by.clone(), at) };
        let outcome = service.change(&manifest, digest);
        let way = self.routes_free(name, &manifest);
        let way = way.and_then(|()| self.volumes_free(name, &manifest));
        let way = match way.and_then(|()| self.way(name, &manifest, outcome)) {
            Ok(way) => way,
            Err(reason) => return self.unprepare(name, &format!("failed: {reason}"), turn),
        };
        let spec = spec(&manifest, way);
        let version = match outcome {
            // Who deployed it, when and why stays so in the history.
            manifest::Outcome::Unchanged => {
                self.services.get(name).and_then(|one| one.record.rollout.current())
            }
            manifest::Outcome::InPlace | manifest::Outcome::Update => self.number(name, new, turn),
        };
        let Some(version) = version else { return };
        if let Some(service) = self.services.get_mut(name) {
            service.record.asked = Some(by);
        }
        match outcome {
            manifest::Outcome::Unchanged => {
                self.unprepare(name, &format!("unchanged {version}"), turn);
            }
            manifest::Outcome::InPlace => self.step(name, Event::Changed { version, spec }, turn),
            manifest::Outcome::Update => {
                way.note(&manifest).iter().for_each(|note| turn.tell(name, note.as_str()));
                self.step(name, Event::Applied { version, spec }, turn);
            }
        }
    }

    /// The node answers: what it runs is compared with what is expected, and everything that is
    /// still waited for is asked again. What no record owns is removed (law 8).
    pub(crate) fn node_up(
        &mut self,
        name: String,
        capacity: Resources,
        mut containers: BTreeMap<String, Container>,
        logs: &BTreeMap<String, Kept>,
        turn: &mut Turn,
    ) {
        turn.note(format!("node {name} answers"));
        let volume_bytes = self.node.volume_bytes;
        self.node = NodeMirror {
            name,
            up: true,
            tried: true,
            capacity,
            volume_bytes,
            ..NodeMirror::default()
        };
        for service in self.names() {
            let Some(found) = self.services.get_mut(&service) else { continue };
            found.containers.clear();
            let expected: Vec<Id> = found.record.rollout.instances().keys().copied().collect();
            for id in expected {
                let status = containers.remove(&container(&service, id));
                self.adopt(&service, id, status, turn);
            }
            self.resume(&service, turn);
        }
        self.adopt_tasks(&mut containers, turn);
        for unknown in containers.into_keys() {
            turn.orders.push(Order::Remove { container: unknown });
        }
        self.keep_all(logs, turn);
    }

    /// Takes a container's status as the events it amounts to; repeated ones change nothing.
    fn adopt(&mut self, service: &str, id: Id, status: Option<Container>, turn: &mut Turn) {
        let Some(status) = status else {
            // One that was only asked for is asked for again; one that ran is lost.
            let world = self.services.get(service);
            let instance = world.and_then(|s| s.record.rollout.instances().get(&id));
            if instance.is_some_and(|i| i.started.is_some() && !i.is_gone()) {
                self.step(service, Event::Lost { id }, turn);
            }
            return;
        };
        let mut events = Vec::new();
        if status.started > 0 || status.state == "running" {
            events.push(Event::Started { id });
        }
        match (status.state.as_str(), status.health.as_str()) {
            ("failed", _) => {
                let (reason, permanent) = (status.reason.clone(), status.permanent);
                events.push(Event::StartFailed { id, reason, permanent });
            }
            ("exited", _) => {
                let exit = status.exit.clone().unwrap_or_default();
                events.push(Event::Exited { id, exit });
            }
            (_, "healthy") => events.push(Event::Healthy { id, ms: 0 }),
            (_, "unhealthy") => {
                events.push(Event::Unhealthy { id, reason: status.probe.clone() });
            }
            _ => {}
        }
        if let Some(found) = self.touch(service, turn) {
            found.containers.insert(id, status);
        }
        for event in events {
            self.step(service, event, turn);
        }
    }

    /// The node does not answer; its containers go on, and so does what is known of them.
    pub(crate) fn node_down(&mut self, reason: &str, turn: &mut Turn) {
        if self.node.up {
            turn.note(format!("node {} does not answer: {reason}", self.node.name));
        }
        turn.node_lost = true;
        self.node.pushing.clear();
        self.node.collecting = false;
        // Who asked in this very turn is in no list of those who wait yet.
        let asked = turn.awaited.drain(..);
        turn.answers.extend(asked.map(|(_, answer)| (answer, Err(NODE_LOST.to_string()))));
        if !self.node.tried {
            // Deadlines run on while nobody answers.
            self.names().iter().for_each(|name| self.resume(name, turn));
        }
        (self.node.up, self.node.tried) = (false, true);
    }

    fn names(&self) -> Vec<String> {
        self.services.keys().cloned().collect()
    }
}

/// A reason with the reference it is about, unless it names that itself.
fn about(reference: &str, reason: &str) -> String {
    if reason.contains(reference) { reason.to_string() } else { format!("{reference}: {reason}") }
}
