//! The world: every service, the node, and the events, as the loop has them in memory.
//!
//! One lock guards it. The loop changes it; reads print it (`show.rs`) and never enter a decision.

use crate::book::{Book, Reserved};
use crate::clock::Millis;
use crate::edges::Edges;
use crate::errands::Job;
use crate::grow::Grow;
use crate::kept::Kept;
use crate::lock::{Held, Lock};
use crate::past::Failure;
use crate::pulls::Pulls;
use crate::record::{Edition, Record};
use crate::report::Container;
use crate::routes::Routes;
use crate::secrets::Secrets;
use crate::tasks::Tasks;
use crate::turn::{Line, Turn};
use crate::volumes::Volume;
use manifest::Manifest;
use place::Resources;
use rollout::{Id, Version};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Services a server keeps, at most.
pub const SERVICES_MAX: usize = 5_000;

/// How long a place that was left at a renumbering leads to who left it.
const LEFT_MS: Millis = 10_000;

/// The world behind its lock, shared by the loop and the file tree.
#[derive(Debug, Clone, Default)]
pub struct Shared(Arc<Mutex<World>>);

impl Shared {
    /// Shares a world.
    #[must_use]
    pub fn new(world: World) -> Shared {
        Shared(Arc::new(Mutex::new(world)))
    }

    /// Locks the world. Never held over an await.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        // A panic in a turn ends the process; a reader's panic leaves the world as it was.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the node answers, or it is known why it does not.
    pub async fn node_tried(&self) {
        let mut revision = self.lock().revision.subscribe();
        while !self.lock().node.tried && revision.changed().await.is_ok() {}
    }
}

/// Everything this server knows.
#[derive(Debug)]
pub struct World {
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// The machine's node.
    pub node: NodeMirror,
    /// Who passes requests on, and what is outstanding with them.
    pub edges: Edges,
    /// The table they serve.
    pub routes: Routes,
    /// The node has told where instances are.
    pub routes_known: bool,
    /// Where instances may ask for names; absent while no edge answers there.
    pub names_at: Option<String>,
    /// Named volumes, wherever they are.
    pub volumes: BTreeMap<String, Volume>,
    /// What runs once, and has run.
    pub tasks: Tasks,
    /// Manifests of tasks, by name.
    pub jobs: BTreeMap<String, Job>,
    /// Directories of the machine below which volumes may be.
    pub allow_host: Vec<String>,
    /// Updates that ended, by how.
    pub ended: BTreeMap<String, u64>,
    /// The lines of the root `events`.
    pub events: Arc<Grow>,
    /// A lock that is older may be taken by force, in milliseconds.
    pub lock_force_ms: Millis,
    /// Where the audit log lies; none where there is none.
    pub audit: Option<PathBuf>,
    /// The last refused write, in full.
    pub error: String,
    /// Number of the last event (law 10).
    pub last_event: u64,
    /// Number of the last service made.
    pub last_incarnation: u64,
    /// Services that were removed: the numbers one of that name goes on with (law 10).
    pub gone: BTreeMap<String, Numbers>,
    /// Sealed values, and who may have them.
    pub secrets: Secrets,
    /// Applies that wait for their images.
    pub(crate) pulls: Pulls,
    /// A turn is being saved: what it decided is not to be told as a fact yet.
    pub unsaved: bool,
    /// Why nothing can be begun now: the disk of the state is full.
    pub full: Option<String>,
    /// Counts turns that changed something; a file's version is taken from it.
    pub revision: watch::Sender<u64>,
    /// What the loop has done since this server started.
    pub spent: Spent,
    /// When this server started, for files that have no better time.
    pub started: Millis,
}

/// What the loop has done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// Arrivals taken, those that time brought included.
    pub arrivals: u64,
    /// Time for them, until they were saved.
    pub looped: Duration,
    /// Time of that in which the state was being saved.
    pub saved: Duration,
}

