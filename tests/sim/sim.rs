//! One run: a server, a node, edges, a disk, a clock and people, all from one seed and in a time
//! of its own. What happens next is the first thing in one queue.

use crate::chance::{Chance, Trace};
use crate::disk::Disk;
use crate::edge::{self, Edge};
use crate::laws::{Broken, Laws};
use crate::node::{self, Node};
use crate::people::People;
use crate::plant::Plant;
use crate::server::Server;
use crate::weather::Weather;
use deployfs::arrival::{Heard, Order};
use deployfs::clock::Moment;
use deployfs::report::Report;
use std::collections::BTreeMap;

/// Milliseconds.
pub(crate) type Millis = u64;

/// When a run begins: some day of 2026, for those who read its events.
const BEGINS: Millis = 1_795_000_000_000;
/// Updates after which all goes well again.
const UPDATES: u64 = 16;
/// After so long all goes well, however few have ended.
const STORM_MS_MAX: Millis = 2 * 60 * 60 * 1000;
/// How long everything may take to come to its end once all goes well.
const CALM_MS_MAX: Millis = 60 * 60 * 1000;
/// What happens in a run at most.
const STEPS_MAX: u64 = 400_000;

/// What can happen.
#[derive(Debug, Clone)]
pub(crate) enum Ev {
    /// The server turns.
    Turn,
    /// Its process begins again.
    Begins,
    /// It opens the node's events.
    Dials(u64),
    /// It has read how the node's containers are.
    Answered(u64, u64),
    /// The node tells it something, on that connection.
    Told(u64, Report),
    /// An order of that life and connection reaches the node.
    Order(u64, u64, Order),
    /// What came of an order reaches the server.
    Heard(u64, Heard),
    /// Something comes to a container.
    Node(node::Later),
    /// The node's process is there again.
    NodeBegins,
    /// Something comes to an edge, in that life of it.
    Edge(usize, u64, edge::Later),
    /// An edge is there again.
    EdgeBegins(usize),
    /// Somebody asks for something.
    People,
    /// Chance does something.
    Mischief,
    /// What was out of order is in order again.
    Mended(crate::weather::Trouble),
}

/// What was done in runs, for people.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures(pub(crate) BTreeMap<&'static str, u64>);

impl Figures {
    pub(crate) fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Figures) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(crate) fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) seed: u64,
    pub(crate) trace: u64,
    pub(crate) figures: Figures,
    pub(crate) broken: Option<Broken>,
    /// What happened last, where that was asked for.
    pub(crate) story: Vec<String>,
}

/// The run.
pub(crate) struct Sim {
    pub(crate) now: Millis,
    began: Millis,
    /// How far the machine's clock is off, in milliseconds.
    pub(crate) off: i64,
    queue: BTreeMap<(Millis, u64), Ev>,
    number: u64,
    pub(crate) chance: Chance,
    pub(crate) weather: Weather,
    pub(crate) people: People,
    pub(crate) disk: Disk,
    pub(crate) server: Server,
    pub(crate) node: Node,
    /// The node's process is there.
    pub(crate) node_up: bool,
    pub(crate) edges: Vec<Edge>,
    pub(crate) laws: Laws,
    pub(crate) plant: Plant,
    pub(crate) trace: Trace,
    pub(crate) figures: Figures,
    /// All goes well since then.
    calm: Option<Millis>,
    rested: bool,
    telling: bool,
    story: Vec<String>,
}

/// Runs a seed; `only` one law is checked, or all of them by 0.
pub(crate) fn run(seed: u64, plant: Plant, only: u8, telling: bool) -> Came {
    let mut sim = Sim::new(seed, plant, only, telling);
    sim.after(0, Ev::Begins);
    sim.after(50, Ev::People);
    sim.after(100, Ev::Mischief);
    let mut steps = 0;
    while sim.laws.broken.is_none() && !sim.rested && steps < STEPS_MAX {
        let Some((at, ev)) = sim.next() else { break };
        sim.now = sim.now.max(at);
        sim.trace.number(at);
        steps += 1;
        if sim.telling {
            let line = format!("{:>9} {ev:?}", sim.now - sim.began);
            sim.tell(line);
        }
        sim.happens(ev);
        sim.passes();
    }
    sim.ends(seed, steps)
}

