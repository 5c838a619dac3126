//! The server under test: its real wheel and world, its deaths, and what is checked of each turn.

use crate::asks::Holder;
use crate::disk::{Death, Disk, Write};
use crate::edge::{self, Table};
use crate::plant::Plant;
use crate::sim::{Ev, Millis, Sim};
use deployfs::arrival::{Arrival, Heard, Order};
use deployfs::edges::Edges;
use deployfs::lock::Hand;
use deployfs::report::Report;
use deployfs::save::Journal;
use deployfs::wheel::Wheel;
use deployfs::world::{Shared, World};
use futures_util::FutureExt as _;
use std::collections::{BTreeMap, BTreeSet};
use store::Op;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

/// Whom an arrival speaks of; nothing for all.
pub(crate) type Cause = Option<Vec<String>>;

/// An answer that is waited for.
pub(crate) struct Asked {
    pub(crate) answered: Receiver<Result<(), String>>,
    /// It may come after the node's.
    pub(crate) awaited: bool,
}

/// The server's process, dead or alive.
#[derive(Default)]
pub(crate) struct Server {
    /// Counts its lives.
    pub(crate) life: u64,
    pub(crate) wheel: Option<Wheel>,
    pub(crate) world: Shared,
    /// When this life began.
    pub(crate) began: Millis,
    /// What has arrived.
    pub(crate) inbox: Vec<(Arrival, Cause)>,
    /// How far its clock of decisions is ahead of the time.
    clock: i64,
    /// Answers that are waited for.
    pub(crate) answers: Vec<Asked>,
    /// Those of them that wait for the node's.
    pub(crate) pending: Vec<Receiver<Result<(), String>>>,
    /// Who has a deploy lock open.
    pub(crate) holders: Vec<Holder>,
    /// When it turns next.
    pub(crate) turn_at: Option<Millis>,
    /// Its connection to the node.
    pub(crate) session: Option<u64>,
    pub(crate) sessions: u64,
    /// A connection whose node has not answered yet, and what it has told meanwhile.
    pub(crate) opening: Option<(u64, Vec<Report>)>,
    /// The world's revision when it was looked at last, and the table.
    revision: u64,
    table: u64,
    /// Whom the turns spoke of that could not be saved.
    held: BTreeSet<String>,
    held_all: bool,
    /// Whom the last turn touched.
    asked: BTreeSet<String>,
    pub(crate) opens: u64,
    /// When the last order to each container reaches the node, so that they stay in order.
    pub(crate) orders: BTreeMap<String, Millis>,
}

/// A lock that is older may be broken, in milliseconds.
const LOCK_FORCE_MS: Millis = 3_000;
/// Arrivals taken in one turn.
const BATCH_MAX: usize = 64;

impl Sim {
    /// The process begins, with what is on the disk.
    pub(crate) fn server_begins(&mut self) {
        if self.server.wheel.is_some() {
            return;
        }
        let journal = Journal::with(Box::new(self.disk.clone()));
        let Some(Ok(mut world)) = journal.load().now_or_never() else {
            return self.after(1_000, Ev::Begins);
        };
        self.figures.count("restarts");
        self.disk.compact();
        world.edges = Edges::with_own("main");
        world.lock_force_ms = LOCK_FORCE_MS;
        let lines = lines_after(&self.disk, self.laws.last_event);
        self.laws.told(lines);
        self.laws.loaded(&world, &self.node, &self.edges);
        let server = &mut self.server;
        server.life += 1;
        server.began = self.now;
        server.world = Shared::new(world);
        (server.revision, server.table) = (0, 0);
        (server.session, server.opening, server.turn_at) = (None, None, None);
        server.held.clear();
        server.held_all = false;
        let life = server.life;
        let world = server.world.clone();
        let moment = self.moment();
        let wheel = Wheel::new(world, journal, moment);
        let clock = wheel.now(moment) as i64 - self.now as i64;
        if clock > self.server.clock {
            // A clock that was set forward is believed from the next start on.
            self.laws.leapt = self.now;
        }
        self.server.clock = clock;
        self.server.wheel = Some(wheel);
        let ms = self.chance.between(1, 50);
        self.after(ms, Ev::Dials(life));
        for which in 0..self.edges.len() {
            let ms = self.chance.between(1, 300);
            let life = self.edges[which].life;
            self.after(ms, Ev::Edge(which, life, edge::Later::Connects));
        }
        self.turn_in(0);
    }

