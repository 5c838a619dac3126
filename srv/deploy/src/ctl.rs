//! What users ask for: verbs become events of the decision, or are refused with the reason.

use crate::arrival::{Answer, Awaited, InstanceVerb, Order};
use crate::bond::{Bond, Part};
use crate::clock::stamp;
use crate::lock::who;
use crate::record::{By, Draft, Edition, Preparing, spec};
use crate::room::Way;
use crate::secrets;
use crate::show::phase;
use crate::turn::Turn;
use crate::verbs::{Line, Verb};
use crate::world::{Service, World, container};
use manifest::Manifest;
use rollout::{Event, Id, Strategy, Version};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Letters of a digest that a refusal repeats.
const QUOTED_CHARS: usize = 80;

/// Why nothing is begun with a service that may have to go back for another.
const BOUND: &str = "deployed all or none with others, which are in flight yet; wait for them, or \
                     cancel it first";

/// Why there is nothing to roll back to.
const NOWHERE_BACK: &str = "no previous version to go back to; history has only what is deployed";

type Result = std::result::Result<(), String>;

/// By whom, and from which number on a write ties services together.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    by: &'a By,
    first: u64,
}

impl World {
    /// Applies all lines of a write or none.
    pub(crate) fn verbs(&mut self, lines: Vec<Line>, by: &By, answer: Answer, turn: &mut Turn) {
        let ends_lock = |line: &Line| {
            let service = line.service.as_deref().filter(|_| line.verb == Verb::Cancel);
            service.is_some_and(|name| self.cancels_lock(name, turn.hand))
        };
        let alone = lines.iter().find(|line| line.verb.stands_alone() || ends_lock(line));
        let locks_alone = lines.iter().all(|line| line.verb == Verb::Unlock);
        if let Some(line) = alone.filter(|_| lines.len() > 1 && !locks_alone) {
            let verb = line.text.split(' ').next().unwrap_or_default();
            let text = format!("invalid argument: {verb} must be the only line of its write");
            turn.answers.push((answer, Err(self.refused(None, text))));
            return;
        }
        if let Err((service, text)) = self.breakable(&lines, turn) {
            turn.answers.push((answer, Err(self.refused(service, text))));
            return;
        }
        // A scratch turn: when a line is refused, nothing of the lines before it remains.
        let mut scratch = Turn { stamp: turn.stamp, hand: turn.hand, ..Turn::new(turn.now) };
        let together = lines.iter().any(|line| matches!(line.verb, Verb::Together { .. }));
        let first = if together { self.next_bond() } else { 0 };
        for line in lines {
            let service = line.service.clone();
            let asked = Asked { by, first };
            let done = self.verb(line.service.as_deref(), line.verb, asked, &mut scratch);
            if let Err(reason) = done {
                self.undo(&mut scratch);
                let text = if reason.starts_with("manifest") {
                    reason
                } else {
                    format!("{}: {reason}", line.text)
                };
                turn.answers.push((answer, Err(self.refused(service.as_deref(), text))));
                return;
            }
        }
        match scratch.orders.first() {
            Some(Order::Push { name, .. }) => {
                turn.awaited.push((Awaited::Push(name.clone()), answer));
            }
            Some(Order::CancelPush { name }) => {
                turn.awaited.push((Awaited::CancelPush(name.clone()), answer));
            }
            Some(_) | None => turn.answers.push((answer, Ok(()))),
        }
        turn.absorb(scratch);
    }

    /// Keeps a refusal where `error` files show it, and gives it back.
    pub fn refused(&mut self, service: Option<&str>, text: String) -> String {
        if let Some(service) = service.and_then(|name| self.services.get_mut(name)) {
            service.error.clone_from(&text);
        }
        self.error.clone_from(&text);
        text
    }

