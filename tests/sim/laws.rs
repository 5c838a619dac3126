//! The laws of updates, each in one sentence and one check, made on what is true: the containers
//! on the node, the tables at the edges, the bytes on the disk, the lines that people read.

use crate::bonds::{self, Bonds};
use crate::edge::Edge;
use crate::node::Node;
use crate::seen::{Seen, Way};
use deployfs::world::{World, container, split};
use rollout::{Action, Kind, Service, Stage, resume};
use std::collections::{BTreeMap, BTreeSet};

/// The laws, from the first.
pub(crate) const LAWS: [&str; 11] = [
    "in a rolling update the healthy and routed instances, of all versions, are never fewer than \
     min(old, new replicas), but for instances that fail by themselves",
    "instances are never more than max(old, new replicas) + batch",
    "nothing is routed that is not healthy",
    "nothing is signalled before every edge has let go of it and it has drained, or drain has \
     passed",
    "every update ends, exactly once: done, failed, rolled back or cancelled; or stands paused",
    "a rollback is never rolled back",
    "what is decided is on disk before it is done; a crash at any point, and a restart, lead to \
     the same end",
    "no container without a record; no record running without a process",
    "services do not touch each other",
    "version numbers and event numbers only grow",
    "of services that are applied all or none, either every one's new version serves in the end, \
     or every one runs again what it ran before",
];

/// How long a container that no record owns may be there while node and server speak.
const ORPHAN_MS_MAX: u64 = 10_000;

/// A law that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) law: u8,
    pub(crate) text: String,
}

/// The checks and what they remember.
#[derive(Debug, Default)]
pub(crate) struct Laws {
    /// Only this one is checked; 0 for all.
    only: u8,
    pub(crate) services: BTreeMap<String, Seen>,
    /// The last event that was acknowledged, and the last table that was published.
    pub(crate) last_event: u64,
    last_table: u64,
    /// Of every name that a service ever had: the next id and the last version.
    numbers: BTreeMap<String, (u64, u32)>,
    /// What the node was last heard to run.
    pub(crate) heard: BTreeMap<String, bool>,
    /// Containers without a record, and since when.
    orphans: BTreeMap<String, u64>,
    /// By containers that left the routes: the edges that have counted ever since.
    leaving: BTreeMap<String, BTreeSet<&'static str>>,
    /// Services that are applied all or none, by the number that ties them.
    pub(crate) bonds: Bonds,
    /// When the clock of decisions went on by more than time had passed.
    pub(crate) leapt: u64,
    pub(crate) broken: Option<Broken>,
    /// Updates that have ended.
    pub(crate) ended: u64,
}

impl Laws {
    pub(crate) fn new(only: u8) -> Laws {
        Laws { only, ..Laws::default() }
    }

    /// Notes the first law that is broken.
    pub(crate) fn must(&mut self, law: u8, holds: bool, text: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() && (self.only == 0 || self.only == law) {
            self.broken = Some(Broken { law, text: text() });
        }
    }

    /// Lines of events that are on disk, each with its number.
    pub(crate) fn told(&mut self, lines: Vec<(u64, Option<String>, String)>) {
        for (number, service, text) in lines {
            let last = self.last_event;
            self.must(10, number > last, || format!("event {number} after {last}: {text}"));
            self.last_event = self.last_event.max(number);
            let Some(name) = service else { continue };
            let seen = self.services.entry(name.clone()).or_default();
            let (twice, ends) = seen.hear(&text);
            self.ended += u64::from(ends);
            self.must(6, !twice, || format!("{name}: {text}"));
        }
    }

    /// After a turn that was saved: looks at every service that it touched.
    pub(crate) fn turned(&mut self, world: &World, touched: &[String], at: (&Node, &[Edge])) {
        let (node, edges) = at;
        let counting = counting(world, edges);
        for name in touched {
            match world.services.get(name) {
                None => {
                    let open = self.services.remove(name).map_or(0, |seen| seen.open);
                    self.must(5, open == 0, || format!("{name} is gone, {open} updates are open"));
                }
                Some(service) => {
                    let record = &service.record;
                    self.numbers_grow(name, record.rollout.next_id().0, record.last_version);
                    let rollout = &record.rollout;
                    self.note_leaving(name, rollout, &counting);
                    let mut seen = self.services.remove(name).unwrap_or_default();
                    self.ends_once(name, &seen, rollout);
                    self.routed_is_healthy(name, rollout);
                    self.running_has_a_process(name, rollout);
                    seen.look(name, rollout, &counting, edges, node);
                    seen.asks |= record.preparing.is_some();
                    seen.bond = record.bond.as_ref().map(|bond| bond.number);
                    self.services.insert(name.clone(), seen);
                }
            }
        }
        for (_, still) in self.leaving.iter_mut() {
            still.retain(|name| counting.contains(name));
        }
        self.serve_enough(world, &counting, edges, node);
    }

