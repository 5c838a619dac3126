//! A service, its clock, and what node and edges have been told and have told: the ground on which
//! the laws are checked after every single event.

use super::{laws, text};
use crate::{Action, Event, Id, Kind, Millis, Service, Spec, resume, step};
use std::collections::{BTreeMap, BTreeSet};

/// The service under test and the world around it.
pub(super) struct World {
    pub(super) service: Service,
    pub(super) now: Millis,
    /// The one timer.
    pub(super) wake: Option<Millis>,
    /// Save, drop and load the state after every event.
    pub(super) forgetful: bool,
    /// Tables as they were published, by generation.
    pub(super) tables: BTreeMap<u64, BTreeSet<Id>>,
    /// The table by which an instance came into the routes first.
    pub(super) routed_by: BTreeMap<Id, u64>,
    /// When every edge had let go of it.
    pub(super) let_go: BTreeMap<Id, Millis>,
    pub(super) drained: BTreeSet<Id>,
    /// Processes that were said to run and not said to be gone.
    pub(super) running: BTreeSet<Id>,
    /// Processes that were said to be gone.
    pub(super) over: BTreeSet<Id>,
    /// Every action asked so far.
    pub(super) asked: BTreeSet<Action>,
    pub(super) bounds: Bounds,
    /// What happened and what came of it, for whoever must understand a broken law.
    pub(super) story: Vec<String>,
}

/// What the laws remember of the update in flight, or of the last one.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    /// Law 1: so many serve, but for those that fail by themselves.
    pub(super) floor: u32,
    /// Events since by which an instance failed by itself, or was restarted on demand.
    pub(super) failures: u32,
    /// The last event was such a one.
    pub(super) hit: bool,
    /// Law 2: the greatest replicas, and the greatest batch.
    pub(super) most: u32,
    pub(super) batch: u32,
    /// Instances there were at the beginning, perhaps still leaving.
    pub(super) there: u32,
    /// Law 5: begun and not ended.
    pub(super) open: i64,
    /// Law 6.
    pub(super) rolling_back: bool,
}

impl World {
    pub(super) fn new() -> World {
        World::new_from(Service::new(Id(0)), 1_000_000)
    }

    /// A world around a service that nothing was asked of yet.
    pub(super) fn new_from(service: Service, now: Millis) -> World {
        World {
            service,
            now,
            wake: None,
            forgetful: false,
            tables: BTreeMap::new(),
            routed_by: BTreeMap::new(),
            let_go: BTreeMap::new(),
            drained: BTreeSet::new(),
            running: BTreeSet::new(),
            over: BTreeSet::new(),
            asked: BTreeSet::new(),
            bounds: Bounds::default(),
            story: Vec::new(),
        }
    }

    /// Lets it happen, and checks every law on what comes of it.
    pub(super) fn happens(&mut self, event: Event) -> Vec<Action> {
        if self.forgetful {
            let saved = serde_json::to_string(&self.service).expect("state is written");
            self.service = serde_json::from_str(&saved).expect("state is read");
        }
        let before = self.service.clone();
        if event == Event::Woke {
            self.wake = None;
        }
        self.hear(&event);
        let actions = step(&mut self.service, self.now, event.clone());
        self.see(&before, &event, &actions);
        let came: Vec<String> = actions.iter().filter_map(|a| text::action(self, a)).collect();
        self.story.push(format!("{} {event:?}\n> {}", self.now, came.join("; ")));
        laws::check(self, &before, &event, &actions);
        actions
    }