impl Sim {
    fn new(seed: u64, plant: Plant, only: u8, telling: bool) -> Sim {
        let mut chance = Chance::new(seed);
        let weather = Weather::new(&mut chance);
        let people = People::new(&mut chance);
        let disk = Disk::new(chance.draw(), plant);
        let mut edges = vec![Edge::new("main")];
        if chance.strikes(200) {
            edges.push(Edge::new("far"));
        }
        Sim {
            now: BEGINS,
            began: BEGINS,
            off: 0,
            queue: BTreeMap::new(),
            number: 0,
            chance,
            weather,
            people,
            disk,
            server: Server::default(),
            node: Node::default(),
            node_up: true,
            edges,
            laws: Laws::new(only),
            plant,
            trace: Trace::new(),
            figures: Figures::default(),
            calm: None,
            rested: false,
            telling,
            story: Vec::new(),
        }
    }

    pub(crate) fn tell(&mut self, line: String) {
        if self.telling {
            self.story.push(line);
        }
    }

    /// Puts something into the queue.
    pub(crate) fn after(&mut self, ms: Millis, ev: Ev) {
        self.at(self.now + ms, ev);
    }

    pub(crate) fn at(&mut self, at: Millis, ev: Ev) {
        self.number += 1;
        self.queue.insert((at, self.number), ev);
    }

    /// What comes first; the server turns when all else of that moment has happened.
    fn next(&mut self) -> Option<(Millis, Ev)> {
        let first = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (self.server.turn_at, first) {
            (Some(turn), first) if first.is_none_or(|first| turn < first) => Some((turn, Ev::Turn)),
            (_, _) => self.queue.pop_first().map(|((at, _), ev)| (at, ev)),
        }
    }

    /// What the machine's clocks say.
    pub(crate) fn moment(&self) -> Moment {
        let wall = self.now.saturating_add_signed(self.off);
        Moment { wall, steady: self.now - self.server.began }
    }

    /// All goes well: nobody asks for anything, and what is down is on its way up.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm.is_some()
    }

    fn happens(&mut self, ev: Ev) {
        match ev {
            Ev::Turn => self.turns(),
            Ev::Begins => self.server_begins(),
            Ev::Dials(life) => self.dials(life),
            Ev::Answered(life, session) => self.answered(life, session),
            Ev::Told(session, report) => self.told(session, report),
            Ev::Order(life, session, order) => self.ordered(life, session, order),
            Ev::Heard(life, heard) => self.heard(life, heard),
            Ev::Node(later) => self.node_comes(later),
            Ev::NodeBegins => self.node_begins(),
            Ev::Edge(which, life, later) => self.edge_comes(which, life, later),
            Ev::EdgeBegins(which) => self.edge_begins(which),
            Ev::People => self.people_ask(),
            Ev::Mischief => self.mischief(),
            Ev::Mended(trouble) => self.mended(trouble),
        }
    }

    /// After each thing that has happened.
    fn passes(&mut self) {
        let stormy = self.calm.is_none();
        if stormy && (self.laws.ended >= UPDATES || self.now > self.began + STORM_MS_MAX) {
            self.calm = Some(self.now);
            self.calms();
        }
        let Some(since) = self.calm else { return };
        if self.is_at_rest() {
            self.rested = true;
            let world = self.server.world.clone();
            self.laws.rests(&world.lock(), &self.node);
        } else {
            let late = self.now > since + CALM_MS_MAX;
            let left = if late { self.left() } else { String::new() };
            self.laws.must(5, !late, || format!("it does not end: {left}"));
        }
    }

    /// Nothing is on its way between the server, the node and their containers.
    pub(crate) fn is_still(&self) -> bool {
        !self.queue.values().any(|ev| match ev {
            Ev::Told(..) | Ev::Order(..) | Ev::Heard(..) | Ev::Node(_) | Ev::Answered(..) => true,
            Ev::Turn
            | Ev::Begins
            | Ev::Dials(_)
            | Ev::NodeBegins
            | Ev::Edge(..)
            | Ev::EdgeBegins(_)
            | Ev::People
            | Ev::Mischief
            | Ev::Mended(_) => false,
        })
    }

    /// What does not end.
    fn left(&self) -> String {
        let world = self.server.world.lock();
        let unquiet = world.services.iter().filter(|(_, one)| !crate::laws::quiet(one));
        unquiet.map(|(name, one)| format!("{name}: {:?}", one.record.rollout)).collect()
    }

    fn ends(mut self, seed: u64, steps: u64) -> Came {
        let left = if self.rested { String::new() } else { self.left() };
        self.laws.must(5, self.rested, || format!("nothing is left to come after {steps}: {left}"));
        for (what, count) in [
            ("updates", self.laws.ended),
            ("steps", steps),
            ("virtual seconds", (self.now - self.began) / 1000),
        ] {
            *self.figures.0.entry(what).or_default() += count;
        }
        self.trace.number(self.disk.trace().0);
        Came {
            seed,
            trace: self.trace.0,
            figures: self.figures,
            broken: self.laws.broken,
            story: self.story,
        }
    }
}
