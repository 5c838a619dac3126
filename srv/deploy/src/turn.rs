//! One turn of the loop: what arrives changes the world, and gives what is to be saved, told,
//! done and answered. Nothing is performed here, so that a turn can be undone until it is saved.

use crate::arrival::{Answer, Arrival, Awaited, Heard, Order, Request};
use crate::audit;
use crate::bond::{Bond, Part};
use crate::clock::Millis;
use crate::errands::Job;
use crate::grow::Grow;
use crate::kept::Kept;
pub use crate::line::Line;
use crate::lock::Hand;
use crate::past::Failure;
use crate::pulls::PULL_MS_MAX;
use crate::record::{Preparing, Record};
use crate::room::in_words;
use crate::routes;
use crate::secrets::{Secrets, handovers};
use crate::show;
use crate::tasks::Task;
use crate::volumes::Volume;
use crate::world::{Service, World, container};
use place::Want;
use rollout::{Action, Event, Fact, Id, Version};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is said to who waits for the node when its connection is lost. It may well go on.
pub(crate) const NODE_LOST: &str = "the node was lost meanwhile; try again";

/// Bytes of the `events` of all services together, shared evenly.
const SERVICE_EVENTS_BYTES: usize = 8 << 20;
/// Bytes that each has in any case.
const EVENTS_BYTES_MIN: usize = 8 << 10;

/// What a batch of arrivals came to.
#[derive(Debug, Default)]
pub struct Turn {
    /// The moment all of it happens at, by the clock of decisions.
    pub now: Millis,
    /// The same moment by the clock that people have.
    pub stamp: Millis,
    /// By whose hand comes what is being taken now.
    pub hand: Hand,
    /// Services to save or, where they are gone, to delete, with their records as they were.
    pub touched: BTreeMap<String, Option<Record>>,
    /// The kept logs of services as they were, where they are changed.
    pub kept: BTreeMap<String, BTreeMap<Id, Kept>>,
    /// What was known of failed instances, where it is changed.
    pub failures: BTreeMap<String, BTreeMap<Version, Failure>>,
    /// Volumes as they were, where they are changed.
    pub volumes: BTreeMap<String, Option<Volume>>,
    /// The secrets as they were, where they are changed.
    pub secrets: Option<Secrets>,
    /// Tasks as they were, where they are changed.
    pub tasks: BTreeMap<u32, Option<Task>>,
    /// Jobs as they were, where they are changed.
    pub jobs: BTreeMap<String, Option<Job>>,
    /// Services that are gone, with what is not saved of them.
    pub removed: BTreeMap<String, Service>,
    /// Lines to save and to tell.
    pub lines: Vec<Line>,
    /// What to do once it is saved, in this order.
    pub orders: Vec<Order>,
    /// What to answer once it is saved.
    pub answers: Vec<(Answer, Result<(), String>)>,
    /// What to answer when the node has told how it went.
    pub awaited: Vec<(Awaited, Answer)>,
    /// The node was lost, and with it whatever it was making.
    pub node_lost: bool,
    /// The events of services that are gone: nothing more comes in them.
    pub ended: Vec<Arc<Grow>>,
    /// Lines of the audit log.
    pub audit: Vec<audit::Line>,
    /// Updates that ended, by how.
    pub verdicts: Vec<rollout::Verdict>,
    /// What the node has told of that.
    pub came: Vec<(Awaited, Result<(), String>)>,
}

impl Turn {
    /// An empty turn.
    #[must_use]
    pub fn new(now: Millis) -> Turn {
        Turn { now, stamp: now, ..Turn::default() }
    }

    /// Takes over what a part of the turn came to.
    pub fn absorb(&mut self, part: Turn) {
        first(&mut self.touched, part.touched);
        first(&mut self.kept, part.kept);
        first(&mut self.failures, part.failures);
        first(&mut self.volumes, part.volumes);
        first(&mut self.tasks, part.tasks);
        first(&mut self.jobs, part.jobs);
        self.secrets = self.secrets.take().or(part.secrets);
        self.removed.extend(part.removed);
        self.lines.extend(part.lines);
        self.orders.extend(part.orders);
        self.answers.extend(part.answers);
        self.awaited.extend(part.awaited);
        self.ended.extend(part.ended);
        self.audit.extend(part.audit);
        self.verdicts.extend(part.verdicts);
        self.came.extend(part.came);
    }

