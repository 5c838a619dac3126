//! A crash at any point, and a restart, lead to the same end (law 7): every story is told once
//! without one, and then once for every event of it with the power failing right after the save.

use super::node::good;
use super::world::World;
use super::{script, text};
use crate::{Action, Event, Exit, Instance, Spec, Version, resume};
use std::collections::VecDeque;

/// Tells a story with a crash after every single event of it; `node` answers what it is asked.
fn check(before: &str, line: &str, node: fn(&Action) -> Vec<Event>) {
    let (end, events) = tell(before, line, node, None);
    assert!(events > 5, "a story has events");
    for at in 0..events {
        let (other, _) = tell(before, line, node, Some(at));
        assert_eq!(end, other, "crash after event {at} of `{line}`");
    }
}

/// Tells it; gives the end, and how many events it took.
fn tell(
    before: &str,
    line: &str,
    node: fn(&Action) -> Vec<Event>,
    crash_at: Option<usize>,
) -> (String, usize) {
    let mut world = World::new();
    script::run(&mut world, before);
    let mut spec = Spec::default();
    if let Some(known) = world.service.current().and_then(|v| world.service.spec(v)) {
        spec = known.clone();
    }
    let mut to_come = VecDeque::from([text::event(line, &mut spec, 0)]);
    let mut events = 0;
    loop {
        let event = match (to_come.pop_front(), world.wake) {
            (Some(event), _) => event,
            (None, Some(at)) => {
                world.now = world.now.max(at);
                Event::Woke
            }
            (None, None) => return (end(&world), events),
        };
        let mut actions = world.happens(event);
        if crash_at == Some(events) {
            // What was asked and what was answered is lost; the state is not.
            to_come.clear();
            let saved = serde_json::to_vec(&world.service).expect("state is written");
            world.service = serde_json::from_slice(&saved).expect("state is read");
            actions = resume(&world.service, world.now);
            world.wake = actions.iter().find_map(timer);
            // The node tells how everything is that it has.
            let runs = |i: &&Instance| world.running.contains(&i.id);
            for i in world.service.instances().values().filter(runs) {
                let Instance { id, number, version, .. } = *i;
                to_come.extend(node(&Action::Start { id, number, version }));
            }
        }
        to_come.extend(actions.iter().flat_map(node));
        events += 1;
        assert!(events < 2_000, "it does not end\n{world}");
    }
}

fn timer(action: &Action) -> Option<u64> {
    if let Action::Wake { at } = action { Some(*at) } else { None }
}

/// What must be the same: not ids, not times, but what serves where, and how it ended.
fn end(world: &World) -> String {
    let s = &world.service;
    let mut serving: Vec<String> = s
        .instances()
        .values()
        .filter(|i| !i.is_gone())
        .map(|i| format!("{}={} {:?}", i.number, i.version, i.stage))
        .collect();
    serving.sort();
    let outcome = s.outcome().map(|o| (o.verdict, o.from, o.to, o.reason));
    format!("{} {:?} {:?} {outcome:?} {serving:?}", s.status(), s.current(), s.target())
}

/// Version 2 exits at once, all else is well.
fn second_is_bad(action: &Action) -> Vec<Event> {
    if let Action::Start { id, version: Version(2), .. } = *action {
        let exit = Exit { code: 1, ..Exit::default() };
        vec![Event::Started { id }, Event::Exited { id, exit }]
    } else {
        good(action)
    }
}

const THREE: &str = "! apply v1 replicas=3 drain=1000\n! well";
const STATEFUL: &str = "! apply v1 replicas=2 replace\n! well";
const HALF_WAY: &str = "! apply v1 replicas=3\n! well\n! apply v2 pause=60000\n! well";

#[test]
fn a_crash_at_any_point_of_a_first_deploy_leads_to_the_same_end() {
    check("", "apply v1 replicas=3", good);
}

#[test]
fn a_crash_at_any_point_of_a_rolling_update_leads_to_the_same_end() {
    check(THREE, "apply v2 batch=2 pause=1000", good);
    check(THREE, "apply v2 replicas=5", good);
    check(THREE, "apply v2 turn-round", good);
    check(THREE, "restart", good);
    check(THREE, "change v2 replicas=1", good);
}

#[test]
fn a_crash_at_any_point_of_a_replacement_leads_to_the_same_end() {
    check(STATEFUL, "apply v2", good);
}

#[test]
fn a_crash_at_any_point_of_a_way_back_leads_to_the_same_end() {
    check(HALF_WAY, "cancel", good);
    check(HALF_WAY, "rollback v1", good);
}

#[test]
fn a_crash_at_any_point_of_a_failure_leads_to_the_same_end() {
    check(THREE, "apply v2", second_is_bad);
    check(THREE, "apply v2 turn-round", second_is_bad);
    check(THREE, "apply v2 failure=rollback batch=2", second_is_bad);
    check(STATEFUL, "apply v2", second_is_bad);
}

#[test]
fn a_crash_at_any_point_of_stop_and_remove_leads_to_the_same_end() {
    check(THREE, "stop", good);
    check(HALF_WAY, "remove", good);
}
