//! Edges in the world, as ledgers: no way that stops an instance signals it before every edge that
//! counts has let go of it and drained it (law 4). A line is what arrives, the `>` lines below it
//! are what must come of it.

mod ways;

use crate::arrival::{Arrival, Heard, InstanceVerb, Order, Request};
use crate::edges::{Deed, Edges, Word};
use crate::record::By;
use crate::routes::Routes;
use crate::turn::Turn;
use crate::world::{Service, World};
use crate::{report, verbs};
use place::Resources;
use rollout::Id;
use std::collections::BTreeMap;
use tokio::sync::oneshot;

/// A world, its clock, and what it was told to do since it was last looked at.
struct Ground {
    world: World,
    now: u64,
    got: Vec<String>,
    wake: Option<u64>,
}

impl Ground {
    fn new(edges: Edges) -> Ground {
        let world = World { edges, ..World::default() };
        Ground { world, now: 0, got: Vec::new(), wake: None }
    }

    /// Turns as the loop does: what arrived, then at once what the edges had answered already.
    fn turn(&mut self, arrival: Arrival) {
        let mut batch = vec![arrival];
        while !batch.is_empty() {
            let mut turn = Turn::new(self.now);
            batch.into_iter().for_each(|arrival| self.world.arrive(arrival, &mut turn));
            crate::save::changes(&mut self.world, &turn);
            self.world.publish(&turn);
            let before = self.world.routes.newest();
            let answered = self.world.route(&turn);
            let table = self.world.routes.newest();
            if table != before {
                self.got.push(short(&String::from_utf8_lossy(&table.text)));
            }
            for order in turn.orders {
                self.order(order);
            }
            for (answer, result) in turn.answers {
                if let Err(text) = &result {
                    self.got.push(format!("refused: {text}"));
                }
                let _ = answer.send(result);
            }
            batch = answered.into_iter().map(Arrival::Heard).collect();
        }
    }

    fn order(&mut self, order: Order) {
        let done = match order {
            Order::Start { container, .. } => format!("do start {container}"),
            Order::Stop { container, .. } => format!("do stop {container}"),
            Order::Signal { container, signal } => format!("do signal {container} {signal}"),
            Order::Wake { at, .. } => return self.wake = Some(at),
            Order::Publish { .. }
            | Order::Drain { .. }
            | Order::Pull { .. }
            | Order::Push { .. }
            | Order::CancelPush { .. }
            | Order::DropVolume { .. }
            | Order::DropLog { .. }
            | Order::Collect { .. }
            | Order::Remove { .. }
            | Order::Tail { .. }
            | Order::Down => return,
        };
        self.got.push(done);
    }