    /// Adds a line that concerns no service.
    pub fn note(&mut self, text: impl Into<String>) {
        self.lines.push(Line { at: self.stamp, service: None, text: text.into() });
    }

    /// Adds a line about a service.
    pub fn tell(&mut self, service: &str, text: impl Into<String>) {
        let service = Some(service.to_string());
        self.lines.push(Line { at: self.stamp, service, text: text.into() });
    }
}

impl World {
    /// Takes one arrival into the world.
    pub fn arrive(&mut self, arrival: Arrival, turn: &mut Turn) {
        match arrival {
            Arrival::Asked(request, answer) => self.asked(request, answer, turn),
            Arrival::Heard(heard) => self.heard(heard, turn),
            Arrival::Edge { edge, deed } => {
                let heard = self.edges.take(&edge, deed, turn.now);
                heard.into_iter().for_each(|heard| self.heard(heard, turn));
            }
        }
    }

    fn asked(&mut self, request: Request, answer: Answer, turn: &mut Turn) {
        let result = match request {
            Request::Verbs { lines, by } => return self.verbs(lines, &by, answer, turn),
            Request::Instance { service, id, verb } => self.instance(&service, id, verb, turn),
            Request::Manifest { service, text } => self.written(&service, text, turn),
            Request::DropVolume { volume } => return self.drop_volume(&volume, answer, turn),
            Request::Secrets(wish) => self.of_secrets(wish, turn),
            Request::TaskSpec { number, text, by } => self.task_written(number, text, &by, turn),
            Request::Task { number, verb } => self.of_task(number, verb, turn),
            Request::Job { job, text } => self.job_written(&job, text, turn),
            Request::DropJob { job } => self.job_removed(&job, turn),
            Request::Edge { name } => self.edge_came(&name, turn),
            Request::Unlink { service } => self.unlinked(&service, turn),
            Request::Place { service } => self.placed(&service, turn),
            Request::Lock { service, ask } => self.of_lock(&service, ask, turn),
            Request::Renew { edge } => self.may_renew(&edge),
            Request::Strange { service, why, .. } => Err(self.refused(service.as_deref(), why)),
            Request::Over { hand, request } => return self.over(hand, *request, answer, turn),
        };
        turn.answers.push((answer, result));
    }

    /// Whether this server can put a new process in the place of an edge's.
    fn may_renew(&mut self, edge: &str) -> Result<(), String> {
        if edge == crate::edge::NAME {
            return Ok(());
        }
        let own = crate::edge::NAME;
        Err(self.refused(None, format!("restart: only {own} is this server's to start")))
    }

    /// A request by somebody's hand, who may be one that does not count; the audit log has it.
    fn over(&mut self, hand: Hand, request: Request, answer: Answer, turn: &mut Turn) {
        let asked = audit::asked(&request);
        let before = turn.answers.len();
        turn.hand = hand;
        match self.fence(hand, &request) {
            Ok(()) => self.asked(request, answer, turn),
            Err(refused) => turn.answers.push((answer, Err(refused))),
        }
        // One that is answered later was accepted.
        let refused = turn.answers[before..].last().and_then(|(_, result)| result.clone().err());
        for (file, what) in asked {
            let (at, refused) = (turn.stamp, refused.clone());
            turn.audit.push(audit::Line { at, hand, file, what, refused });
        }
    }