    fn verb(&mut self, name: Option<&str>, verb: Verb, asked: Asked, turn: &mut Turn) -> Result {
        let (by, who) = (asked.by, Some(asked.by));
        let Some(name) = name else { return self.server_verb(verb, turn) };
        let Some(service) = self.services.get(name) else {
            return Err(format!("service does not exist: {name}; write manifests/{name} first"));
        };
        if let Some(full) = self.full.as_ref().filter(|_| verb.begins()) {
            return Err(format!("{full}; nothing was changed"));
        }
        let rollout = &service.record.rollout;
        let may = |verb| rollout::may(rollout, verb).map_err(|refusal| refusal.to_string());
        let preparing = service.record.preparing.is_some();
        if verb.deploys() && service.is_bound() {
            return Err(BOUND.to_string());
        }
        match verb {
            Verb::Apply | Verb::Together { .. } => self.begin(name, &verb, asked, turn),
            Verb::Unlock => self.unlock(name, by, turn),
            Verb::Cancel if preparing => {
                self.unprepare(name, "cancelled before anything was started", turn);
                Ok(())
            }
            Verb::Cancel if service.is_bound() => {
                self.take_back(name, "cancelled", turn);
                Ok(())
            }
            Verb::Cancel if self.cancels_lock(name, turn.hand) => {
                self.cancel_lock(name, by, turn);
                Ok(())
            }
            _ if preparing && verb != Verb::Remove && verb != Verb::Stop => {
                Err("an apply is in flight, its image is being fetched; wait for it, or cancel it \
                     first"
                    .to_string())
            }
            Verb::Pause => {
                may(rollout::Verb::Pause).map(|()| self.event(name, Event::Paused, None, turn))
            }
            Verb::Resume => {
                may(rollout::Verb::Resume).map(|()| self.event(name, Event::Resumed, None, turn))
            }
            Verb::Cancel => {
                may(rollout::Verb::Cancel).map(|()| self.event(name, Event::Cancelled, who, turn))
            }
            Verb::Restart => {
                may(rollout::Verb::Restart).map(|()| self.event(name, Event::Restarted, who, turn))
            }
            Verb::Stop => may(rollout::Verb::Stop).map(|()| {
                self.forget_apply(name, turn);
                self.event(name, Event::Stopped, who, turn);
            }),
            Verb::Remove => may(rollout::Verb::Remove).map(|()| {
                self.forget_apply(name, turn);
                self.event(name, Event::Removed, who, turn);
            }),
            Verb::Rollback(to) => {
                may(rollout::Verb::Rollback)?;
                self.rollback(name, to.as_deref(), by, turn)
            }
            Verb::Scale(replicas) => {
                may(rollout::Verb::Scale).map_err(|why| asleep(service, why, replicas))?;
                self.scale(name, replicas, by, turn)
            }
            Verb::Push { .. }
            | Verb::CancelPush(_)
            | Verb::Collect
            | Verb::RotateKey
            | Verb::Down => self.server_verb(verb, turn),
        }
    }

    /// An apply, by itself or tied to others.
    fn begin(&mut self, name: &str, verb: &Verb, asked: Asked, turn: &mut Turn) -> Result {
        let service = self.services.get(name).ok_or("service does not exist")?;
        let rollout = &service.record.rollout;
        rollout::may(rollout, rollout::Verb::Apply)
            .map_err(|refusal| busy(service, &refusal.to_string(), turn))?;
        let was = service.running();
        self.apply(name, asked.by, turn)?;
        if let (&Verb::Together { atomic, line }, Some(service)) = (verb, self.touch(name, turn)) {
            let number = asked.first + line;
            service.record.bond = Some(Bond { number, atomic, was, part: Part::Pulls });
        }
        Ok(())
    }