    /// Lets time pass: the edges' deadlines and the service's timer go off when they are due.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let due = self.world.edges.due().into_iter().chain(self.wake).min();
            let Some(at) = due.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            if self.wake.is_some_and(|at| at <= self.now) {
                self.wake = None;
                self.turn(Arrival::Heard(Heard::Woke { service: "web".to_string() }));
            }
            let heard = self.world.edges.pass(self.now);
            heard.into_iter().for_each(|heard| self.turn(Arrival::Heard(heard)));
        }
        self.now = end;
    }

    /// Another server takes over: of this one only what was saved is left.
    fn restart(&mut self, edges: Edges) {
        let services = std::mem::take(&mut self.world.services);
        let mut world = World { edges, ..World::default() };
        world.routes = Routes::after(100);
        world.services = services
            .into_iter()
            .map(|(name, service)| {
                (name.clone(), Service::new(&name, service.record.into_record()))
            })
            .collect();
        (self.world, self.wake) = (world, None);
    }

    fn line(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let by = By { uid: 0, name: "root".to_string() };
        let (answer, _) = oneshot::channel();
        match word {
            "manifest" => {
                let (service, text) = rest.split_once(' ').unwrap();
                let text = format!("{}\n", text.replace("; ", "\n"));
                let service = service.to_string();
                self.turn(Arrival::Asked(Request::Manifest { service, text }, answer));
            }
            "ctl" => {
                let lines = verbs::parse(rest.as_bytes(), None).unwrap();
                self.turn(Arrival::Asked(Request::Verbs { lines, by }, answer));
            }
            "instance" => {
                let (id, verb) = rest.split_once(' ').unwrap();
                let (service, id) = ("web".to_string(), Id(id.parse().unwrap()));
                let verb = if verb == "stop" { InstanceVerb::Stop } else { InstanceVerb::Restart };
                self.turn(Arrival::Asked(Request::Instance { service, id, verb }, answer));
            }
            "node" => {
                let report = report::parse(&format!("1 1 {rest}")).unwrap();
                self.turn(Arrival::Heard(Heard::Told(report)));
            }
            "node-up" => self.turn(Arrival::Heard(node_up(rest))),
            "server-restarts" => self.restart(Edges::with_own("main")),
            "edge" => {
                let (edge, rest) = rest.split_once(' ').unwrap();
                let deed = match rest {
                    "comes" => Deed::Came,
                    "opens" => Deed::Opened(1),
                    "closes" => Deed::Closed(1),
                    word => Deed::Said(Word::parse(word).unwrap()),
                };
                self.turn(Arrival::Edge { edge: edge.to_string(), deed });
            }
            _ => self.pass(word.strip_prefix('+').unwrap().parse().unwrap()),
        }
    }
}

/// A table without the names of versions: `7: shop / web drain=1000 0=web-3`.
fn short(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .skip(1)
        .map(|line| {
            let words = line.split(' ').map(|word| match word.split('/').collect::<Vec<_>>()[..] {
                [number, id, rest] if rest.contains('=') => format!("{number}={id}"),
                _ => word.to_string(),
            });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    let head = text.lines().next().unwrap().trim_start_matches("generation ");
    format!("{head}: {}", lines.join(" | ")).trim_end().to_string()
}

/// A node of four cores; containers are `web-3=10.0.0.5`, running and healthy.
fn node_up(containers: &str) -> Heard {
    let capacity = Resources { cpu_milli: 4_000, memory_bytes: 4_000_000_000 };
    let containers = containers.split_whitespace().map(|word| {
        let (name, address) = word.split_once('=').unwrap();
        let status = format!("state=running\nhealth=healthy\nstarted=1\naddress={address}\n");
        (name.to_string(), report::container(&status))
    });
    let containers: BTreeMap<_, _> = containers.collect();
    let logs = BTreeMap::new();
    Heard::NodeUp { name: "n".to_string(), capacity, containers, logs }
}

fn check(edges: Edges, script: &str) {
    let mut ground = Ground::new(edges);
    let mut wanted: Vec<String> = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(want) = line.strip_prefix("> ") {
            wanted.push(want.to_string());
            continue;
        }
        assert_eq!(ground.got, wanted, "before: {line}");
        ground.got.clear();
        wanted.clear();
        ground.now += u64::from(!line.starts_with('+'));
        ground.line(line);
    }
    assert_eq!(ground.got, wanted, "at the end");
}

const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// Two instances of v1 that the machine's edge serves.
fn serving(more: &str) -> String {
    format!(
        "edge main opens
         edge main began 0
         node-up
         > 1: 
         edge main serves 1
         manifest web image web:1; port 80; drain 2; replicas 2; route shop /{more}
         > 2: - - web -
         ctl apply web
         node pulled web:1 digest={A}
         > 3: shop / web drain=2000
         > do start web-0
         > do start web-1
         node started web-0 pid=7 address=10.0.0.2
         node started web-1 pid=8 address=10.0.0.3
         node healthy web-0 ms=12
         > 4: shop / web drain=2000 0=web-0
         node healthy web-1 ms=12
         > 5: shop / web drain=2000 0=web-0 1=web-1
         edge main serves 5
        "
    )
}

fn main_edge() -> Edges {
    Edges::with_own("main")
}
