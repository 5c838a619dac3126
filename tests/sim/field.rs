//! What happens outside of the server: at the node and at the edges.

use crate::edge::{self, Table};
use crate::node;
use crate::plant::Plant;
use crate::server::Cause;
use crate::sim::{Ev, Sim};
use deployfs::arrival::{Arrival, Heard, Order, Request};
use deployfs::edges::{Deed, Word};
use deployfs::report::{Container, Report};
use deployfs::world::split;
use place::Resources;
use std::collections::BTreeMap;

impl Sim {
    /// The server opens the node's events.
    pub(crate) fn dials(&mut self, life: u64) {
        if life != self.server.life || self.server.wheel.is_none() || self.server.session.is_some()
        {
            return;
        }
        if !self.node_up {
            let reason = "connection refused".to_string();
            self.arrives(Arrival::Heard(Heard::NodeDown { reason }), None);
            let ms = self.chance.between(100, 5_000);
            return self.after(ms, Ev::Dials(life));
        }
        self.server.sessions += 1;
        let session = self.server.sessions;
        self.server.opening = Some((session, Vec::new()));
        let ms = self.chance.between(1, 40);
        self.after(ms, Ev::Answered(life, session));
    }

    /// It has read how every container is, and hears what has happened meanwhile.
    pub(crate) fn answered(&mut self, life: u64, session: u64) {
        let Some((opened, _)) = self.server.opening else { return };
        if life != self.server.life || opened != session || !self.node_up {
            return;
        }
        let Some((_, told)) = self.server.opening.take() else { return };
        self.server.session = Some(session);
        let cpu_milli = self.weather.cpu_milli;
        let capacity = Resources { cpu_milli, memory_bytes: 64_000_000_000 };
        let containers: BTreeMap<String, Container> =
            self.node.boxes.iter().map(|(id, one)| (id.clone(), one.seen.clone())).collect();
        let (name, logs) = ("n".to_string(), self.node.logs.clone());
        self.arrives(Arrival::Heard(Heard::NodeUp { name, capacity, containers, logs }), None);
        for report in told {
            let cause = cause(&report);
            self.arrives(Arrival::Heard(Heard::Told(report)), cause);
        }
    }

    /// The node tells something, on one of its connections.
    pub(crate) fn told(&mut self, session: u64, report: Report) {
        if let Some((opening, told)) = &mut self.server.opening
            && *opening == session
        {
            return told.push(report);
        }
        if self.server.session != Some(session) {
            return;
        }
        let again = matches!(
            report,
            Report::Exited { .. } | Report::Failed { .. } | Report::Removed { .. }
        );
        if again && self.chance.strikes(self.weather.doubles) {
            self.figures.count("answers told twice");
            let ms = self.chance.below(500);
            self.after(ms, Ev::Told(session, report.clone()));
        }
        let (report, cause) = (self.as_mixed_up(report.clone()), cause(&report));
        let early = if let Report::Started { container, .. } = &report {
            let told = Report::Healthy { container: container.clone(), ms: 0 };
            (self.plant == Plant::HealthyAtStart).then_some(told)
        } else {
            None
        };
        self.arrives(Arrival::Heard(Heard::Told(report)), cause.clone());
        early
            .into_iter()
            .for_each(|one| self.arrives(Arrival::Heard(Heard::Told(one)), cause.clone()));
    }

    /// The report as a planted defect lets it be heard: of another service's instance.
    fn as_mixed_up(&mut self, report: Report) -> Report {
        let Report::Exited { container, exit } = report else { return report };
        let other = self.node.boxes.iter().find(|(id, one)| {
            one.runs() && split(id).map(|one| one.0) != split(&container).map(|one| one.0)
        });
        match other {
            Some((id, _)) if self.plant == Plant::MixesUp => {
                Report::Exited { container: id.clone(), exit }
            }
            Some(_) | None => Report::Exited { container, exit },
        }
    }

    /// An order reaches the node: also one of a server that has died meanwhile, perhaps.
    pub(crate) fn ordered(&mut self, life: u64, session: u64, order: Order) {
        let late = life != self.server.life || self.server.session != Some(session);
        if !self.node_up || late && self.chance.below(2) == 0 {
            self.figures.count("orders lost");
            return;
        }
        if late {
            self.figures.count("orders of a dead server");
        }
        if let Order::Stop { container, .. } | Order::Remove { container } = &order
            && self.node.boxes.get(container).is_some_and(node::Box::lives)
            && !late
        {
            let world = self.server.world.clone();
            self.laws.signalled(container, &world.lock(), &self.edges, self.now);
        }
        let (now, container) = (
            self.now,
            if let Order::Signal { container, .. } = &order {
                Some(container.clone())
            } else {
                None
            },
        );
        container.iter().for_each(|id| self.laws.fell(id));
        self.node.order(order, late, now, &mut self.chance);
        self.node_says(life);
    }

    /// What the node has to say, and what comes to it later.
    pub(crate) fn node_says(&mut self, life: u64) {
        for (ms, later) in std::mem::take(&mut self.node.later) {
            self.after(ms, Ev::Node(later));
        }
        for heard in std::mem::take(&mut self.node.answers) {
            let ms = self.chance.between(0, 3);
            self.after(ms, Ev::Heard(life, heard));
        }
        let opening = self.server.opening.as_ref().map(|(session, _)| *session);
        let session = self.server.session.or(opening);
        for report in std::mem::take(&mut self.node.told) {
            let Some(session) = session.filter(|_| self.node_up) else { continue };
            // One stream: what is told later arrives later.
            let at = (self.now + self.weather.told_ms(&mut self.chance)).max(self.weather.told_at);
            self.weather.told_at = at;
            self.at(at, Ev::Told(session, report));
        }
    }