    fn heard(&mut self, heard: Heard, turn: &mut Turn) {
        let Some(heard) = self.task_heard(heard, turn) else { return };
        match heard {
            Heard::Told(report) => self.told(report, turn),
            Heard::NodeUp { name, capacity, containers, logs } => {
                self.node_up(name, capacity, containers, &logs, turn);
            }
            Heard::Disk { name, bytes, volumes } => self.disk(&name, bytes, &volumes, turn),
            Heard::VolumeGone { volume, told } => self.volume_gone(&volume, told, turn),
            Heard::NodeDown { reason } => self.node_down(&reason, turn),
            Heard::StartRefused { container, reason, permanent } => {
                self.of_container(&container, turn, |id| Event::StartFailed {
                    id,
                    reason,
                    permanent,
                });
            }
            Heard::Noted { text } => turn.note(text),
            Heard::Cut { container, text } => match self.owner(&container) {
                Some((service, _)) => turn.tell(service, text),
                None => turn.note(text),
            },
            Heard::OfPort { port, text } => match routes::owner(port, &self.services) {
                Some(service) => turn.tell(service, text),
                None => turn.note(text),
            },
            Heard::CancelTold { name, told } => {
                let told =
                    told.map_err(|why| self.refused(None, format!("cancel-push {name}: {why}")));
                turn.came.push((Awaited::CancelPush(name), told));
            }
            Heard::CollectRefused { reason } => {
                self.node.collecting = false;
                turn.note(format!("gc refused: {reason}"));
            }
            Heard::Missing { container } => {
                self.of_container(&container, turn, |id| Event::Lost { id });
            }
            Heard::PullLate { service, reference, reason } => {
                self.pull_late(&service, &reference, &reason, turn);
            }
            Heard::Served { service, generation } => {
                self.step(&service, Event::Served { generation }, turn);
            }
            Heard::Drained { service, id } => self.step(&service, Event::Drained { id }, turn),
            Heard::Woke { service } => self.step(&service, Event::Woke, turn),
            Heard::Logged { service, id, number, lines } => {
                // Whoever reads it on a terminal must not be at the mercy of the program.
                let plain = |line: &String| line.replace(|c: char| c.is_control(), "?");
                let lines: Vec<String> = lines.iter().map(plain).collect();
                for line in &lines {
                    turn.tell(&service, format!("{number}: log: {line}"));
                }
                self.wrote(&service, id, &lines, turn);
            }
        }
    }

    /// An event of the instance a container belongs to, where a record still owns it.
    fn of_container(&mut self, name: &str, turn: &mut Turn, event: impl FnOnce(Id) -> Event) {
        if let Some((service, id)) = self.owner(name) {
            let service = service.to_string();
            self.step(&service, event(id), turn);
        }
    }

    /// The service to change, with its record kept as it was when the turn first touched it.
    pub fn touch(&mut self, name: &str, turn: &mut Turn) -> Option<&mut Service> {
        let service = self.services.get_mut(name)?;
        let before = || Some(Record::clone(&service.record));
        turn.touched.entry(name.to_string()).or_insert_with(before);
        service.changed = turn.stamp;
        Some(service)
    }

    /// Lets the decision take an event, and translates what it asks for: the one translator.
    pub fn step(&mut self, name: &str, event: Event, turn: &mut Turn) {
        let Some(service) = self.touch(name, turn) else { return };
        let rollout = &mut service.record.rollout;
        let before = steady_health(rollout);
        let actions = rollout::step(rollout, turn.now, event);
        let after = steady_health(rollout);
        let (have, want) = rollout.replicas();
        self.translate(name, actions, turn);
        if before.is_some() && after.is_some() && before != after {
            let health = after.map(|health| health.to_string()).unwrap_or_default();
            turn.tell(name, format!("{health}: {have} of {want} serve"));
        }
        self.look_at_bond(name, turn);
    }

    /// Everything the service still waits for, asked for again.
    pub fn resume(&mut self, name: &str, turn: &mut Turn) {
        let Some(service) = self.services.get(name) else { return };
        let actions = rollout::resume(&service.record.rollout, turn.now);
        let reference = self.waits_on(name, turn.now);
        turn.orders.extend(reference.map(|reference| Order::Pull { reference }));
        self.translate(name, actions, turn);
    }

    /// Its apply waits for its image as its record says, or none does. Gives the image.
    pub(crate) fn waits_on(&mut self, name: &str, now: Millis) -> Option<String> {
        let service = self.services.get_mut(name)?;
        // One whose image is there waits for those of others, which have deadlines of their own.
        let is_there = |bond: &Bond| matches!(bond.part, Part::Waits { .. });
        let there = service.record.bond.as_ref().is_some_and(is_there);
        let Some(Preparing { text, reference, secrets, .. }) = &service.record.preparing else {
            self.pulls.end(name);
            service.coming = None;
            return None;
        };
        let mut manifest = manifest::parse(name, text).manifest;
        let known = |name: &str| secrets.get(name).copied().unwrap_or_default();
        manifest.iter_mut().for_each(|manifest| manifest.secrets_are(known));
        let ms = manifest.as_ref().map_or(PULL_MS_MAX, |manifest| manifest.progress_deadline_ms);
        if !there {
            self.pulls.go_on(name, reference, ms, now);
        }
        let reference = reference.clone();
        service.coming = manifest.map(|manifest| (text.clone(), Arc::new(manifest)));
        Some(reference)
    }

