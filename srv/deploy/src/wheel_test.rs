//! Turns that could not be saved, or of which nobody knows, and the order of what is ordered.

use super::*;
use crate::arrival::{Order, Request};
use crate::record::By;
use crate::report::{self, Report};
use crate::verbs;
use crate::world::World;
use place::Resources;
use rollout::{Action, Id};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use store::{Answer, Condition, Error, Kv, Lease, Memory, Outcome, Revision, Store, Watch};
use tokio::sync::oneshot;

/// Nothing goes wrong.
const WELL: u8 = 0;
/// A transaction is done, and its answer is lost.
const LOST: u8 = 1;
/// Nothing is done.
const AWAY: u8 = 2;

/// A store whose answers are as they are told to be.
#[derive(Clone, Default)]
struct Doubtful(Arc<Memory>, Arc<AtomicU8>);

impl Store for Doubtful {
    fn transact(&self, conditions: Vec<Condition>, changes: Vec<Op>) -> Answer<'_, Outcome> {
        Box::pin(async move {
            match self.1.load(Ordering::SeqCst) {
                AWAY => Err(Error::Unavailable),
                how => {
                    let done = self.0.transact(conditions, changes).await;
                    if how == LOST { Err(Error::Unknown) } else { done }
                }
            }
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Answer<'a, (Option<Kv>, Revision)> {
        self.0.get(key)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Answer<'a, (Vec<Kv>, Revision)> {
        self.0.list(prefix)
    }

    fn watch<'a>(&'a self, prefix: &'a str, from: Revision) -> Answer<'a, Box<dyn Watch>> {
        self.0.watch(prefix, from)
    }

    fn grant(&self, ttl_s: u32) -> Answer<'_, Lease> {
        self.0.grant(ttl_s)
    }

    fn keepalive(&self, lease: Lease) -> Answer<'_, bool> {
        self.0.keepalive(lease)
    }

    fn revoke(&self, lease: Lease) -> Answer<'_, ()> {
        self.0.revoke(lease)
    }

    fn compact(&self, revision: Revision) -> Answer<'_, ()> {
        self.0.compact(revision)
    }
}

/// A wheel over such a store.
struct Rig {
    disk: Doubtful,
    world: Shared,
    wheel: Wheel,
    now: Millis,
}

impl Rig {
    fn new() -> Rig {
        let disk = Doubtful::default();
        let world = Shared::new(World::default());
        let journal = Journal::with(Box::new(disk.clone()));
        let wheel = Wheel::new(world.clone(), journal, Moment::default());
        Rig { disk, world, wheel, now: 0 }
    }

    async fn turn(&mut self, arrivals: Vec<Arrival>) -> Vec<Order> {
        self.now += 1_000;
        self.wheel.turn(Moment { wall: self.now, steady: self.now }, arrivals).await
    }

    /// Asks for something; what was ordered, and the answer.
    async fn asks(&mut self, request: Request) -> (Vec<Order>, Result<(), String>) {
        let (answer, answered) = oneshot::channel();
        let orders = self.turn(vec![Arrival::Asked(request, answer)]).await;
        (orders, answered.await.expect("answered"))
    }

    async fn manifest(&mut self, service: &str, text: &str) -> Result<(), String> {
        let (service, text) = (service.to_string(), text.to_string());
        self.asks(Request::Manifest { service, text }).await.1
    }

    async fn ctl(&mut self, line: &str) -> (Vec<Order>, Result<(), String>) {
        let by = By { uid: 0, name: "root".to_string() };
        let lines = verbs::parse(line.as_bytes(), None).expect("a verb");
        self.asks(Request::Verbs { lines, by }).await
    }

    async fn told(&mut self, line: &str) -> Vec<Order> {
        let report: Report = report::parse(&format!("1 1 {line}")).expect("a report");
        self.turn(vec![Arrival::Heard(Heard::Told(report))]).await
    }

    fn does(&self, how: u8) {
        self.disk.1.store(how, Ordering::SeqCst);
    }

    /// The names of the services that whoever starts now finds.
    async fn found(&self) -> Vec<String> {
        let again = Journal::with(Box::new(self.disk.clone())).load().await.expect("read");
        again.services.keys().cloned().collect()
    }
}

#[tokio::test]
async fn what_was_refused_because_its_answer_was_lost_is_not_there_after_the_next_that_is_saved() {
    let mut rig = Rig::new();
    rig.manifest("web", "image web:1\n").await.expect("saved");
    rig.does(LOST);
    let refused = rig.manifest("api", "image api:1\n").await.expect_err("nobody knows");
    assert!(refused.contains("nothing was changed"), "{refused}");
    // It lies there, though it was refused.
    assert_eq!(rig.found().await, ["api", "web"]);
    rig.manifest("web", "image web:2\n").await.expect_err("nobody knows");
    rig.ctl("apply web").await.1.expect_err("nobody knows");
    rig.does(WELL);
    rig.manifest("db", "image db:1\n").await.expect("saved");
    assert_eq!(rig.found().await, ["db", "web"]);
    let again = Journal::with(Box::new(rig.disk.clone())).load().await.expect("read");
    let draft = again.services["web"].record.draft.as_ref().expect("a manifest");
    assert_eq!(draft.text, "image web:1\n");
    // Number by number as they were told: none of a line that was refused.
    let lines = rig.disk.list("event/").await.expect("read").0;
    assert_eq!(lines.len() as u64, rig.world.lock().last_event);
}