    /// The process is killed.
    pub(crate) fn server_dies(&mut self) {
        if self.server.wheel.take().is_none() {
            return;
        }
        self.figures.count("crashes");
        self.disk.forget_owed();
        self.server.inbox.clear();
        self.server.answers.clear();
        self.server.pending.clear();
        self.server.holders.clear();
        (self.server.session, self.server.opening, self.server.turn_at) = (None, None, None);
        self.server.orders.clear();
        self.laws.apart();
        for edge in &mut self.edges {
            edge.open = None;
        }
        let ms = if self.chance.strikes(100) {
            self.chance.below(60_000)
        } else {
            self.chance.between(5, 1_000)
        };
        self.after(ms, Ev::Begins);
    }

    /// Something arrives at the server.
    pub(crate) fn arrives(&mut self, arrival: Arrival, cause: Cause) {
        if self.server.wheel.is_some() {
            self.server.inbox.push((arrival, cause));
            let ms = if self.chance.strikes(100) { self.chance.below(20) } else { 0 };
            self.turn_in(ms);
        }
    }

    fn turn_in(&mut self, ms: Millis) {
        let at = self.now + ms;
        if self.server.turn_at.is_none_or(|turn_at| at < turn_at) {
            self.server.turn_at = Some(at);
        }
    }

    /// One turn.
    pub(crate) fn turns(&mut self) {
        self.server.turn_at = None;
        let at_once = if self.chance.strikes(300) { BATCH_MAX } else { 1 };
        let many = self.server.inbox.len().min(at_once);
        let batch: Vec<(Arrival, Cause)> = self.server.inbox.drain(..many).collect();
        let (mut causes, mut all) = (BTreeSet::new(), false);
        let mut arrivals = Vec::new();
        for (arrival, cause) in batch {
            all |= cause.is_none();
            causes.extend(cause.into_iter().flatten());
            self.note_heard(&arrival);
            match &arrival {
                Arrival::Asked(request, _) => self.tell(format!("          < {request:?}")),
                Arrival::Heard(heard) => self.tell(format!("          < {heard:?}")),
                Arrival::Edge { edge, deed } => self.tell(format!("          < {edge} {deed:?}")),
            }
            arrivals.push(arrival);
        }
        let dies = self.chance.strikes(self.weather.deaths);
        let when = if self.chance.below(2) == 0 { Death::Before } else { Death::After };
        self.disk.arm(dies.then_some(when));
        let moment = self.moment();
        let Some(wheel) = &mut self.server.wheel else { return };
        causes.extend(wheel.due(moment).cloned());
        let Some(orders) = wheel.turn(moment, arrivals).now_or_never() else {
            return self.server_dies();
        };
        self.disk.arm(None);
        let writes = self.disk.writes();
        if !writes.is_empty() {
            self.figures.count("turns");
        }
        if writes.iter().any(|write| write.done.is_err()) {
            self.server.held.extend(causes);
            self.server.held_all |= all;
            self.count_failures(&writes);
        } else {
            let single = many <= 1 && self.server.held.is_empty() && !self.server.held_all;
            causes.append(&mut self.server.held);
            all |= std::mem::take(&mut self.server.held_all);
            self.saved(&writes, causes, all);
            let shared = self.server.world.clone();
            self.laws.bound(&shared.lock(), single);
        }
        self.answer_all();
        self.perform(orders);
        let moment = self.moment();
        if let Some(wheel) = &self.server.wheel {
            let rest = wheel.rest(moment);
            let next = if self.server.inbox.is_empty() { rest } else { Some(0) };
            next.into_iter().for_each(|ms| self.turn_in(ms));
        }
    }

    fn count_failures(&mut self, writes: &[Write]) {
        for write in writes {
            self.tell(format!("          ! write: {:?}", write.done));
            match &write.done {
                Err(store::Error::Unknown) => self.figures.count("writes of unknown outcome"),
                Err(store::Error::Full(_)) => self.figures.count("writes on a full disk"),
                Err(_) => self.figures.count("writes refused"),
                Ok(()) => {}
            }
        }
    }