    fn server_verb(&mut self, verb: Verb, turn: &mut Turn) -> Result {
        if verb == Verb::RotateKey {
            // Whoever asks does it, once it is written down.
            turn.note("secrets: another key");
            return Ok(());
        }
        if !self.node.up {
            return Err("node does not answer; look at the server's log and try again".to_string());
        }
        match verb {
            Verb::Push { name, .. } if self.node.pushing.contains(&name) => {
                return Err(format!("{name} is being pushed; wait for it, or cancel-push {name}"));
            }
            Verb::Push { name, path } => {
                self.node.pushing.insert(name.clone());
                turn.orders.push(Order::Push { name, path });
            }
            // Only the node knows: a push outlives this server, and its connection.
            Verb::CancelPush(name) => turn.orders.push(Order::CancelPush { name }),
            // By its turn, the list of a second one would be of old.
            Verb::Collect if self.node.collecting => {
                return Err("a collection goes on; wait for its end".to_string());
            }
            Verb::Collect => {
                let keep = self.needed()?;
                self.node.collecting = true;
                turn.orders.push(Order::Collect { keep });
            }
            Verb::Down => turn.orders.push(Order::Down),
            // The parser gives all others a service.
            Verb::Apply
            | Verb::Together { .. }
            | Verb::Pause
            | Verb::Resume
            | Verb::Cancel
            | Verb::Rollback(_)
            | Verb::Restart
            | Verb::Scale(_)
            | Verb::Stop
            | Verb::Remove
            | Verb::RotateKey
            | Verb::Unlock => return Err("which service?".to_string()),
        }
        Ok(())
    }

    /// The images that services need: those of every version that is kept, of the manifests, and
    /// of applies that wait for theirs. A digest that cannot be read would keep nothing.
    fn needed(&self) -> std::result::Result<Vec<String>, String> {
        let mut needed = BTreeSet::new();
        for (name, service) in &self.services {
            let record = &service.record;
            let digests = record.versions.values().map(|edition| edition.digest.as_str());
            if let Some(bad) = digests.clone().find(|digest| !is_digest(digest)) {
                let bad: String = bad.chars().take(QUOTED_CHARS).collect();
                return Err(format!(
                    "service {name}: its history has the digest {bad:?}, which cannot be read; \
                     nothing was removed"
                ));
            }
            needed.extend(digests.map(String::from));
            needed.extend(record.preparing.as_ref().map(|preparing| preparing.reference.clone()));
            needed.extend(record.draft.as_ref().and_then(|draft| image(name, &draft.text)));
        }
        for (name, job) in &self.jobs {
            needed.extend(
                manifest::parse_task(name, &job.text).manifest.map(|m| m.image.to_string()),
            );
        }
        needed.extend(self.tasks.active().filter_map(|(_, task)| task.reference()));
        Ok(needed.into_iter().collect())
    }

    /// A verb that was allowed, as an event. What the last apply came to is of the past then; of
    /// what begins or ends with it, it is known by whom.
    fn event(&mut self, name: &str, event: Event, by: Option<&By>, turn: &mut Turn) {
        if by.is_some() {
            self.warn_of_lock(name, turn);
        }
        if let Some(service) = self.touch(name, turn) {
            service.record.outcome = None;
            service.record.asked = by.cloned().or(service.record.asked.take());
        }
        self.step(name, event, turn);
    }

    fn apply(&mut self, name: &str, by: &By, turn: &mut Turn) -> Result {
        let service = self.services.get(name).ok_or("service does not exist")?;
        if let Some(Preparing { by, at, .. }) = &service.record.preparing {
            let (who, since) = (who(by), stamp(*at));
            return Err(format!(
                "another apply, by {who}, is in flight since {since}, phase pull; wait for it, or \
                 cancel it first"
            ));
        }
        let Some(draft) = &service.record.draft else {
            return Err(format!("no manifest to apply; write manifests/{name} first"));
        };
        let text = draft.text.clone();
        let mut manifest = read(name, &text)?;
        self.resolve_secrets(name, &mut manifest)?;
        let secrets = secrets::versions(&manifest);
        self.routes_free(name, &manifest)?;
        self.volumes_free(name, &manifest)?;
        self.way(name, &manifest, self.foreseen(name, &manifest))?;
        let reference = manifest.image.to_string();
        let notes = self.notes(name);
        let preparing =
            Preparing { text, reference, by: by.clone(), at: turn.stamp, notes, secrets };
        let reference = preparing.reference.clone();
        turn.tell(name, format!("pulling {reference}"));
        self.pulls.begin(name, &reference, manifest.progress_deadline_ms, turn.now);
        let pull = Order::Pull { reference };
        // One is enough for all that are applied together.
        if !turn.orders.contains(&pull) {
            turn.orders.push(pull);
        }
        if let Some(service) = self.touch(name, turn) {
            service.coming = Some((preparing.text.clone(), Arc::new(manifest)));
            service.record.preparing = Some(preparing);
            (service.record.bond, service.record.outcome) = (None, None);
        }
        Ok(())
    }

