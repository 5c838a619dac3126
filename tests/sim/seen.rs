//! What the laws remember of one service.

use crate::edge::Edge;
use crate::laws::way;
use crate::node::Node;
use deployfs::world::container;
use rollout::{Action, Kind, Service, Stage, Strategy, Version, resume};
use std::collections::BTreeSet;

/// An update, told apart from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) kind: Kind,
    pub(crate) started: u64,
    pub(crate) to: Option<Version>,
}

/// One service as it was last seen, and what its update promises.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    update: Option<Way>,
    wanted: u32,
    current: Option<u32>,
    live: u32,
    pub(crate) routed: BTreeSet<String>,
    /// Law 1: so many serve.
    pub(crate) floor: u32,
    /// Law 2: the most replicas, the batch, and how many there were.
    pub(crate) most: u32,
    pub(crate) batch: u32,
    pub(crate) there: u32,
    /// Those that served and failed by themselves since the update began.
    pub(crate) fallen: BTreeSet<String>,
    /// Those that failed by themselves while nothing was sent to them: the server may not know it
    /// when it takes them into the routes.
    pub(crate) down: BTreeSet<String>,
    /// Those that served when it was last looked.
    pub(crate) serving: BTreeSet<String>,
    /// Updates begun and not ended, by the lines that people read.
    pub(crate) open: i64,
    /// The one that is open goes back.
    back: bool,
    /// Updates begun in this turn.
    pub(crate) begun: u32,
    /// What ties it to others.
    pub(crate) bond: Option<u64>,
    /// Something is asked of the edges, or an image of the node.
    pub(crate) asks: bool,
}

/// How the line begins that tells of an update's beginning.
const BEGINS: [&str; 8] = [
    "first deploy started",
    "start of ",
    "rolling update started",
    "replace update started",
    "restart started",
    "change in place started",
    "stopping",
    "removing",
];

impl Seen {
    /// Takes a line; says whether a rollback was rolled back, and whether an update has ended.
    pub(crate) fn hear(&mut self, text: &str) -> (bool, bool) {
        if BEGINS.iter().any(|begin| text.starts_with(begin)) {
            self.open += 1;
            self.begun += 1;
            self.back = false;
        } else if text.starts_with("rollback started") {
            let twice = self.open > 0 && self.back;
            self.open = self.open.max(1);
            self.begun += 1;
            self.back = true;
            return (twice, false);
        } else if ends(text) {
            self.open -= 1;
            self.back = false;
            return (false, true);
        }
        (false, false)
    }

    /// Looks at the service after a turn.
    pub(crate) fn look(
        &mut self,
        name: &str,
        rollout: &Service,
        counting: &[&'static str],
        edges: &[Edge],
        node: &Node,
    ) {
        let new = way(rollout);
        let live = rollout.instances().values().filter(|i| i.is_live()).count() as u32;
        if new.is_some() && new != self.update {
            let serving = serving(name, rollout, counting, edges, node);
            self.promise(rollout, live, &serving);
            self.serving = serving;
        }
        let current = rollout.current().and_then(|version| rollout.spec(version));
        self.current = current.map(|spec| spec.replicas);
        (self.update, self.live, self.wanted) = (new, live, rollout.replicas().1);
        self.routed = rollout.routed().iter().map(|id| container(name, *id)).collect();
        let still = |id: &String| node.boxes.get(id).is_none_or(|one| !one.healthy());
        self.fallen.extend(self.routed.intersection(&self.down).filter(|id| still(id)).cloned());
        // It may have come into the routes and ended before anybody looked.
        let ended = rollout.instances().values().filter(|i| i.stage == Stage::Ended);
        let ended = ended.map(|i| container(name, i.id)).filter(|id| self.down.contains(id));
        self.fallen.extend(ended.collect::<Vec<_>>());
        let there: BTreeSet<String> =
            rollout.instances().keys().map(|id| container(name, *id)).collect();
        self.down.retain(|id| there.contains(id));
        self.asks = resume(rollout, 0).iter().any(|action| {
            let edges = matches!(action, Action::Publish { .. } | Action::Drain { .. });
            edges || matches!(action, Action::Pull { .. })
        });
    }

    /// The limits of laws 1 and 2 for the update that has just begun, or was turned round.
    fn promise(&mut self, rollout: &Service, live: u32, serve: &BTreeSet<String>) {
        let Some(update) = rollout.update() else { return };
        let spec = update.to.and_then(|to| rollout.spec(to)).cloned();
        let wanted = spec.as_ref().map_or(0, |spec| spec.replicas);
        let batch = spec.as_ref().map_or(1, |spec| spec.batch.max(1));
        let turn_round = spec.as_ref().is_some_and(|spec| spec.turn_round);
        let rolling = spec.as_ref().is_some_and(|spec| spec.strategy == Strategy::Rolling);
        // Where the one left may not run beside another, the way back replaces as well.
        let rolling = rolling && update.strategy == Strategy::Rolling;
        let turned = self.update.is_some() && update.kind == Kind::Rollback;
        let least = self.wanted.min(wanted).min(self.current.unwrap_or(self.wanted));
        let spare = if turn_round { batch } else { 0 };
        // What came between two that began at once is not known.
        let steady = rolling && self.begun < 2;
        let floor = if steady { least.saturating_sub(spare) } else { 0 };
        let most =
            self.wanted.max(wanted).max(self.current.unwrap_or(0)).max(self.routed.len() as u32);
        let there = self.live.max(live);
        if turned {
            self.floor = self.floor.min(floor);
            self.most = self.most.max(most);
            self.batch = self.batch.max(batch);
            self.there = self.there.max(there);
        } else {
            // Some may have failed without the server knowing yet, or were asked to leave at once.
            let gone = |id: &&String| !serve.contains(*id) || self.fallen.contains(*id);
            self.fallen = self.routed.iter().filter(gone).cloned().collect();
            (self.floor, self.most) = (floor.min(self.routed.len() as u32), most);
            (self.batch, self.there) = (batch, there);
        }
    }
}

/// The line tells an update's end.
fn ends(text: &str) -> bool {
    let kinds = ["update", "change", "restart", "rollback", "stop", "remove"];
    let of = |rest: &str| kinds.iter().any(|kind| rest.starts_with(kind));
    text.starts_with("rolled back ")
        || ["done ", "failed ", "cancelled "]
            .iter()
            .any(|verdict| text.strip_prefix(verdict).is_some_and(of))
}

/// Containers that are healthy, and that every edge that counts sends requests to.
pub(crate) fn serving(
    name: &str,
    rollout: &Service,
    counting: &[&'static str],
    edges: &[Edge],
    node: &Node,
) -> BTreeSet<String> {
    let with_table = |edge: &&Edge| counting.contains(&edge.name) && edge.current;
    let edges: Vec<&Edge> = edges.iter().filter(with_table).collect();
    let routed = |i: &&rollout::Instance| {
        let id = container(name, i.id);
        let passed = if edges.is_empty() {
            i.is_routed()
        } else {
            edges.iter().all(|edge| edge.passes_to(&id))
        };
        passed && node.boxes.get(&id).is_some_and(crate::node::Box::healthy)
    };
    let found = rollout.instances().values().filter(routed);
    found.map(|i| container(name, i.id)).collect()
}