impl Default for World {
    fn default() -> Self {
        World {
            services: BTreeMap::new(),
            node: NodeMirror::default(),
            edges: Edges::default(),
            routes: Routes::default(),
            routes_known: false,
            names_at: None,
            volumes: BTreeMap::new(),
            tasks: Tasks::default(),
            jobs: BTreeMap::new(),
            allow_host: Vec::new(),
            ended: BTreeMap::new(),
            events: Arc::default(),
            lock_force_ms: crate::lock::FORCE_MS,
            audit: None,
            error: String::new(),
            last_event: 0,
            last_incarnation: 0,
            gone: BTreeMap::new(),
            secrets: Secrets::default(),
            pulls: Pulls::default(),
            unsaved: false,
            full: None,
            revision: watch::Sender::new(0),
            spent: Spent::default(),
            started: crate::clock::now(),
        }
    }
}

/// One service: what is saved of it, and what can be learned again.
#[derive(Debug)]
pub struct Service {
    /// What is saved.
    pub record: Book,
    /// Its containers as the node last told of them.
    pub containers: BTreeMap<Id, Container>,
    /// Logs the node keeps of its instances that are gone.
    pub kept: BTreeMap<Id, Kept>,
    /// Of its versions, the instance that failed last.
    pub failures: BTreeMap<Version, Failure>,
    /// The lines of its `events`.
    pub events: Arc<Grow>,
    /// The last refused write, in full.
    pub error: String,
    /// Who deploys it, on his side.
    pub lock: Lock,
    /// Its versions' manifests, parsed.
    pub manifests: BTreeMap<Version, Arc<Manifest>>,
    /// What the apply that waits for its image goes to, by its text.
    pub coming: Option<(String, Arc<Manifest>)>,
    /// The world's revision when it last changed.
    pub revision: u64,
    /// When it last changed.
    pub changed: Millis,
    /// The places of its instances as they were last shown.
    places: BTreeMap<Id, u32>,
    /// Places that were left at a renumbering: when, and who was there.
    left: BTreeMap<u32, (Millis, Id)>,
}

/// What is known of the machine's node.
#[derive(Debug, Clone, Default)]
pub struct NodeMirror {
    /// Its name; empty before it was first heard of.
    pub name: String,
    /// Whether it answers.
    pub up: bool,
    /// Whether it was tried to reach it since this server started.
    pub tried: bool,
    /// What it has to give.
    pub capacity: Resources,
    /// Bytes that volumes may have.
    pub volume_bytes: u64,
    /// Digests of images that it has told it has, since it was last connected or collected.
    pub images: BTreeSet<String>,
    /// Names of pushes it has not told the end of since it was last connected: there may be
    /// others, which only it knows of.
    pub pushing: BTreeSet<String>,
    /// It was told to collect and has not told the end.
    pub collecting: bool,
}

impl Service {
    /// A service around its record; versions that no longer parse have no manifest.
    #[must_use]
    pub fn new(name: &str, record: Record) -> Service {
        let mut service = Service {
            record: Book::new(record),
            containers: BTreeMap::new(),
            kept: BTreeMap::new(),
            failures: BTreeMap::new(),
            events: Arc::default(),
            error: String::new(),
            lock: Lock::default(),
            manifests: BTreeMap::new(),
            coming: None,
            revision: 0,
            changed: 0,
            places: BTreeMap::new(),
            left: BTreeMap::new(),
        };
        service.parse_manifests(name);
        service
    }

    /// Brings the parsed manifests in step with the versions of the record.
    pub fn parse_manifests(&mut self, name: &str) {
        self.record.forget();
        let record = &self.record;
        self.manifests.retain(|version, _| record.versions.contains_key(version));
        for (version, edition) in &record.versions {
            if !self.manifests.contains_key(version) {
                let mut parsed = manifest::parse(name, &edition.text).manifest;
                let known = |name: &str| edition.secrets.get(name).copied().unwrap_or_default();
                parsed.iter_mut().for_each(|manifest| manifest.secrets_are(known));
                self.manifests.extend(parsed.map(|manifest| (*version, Arc::new(manifest))));
            }
        }
    }

    /// The instance at a place. Who listed the places before a renumbering and reads them after it
    /// finds the same instances: a place that was left leads to who left it for a while, unless
    /// somebody else is there now.
    #[must_use]
    pub fn at(&self, number: u32, now: Millis) -> Option<&rollout::Instance> {
        let left = || {
            let (at, id) = self.left.get(&number)?;
            let fresh = now.saturating_sub(*at) < LEFT_MS;
            self.record.rollout.instances().get(id).filter(|_| fresh)
        };
        self.record.rollout.at(number).or_else(left)
    }