    fn rollback(&mut self, name: &str, to: Option<&str>, by: &By, turn: &mut Turn) -> Result {
        let service = self.services.get(name).ok_or("service does not exist")?;
        let record = &service.record;
        // What a cancelled update left when what is deployed could not come back.
        let strays = record.rollout.strays();
        let version = match to {
            Some(word) => {
                record.find(word).ok_or(format!("version {word} is not in history/{name}"))?
            }
            None => {
                let strays = record.rollout.current().filter(|_| strays);
                let back = record.rollout.rollback_target().or(strays).or(record.previous);
                back.ok_or(NOWHERE_BACK)?
            }
        };
        let known = record.versions.get(&version).zip(service.manifests.get(&version));
        let (edition, manifest) = known.ok_or(format!("version {version} is not kept any more"))?;
        if !edition.completed && record.rollout.current() != Some(version) {
            let ended = edition.ended.as_deref().unwrap_or("its update has not ended");
            let name = &edition.name;
            return Err(format!("version {version} ({name}) cannot be gone back to: {ended}"));
        }
        let quiet = record.rollout.update().is_none() && record.rollout.target().is_none();
        let deployed = record.rollout.current() == Some(version) && !strays;
        if quiet && deployed && !record.rollout.stopped() {
            return Err(format!("version {version} ({}) is deployed already", edition.name));
        }
        self.routes_free(name, manifest)?;
        self.volumes_free(name, manifest)?;
        self.secrets_kept(name, version)?;
        // The way back is gone in any case: without room, one ends before one starts.
        let cramped = Way { batch: 1, turn_round: true, alone: false };
        let way = self.way(name, manifest, manifest::Outcome::Update).unwrap_or(cramped);
        let spec = spec(manifest, way);
        let note = way.note(manifest).filter(|_| spec.strategy == Strategy::Rolling);
        note.into_iter().for_each(|note| turn.tell(name, note));
        self.event(name, Event::RolledBack { version, spec, reason: None }, Some(by), turn);
        Ok(())
    }

    fn scale(&mut self, name: &str, replicas: u32, by: &By, turn: &mut Turn) -> Result {
        let service = self.services.get(name).ok_or("service does not exist")?;
        let (edition, old) = service.current().ok_or("nothing is deployed; apply first")?;
        if old.replicas == replicas {
            return Err(format!("runs {replicas} already"));
        }
        let text = manifest::with_replicas(&edition.text, replicas);
        let mut manifest = read(name, &text)?;
        manifest.secrets_are(|name| edition.secrets.get(name).copied().unwrap_or_default());
        let way = self.way(name, &manifest, manifest::Outcome::InPlace)?;
        let same = service.record.draft.as_ref().is_some_and(|draft| draft.text == edition.text);
        let edition = Edition::new(&manifest, &text, &edition.digest, by.clone(), turn.stamp);
        let version = self.number(name, edition, turn).ok_or("service does not exist")?;
        if let Some(service) = self.touch(name, turn).filter(|_| same) {
            // The manifest was what is deployed, and stays so: the next apply changes nothing.
            service.record.draft = Some(Draft { text, at: turn.stamp });
        }
        let spec = spec(&manifest, way);
        self.event(name, Event::Changed { version, spec }, Some(by), turn);
        Ok(())
    }

    /// Gives a version its number and keeps it.
    pub(crate) fn number(&mut self, name: &str, new: Edition, turn: &mut Turn) -> Option<Version> {
        let service = self.touch(name, turn)?;
        let version = service.record.number(new);
        service.manifests.remove(&version);
        service.parse_manifests(name);
        Some(version)
    }