    fn translate(&mut self, name: &str, actions: Vec<Action>, turn: &mut Turn) {
        // What is answered at once is taken after all that was asked before it: a table or a timer
        // that follows from it is newer than theirs.
        let (mut pulled, mut placing) = (Vec::new(), Vec::new());
        for action in actions {
            let service = || name.to_string();
            let order = match action {
                Action::Pull { version } if self.has_image(name, version) => {
                    pulled.push(version);
                    continue;
                }
                Action::Pull { version } => match self.pinned(name, version) {
                    Some(reference) => Order::Pull { reference },
                    None => continue,
                },
                Action::Place { id } => {
                    placing.push(id);
                    continue;
                }
                Action::Start { id, version, .. } => match self.container_spec(name, id, version) {
                    Some((spec, manifest)) => {
                        let secrets = handovers(&manifest);
                        Order::Start { container: container(name, id), spec, secrets }
                    }
                    None => continue,
                },
                Action::Publish { generation } => Order::Publish { service: service(), generation },
                Action::Drain { id, .. } => Order::Drain { service: service(), id },
                Action::Stop { id } => Order::Stop {
                    container: container(name, id),
                    timeout_ms: self.stop_timeout_ms(name, id),
                },
                Action::Forget { id } => Order::Remove { container: container(name, id) },
                Action::Delete => {
                    self.delete(name, turn);
                    continue;
                }
                Action::Wake { at } => Order::Wake { service: service(), at },
                Action::Tell(fact) => {
                    self.tell(name, &fact, turn);
                    continue;
                }
            };
            turn.orders.push(order);
        }
        for version in pulled {
            self.step(name, Event::Pulled { version }, turn);
        }
        for id in placing {
            self.place(name, id, turn);
        }
    }

    /// Chooses a node: a pure function, so its answer is taken at once.
    fn place(&mut self, name: &str, id: Id, turn: &mut Turn) {
        let Some((want, replaced_by)) = self.want(name, id) else { return };
        let nodes = self.nodes(name, replaced_by);
        let event = match place::place(&nodes, &want) {
            Ok(node) => {
                let node = node.name.clone();
                self.bind_volumes(&want, &node, turn);
                Event::Placed { id, node }
            }
            Err(refusals) if refusals.is_empty() => {
                Event::NoRoom { id, reason: "no node answers yet".to_string() }
            }
            Err(refusals) => Event::NoRoom { id, reason: in_words(&refusals) },
        };
        self.step(name, event, turn);
    }

    /// What an instance needs, and its version where it starts only after all others have ended.
    fn want(&self, name: &str, id: Id) -> Option<(Want, Option<Version>)> {
        let service = self.services.get(name)?;
        let instance = service.record.rollout.instances().get(&id)?;
        let manifest = service.manifests.get(&instance.version)?;
        let replaces = manifest.strategy() == manifest::Update::Replace;
        Some((Want::of(manifest), replaces.then_some(instance.version)))
    }

    /// Writes a fact to `events`, and what belongs to a failure: the last probe, the log's end.
    fn tell(&mut self, name: &str, fact: &Fact, turn: &mut Turn) {
        // An image that is there already is not pulled, and nobody is told that it is.
        let idle = matches!(fact, Fact::Pulling { version } if self.has_image(name, *version));
        if !idle {
            turn.tell(name, fact.to_string());
        }
        self.tell_failure(name, fact, turn);
        if let Some(service) = self.services.get_mut(name) {
            service.record.learn(fact);
        }
        if let Fact::Ended(outcome) = fact {
            self.ended(name, outcome, turn);
        }
    }

