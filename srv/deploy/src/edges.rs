//! The edges as this server sees them: who counts, which table each serves, and what is waited for.
//!
//! A pure machine: what an edge said, what was published and what time it is come in, and what
//! comes of it are the answers the decision waits for. It is in memory only: after a restart the
//! decision asks again, and edges say again what they serve.

mod edge;
mod said;
#[cfg(test)]
mod test;

pub use edge::Edge;
pub use said::{LINE_BYTES_MAX, Strange, Word};

use crate::arrival::Heard;
use crate::clock::Millis;
use crate::world::container;
use rollout::Id;
use std::collections::BTreeMap;

/// How long an edge may say nothing while a table is outstanding before it is written off.
pub const SILENT_MS_MAX: u64 = 5_000;
/// Edges there may be.
pub const EDGES_MAX: usize = 64;
/// Instances out of the table whose last table is remembered.
const LEFT_MAX: usize = 65_536;

/// What an edge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Made its directory.
    Came,
    /// Opened its `ack`; the number is this open's own.
    Opened(u64),
    /// Closed it, or lost its connection.
    Closed(u64),
    /// Wrote that it begins without a table, when the newest that could be read was this one: it
    /// reads its first only then. By the time that this is taken, there may be a newer one.
    Began(u64),
    /// Wrote a line.
    Said(Word),
}

/// Every edge, and what is outstanding with them.
#[derive(Debug, Default)]
pub struct Edges {
    edges: BTreeMap<String, Edge>,
    /// The generation of the newest table; none before the first.
    newest: Option<u64>,
    /// Instances that left the table, by container, and the first table without each.
    left: BTreeMap<String, u64>,
    /// By service.
    publishes: BTreeMap<String, Publish>,
    /// By container.
    drains: BTreeMap<String, (String, Id)>,
}

/// A service's table that is waited for.
#[derive(Debug)]
struct Publish {
    /// As the decision counts.
    generation: u64,
    /// The table that has it first.
    table: u64,
}

impl Edges {
    /// Edges of which one counts from the start, whether or not it answers yet: the machine's own
    /// may serve users while this server is away.
    #[must_use]
    pub fn with_own(name: &str) -> Edges {
        Edges { edges: BTreeMap::from([(name.to_string(), Edge::own())]), ..Edges::default() }
    }

    /// Takes what an edge did.
    pub fn take(&mut self, name: &str, deed: Deed, now: Millis) -> Vec<Heard> {
        let newest = self.newest;
        if deed == Deed::Came && !self.edges.contains_key(name) {
            self.edges.insert(name.to_string(), Edge::default());
        }
        let Some(edge) = self.edges.get_mut(name) else { return Vec::new() };
        let mut heard = match deed {
            Deed::Came => None,
            Deed::Opened(open) => edge.opened(open, newest, now),
            Deed::Closed(open) => edge.closed(open),
            Deed::Began(first) => edge.began(0, first, newest, now),
            Deed::Said(word) => return self.said(name, word, now),
        }
        .map(|what| note(name, what))
        .into_iter()
        .collect::<Vec<Heard>>();
        heard.extend(self.settle());
        heard
    }

    fn said(&mut self, name: &str, word: Word, now: Millis) -> Vec<Heard> {
        let newest = self.newest;
        let Some(edge) = self.edges.get_mut(name) else { return Vec::new() };
        let mut heard = Vec::new();
        match word {
            Word::Serves(table) => {
                heard.extend(edge.serves(table, newest, now).map(|what| note(name, what)));
            }
            Word::Began(table) => {
                heard.extend(edge.began(table, table, newest, now).map(|what| note(name, what)));
            }
            Word::Drained(container) => edge.drained(container, now),
            Word::Cut { container, requests, reason } => {
                edge.heard(now);
                let text = format!("edge {name} ended {requests} of {container}: {reason}");
                heard.push(Heard::Cut { container, text });
            }
            Word::Told(text) => {
                edge.heard(now);
                let port = said::port(&text);
                let text = format!("edge {name}: {text}");
                heard.push(match port {
                    Some(port) => Heard::OfPort { port, text },
                    None => Heard::Noted { text },
                });
            }
        }
        heard.extend(self.settle());
        heard
    }

    /// A new table is there, and these containers are not in it any more.
    pub fn published(&mut self, table: u64, left: Vec<String>, now: Millis) {
        self.newest = Some(table);
        // What was said of one that has been here again since is of its time before.
        let edges = self.edges.values_mut();
        edges.for_each(|edge| left.iter().for_each(|container| edge.left_again(container)));
        self.left.extend(left.into_iter().map(|container| (container, table)));
        if self.left.len() > LEFT_MAX {
            // Whoever asks for one of these later waits for `drained`, or for its limit.
            self.left.clear();
        }
        self.edges.values_mut().for_each(|edge| edge.outdated(table, now));
    }

    /// Waits until every edge that counts serves the newest table. While there is no table yet
    /// nothing is kept: the decision asks again for all it waits for when the node has answered.
    pub fn publish(&mut self, service: &str, generation: u64) -> Vec<Heard> {
        let table = match self.newest {
            Some(table) => table,
            None if self.counting().next().is_none() => 0,
            None => return Vec::new(),
        };
        self.publishes.insert(service.to_string(), Publish { generation, table });
        self.settle()
    }

    /// Waits until nothing is in flight to an instance at any edge that counts.
    pub fn drain(&mut self, service: &str, id: Id) -> Vec<Heard> {
        self.drains.insert(container(service, id), (service.to_string(), id));
        self.settle()
    }

    /// Forgets what is waited for of a service, but for those still asked for.
    pub fn retain(&mut self, service: &str, there: bool, draining: impl Fn(Id) -> bool) {
        if !there {
            self.publishes.remove(service);
        }
        self.drains.retain(|_, (whose, id)| whose != service || draining(*id));
    }

    /// Time has passed: an edge that was silent for too long is written off.
    pub fn pass(&mut self, now: Millis) -> Vec<Heard> {
        let mut heard = Vec::new();
        for (name, edge) in &mut self.edges {
            heard.extend(edge.lapse(now).map(|what| note(name, what)));
        }
        heard.extend(self.settle());
        heard
    }

    /// When `pass` has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Millis> {
        self.edges.values().filter_map(Edge::due).min()
    }

    /// Every edge by its name.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<String, Edge> {
        &self.edges
    }

    /// Whether one more may come.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.edges.len() < EDGES_MAX
    }

    /// The generation of the newest table; none before the first.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    fn counting(&self) -> impl Iterator<Item = &Edge> {
        self.edges.values().filter(|edge| edge.counts())
    }

    /// What has come to its end.
    fn settle(&mut self) -> Vec<Heard> {
        let least = self.counting().map(|edge| edge.serving).min().unwrap_or(u64::MAX);
        let mut heard = Vec::new();
        self.publishes.retain(|service, publish| {
            let waits = publish.table > least;
            if !waits {
                let (service, generation) = (service.clone(), publish.generation);
                heard.push(Heard::Served { service, generation });
            }
            waits
        });
        let (edges, left) = (&self.edges, &mut self.left);
        self.drains.retain(|container, (service, id)| {
            let gone_by = left.get(container).copied();
            let held = |edge: &Edge| edge.counts() && !edge.let_go(container, gone_by);
            let waits = edges.values().any(held);
            if !waits {
                left.remove(container);
                heard.push(Heard::Drained { service: service.clone(), id: *id });
            }
            waits
        });
        heard
    }
}

fn note(name: &str, what: &str) -> Heard {
    Heard::Noted { text: format!("edge {name} {what}") }
}
