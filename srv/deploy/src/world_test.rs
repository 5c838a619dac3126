//! The world as ledgers: a line is what arrives, the `>` lines below it are what must come of it.

use crate::arrival::{Arrival, Heard, Order, Request};
use crate::kept::Kept;
use crate::record::By;
use crate::turn::Turn;
use crate::world::World;
use crate::{report, verbs};
use place::Resources;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

mod applies;
mod nodes;
mod tasks;
mod volumes;

/// What a line of a script stands for.
fn arrival(line: &str) -> (Arrival, Option<oneshot::Receiver<Result<(), String>>>) {
    let (answer, answered) = oneshot::channel();
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let by = By { uid: 0, name: "root".to_string() };
    let request = match word {
        // node-up CONTAINER … [logs CONTAINER …]
        // manifest NAME key value; key value
        "manifest" => {
            let (service, text) = rest.split_once(' ').unwrap();
            let text = format!("{}\n", text.replace("; ", "\n"));
            Request::Manifest { service: service.to_string(), text }
        }
        "ctl" => Request::Verbs { lines: verbs::parse(rest.as_bytes(), None).unwrap(), by },
        "node" => {
            let report = report::parse(&format!("1 1 {rest}")).unwrap();
            return (Arrival::Heard(Heard::Told(report)), None);
        }
        "node-down" => {
            let reason = rest.to_string();
            return (Arrival::Heard(Heard::NodeDown { reason }), None);
        }
        // cancel-told NAME [REASON]
        "cancel-told" => {
            let (name, why) = rest.split_once(' ').unwrap_or((rest, ""));
            let told = if why.is_empty() { Ok(()) } else { Err(why.to_string()) };
            return (Arrival::Heard(Heard::CancelTold { name: name.to_string(), told }), None);
        }
        // late NAME IMAGE
        "late" => {
            let (service, reference) = rest.split_once(' ').unwrap();
            let (service, reference) = (service.to_string(), reference.to_string());
            let reason = "no progress for 1.0s".to_string();
            return (Arrival::Heard(Heard::PullLate { service, reference, reason }), None);
        }
        "gc-refused" => {
            let reason = rest.to_string();
            return (Arrival::Heard(Heard::CollectRefused { reason }), None);
        }
        "node-up" => {
            let capacity = Resources { cpu_milli: 1_000, memory_bytes: 1_000_000_000 };
            let (rest, logs) = rest.split_once("logs").unwrap_or((rest, ""));
            let containers = rest.split_whitespace().map(|name| {
                let status = "state=running\nhealth=healthy\npid=1\nstarted=1\n";
                (name.to_string(), report::container(status))
            });
            let containers: BTreeMap<_, _> = containers.collect();
            let kept = |name: &str| (name.to_string(), Kept { at: 0, bytes: 1 });
            let logs = logs.split_whitespace().map(kept).collect();
            let up = Heard::NodeUp { name: "n".to_string(), capacity, containers, logs };
            return (Arrival::Heard(up), None);
        }
        other => match volumes::heard(other, rest).or_else(|| tasks::heard(other, rest)) {
            Some(heard) => return (Arrival::Heard(heard), None),
            None => {
                let asked = volumes::asked(other, rest).or_else(|| tasks::asked(other, rest, by));
                asked.unwrap_or_else(|| panic!("no such line: {other}"))
            }
        },
    };
    (Arrival::Asked(request, answer), Some(answered))
}