    /// What the node has told is known from this turn on.
    fn note_heard(&mut self, arrival: &Arrival) {
        let heard = &mut self.laws.heard;
        match arrival {
            Arrival::Heard(Heard::Told(Report::Started { container, .. })) => {
                heard.insert(container.clone(), true);
            }
            Arrival::Heard(Heard::Told(
                Report::Exited { container, .. }
                | Report::Failed { container, .. }
                | Report::Removed { container, .. },
            )) => {
                heard.insert(container.clone(), false);
            }
            Arrival::Heard(Heard::NodeUp { containers, .. }) => {
                heard.clear();
                let runs = containers.iter().map(|(id, one)| (id.clone(), one.state == "running"));
                heard.extend(runs);
            }
            Arrival::Heard(_) | Arrival::Asked(..) | Arrival::Edge { .. } => {}
        }
    }

    /// A turn was saved: every law is looked at.
    fn saved(&mut self, writes: &[Write], mut causes: BTreeSet<String>, all: bool) {
        if !writes.is_empty() {
            let ops = writes.iter().flat_map(|write| &write.ops);
            let lines = ops.filter_map(line).collect::<Vec<_>>();
            self.laws.services.values_mut().for_each(|seen| seen.begun = 0);
            for (_, service, text) in &lines {
                let of = service.as_deref().unwrap_or("-").to_string();
                self.tell(format!("          > {of}: {text}"));
            }
            self.laws.told(lines);
        }
        let shared = self.server.world.clone();
        let world = shared.lock();
        let revision = *world.revision.borrow();
        if revision == self.server.revision {
            return;
        }
        let since = std::mem::replace(&mut self.server.revision, revision);
        let mut touched: Vec<String> = Vec::new();
        for (name, one) in &world.services {
            if one.revision > since {
                touched.push(name.clone());
            }
        }
        let known = self.laws.services.keys();
        touched.extend(known.filter(|name| !world.services.contains_key(*name)).cloned());
        // What it asked the edges for may be answered by now.
        causes.append(&mut self.server.asked);
        self.server.asked.extend(touched.iter().cloned());
        if !all {
            self.laws.alone(&touched, &causes);
        }
        self.on_disk(&world, &touched);
        self.laws.turned(&world, &touched, (&self.node, &self.edges));
        let counting = crate::laws::counting(&world, &self.edges);
        for edge in self.edges.iter_mut().filter(|edge| !counting.contains(&edge.name)) {
            // Nobody waits for it: what it has is of old until it takes another.
            edge.current = false;
        }
        let table = world.edges.newest().unwrap_or(0);
        if table != self.server.table {
            self.server.table = table;
            self.new_table(&world);
        }
        if self.server.session.is_some() && self.node_up && self.server.opening.is_none() {
            self.laws.owned(&world, &self.node, self.now);
        } else {
            self.laws.apart();
        }
    }

    /// Law 7: what was decided is on the disk.
    fn on_disk(&mut self, world: &World, touched: &[String]) {
        for name in touched {
            let Some(service) = world.services.get(name) else { continue };
            let kept = self.disk.peek(&format!("service/{name}"));
            let bytes = serde_json::to_vec(&service.record).unwrap_or_default();
            let same = kept.as_ref().is_some_and(|kv| kv.value == bytes);
            self.laws.must(7, same, || {
                let lies = kept.map(|kv| String::from_utf8_lossy(&kv.value).into_owned());
                let decided = String::from_utf8_lossy(&bytes);
                format!("of {name}, decided: {decided}\non disk: {lies:?}")
            });
        }
    }

    fn new_table(&mut self, world: &World) {
        let newest = world.routes.newest();
        let table = Table::read(&String::from_utf8_lossy(&newest.text));
        self.laws.table(table.generation, &table.backends, world);
        for which in 0..self.edges.len() {
            let edge = &self.edges[which];
            if edge.open.is_some() {
                let (life, slow) = (edge.life, edge.slow_ms);
                let ms = slow + self.chance.below(5);
                self.after(ms, Ev::Edge(which, life, edge::Later::Takes));
            }
        }
    }

    /// Whoever wrote something has an answer when the turn has come to its end.
    fn answer_all(&mut self) {
        let many = self.server.inbox.iter().filter(|(one, _)| matches!(one, Arrival::Asked(..)));
        let waiting = many.count();
        let done = self.server.answers.len().saturating_sub(waiting);
        for mut asked in self.server.answers.drain(..done).collect::<Vec<_>>() {
            let told = asked.answered.try_recv();
            if asked.awaited && told == Err(TryRecvError::Empty) {
                self.server.pending.push(asked.answered);
                continue;
            }
            let refused = matches!(&told, Ok(Err(_)));
            self.figures.count(if refused { "verbs refused" } else { "verbs" });
            self.laws.must(5, told.is_ok(), || "a write was not answered".to_string());
        }
    }

