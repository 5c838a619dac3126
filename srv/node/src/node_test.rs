//! Orders on their way to an instance's task, which may be slow to take them.

use serde_json::json;

use super::*;
use crate::fact::{Found, Phase};
use crate::instance::Written;
use crate::spec::{Spec, tests::text};
use crate::tree::tests::means;

/// A node with one instance whose task takes nothing unless it is told to.
struct Slow {
    node: Node,
    id: Id,
    orders: mpsc::Receiver<Order>,
    _dir: tempfile::TempDir,
}

impl Slow {
    fn new() -> Slow {
        let dir = tempfile::tempdir().unwrap();
        let (means, _) = means(dir.path());
        let mut node = Node::new(means, Arc::default(), Ring::new());
        let id: Id = "web-1".parse().unwrap();
        let spec = Arc::new(Spec::parse(&id, &text(json!({}))).unwrap());
        let written = Some(Written { spec: spec.clone(), text: "".into() });
        let (pid, since_ms, address, port) = (Some(1), Some(1), None, None);
        let (digest, healthy) = (String::new(), None);
        let alive = Alive { spec, digest, pid, since_ms, address, port, healthy };
        let phase = Phase::Alive(alive);
        let found = Found { id: id.clone(), written, phase };
        node.world.write().unwrap().step(Fact::Found(found));
        let orders = node.line_to(&id);
        Slow { node, id, orders, _dir: dir }
    }

    /// What comes of asking for that verb so many times in one write.
    async fn ask(&mut self, verb: Verb, times: usize) -> Result<()> {
        let request = Request::Do { id: self.id.clone(), verb };
        let requests = vec![request; times];
        self.node.accept(&requests).await?;
        requests.into_iter().for_each(|request| self.node.take_in(Fact::Accepted(request)));
        Ok(())
    }
}

fn stop() -> Verb {
    Verb::Stop { signal: None, timeout_ms: None }
}

#[tokio::test]
async fn an_order_that_finds_no_room_is_refused_and_none_is_lost() {
    let mut slow = Slow::new();
    let hup = || Verb::Signal("HUP".to_owned());
    slow.ask(hup(), ORDERS_MAX + 1).await.unwrap_err();
    assert!(slow.orders.is_empty(), "a refused write does nothing");
    slow.ask(hup(), ORDERS_MAX).await.unwrap();
    for verb in [stop(), hup(), Verb::Remove] {
        let text = slow.ask(verb, 1).await.unwrap_err().refusal();
        assert_eq!(text, "temporary: 64 orders wait for instance web-1 already");
    }
    for _ in 0..ORDERS_MAX {
        assert_eq!(slow.orders.try_recv().unwrap(), Order::Signal("HUP".to_owned()));
    }
    slow.ask(stop(), 1).await.unwrap();
    assert!(matches!(slow.orders.try_recv().unwrap(), Order::Stop { .. }));
}

#[tokio::test]
async fn going_down_stops_those_as_well_that_take_nothing_at_the_moment() {
    let mut slow = Slow::new();
    slow.ask(Verb::Signal("HUP".to_owned()), ORDERS_MAX).await.unwrap();
    slow.node.take_in(Fact::Accepted(Request::Down));
    for _ in 0..ORDERS_MAX {
        assert!(matches!(slow.orders.recv().await.unwrap(), Order::Signal(_)));
    }
    assert!(matches!(slow.orders.recv().await.unwrap(), Order::Stop { .. }));
}

#[tokio::test]
async fn nothing_is_said_of_a_start_behind_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (means, mut heard) = means(dir.path());
    let id: Id = "web-1".parse().unwrap();
    record::make(&means.dirs.instance(&id)).unwrap();
    let image = format!("dir:{}", dir.path().display());
    let text = text(json!({"image": image, "network": "host"}));
    let spec = Arc::new(Spec::parse(&id, &text).unwrap());
    let preparing = Preparing::begin(means.clone(), id.clone(), spec);
    let (to, orders) = mpsc::channel(1);
    to.send(Order::Kill).await.unwrap();
    life::begin(means.clone(), id.clone(), preparing, orders).await;
    drop(means);
    let mut said = Vec::new();
    while let Some(fact) = heard.recv().await {
        said.push(fact);
    }
    assert!(matches!(said[..], [Fact::Said { .. }, Fact::Over(_)]), "{said:?}");
}

#[tokio::test]
async fn a_start_whose_intent_is_not_on_disk_leaves_nothing_of_what_was_begun_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (means, mut heard) = means(dir.path());
    let mut node = Node::new(means.clone(), Arc::default(), Ring::new());
    let id: Id = "web-1".parse().unwrap();
    let image = dir.path().join("image");
    std::fs::create_dir(&image).unwrap();
    let text = text(json!({"image": format!("dir:{}", image.display()), "network": "host"}));
    let spec = Box::new(Spec::parse(&id, &text).unwrap());
    let specify = Request::Specify { id: id.clone(), spec, text: text.into() };
    for request in [Request::Make(id.clone()), specify] {
        node.accept(std::slice::from_ref(&request)).await.unwrap();
        node.take_in(Fact::Accepted(request));
    }
    // A directory in the place of the intent is refused to root as well.
    let home = means.dirs.instance(&id);
    std::fs::create_dir(home.join(record::INTENT)).unwrap();
    let held = Arc::strong_count(&means.net);
    let start = Request::Do { id: id.clone(), verb: Verb::Start };
    node.accept(std::slice::from_ref(&start)).await.unwrap_err();
    let begun = node.early.get_mut(&id).expect("it was begun beside the intent");
    begun.ready().await.unwrap();
    node.give_back().await;
    assert!(node.early.is_empty());
    while let Ok(fact) = heard.try_recv() {
        node.take_in(fact);
    }
    let shows = |node: &Node| {
        let world = node.world.read().unwrap();
        (world.get(&id).unwrap().status(), world.allocated())
    };
    assert_eq!(shows(&node), ("state=new\nhealth=none\n".to_owned(), (0, 0)));
    assert!(!home.join(record::SHIM).exists(), "it would be taken for a shim that has lived");
    assert_eq!(Arc::strong_count(&means.net), held, "its place is free again");
    std::fs::remove_dir(home.join(record::INTENT)).unwrap();
    node.accept(&[start]).await.unwrap();
    assert!(home.join(record::INTENT).is_file(), "the second is a start");
    node.give_back().await;
    assert!(!home.join(record::INTENT).exists(), "of a refused start no later node hears");
}
