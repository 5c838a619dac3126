//! The laws are no ornament: a state or an answer that breaks one is caught by that one.

use super::world::World;
use super::{laws, script};
use crate::{Action, Event, Fact, How, Id, Outcome, Service};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Breaks something in a world with three serving instances; the law of that number must say so.
fn check(law: &str, forge: fn(&mut World, &mut Service) -> Vec<Action>) {
    let mut world = World::new();
    script::run(&mut world, "! apply v1 replicas=3\n! well");
    let mut before = world.service.clone();
    let actions = forge(&mut world, &mut before);
    let look = || laws::check(&mut world, &before, &Event::Woke, &actions);
    let caught = catch_unwind(AssertUnwindSafe(look)).expect_err("a law was broken");
    let said = caught.downcast_ref::<String>().expect("a law says what is wrong");
    assert!(said.contains(&format!("law {law}:")), "law {law} was broken, but: {said}");
}

fn ended(world: &World) -> Outcome {
    world.service.outcome().expect("an update ended")
}

#[test]
fn every_law_catches_what_breaks_it() {
    check("1", |world, _| {
        world.bounds.floor = 4;
        vec![]
    });
    check("2", |world, _| {
        (world.bounds.most, world.bounds.there) = (1, 0);
        vec![]
    });
    check("3", |world, _| {
        let one = world.service.instances.get_mut(&Id(1)).expect("it serves");
        one.healthy = false;
        world.bounds.failures = 1;
        vec![]
    });
    check("4", |_, _| vec![Action::Stop { id: Id(1) }]);
    check("5", |world, _| vec![Action::Tell(Fact::Ended(ended(world)))]);
    check("6", |world, before| {
        script::run(world, "! apply v2\n! rollback v1");
        *before = world.service.clone();
        let (from, to) = (None, crate::Version(1));
        world.bounds.rolling_back = true;
        vec![Action::Tell(Fact::RollbackStarted { from, to, how: How::Surge, reason: None })]
    });
    check("7", |world, _| {
        script::run(world, "! apply v2\n! placed 3");
        world.asked.clear();
        vec![]
    });
    check("8", |world, _| {
        world.running.insert(Id(99));
        vec![]
    });
    check("8", |world, _| {
        world.running.clear();
        vec![]
    });
    check("10", |_, before| {
        before.next = Id(1_000);
        vec![]
    });
}