    /// Keeps who was where, when a turn has moved somebody.
    pub fn note_places(&mut self, now: Millis) {
        let instances = self.record.rollout.instances().values();
        let places: BTreeMap<Id, u32> = instances.map(|one| (one.id, one.number)).collect();
        let moved =
            self.places.iter().filter(|(id, was)| places.get(id).is_some_and(|is| is != *was));
        let moved: Vec<_> = moved.map(|(id, was)| (*was, (now, *id))).collect();
        if !moved.is_empty() {
            self.left = moved.into_iter().collect();
        }
        self.places = places;
    }

    /// What is deployed: the edition and its manifest.
    #[must_use]
    pub fn current(&self) -> Option<(&Edition, &Arc<Manifest>)> {
        let version = self.record.rollout.current()?;
        Some((self.record.versions.get(&version)?, self.manifests.get(&version)?))
    }

    /// What going to a manifest amounts to, its image being that digest. A service that was
    /// stopped, whose last update failed, or a place of which stays empty, is brought anew whatever
    /// changed.
    #[must_use]
    pub fn change(&self, manifest: &Manifest, digest: &str) -> manifest::Outcome {
        let rollout = &self.record.rollout;
        let at_rest = rollout.status() == rollout::Status::None && !rollout.stopped();
        match self.current() {
            Some((edition, old)) if at_rest => {
                manifest::outcome(&manifest::diff(old, &edition.digest, manifest, digest))
            }
            Some(_) | None => manifest::Outcome::Update,
        }
    }

    /// Whether something is under way whose outcome `wait` waits for.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        let moving = self.record.rollout.update().is_some_and(|update| update.paused.is_none());
        self.record.preparing.is_some() || moving || self.is_bound()
    }

    /// Who has begun a deploy on his side, while nothing of it has come here.
    #[must_use]
    pub fn begun_by(&self) -> Option<&Held> {
        let rests = self.record.preparing.is_none() && self.record.rollout.update().is_none();
        self.lock.held().filter(|held| rests && !held.used)
    }

    /// The line that `wait` gives once nothing is in flight: what came last.
    #[must_use]
    pub fn outcome(&self) -> String {
        let decided = || self.record.rollout.outcome().map(|outcome| outcome.to_string());
        self.record.outcome.clone().or_else(decided).unwrap_or_else(|| "none".to_string())
    }

    /// The app it belongs to: as `manifests/` says, or what is deployed where that is gone.
    #[must_use]
    pub fn app(&self) -> Option<String> {
        let deployed = || self.record.edition(self.record.rollout.current()).map(|one| &one.text);
        let draft = self.record.draft.as_ref().map(|draft| &draft.text);
        manifest::app_of(draft.or_else(deployed)?)
    }

    /// What its instances have reserved on a node; see [`Book::reserved`].
    #[must_use]
    pub fn reserved(&self, node: &str, leaving_out: Option<Version>) -> Reserved {
        self.record.reserved(&self.manifests, node, leaving_out)
    }
}

impl World {
    /// Tells those who follow what could not be saved why it stands still. These lines are not
    /// saved themselves, and end with this server.
    pub fn hold_back(&self, turn: &Turn, why: &str) {
        for name in turn.touched.keys() {
            let Some(service) = self.services.get(name) else { continue };
            let (service_name, text) = (Some(name.clone()), format!("waiting: {why}"));
            let line = Line { at: turn.stamp, service: service_name, text };
            service.events.push(&line.at_service());
            self.events.push(&line.at_root());
        }
    }

    /// The latest moment that any decision knows of: time goes on from there.
    #[must_use]
    pub fn latest(&self) -> Millis {
        self.services.values().map(|one| one.record.rollout.latest()).max().unwrap_or(0)
    }

    /// The services that one file deployed together, as their manifests say: by name.
    pub fn of_app(&self, app: &str) -> impl Iterator<Item = (&String, &Service)> {
        self.services.iter().filter(move |(_, one)| one.app().as_deref() == Some(app))
    }

    /// The names of all apps.
    #[must_use]
    pub fn apps(&self) -> BTreeSet<String> {
        self.services.values().filter_map(Service::app).collect()
    }

