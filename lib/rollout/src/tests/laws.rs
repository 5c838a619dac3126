//! The laws of an update, each a function that bears its sentence, all checked after every event.

use super::world::World;
use crate::{Action, Event, Fact, Instance, Kind, Service, Stage, resume};

/// Checks every law on one step.
pub(super) fn check(world: &mut World, before: &Service, event: &Event, actions: &[Action]) {
    never_fewer_than_old_and_new_but_for_those_that_fail_by_themselves(world, event);
    never_more_than_old_or_new_and_batch(world, event);
    nothing_is_routed_that_is_not_healthy(world, event, actions);
    nothing_is_signalled_before_every_edge_let_go_and_it_drained(world, event, actions);
    every_update_ends_exactly_once(world, event, actions);
    a_rollback_is_never_rolled_back(world, event, actions);
    what_is_waited_for_was_asked(world, event);
    no_process_without_a_record_none_running_without_a_process(world, event);
    numbers_only_grow(world, before, event);
}

/// Healthy backends that every edge sends requests to.
pub(super) fn serving(service: &Service) -> u32 {
    let serve = |i: &&Instance| i.stage == Stage::Serving && i.healthy;
    service.instances().values().filter(serve).count() as u32
}

/// 1. In a rolling update the healthy and routed instances, of all versions, are never fewer than
///    min(old, new replicas), but for instances that fail by themselves.
fn never_fewer_than_old_and_new_but_for_those_that_fail_by_themselves(w: &World, event: &Event) {
    if w.service.update().is_some_and(|u| matches!(u.kind, Kind::Stop | Kind::Remove)) {
        return;
    }
    let least = w.bounds.floor.saturating_sub(w.bounds.failures);
    let serving = serving(&w.service);
    assert!(serving >= least, "law 1: {serving} serve, {least} promised, at {event:?}\n{w}");
}

/// 2. Instances are never more than max(old, new replicas) + batch.
fn never_more_than_old_or_new_and_batch(w: &World, event: &Event) {
    let live = w.service.instances().values().filter(|i| i.is_live()).count() as u32;
    let most = (w.bounds.most + w.bounds.batch).max(w.bounds.there);
    assert!(live <= most, "law 2: {live} instances, {most} allowed, at {event:?}\n{w}");
}

/// 3. Nothing is routed that is not healthy; but the last backend is never taken out of the routes
///    because of a probe.
fn nothing_is_routed_that_is_not_healthy(w: &World, event: &Event, actions: &[Action]) {
    let mut sick = w.service.instances().values().filter(|i| i.is_routed() && !i.healthy);
    let better = serving(&w.service) > 0;
    assert!(!better || sick.next().is_none(), "law 3: at {event:?}\n{w}");
    let unrouted = |a: &Action| matches!(a, Action::Tell(Fact::Unrouted { .. }));
    assert!(better || !actions.iter().any(unrouted), "law 3: the last one, at {event:?}\n{w}");
    let routed = w.service.instances().values().filter(|i| i.is_routed()).map(|i| i.id);
    assert!(routed.eq(w.service.routed().iter().copied()), "law 3: table, at {event:?}\n{w}");
}

/// 4. Nothing is signalled before every edge has let go of it and it has drained, or `drain` has
///    passed.
fn nothing_is_signalled_before_every_edge_let_go_and_it_drained(
    w: &World,
    event: &Event,
    actions: &[Action],
) {
    for action in actions {
        let Action::Stop { id } = action else { continue };
        if !w.routed_by.contains_key(id) {
            continue;
        }
        let Some(let_go) = w.let_go.get(id) else {
            panic!("law 4: {id} is still in an edge's table, at {event:?}\n{w}");
        };
        let version = w.service.instances().get(id).map(|i| i.version);
        let limit = version.and_then(|v| w.service.spec(v)).map_or(0, |spec| spec.drain_ms);
        let passed = w.now - let_go >= limit;
        assert!(w.drained.contains(id) || passed, "law 4: {id} not drained, at {event:?}\n{w}");
    }
}

/// 5. Every update ends, exactly once: done, failed, rolled back or cancelled; or stands paused.
fn every_update_ends_exactly_once(w: &mut World, event: &Event, actions: &[Action]) {
    for action in actions {
        let Action::Tell(fact) = action else { continue };
        let begins = matches!(
            fact,
            Fact::UpdateStarted { .. }
                | Fact::ChangeStarted { .. }
                | Fact::RestartStarted { .. }
                | Fact::Stopping
                | Fact::Removing
        );
        // It turns the update round that is in flight, or is one of its own.
        let turns = matches!(fact, Fact::RollbackStarted { .. }) && w.bounds.open == 0;
        w.bounds.open += i64::from(begins || turns);
        w.bounds.open -= i64::from(matches!(fact, Fact::Ended(_)));
    }
    let flying = i64::from(w.service.update().is_some());
    assert_eq!(w.bounds.open, flying, "law 5: ends do not match, at {event:?}\n{w}");
}

/// 6. A rollback is never rolled back.
fn a_rollback_is_never_rolled_back(w: &mut World, event: &Event, actions: &[Action]) {
    for action in actions {
        let Action::Tell(fact) = action else { continue };
        if matches!(fact, Fact::RollbackStarted { .. }) {
            assert!(!w.bounds.rolling_back, "law 6: at {event:?}\n{w}");
            w.bounds.rolling_back = true;
        } else if matches!(fact, Fact::Ended(_)) {
            w.bounds.rolling_back = false;
        }
    }
}

/// 7. What is decided is on disk before it is done: what a restart would ask for is what was asked,
///    and the timer that runs is the one it would set.
fn what_is_waited_for_was_asked(w: &World, event: &Event) {
    for action in resume(&w.service, 0) {
        if let Action::Wake { at } = action {
            assert_eq!(w.wake, Some(at), "law 7: the timer, at {event:?}\n{w}");
        } else {
            assert!(w.asked.contains(&action), "law 7: {action:?}, at {event:?}\n{w}");
        }
    }
}

/// 8. No container without a record; no record `running` without a process.
fn no_process_without_a_record_none_running_without_a_process(w: &World, event: &Event) {
    for id in &w.running {
        let there = w.service.instances().get(id).is_some_and(|i| !i.is_gone());
        assert!(there, "law 8: {id} runs without a record, at {event:?}\n{w}");
    }
    for i in w.service.instances().values() {
        let runs = matches!(i.stage, Stage::Checking { .. } | Stage::Settled | Stage::Serving);
        assert!(!runs || w.running.contains(&i.id), "law 8: {} is gone, at {event:?}\n{w}", i.id);
    }
}

/// 10. Version numbers and event numbers only grow: so do ids and generations.
fn numbers_only_grow(w: &World, before: &Service, event: &Event) {
    let after = &w.service;
    assert!(after.next_id() >= before.next_id(), "law 10: ids, at {event:?}\n{w}");
    assert!(after.generation() >= before.generation(), "law 10: tables, at {event:?}\n{w}");
    for (id, i) in after.instances() {
        let known = before.instances().contains_key(id);
        assert!(known || *id >= before.next_id(), "law 10: {id} again, at {event:?}\n{w}");
        assert!(i.id == *id && *id < after.next_id(), "law 10: {id}, at {event:?}\n{w}");
    }
}