/// What came of a turn, a line each. Tables are served and nothing drains at once.
fn told(world: &mut World, mut turn: Turn, lines: &mut Vec<String>) {
    lines.extend(
        turn.lines
            .iter()
            .map(|line| format!("{}: {}", line.service.as_deref().unwrap_or("-"), line.text)),
    );
    let mut again = Vec::new();
    for order in std::mem::take(&mut turn.orders) {
        match order {
            Order::Publish { service, generation } => {
                again.push(Heard::Served { service, generation })
            }
            Order::Drain { service, id } => again.push(Heard::Drained { service, id }),
            Order::Wake { .. } | Order::Tail { .. } => {}
            Order::Start { container, .. } => lines.push(format!("do start {container}")),
            Order::Stop { container, .. } => lines.push(format!("do stop {container}")),
            Order::Remove { container } => lines.push(format!("do remove {container}")),
            Order::DropVolume { volume } => lines.push(format!("do drop volume {volume}")),
            Order::DropLog { container } => lines.push(format!("do drop {container}")),
            Order::Pull { reference } => lines.push(format!("do pull {reference}")),
            other @ (Order::Push { .. }
            | Order::CancelPush { .. }
            | Order::Collect { .. }
            | Order::Signal { .. }
            | Order::Down) => lines.push(format!("do {other:?}")),
        }
    }
    lines.extend(turn.came.into_iter().map(|(what, result)| match result {
        Ok(()) => format!("answer {what:?}"),
        Err(why) => format!("answer {what:?}: {why}"),
    }));
    for (answer, result) in turn.answers {
        let _ = answer.send(result);
    }
    for heard in again {
        let mut next = Turn::new(turn.now);
        world.arrive(Arrival::Heard(heard), &mut next);
        told(world, next, lines);
    }
}

pub(crate) fn check(script: &str) {
    run(&mut World::default(), script);
}

fn run(world: &mut World, script: &str) {
    let mut wanted: Vec<String> = Vec::new();
    let mut got: Vec<String> = Vec::new();
    for (now, line) in script.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        if let Some(want) = line.strip_prefix("> ") {
            wanted.push(want.to_string());
            continue;
        }
        assert_eq!(got, wanted, "before: {line}");
        (got, wanted) = (Vec::new(), Vec::new());
        let (arrival, answered) = arrival(line);
        let mut turn = Turn::new(now as u64);
        world.arrive(arrival, &mut turn);
        told(world, turn, &mut got);
        if let Some(Ok(Err(refusal))) = answered.map(|mut answered| answered.try_recv()) {
            got.push(format!("refused: {}", refusal.replace('\n', " | ")));
        }
    }
    assert_eq!(got, wanted, "at the end");
}

pub(crate) const A: &str =
    "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub(crate) const B: &str =
    "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A service of one instance at v1, and what it took.
fn at_v1() -> String {
    format!(
        "node-up
         > -: node n answers
         manifest web image web:1; port 80; cpu 0.4
         ctl apply web
         > web: pulling web:1
         > do pull web:1
         node pulled web:1 digest={A}
         > web: first deploy started v1
         > web: 0: scheduled on n
         > web: 0: starting
         > do start web-0
         node started web-0 pid=7 address=10.0.0.2
         node healthy web-0 ms=12
         > web: 0: healthy (0.01s)
         > web: done update v1 (0.00s)
        "
    )
}

/// What it takes until its first instance of v2 starts.
fn to_v2() -> String {
    format!(
        "manifest web image web:2; port 80; cpu 0.4
         ctl apply web
         > web: pulling web:2
         > do pull web:2
         node pulled web:2 digest={B}
         > web: rolling update started v1→v2
         > web: 1: scheduled on n
         > web: 1: starting
         > do start web-1"
    )
}

#[test]
fn a_first_deploy_and_a_rolling_update_go_step_by_step() {
    check(&format!(
        "{}
         {}
         node started web-1 pid=8 address=10.0.0.3
         node healthy web-1 ms=9
         > web: 1: healthy (0.00s)
         > do stop web-0
         node exited web-0 code=0
         > web: 0: old instance stopped
         > web: instances renumbered
         > web: done update v1→v2 (0.00s)
         > do remove web-0
         node removed web-0
        ",
        at_v1(),
        to_v2()
    ));
}

#[test]
fn a_surge_that_does_not_fit_beside_the_only_instance_is_refused() {
    check(&format!(
        "{}
         manifest web image web:2; port 80; cpu 0.7
         ctl apply web
         > refused: apply web: no room for a second instance beside the one that runs: \
           n: cpu: wants 0.7, 0.6 free of 1; make room, or say update replace
        ",
        at_v1()
    ));
}