    /// What all instances on the node have reserved.
    #[must_use]
    pub fn allocated(&self) -> Resources {
        let each =
            self.services.values().map(|service| service.reserved(&self.node.name, None).sum);
        each.fold(self.tasks.reserved().0, plus)
    }

    /// The service and instance a container belongs to.
    #[must_use]
    pub fn owner(&self, container: &str) -> Option<(&str, Id)> {
        let (name, id) = split(container)?;
        let (name, service) = self.services.get_key_value(name)?;
        service.record.rollout.instances().contains_key(&id).then_some((name.as_str(), id))
    }
}

/// What a service leaves behind when it is removed: numbers that are never used twice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// The next instance's.
    pub next_id: u64,
    /// The last version's.
    pub last_version: u32,
}

pub(crate) fn plus(a: Resources, b: Resources) -> Resources {
    Resources {
        cpu_milli: a.cpu_milli + b.cpu_milli,
        memory_bytes: a.memory_bytes + b.memory_bytes,
    }
}

/// The container's name of an instance.
#[must_use]
pub fn container(service: &str, id: Id) -> String {
    format!("{service}-{id}")
}

/// Service and instance of a container's name.
#[must_use]
pub fn split(container: &str) -> Option<(&str, Id)> {
    let (service, id) = container.rsplit_once('-')?;
    Some((service, Id(id.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use rollout::{Action, Event, Exit, Spec};

    /// Lets a decision take an event, and everything it asks for come true at once.
    fn settle(rollout: &mut rollout::Service, event: Event) {
        let mut events = std::collections::VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for action in rollout::step(rollout, 0, event) {
                match action {
                    Action::Pull { version } => events.push_back(Event::Pulled { version }),
                    Action::Place { id } => {
                        events.push_back(Event::Placed { id, node: "n".to_string() });
                    }
                    Action::Start { id, .. } => {
                        events.extend([Event::Started { id }, Event::Healthy { id, ms: 1 }]);
                    }
                    Action::Publish { generation } => {
                        events.push_back(Event::Served { generation })
                    }
                    Action::Drain { id, .. } => events.push_back(Event::Drained { id }),
                    Action::Stop { id } => {
                        events.push_back(Event::Exited { id, exit: Exit::default() });
                    }
                    Action::Forget { id } => events.push_back(Event::Forgotten { id }),
                    Action::Delete | Action::Wake { .. } | Action::Tell(_) => {}
                }
            }
        }
    }

    #[test]
    fn a_place_that_was_left_at_a_renumbering_leads_to_who_left_it_for_a_while() {
        let mut service = Service::new("web", Record::new(1, Numbers::default()));
        let spec = Spec { replicas: 2, ..Spec::default() };
        let apply = |version| Event::Applied { version: Version(version), spec: spec.clone() };
        settle(&mut service.record.rollout, apply(1));
        service.note_places(0);
        settle(&mut service.record.rollout, apply(2));
        // As they stood before the last turn of the update: at places 2 and 3.
        let ids: Vec<Id> = service.record.rollout.instances().keys().copied().collect();
        service.places = ids.iter().copied().zip([2, 3]).collect();
        service.note_places(1_000);
        let at = |number, now| service.at(number, now).map(|one| one.id);
        assert_eq!((at(0, 1_000), at(1, 1_000)), (Some(ids[0]), Some(ids[1])));
        assert_eq!((at(2, 1_001), at(3, 10_999)), (Some(ids[0]), Some(ids[1])));
        assert_eq!((at(2, 11_000), at(4, 1_001)), (None, None));
    }

    #[test]
    fn who_follows_what_cannot_be_saved_is_told_why_it_stands_still() {
        let mut world = World::default();
        for name in ["web", "api"] {
            let service = Service::new(name, Record::new(1, Numbers::default()));
            world.services.insert(name.to_string(), service);
        }
        let mut turn = Turn::new(0);
        turn.touched.insert("web".to_string(), None);
        world.hold_back(&turn, "no space left");
        let said = "waiting: no space left";
        let web = world.services["web"].events.text();
        assert_eq!(web, format!("1970-01-01T00:00:00Z {said}\n"));
        assert_eq!(world.events.text(), format!("1970-01-01T00:00:00Z web {said}\n"));
        assert_eq!(world.services["api"].events.text(), "");
    }
}