    fn numbers_grow(&mut self, name: &str, next: u64, version: u32) {
        let (was, last) = self.numbers.get(name).copied().unwrap_or_default();
        self.must(10, next >= was && version >= last, || {
            format!("{name}: instance {next} after {was}, version {version} after {last}")
        });
        self.numbers.insert(name.to_string(), (next.max(was), version.max(last)));
    }

    /// A table that was published.
    pub(crate) fn table(&mut self, generation: u64, backends: &BTreeSet<String>, world: &World) {
        let last = self.last_table;
        self.must(10, generation > last, || format!("table {generation} after {last}"));
        self.last_table = self.last_table.max(generation);
        for id in backends {
            let routed = split(id).is_some_and(|(name, id)| {
                let service = world.services.get(name);
                service.is_some_and(|one| one.record.rollout.routed().contains(&id))
            });
            self.must(3, routed, || format!("table {generation} has {id}"));
        }
    }

    fn note_leaving(&mut self, name: &str, rollout: &Service, counting: &[&'static str]) {
        for i in rollout.instances().values() {
            if matches!(i.stage, Stage::Leaving { .. } | Stage::Draining { .. } | Stage::Stopping) {
                // Of one that was told to stop in an earlier life, that was decided there.
                let told = i.stage == Stage::Stopping;
                let edges = counting.iter().copied().filter(|_| !told);
                let all = || edges.collect();
                self.leaving.entry(container(name, i.id)).or_insert_with(all);
            } else if i.is_routed() {
                self.leaving.remove(&container(name, i.id));
            }
        }
    }

    fn ends_once(&mut self, name: &str, seen: &Seen, rollout: &Service) {
        let flying = i64::from(rollout.update().is_some());
        let open = seen.open;
        self.must(5, open == flying, || {
            format!("{name}: {open} begun and not ended, {flying} in flight")
        });
    }

    fn routed_is_healthy(&mut self, name: &str, rollout: &Service) {
        let serves = |i: &&rollout::Instance| i.stage == Stage::Serving && i.healthy;
        let better = rollout.instances().values().any(|i| serves(&i));
        let sick = rollout.instances().values().find(|i| i.is_routed() && !i.healthy);
        self.must(3, !better || sick.is_none(), || format!("{name}: {sick:?}"));
    }

    /// At an edge: what requests are sent to from now on.
    pub(crate) fn passed_on(&mut self, backends: &BTreeSet<String>, node: &Node) {
        for id in backends {
            // One that is gone is not known to be yet.
            let never = node.boxes.get(id).is_some_and(|one| !one.was_healthy);
            self.must(3, !never, || format!("an edge sends requests to {id}, never healthy"));
        }
    }

    fn running_has_a_process(&mut self, name: &str, rollout: &Service) {
        for i in rollout.instances().values() {
            let runs = matches!(
                i.stage,
                Stage::Checking { .. } | Stage::Settled | Stage::Routing { .. } | Stage::Serving
            );
            let id = container(name, i.id);
            let heard = self.heard.get(&id).copied().unwrap_or(false);
            self.must(8, !runs || heard, || format!("{id} is {:?} and has no process", i.stage));
        }
    }

    /// Law 1, by what the edges do and the containers are.
    pub(crate) fn serve_enough(
        &mut self,
        world: &World,
        counting: &[&'static str],
        edges: &[Edge],
        node: &Node,
    ) {
        let names: Vec<String> = self.services.keys().cloned().collect();
        for name in names {
            let Some(service) = world.services.get(&name) else { continue };
            let rollout = &service.record.rollout;
            let down = |update: &rollout::Update| matches!(update.kind, Kind::Stop | Kind::Remove);
            let Some(seen) = self.services.get_mut(&name) else { continue };
            if seen.floor == 0 || rollout.update().is_some_and(down) {
                continue;
            }
            seen.serving = crate::seen::serving(&name, rollout, counting, edges, node);
            let (serve, floor, fallen) = (seen.serving.len(), seen.floor, seen.fallen.len());
            self.must(1, serve + fallen >= floor as usize, || {
                let all = rollout.instances().values();
                let all =
                    all.map(|i| format!("{} {} {:?} {}, ", i.id, i.version, i.stage, i.healthy));
                format!(
                    "{name}: {serve} serve, {floor} promised, {fallen} failed by themselves, of {}",
                    all.collect::<String>()
                )
            });
        }
    }

    /// A container has failed by itself, or somebody asked for its end.
    pub(crate) fn fell(&mut self, id: &str) {
        let Some((name, _)) = split(id) else { return };
        if let Some(seen) = self.services.get_mut(name) {
            let counted = seen.serving.contains(id) || seen.routed.contains(id);
            let fallen = if counted { &mut seen.fallen } else { &mut seen.down };
            fallen.insert(id.to_string());
        }
    }

    /// Law 2, when a process has begun.
    pub(crate) fn began(&mut self, id: &str, node: &Node, world: &World) {
        let Some((name, _)) = split(id) else { return };
        let Some(seen) = self.services.get(name) else { return };
        let most = (seen.most + seen.batch).max(seen.there) as usize;
        let of = |(id, one): &(&String, &crate::node::Box)| {
            one.lives() && !one.late && split(id).is_some_and(|(whose, _)| whose == name)
        };
        let live: Vec<&String> = node.boxes.iter().filter(of).map(|(id, _)| id).collect();
        self.must(2, live.len() <= most, || {
            let rollout = world.services.get(name).map(|one| &one.record.rollout);
            format!("{most} are allowed: {live:?} of {rollout:?}")
        });
    }

    /// Law 4, when a process is about to be signalled.
    pub(crate) fn signalled(&mut self, id: &str, world: &World, edges: &[Edge], now: u64) {
        let Some(still) = self.leaving.get(id) else { return };
        let drain_ms = split(id).and_then(|(name, id)| {
            let rollout = &world.services.get(name)?.record.rollout;
            let instance = rollout.instances().get(&id)?;
            Some(rollout.spec(instance.version)?.drain_ms)
        });
        let drain_ms = drain_ms.unwrap_or(0);
        let still = still.clone();
        for edge in edges.iter().filter(|edge| edge.up && still.contains(edge.name)) {
            let name = edge.name;
            self.must(4, !edge.passes_to(id), || format!("{id} is in the table of {name}"));
            let held = edge.holds.get(id).is_some_and(|until| *until > now);
            let leapt = self.leapt;
            let passed = |at: &u64| now >= at + drain_ms || *at < leapt;
            let passed = edge.dropped.get(id).is_none_or(passed);
            self.must(4, !held || passed, || format!("{name} has requests in flight to {id}"));
        }
    }

    /// Law 8, from time to time.
    pub(crate) fn owned(&mut self, world: &World, node: &Node, now: u64) {
        let lost: BTreeSet<&String> =
            node.boxes.keys().filter(|id| world.owner(id).is_none()).collect();
        self.orphans.retain(|id, _| lost.contains(id));
        for id in &lost {
            self.orphans.entry((*id).clone()).or_insert(now);
        }
        let old = self.orphans.iter().find(|(_, since)| now >= *since + ORPHAN_MS_MAX);
        let old = old.map(|(id, _)| id.clone());
        self.must(8, old.is_none(), || format!("nobody owns {}", old.unwrap_or_default()));
    }

    /// Node and server do not speak: nobody can be blamed for what is not removed.
    pub(crate) fn apart(&mut self) {
        self.orphans.clear();
    }

    /// Law 9: a turn touched only those it heard of, that are applied together with one of them,
    /// or that waited for its moment.
    pub(crate) fn alone(&mut self, touched: &[String], causes: &BTreeSet<String>) {
        let may = |(name, seen): &(&String, &Seen)| seen.asks || causes.contains(*name);
        let may: BTreeMap<&String, &Seen> = self.services.iter().filter(may).collect();
        let bonds: BTreeSet<u64> = may.values().filter_map(|seen| seen.bond).collect();
        let tied = |name: &String| self.services.get(name).and_then(|seen| seen.bond);
        let touches = |name: &&String| {
            let tied = tied(name).is_some_and(|bond| bonds.contains(&bond));
            tied || may.contains_key(name) || causes.contains(*name)
        };
        let strange = touched.iter().find(|name| !touches(name)).cloned();
        self.must(9, strange.is_none(), || {
            let strange = strange.unwrap_or_default();
            format!("{strange} was touched by what happened to {causes:?}")
        });
    }

    /// The server has begun again, from what was on the disk.
    pub(crate) fn loaded(&mut self, world: &World, node: &Node, edges: &[Edge]) {
        let counting = counting(world, edges);
        self.leaving.clear();
        let gone: Vec<String> = self
            .services
            .keys()
            .filter(|name| !world.services.contains_key(*name))
            .cloned()
            .collect();
        gone.iter().for_each(|name| {
            self.services.remove(name);
        });
        for (name, service) in &world.services {
            let record = &service.record;
            self.numbers_grow(name, record.rollout.next_id().0, record.last_version);
            // What the node has told since, nobody has kept.
            for i in record.rollout.instances().values().filter(|i| i.is_live()) {
                self.heard.insert(container(name, i.id), true);
            }
            let mut seen = self.services.remove(name).unwrap_or_default();
            self.ends_once(name, &seen, &record.rollout);
            seen.look(name, &record.rollout, &counting, edges, node);
            seen.asks |= record.preparing.is_some();
            seen.bond = record.bond.as_ref().map(|bond| bond.number);
            self.services.insert(name.clone(), seen);
        }
        self.bonds = bonds::known(&self.bonds, world);
        for (name, numbers) in &world.gone {
            self.numbers_grow(name, numbers.next_id, numbers.last_version);
        }
    }

    /// Everything is at rest: nothing is outstanding, and records and containers agree.
    pub(crate) fn rests(&mut self, world: &World, node: &Node) {
        for (id, one) in &node.boxes {
            let owner = world.owner(id).map(|(name, id)| (name.to_string(), id));
            let record = owner.and_then(|(name, id)| {
                world.services[&name].record.rollout.instances().get(&id).cloned()
            });
            self.must(8, record.is_some(), || format!("at rest, nobody owns {id}"));
            let live = record.as_ref().is_some_and(rollout::Instance::is_live);
            self.must(8, live == one.lives(), || {
                format!("at rest, {id} is {} and its record {record:?}", one.seen.state)
            });
        }
        for (name, service) in &world.services {
            let bond = &service.record.bond;
            self.must(11, bond.is_none(), || format!("at rest, {name} is bound: {bond:?}"));
            let rollout = &service.record.rollout;
            for i in rollout.instances().values().filter(|i| i.is_live()) {
                let there = node.boxes.contains_key(&container(name, i.id));
                self.must(8, there, || format!("at rest, {name} has {i:?} and no container"));
            }
            let (serve, wanted) = rollout.replicas();
            let over = |i: &rollout::Instance| matches!(i.stage, Stage::Ended | Stage::GaveUp);
            let rests = |i: &&rollout::Instance| over(i) || lacks_room(i);
            let resting = rollout.instances().values().filter(rests).count() as u32;
            // Behind one that waits for room others do.
            let full = rollout.instances().values().any(lacks_room);
            let enough = if resting == 0 { serve == wanted } else { serve + resting >= wanted };
            let enough = enough || full;
            self.must(7, enough, || {
                format!("at rest, {serve} of {wanted} of {name} serve: {rollout:?}")
            });
        }
    }
}

/// Whether a service waits for nothing but the time of its watch, or for room.
pub(crate) fn quiet(service: &deployfs::world::Service) -> bool {
    let rollout = &service.record.rollout;
    let mut all = rollout.instances().values();
    rollout.update().is_none()
        && service.record.preparing.is_none()
        && resume(rollout, 0).iter().all(|action| matches!(action, Action::Wake { .. }))
        && all.all(|i| {
            let waits = matches!(i.stage, Stage::Waiting { .. } | Stage::Checking { .. });
            !waits || lacks_room(i)
        })
}

/// There is no room for it, and will not be while all rests.
fn lacks_room(i: &rollout::Instance) -> bool {
    let waits = matches!(i.stage, Stage::Waiting { .. });
    waits && i.reason.as_ref().is_some_and(|reason| reason.contains("cpu: wants"))
}

/// The edges that the server waits for and that serve a table.
pub(crate) fn counting(world: &World, edges: &[Edge]) -> Vec<&'static str> {
    let counts = |edge: &&Edge| {
        world.edges.all().get(edge.name).is_some_and(|known| known.counts()) && edge.up
    };
    edges.iter().filter(counts).map(|edge| edge.name).collect()
}

/// An update, told apart from the one before.
pub(crate) fn way(rollout: &Service) -> Option<Way> {
    rollout.update().map(|update| Way { kind: update.kind, started: update.started, to: update.to })
}