#[test]
fn fewer_instances_always_fit_and_more_are_refused_before_anything_is_touched() {
    // A node of one core: two of 0.4 leave room for no third.
    check(&format!(
        "node-up
         > -: node n answers
         manifest web image web:1; port 80; cpu 0.4; replicas 2
         ctl apply web
         > web: pulling web:1
         > do pull web:1
         node pulled web:1 digest={A}
         > web: first deploy started v1
         > web: 0: scheduled on n
         > web: 0: starting
         > web: 1: scheduled on n
         > web: 1: starting
         > do start web-0
         > do start web-1
         node started web-0 pid=7 address=10.0.0.2
         node healthy web-0 ms=5
         > web: 0: healthy (0.00s)
         node started web-1 pid=8 address=10.0.0.3
         node healthy web-1 ms=5
         > web: 1: healthy (0.00s)
         > web: done update v1 (0.01s)
         ctl scale web 3
         > refused: scale web 3: no room: n: cpu: wants 0.4, 0.2 free of 1
         ctl scale web 1
         > web: change in place started v1→v2, replicas 1
         > do stop web-1
        "
    ));
}

#[test]
fn a_batch_is_never_more_than_there_are_and_shrinks_to_the_room_there_is() {
    let read = |text: &str| manifest::parse("web", text).manifest.unwrap();
    let mut world = World::default();
    let capacity = Resources { cpu_milli: 1_000, memory_bytes: 1_000_000_000 };
    let up = Heard::NodeUp {
        name: "n".to_string(),
        capacity,
        containers: BTreeMap::new(),
        logs: BTreeMap::new(),
    };
    world.arrive(Arrival::Heard(up), &mut Turn::new(1));
    let four = read("image web:1\nport 80\ncpu 0.1\nmemory 6M\nreplicas 4\nupdate_batch 100\n");
    let way = world.way("web", &four, manifest::Outcome::Update).unwrap();
    assert_eq!((way.batch, way.turn_round), (4, false));
    let eleven = read("image web:1\nport 80\ncpu 0.1\nmemory 6M\nreplicas 11\n");
    let refused = world.way("web", &eleven, manifest::Outcome::Update).unwrap_err();
    assert_eq!(refused, "no room: 10 of 11 more instances fit");
}

#[test]
fn a_service_of_the_same_name_has_none_of_the_logs_of_the_one_before() {
    let mut world = World::default();
    let (write, _) = arrival("manifest web image web:1; port 80");
    world.arrive(write, &mut Turn::new(1));
    world.services.get_mut("web").unwrap().record.first_id = rollout::Id(5);
    let mut turn = Turn::new(2);
    world.arrive(arrival("node-up logs web-4 web-5").0, &mut turn);
    assert_eq!(turn.orders, [Order::DropLog { container: "web-4".to_string() }]);
    let kept: Vec<u64> = world.services["web"].kept.keys().map(|id| id.0).collect();
    assert_eq!(kept, [5]);
}

#[test]
fn a_manifest_with_errors_is_kept_told_and_not_applied() {
    check(
        "manifest web image web:1; replicas many
         > refused: manifest refused: line 2, column 10: replicas: \"many\" is not a number; \
           write 0 to 1000 instances
         ctl apply web
         > refused: manifest refused: line 2, column 10: replicas: \"many\" is not a number; \
           write 0 to 1000 instances",
    );
}

#[test]
fn a_turn_that_could_not_be_saved_leaves_no_trace() {
    let mut world = World::default();
    let (write, _) = arrival("manifest web image web:1; port 80");
    let mut turn = Turn::new(1);
    world.arrive(write, &mut turn);
    assert!(world.services.contains_key("web"));
    world.undo(&mut turn);
    assert!(world.services.is_empty());
}