#[tokio::test]
async fn what_is_asked_anew_wins_over_what_would_take_it_back() {
    let mut rig = Rig::new();
    rig.does(LOST);
    rig.manifest("web", "image web:1\n").await.expect_err("nobody knows");
    rig.does(AWAY);
    rig.manifest("api", "image api:1\n").await.expect_err("nothing is done");
    rig.does(WELL);
    rig.manifest("web", "image web:2\n").await.expect("saved");
    assert_eq!(rig.found().await, ["web"]);
    let again = Journal::with(Box::new(rig.disk.clone())).load().await.expect("read");
    let draft = again.services["web"].record.draft.as_ref().expect("a manifest");
    assert_eq!(draft.text, "image web:2\n");
}

#[tokio::test]
async fn what_the_node_told_in_a_turn_that_was_not_saved_is_heard_again() {
    let mut rig = Rig::new();
    rig.up().await;
    rig.does(AWAY);
    assert!(rig.told("exited web-0 code=1").await.is_empty());
    rig.does(WELL);
    let orders = rig.turn(Vec::new()).await;
    let world = rig.world.lock();
    let instances = world.services["web"].record.rollout.instances();
    assert!(instances.len() > 1 && instances[&Id(0)].is_gone(), "{orders:?} {instances:?}");
}

impl Rig {
    /// One instance of the service `web` serves.
    async fn up(&mut self) {
        let capacity = Resources { cpu_milli: 10_000, memory_bytes: 10_000_000_000 };
        let (containers, logs) = (BTreeMap::new(), BTreeMap::new());
        let up = Heard::NodeUp { name: "n".to_string(), capacity, containers, logs };
        self.turn(vec![Arrival::Heard(up)]).await;
        self.begin("web:1", "").await;
        self.serves(0).await;
    }

    /// Applies an image that is there, up to the start of its instance.
    async fn begin(&mut self, image: &str, more: &str) -> Vec<Order> {
        let text = format!("image {image}\nupdate replace\nhealth tcp 80\nport 80\n{more}");
        self.manifest("web", &text).await.expect("right");
        self.ctl("apply web").await.1.expect("accepted");
        let digest: u32 = image.bytes().map(u32::from).sum();
        self.told(&format!("pulled {image} digest=sha256:{digest:064}")).await
    }

    /// That instance runs, is healthy, and every edge knows it: there is none.
    async fn serves(&mut self, id: u64) {
        self.told(&format!("started web-{id} pid=1 address=10.0.0.{id} port=80")).await;
        self.told(&format!("healthy web-{id} ms=1")).await;
        self.turn(Vec::new()).await;
    }

    /// Whatever was ordered in one turn, the last table and the last timer are those that the
    /// decision waits for.
    #[track_caller]
    fn in_order(&self, orders: &[Order]) {
        let world = self.world.lock();
        let rollout = &world.services["web"].record.rollout;
        let table = |order: &Order| {
            if let Order::Publish { generation, .. } = order { Some(*generation) } else { None }
        };
        let tables = orders.iter().rev().find_map(table);
        let waits = rollout::resume(rollout, 0);
        let timer =
            |action: &Action| if let Action::Wake { at } = action { Some(*at) } else { None };
        let due = waits.iter().find_map(timer);
        assert!(tables.is_none_or(|last| last == rollout.generation()), "{orders:?}");
        let timer = self.wheel.timers.get("web").copied();
        assert_eq!(timer, due, "{orders:?} {rollout:?}");
    }
}

#[tokio::test]
async fn the_last_table_and_the_last_timer_of_a_turn_are_those_that_are_waited_for() {
    let mut rig = Rig::new();
    rig.up().await;
    // The new one exits as soon as it runs, and its rollback places, replaces and publishes.
    let orders = rig.begin("web:2", "update_failure rollback\nprogress_deadline 700\n").await;
    rig.in_order(&orders);
    for _ in 0..4 {
        let orders = rig.turn(Vec::new()).await;
        rig.in_order(&orders);
    }
    for line in ["exited web-0 code=0", "started web-1 pid=2 address=10.0.0.9"] {
        let orders = rig.told(line).await;
        rig.in_order(&orders);
    }
    let orders = rig.told("exited web-1 code=1").await;
    rig.in_order(&orders);
    assert!(orders.iter().any(|order| matches!(order, Order::Start { .. })), "{orders:?}");
}