    /// The hands: each container's orders stay in order.
    fn perform(&mut self, orders: Vec<Order>) {
        for order in orders {
            if self.chance.strikes(self.weather.deaths / 2) {
                // What was decided is saved, and nobody does the rest of it.
                return self.server_dies();
            }
            let Some(key) = queue_of(&order) else { continue };
            let (life, session) = (self.server.life, self.server.session);
            let Some(session) = session else { continue };
            if let Some(told) = self.in_word(&order) {
                self.after(5, Ev::Heard(life, told));
                continue;
            }
            let ms = self.weather.order_ms(&mut self.chance);
            let last = self.server.orders.get(&key).copied().unwrap_or(0);
            let at = (self.now + ms).max(last);
            self.server.orders.insert(key, at);
            self.at(at, Ev::Order(life, session, order));
        }
    }

    /// What is told of an order that a planted defect keeps from the node.
    fn in_word(&self, order: &Order) -> Option<Heard> {
        match (self.plant, order) {
            (Plant::StopsInWord, Order::Stop { container, .. }) => {
                let (container, exit) = (container.clone(), rollout::Exit::default());
                Some(Heard::Told(Report::Exited { container, exit }))
            }
            (Plant::StopsInWord | Plant::RemovesInWord, Order::Remove { container }) => {
                let container = container.clone();
                Some(Heard::Told(Report::Removed { container, log_bytes: 0 }))
            }
            (_, _) => None,
        }
    }

    /// Everybody is there, nothing is under way, and every service waits for nothing.
    pub(crate) fn is_at_rest(&mut self) -> bool {
        let Some(wheel) = &self.server.wheel else { return false };
        if wheel.held() > 0 || !self.server.inbox.is_empty() || !self.node_up {
            return false;
        }
        if self.server.session.is_none() || self.server.opening.is_some() {
            return false;
        }
        let world = self.server.world.clone();
        let world = world.lock();
        let paused = world.services.iter().find(|(_, one)| {
            one.record.rollout.update().is_some_and(|update| update.paused.is_some())
        });
        if let Some((name, _)) = paused {
            let name = name.clone();
            drop(world);
            self.ask_lines(Hand::default(), &format!("cancel {name}"));
            return false;
        }
        let quiet = world.services.values().all(crate::laws::quiet);
        drop(world);
        if !quiet || !self.is_still() {
            return false;
        }
        let mut left = std::mem::take(&mut self.server.pending);
        left.retain_mut(|answered| answered.try_recv() == Err(TryRecvError::Empty));
        self.laws.must(5, left.is_empty(), || "a push was never answered".to_string());
        true
    }
}

/// The queue an order waits in; nothing for one that is no business of the node.
fn queue_of(order: &Order) -> Option<String> {
    match order {
        Order::Start { container, .. }
        | Order::Stop { container, .. }
        | Order::Signal { container, .. }
        | Order::Remove { container }
        | Order::DropLog { container }
        | Order::Tail { container, .. } => Some(container.clone()),
        Order::Pull { .. } | Order::Push { .. } | Order::CancelPush { .. } => Some(String::new()),
        Order::Collect { .. } => Some("gc".to_string()),
        Order::DropVolume { volume } => Some(format!("volumes/{volume}")),
        Order::Publish { .. } | Order::Drain { .. } | Order::Wake { .. } | Order::Down => None,
    }
}

/// A line of events in a transaction.
fn line(op: &Op) -> Option<(u64, Option<String>, String)> {
    let Op::Put { key, value, .. } = op else { return None };
    read_line(key, value)
}

fn read_line(key: &str, value: &[u8]) -> Option<(u64, Option<String>, String)> {
    let number = key.strip_prefix("event/")?.parse().ok()?;
    let value: serde_json::Value = serde_json::from_slice(value).ok()?;
    let service = value["service"].as_str().map(String::from);
    Some((number, service, value["text"].as_str().unwrap_or_default().to_string()))
}

/// The lines of events on a disk after that number.
fn lines_after(disk: &Disk, last: u64) -> Vec<(u64, Option<String>, String)> {
    let next = |number: &u64| {
        let kv = disk.peek(&format!("event/{number:016}"))?;
        read_line(&kv.key, &kv.value)
    };
    (last + 1..).map_while(|number| next(&number)).collect()
}