#[test]
fn a_collection_leaves_what_history_manifests_and_applies_name() {
    check(&format!(
        "{}
         manifest api image api:7; port many
         > refused: manifest refused: line 2, column 6: port: \"many\" is not a number; write 1 to \
           65535 (a TCP port)
         manifest db image db:1
         ctl apply db
         > db: pulling db:1
         > do pull db:1
         ctl gc
         > do Collect {{ keep: [\"api:7\", \"db:1\", \"{A}\", \"web:1\"] }}
         ctl gc
         > refused: gc: a collection goes on; wait for its end
         node collected old:1 digest={B} bytes=12
         > -: collected old:1 {B} 12 bytes
         node swept images count=1 bytes=12
         > -: collection done: 1 images, 12 bytes freed
         ctl gc
         > do Collect {{ keep: [\"api:7\", \"db:1\", \"{A}\", \"web:1\"] }}
         gc-refused read /a: permission denied
         > -: gc refused: read /a: permission denied
         ctl gc
         > do Collect {{ keep: [\"api:7\", \"db:1\", \"{A}\", \"web:1\"] }}
         node-down gone
         > -: node n does not answer: gone
         node-up web-0
         > -: node n answers
         > do pull db:1
         ctl gc
         > do Collect {{ keep: [\"api:7\", \"db:1\", \"{A}\", \"web:1\"] }}
        ",
        at_v1()
    ));
}

#[test]
fn a_digest_that_cannot_be_read_refuses_a_collection_and_its_service_is_named() {
    check(&format!(
        "{}
         ctl gc
         > refused: gc: service web: its history has the digest \"sha256:12\", which cannot be \
           read; nothing was removed
        ",
        at_v1().replace(A, "sha256:12")
    ));
}

#[test]
fn one_push_of_a_name_goes_on_at_a_time_and_can_be_given_up() {
    check(
        "node-up
         > -: node n answers
         ctl push web:1 /srv/web
         > do Push { name: \"web:1\", path: \"/srv/web\" }
         ctl push web:1 /srv/other
         > refused: push web:1 /srv/other: web:1 is being pushed; wait for it, or cancel-push web:1
         ctl cancel-push web:1
         > do CancelPush { name: \"web:1\" }
         cancel-told web:1
         > answer CancelPush(\"web:1\")
         node push-failed web:1 reason='web:1 was given up'
         > -: push web:1 failed: web:1 was given up
         > answer Push(\"web:1\"): push web:1: web:1 was given up
         ctl push web:1 /srv/other
         > do Push { name: \"web:1\", path: \"/srv/other\" }
        ",
    );
}

#[test]
fn the_node_is_asked_about_a_push_that_only_it_knows_of() {
    check(
        "node-up
         > -: node n answers
         ctl push web:1 /srv/web
         > do Push { name: \"web:1\", path: \"/srv/web\" }
         node-down gone
         > -: node n does not answer: gone
         node-up
         > -: node n answers
         ctl cancel-push web:1
         > do CancelPush { name: \"web:1\" }
         cancel-told web:1
         > answer CancelPush(\"web:1\")
         ctl cancel-push web:1
         > do CancelPush { name: \"web:1\" }
         cancel-told web:1 no push of web:1 goes on
         > answer CancelPush(\"web:1\"): cancel-push web:1: no push of web:1 goes on
        ",
    );
}

#[test]
fn who_asks_the_node_in_the_turn_that_it_is_lost_is_answered_too() {
    let mut world = World::default();
    let mut turn = Turn::new(1);
    world.arrive(arrival("node-up").0, &mut turn);
    let (push, mut pushed) = arrival("ctl push web:1 /srv/web");
    let (cancel, mut cancelled) = arrival("ctl cancel-push web:1");
    world.arrive(push, &mut turn);
    world.arrive(cancel, &mut turn);
    world.arrive(arrival("node-down gone").0, &mut turn);
    assert!(turn.awaited.is_empty());
    told(&mut world, turn, &mut Vec::new());
    for answered in [&mut pushed, &mut cancelled] {
        let told = answered.as_mut().unwrap().try_recv().unwrap().unwrap_err();
        assert_eq!(told, "the node was lost meanwhile; try again");
    }
}

#[test]
fn a_reference_stands_once_in_the_reason_it_could_not_be_had() {
    check(&format!(
        "{}
         manifest web image web:2; port 80
         ctl apply web
         > web: pulling web:2
         > do pull web:2
         node pull-failed web:2 permanent=true reason='no image web:2 was pushed here'
         > web: failed: no image web:2 was pushed here
         ctl apply web
         > web: pulling web:2
         > do pull web:2
         node pull-failed web:2 permanent=false reason='no room: needs 2 MB, 1 MB free on /a'
         > web: failed: web:2: no room: needs 2 MB, 1 MB free on /a
        ",
        at_v1()
    ));
}