    fn tell_failure(&mut self, name: &str, fact: &Fact, turn: &mut Turn) {
        let Fact::Failed { number, id, reason } = fact else { return };
        let Some(service) = self.services.get_mut(name) else { return };
        let found = service.containers.get(id);
        let probe = found.map(|found| found.probe.clone()).unwrap_or_default();
        let instance = service.record.rollout.instances().get(id);
        let exit = instance.and_then(|i| i.exit.as_ref()).or(found.and_then(|f| f.exit.as_ref()));
        if !probe.is_empty() {
            turn.tell(name, format!("{number}: last probe: {probe}"));
        }
        if found.is_some() {
            let (service, container) = (name.to_string(), container(name, *id));
            turn.orders.push(Order::Tail { service, id: *id, number: *number, container });
        }
        let exit = exit.map(show::how).unwrap_or_default();
        let (at, number, reason, log) = (turn.stamp, *number, reason.clone(), Vec::new());
        let failure = Failure { at, id: *id, number, reason, exit, probe, log };
        if let Some(version) = instance.map(|instance| instance.version) {
            let before = || service.failures.clone();
            turn.failures.entry(name.to_string()).or_insert_with(before);
            service.failures.insert(version, failure);
        }
    }

    /// The end of a failed instance's log is there: it belongs to its failure.
    fn wrote(&mut self, name: &str, id: Id, lines: &[String], turn: &mut Turn) {
        let Some(service) = self.services.get_mut(name) else { return };
        let before = service.failures.clone();
        let waits = |failure: &&mut Failure| failure.id == id && failure.log.is_empty();
        let Some(failure) = service.failures.values_mut().find(waits) else { return };
        failure.wrote(lines);
        turn.failures.entry(name.to_string()).or_insert(before);
    }

    /// Writes the end of an update into the history.
    fn ended(&mut self, name: &str, outcome: &rollout::Outcome, turn: &mut Turn) {
        turn.verdicts.push(outcome.verdict);
        let at = turn.stamp;
        let Some(service) = self.touch(name, turn) else { return };
        service.record.end(outcome, at);
        service.record.prune();
        service.parse_manifests(name);
        self.collect_secrets(turn);
        let Some(service) = self.services.get_mut(name) else { return };
        let (kept, before) = (&service.record.versions, service.failures.clone());
        service.failures.retain(|version, _| kept.contains_key(version));
        if service.failures != before {
            turn.failures.entry(name.to_string()).or_insert(before);
        }
    }

    /// Makes what was saved visible: lines to those who follow, revisions to those who wait.
    pub fn publish(&mut self, turn: &Turn) {
        self.unsaved = false;
        let revision = *self.revision.borrow() + 1;
        for name in turn.touched.keys() {
            if let Some(service) = self.services.get_mut(name) {
                service.revision = revision;
                service.note_places(turn.stamp);
            }
        }
        let mut by_service: BTreeMap<&str, String> = BTreeMap::new();
        let mut all = String::new();
        for line in &turn.lines {
            all.push_str(&line.at_root());
            if let Some(name) =
                line.service.as_deref().filter(|name| self.services.contains_key(*name))
            {
                by_service.entry(name).or_default().push_str(&line.at_service());
            }
        }
        let bound = (SERVICE_EVENTS_BYTES / self.services.len().max(1)).max(EVENTS_BYTES_MIN);
        for (name, text) in by_service {
            let events = self.services.get(name).map(|service| Arc::clone(&service.events));
            events.iter().for_each(|events| events.push_within(&text, bound));
        }
        if !all.is_empty() {
            self.events.push(&all);
        }
        turn.ended.iter().for_each(|events| events.end());
        self.revision.send_replace(revision);
    }
}

/// Adds how things were before a part, where it is not known how they were before that.
fn first<K: Ord, V>(known: &mut BTreeMap<K, V>, part: BTreeMap<K, V>) {
    for (key, before) in part {
        known.entry(key).or_insert(before);
    }
}

/// The health of a service that nobody is changing; updates tell of themselves.
fn steady_health(rollout: &rollout::Service) -> Option<rollout::Health> {
    let steady = rollout.update().is_none() && rollout.current().is_some() && !rollout.stopped();
    steady.then(|| rollout.health())
}