    /// Takes a written manifest; one with errors is kept, so that an editor can mend it, and they
    /// are told to whoever closed it and in `error`.
    pub(crate) fn written(&mut self, name: &str, text: String, turn: &mut Turn) -> Result {
        let parsed = manifest::parse(name, &text);
        self.placed(name, turn)?;
        let Some(service) = self.touch(name, turn) else { return Ok(()) };
        service.record.draft = Some(Draft { text, at: turn.stamp });
        service.error = parsed.warnings.iter().map(|w| format!("warning: {w}\n")).collect();
        if parsed.errors.is_empty() {
            return Ok(());
        }
        let text = refusal(&parsed.errors);
        Err(self.refused(Some(name), text))
    }

    /// Removes a manifest: a service that was never deployed goes with it.
    pub(crate) fn unlinked(&mut self, name: &str, turn: &mut Turn) -> Result {
        let Some(service) = self.touch(name, turn) else {
            return Err(format!("file does not exist: manifests/{name}"));
        };
        service.record.draft = None;
        let idle = service.record.preparing.is_none() && service.record.versions.is_empty();
        if idle {
            self.delete(name, turn);
        }
        Ok(())
    }

    pub(crate) fn instance(
        &mut self,
        name: &str,
        id: Id,
        verb: InstanceVerb,
        turn: &mut Turn,
    ) -> Result {
        let gone = || "file does not exist: the instance is gone".to_string();
        if !self.node.up && verb != InstanceVerb::Restart {
            let text = "node does not answer; try again".to_string();
            return Err(self.refused(Some(name), text));
        }
        let rollout = &self.services.get(name).ok_or_else(gone)?.record.rollout;
        let (asked, event) = match verb {
            InstanceVerb::Restart => {
                (rollout::Verb::RestartInstance(id), Event::InstanceRestarted { id })
            }
            InstanceVerb::Stop => (rollout::Verb::StopInstance(id), Event::InstanceStopped { id }),
            InstanceVerb::Signal(signal) => {
                turn.orders.push(Order::Signal { container: container(name, id), signal });
                return Ok(());
            }
        };
        rollout::may(rollout, asked)
            .map_err(|refusal| self.refused(Some(name), refusal.to_string()))?;
        self.step(name, event, turn);
        Ok(())
    }

    fn forget_apply(&mut self, name: &str, turn: &mut Turn) {
        self.pulls.end(name);
        if let Some(service) = self.touch(name, turn) {
            service.record.preparing = None;
        }
    }
}

/// Why no apply can begin, with how far it is what stands in its way.
fn busy(service: &Service, refusal: &str, turn: &Turn) -> String {
    let Some(update) = service.record.rollout.update() else { return refusal.to_string() };
    let (since, phase) = (stamp(update.started), phase(service, turn.now));
    refusal.replacen(" in flight", &format!(" in flight since {since}, phase {phase}"), 1)
}

/// Whether that is `sha256:` and 64 digits.
fn is_digest(text: &str) -> bool {
    let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(digit))
}

/// The image a manifest names, also one with errors elsewhere: it may be mended.
fn image(name: &str, text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some("image"))?;
    let alone = || manifest::parse(name, line).manifest;
    manifest::parse(name, text).manifest.or_else(alone).map(|manifest| manifest.image.to_string())
}

/// Why a service is not scaled, and what to do where it is stopped: nothing of it would start.
fn asleep(service: &Service, refusal: String, replicas: u32) -> String {
    let rollout = &service.record.rollout;
    if !rollout.stopped() || rollout.update().is_some() {
        return refusal;
    }
    format!("service is stopped; write replicas {replicas} into its manifest, and apply starts it")
}

/// Reads a manifest that is to be used.
fn read(name: &str, text: &str) -> std::result::Result<Manifest, String> {
    let parsed = manifest::parse(name, text);
    parsed.manifest.ok_or_else(|| refusal(&parsed.errors))
}

/// All that refuses a manifest, one a line.
pub(crate) fn refusal(errors: &[manifest::Problem]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    match lines.len() {
        1 => format!("manifest refused: {}", lines.concat()),
        n => format!("manifest refused, {n} errors\n{}", lines.join("\n")),
    }
}