    /// Something comes to a container.
    pub(crate) fn node_comes(&mut self, later: node::Later) {
        let (begins, falls) = match &later {
            node::Later::Runs(id) => (Some(id.clone()), None),
            node::Later::Healthy(id, false) | node::Later::Ends(id, _) => (None, Some(id.clone())),
            node::Later::Healthy(..)
            | node::Later::Stopped(..)
            | node::Later::Erased(_)
            | node::Later::Fetched(_)
            | node::Later::Pushed(_) => (None, None),
        };
        falls.iter().for_each(|id| self.laws.fell(id));
        self.node.comes(later, self.now, &mut self.chance);
        let world = self.server.world.clone();
        begins.iter().for_each(|id| self.laws.began(id, &self.node, &world.lock()));
        self.node_says(self.server.life);
    }

    /// What came of an order.
    pub(crate) fn heard(&mut self, life: u64, heard: Heard) {
        if life != self.server.life {
            return;
        }
        let of = match &heard {
            Heard::StartRefused { container, .. } | Heard::Missing { container } => {
                split(container).map(|(name, _)| vec![name.to_string()])
            }
            Heard::Told(report) => cause(report),
            Heard::Logged { service, .. } => Some(vec![service.clone()]),
            Heard::NodeUp { .. }
            | Heard::Disk { .. }
            | Heard::VolumeGone { .. }
            | Heard::NodeDown { .. }
            | Heard::CancelTold { .. }
            | Heard::Noted { .. }
            | Heard::CollectRefused { .. }
            | Heard::Cut { .. }
            | Heard::OfPort { .. }
            | Heard::Served { .. }
            | Heard::Drained { .. }
            | Heard::PullLate { .. }
            | Heard::Woke { .. } => None,
        };
        self.arrives(Arrival::Heard(heard), of);
    }

    /// Something comes to an edge.
    pub(crate) fn edge_comes(&mut self, which: usize, life: u64, later: edge::Later) {
        let now = self.now;
        if self.edges[which].life != life || !self.edges[which].up {
            return;
        }
        match later {
            edge::Later::Connects => self.edge_connects(which),
            edge::Later::Takes => self.edge_takes(which),
            edge::Later::Adds(generation, all) => {
                let edge = &mut self.edges[which];
                if let Some(table) = edge.table.as_mut().filter(|t| t.generation == generation) {
                    table.backends = all;
                }
            }
            edge::Later::Idle(id) => self.edges[which].idle(id, now),
            edge::Later::Says(word) => {
                let name = self.edges[which].name.to_string();
                if self.edges[which].open.is_some() {
                    // A table is everybody's. What is drained may have exited meanwhile.
                    let of = match &word {
                        Word::Drained(id) => split(id).map(|(name, _)| vec![name.to_string()]),
                        Word::Began(_) | Word::Serves(_) | Word::Cut { .. } | Word::Told(_) => None,
                    };
                    let deed = Deed::Said(word);
                    self.arrives(Arrival::Edge { edge: name, deed }, of);
                }
            }
        }
        self.edge_says(which);
    }

    fn edge_says(&mut self, which: usize) {
        let life = self.edges[which].life;
        for (ms, later) in std::mem::take(&mut self.edges[which].later) {
            self.after(ms, Ev::Edge(which, life, later));
        }
    }

    fn edge_connects(&mut self, which: usize) {
        if self.server.wheel.is_none() || self.edges[which].open.is_some() {
            return;
        }
        self.server.opens += 1;
        let open = self.server.opens;
        self.edges[which].open = Some(open);
        let name = self.edges[which].name.to_string();
        self.ask(Request::Edge { name: name.clone() }, Some(Vec::new()));
        let words = self.edges[which].connected(self.now);
        let newest = self.server.world.lock().routes.newest().generation;
        let deed = |word| match word == Word::Began(0) {
            true => Deed::Began(newest),
            false => Deed::Said(word),
        };
        let deeds = std::iter::once(Deed::Opened(open)).chain(words.into_iter().map(deed));
        for deed in deeds {
            self.arrives(Arrival::Edge { edge: name.clone(), deed }, None);
        }
    }

    /// It takes the newest table there is.
    fn edge_takes(&mut self, which: usize) {
        if self.edges[which].open.is_none() || self.server.wheel.is_none() {
            return;
        }
        let shared = self.server.world.clone();
        let world = shared.lock();
        let newest = world.routes.newest();
        if newest.generation == 0 {
            return;
        }
        let table = Table::read(&String::from_utf8_lossy(&newest.text));
        let backends = table.backends.clone();
        self.edges[which].takes(table, self.now, self.plant, &mut self.chance);
        self.laws.passed_on(&backends, &self.node);
        let counting = crate::laws::counting(&world, &self.edges);
        self.laws.serve_enough(&world, &counting, &self.edges, &self.node);
    }
}

/// Whom a report speaks of; an image is everybody's.
fn cause(report: &Report) -> Cause {
    let container = match report {
        Report::Started { container, .. }
        | Report::Failed { container, .. }
        | Report::Probe { container, .. }
        | Report::Healthy { container, .. }
        | Report::Unhealthy { container, .. }
        | Report::Exited { container, .. }
        | Report::Removed { container, .. }
        | Report::RemoveFailed { container, .. } => container,
        Report::Pulling { .. }
        | Report::Pulled { .. }
        | Report::PullFailed { .. }
        | Report::Pushed { .. }
        | Report::PushFailed { .. }
        | Report::Collected { .. }
        | Report::Swept { .. } => return None,
    };
    split(container).map(|(name, _)| vec![name.to_string()])
}