    /// Lets time pass; the timer goes off whenever it is due.
    pub(super) fn passes(&mut self, ms: u64) -> Vec<Action> {
        let end = self.now + ms;
        let mut actions = Vec::new();
        while let Some(at) = self.wake.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            actions.extend(self.happens(Event::Woke));
        }
        self.now = end;
        actions
    }

    /// What is outstanding, time apart.
    pub(super) fn outstanding(&self) -> Vec<Action> {
        let mut actions = resume(&self.service, self.now);
        actions.retain(|action| !matches!(action, Action::Wake { .. }));
        actions
    }

    /// Node and edges know what they say.
    fn hear(&mut self, event: &Event) {
        if let Event::Started { id } = event
            && !self.over.contains(id)
        {
            self.running.insert(*id);
        }
        if let Event::Exited { id, .. } | Event::Lost { id } | Event::StartFailed { id, .. } = event
            && self.running.remove(id)
        {
            self.over.insert(*id);
        }
        if let Event::Drained { id } = event {
            self.drained.insert(*id);
        }
        if let Event::Served { generation } = event {
            self.let_go_by(*generation);
        }
        let hit = if let Event::Exited { id, .. }
        | Event::Lost { id }
        | Event::Unhealthy { id, .. }
        | Event::InstanceRestarted { id }
        | Event::InstanceStopped { id } = event
        {
            Some(id)
        } else {
            None
        };
        self.bounds.hit = hit.is_some_and(|id| self.service.routed().contains(id));
        self.bounds.failures += u32::from(self.bounds.hit);
    }

    /// Every edge serves this table: it has let go of whatever is not in it.
    fn let_go_by(&mut self, generation: u64) {
        let Some(table) = self.tables.get(&generation) else { return };
        for (id, by) in &self.routed_by {
            if *by < generation && !table.contains(id) {
                self.let_go.entry(*id).or_insert(self.now);
            }
        }
    }

    /// Notes what was asked, and what an accepted verb promises.
    fn see(&mut self, before: &Service, event: &Event, actions: &[Action]) {
        for action in actions {
            self.asked.insert(action.clone());
            if let Action::Wake { at } = action {
                self.wake = Some(*at);
            }
            if let Action::Publish { generation } = action {
                let table = self.service.routed().clone();
                for id in &table {
                    self.routed_by.entry(*id).or_insert(*generation);
                }
                self.tables.insert(*generation, table);
            }
        }
        if !begins(before, &self.service, event) {
            return;
        }
        let Some(update) = self.service.update() else { return };
        let spec = update.to.and_then(|to| self.service.spec(to)).cloned().unwrap_or_default();
        let wanted = if update.to.is_some() { spec.replicas } else { 0 };
        self.promise(before, event, &spec, wanted);
    }

    /// The limits of laws 1 and 2 for the update that has just begun, or was turned round.
    fn promise(&mut self, before: &Service, event: &Event, spec: &Spec, wanted: u32) {
        let live = |s: &Service| s.instances().values().filter(|i| i.is_live()).count() as u32;
        let old = before.replicas().1;
        let turned = before.update().is_some_and(|u| u.to.is_some())
            && matches!(event, Event::RolledBack { .. })
            || before.update().is_some() && self.service.update().is_some_and(back);
        let spare = if spec.turn_round { spec.batch.max(1) } else { 0 };
        let calm = matches!(spec.strategy, crate::Strategy::Rolling);
        let current = before.current().and_then(|v| before.spec(v)).map(|s| s.replicas);
        let least = old.min(wanted).min(current.unwrap_or(old));
        let floor = if calm { least.saturating_sub(spare) } else { 0 };
        let most = old.max(wanted).max(current.unwrap_or(0)).max(before.routed().len() as u32);
        let bounds = &mut self.bounds;
        if turned {
            bounds.floor = bounds.floor.min(floor);
            bounds.most = bounds.most.max(most);
            bounds.batch = bounds.batch.max(spec.batch.max(1));
            bounds.there = bounds.there.max(live(before));
        } else {
            bounds.floor = floor.min(laws::serving(before));
            bounds.failures = u32::from(bounds.hit);
            bounds.most = most;
            bounds.batch = spec.batch.max(1);
            bounds.there = live(before);
        }
    }
}

/// An update began with this event, or another way began for it.
pub(super) fn begins(before: &Service, after: &Service, event: &Event) -> bool {
    let first = |s: &Service| s.update().map(|u| (u.first, u.started, u.kind));
    let verb = matches!(
        event,
        Event::Applied { .. }
            | Event::Changed { .. }
            | Event::Restarted
            | Event::RolledBack { .. }
            | Event::Stopped
            | Event::Removed
    );
    if verb {
        before != after
    } else {
        after.update().is_some_and(back) && first(before) != first(after)
    }
}

fn back(update: &crate::Update) -> bool {
    update.kind == Kind::Rollback
}
