//! Applies that wait, that come too late, that are refused, and what a rollback goes back to.

use super::{A, B, arrival, at_v1, check, run, to_v2, told};
use crate::arrival::{Arrival, Request};
use crate::record::{By, Record};
use crate::turn::Turn;
use crate::verbs;
use crate::world::World;
use tokio::sync::oneshot;

#[test]
fn an_apply_whose_image_comes_into_an_update_that_began_by_itself_fails_and_says_so() {
    let mut world = World::default();
    run(
        &mut world,
        &format!(
            "{}
             manifest web image web:2; port 80; cpu 0.4
             ctl apply web
             > web: pulling web:2
             > do pull web:2
            ",
            at_v1()
        ),
    );
    let rollout = &mut world.services.get_mut("web").unwrap().record.rollout;
    rollout::step(rollout, 1_000, rollout::Event::Restarted);
    run(
        &mut world,
        &format!(
            "node pulled web:2 digest={B}
             > web: failed: restart to v1 in flight; wait for it, or cancel it first
            "
        ),
    );
    assert!(world.services["web"].record.preparing.is_none());
}

#[test]
fn what_is_deployed_can_be_gone_back_to_however_it_came_to_be() {
    let mut world = World::default();
    run(&mut world, &at_v1());
    let record = &mut world.services.get_mut("web").unwrap().record;
    record.versions.get_mut(&rollout::Version(1)).unwrap().completed = false;
    run(
        &mut world,
        &format!(
            "ctl rollback web v1
             > refused: rollback web v1: version v1 (2bd7a8a3225c) is deployed already
             {}
             ctl rollback web
             > web: no room for the surge: stops before it starts, one at a time
             > web: rollback started v2→v1, one stops before one starts
             > do stop web-1
            ",
            to_v2()
        ),
    );
}

#[test]
fn of_two_applies_that_wait_for_one_image_each_has_its_own_patience() {
    check(&format!(
        "node-up
         > -: node n answers
         manifest web image app:1; cpu 0.1; health_deadline 1; progress_deadline 1
         ctl apply web
         > web: pulling app:1
         > do pull app:1
         manifest api image app:1; cpu 0.1
         ctl apply api
         > api: pulling app:1
         > do pull app:1
         late web app:1
         > web: failed: app:1: no progress for 1.0s
         node pulled app:1 digest={A}
         > api: first deploy started v1
         > api: 0: scheduled on n
         > api: 0: starting
         > do start api-0
        "
    ));
}

#[test]
fn a_write_that_is_refused_leaves_those_who_wait_for_images_as_they_were() {
    let mut world = World::default();
    run(
        &mut world,
        "node-up
         > -: node n answers
         manifest web image web:1
         manifest api image api:1
         ctl apply web
         > web: pulling web:1
         > do pull web:1",
    );
    let waits = |world: &World| {
        let names = ["web", "api"];
        names.map(|name| world.services[name].coming.is_some() && world.pulls.waits(name))
    };
    for first in ["cancel web", "apply api"] {
        let lines = verbs::parse(format!("{first}\nstop nobody\n").as_bytes(), None).unwrap();
        let (answer, mut answered) = oneshot::channel();
        let by = By { uid: 0, name: "root".to_string() };
        let mut turn = Turn::new(9);
        world.arrive(Arrival::Asked(Request::Verbs { lines, by }, answer), &mut turn);
        told(&mut world, turn, &mut Vec::new());
        assert!(answered.try_recv().unwrap().is_err());
        assert_eq!(waits(&world), [true, false], "{first}");
    }
}

#[test]
fn an_apply_that_changes_nothing_starts_nothing() {
    check(&format!(
        "{}
         ctl apply web
         > web: pulling web:1
         > do pull web:1
         node pulled web:1 digest={A}
         > web: unchanged v1
        ",
        at_v1()
    ));
}

#[test]
fn a_write_of_several_lines_is_applied_whole_or_not_at_all() {
    check(&format!(
        "{}
         ctl restart web
         > web: restart started v1
         > web: 1: scheduled on n
         > web: 1: starting
         > do start web-1
         ctl cancel nobody
         > refused: cancel nobody: service does not exist: nobody; write manifests/nobody first
        ",
        at_v1()
    ));
    let mut world = World::default();
    let lines = verbs::parse(b"stop web\nstop nobody\n", None).unwrap();
    let (answer, mut answered) = oneshot::channel();
    let (write, _) = arrival("manifest web image web:1; port 80");
    world.arrive(write, &mut Turn::new(1));
    let before = Record::clone(&world.services["web"].record);
    let by = By { uid: 0, name: "root".to_string() };
    let mut turn = Turn::new(2);
    world.arrive(Arrival::Asked(Request::Verbs { lines, by }, answer), &mut turn);
    told(&mut world, turn, &mut Vec::new());
    assert!(answered.try_recv().unwrap().is_err());
    assert_eq!(*world.services["web"].record, before);
}

#[test]
fn who_has_his_image_waits_for_others_without_a_deadline_of_his_own() {
    let mut world = World::default();
    run(
        &mut world,
        &format!(
            "node-up
             > -: node n answers
             manifest web image web:1
             manifest api image api:1
             ctl together web api
             > api: pulling api:1
             > web: pulling web:1
             > do pull api:1
             > do pull web:1
             node pulled web:1 digest={A}"
        ),
    );
    for (first, refused) in [("pause web", true), ("cancel web", true), ("cancel api", false)] {
        let before = world.pulls.waits("web");
        let last = if refused { "stop nobody" } else { "cancel web" };
        let lines = verbs::parse(format!("{first}\n{last}\n").as_bytes(), None).unwrap();
        let (answer, mut answered) = oneshot::channel();
        let by = By { uid: 0, name: "root".to_string() };
        let mut turn = Turn::new(9);
        world.arrive(Arrival::Asked(Request::Verbs { lines, by }, answer), &mut turn);
        told(&mut world, turn, &mut Vec::new());
        assert_eq!((before, answered.try_recv().unwrap().is_err()), (false, refused), "{first}");
    }
    assert!(!world.pulls.waits("web") && !world.pulls.waits("api"));
}
