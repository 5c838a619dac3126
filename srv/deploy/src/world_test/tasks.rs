//! Tasks: once, whatever happens.

use super::{A, B, run};
use crate::arrival::{Heard, Request};
use crate::errands::TaskVerb;
use crate::record::By;
use crate::tasks::ENDED_MAX;
use crate::turn::Turn;
use crate::world::World;

/// `woke NAME`
pub(super) fn heard(word: &str, rest: &str) -> Option<Heard> {
    (word == "woke").then(|| Heard::Woke { service: rest.to_string() })
}

/// `spec NUMBER key value; key value`, the same of `job NAME`, and `task NUMBER start | kill`.
pub(super) fn asked(word: &str, rest: &str, by: By) -> Option<Request> {
    let (of, rest) = rest.split_once(' ')?;
    let text = format!("{}\n", rest.replace("; ", "\n"));
    let verb = if rest == "start" { TaskVerb::Start } else { TaskVerb::Kill };
    match word {
        "spec" => Some(Request::TaskSpec { number: of.parse().ok()?, text, by }),
        "job" => Some(Request::Job { job: of.to_string(), text }),
        "task" => Some(Request::Task { number: of.parse().ok()?, verb }),
        _ => None,
    }
}

/// A task that runs.
fn running() -> World {
    let mut world = World::default();
    assert_eq!(world.tasks.claim(), 1);
    run(
        &mut world,
        &format!(
            "node-up
             > -: node n answers
             task 1 start
             > refused: task 1: has no manifest; write its spec first
             spec 1 name say; image box:1; cpu 0.4; timeout 5; stop_timeout 2
             task 1 start
             > -: task 1 (say): asked for by root
             > do pull box:1
             task 1 start
             > refused: task 1: was started; a task runs once
             node pulled box:1 digest={A}
             > do start task--1
             node started task--1 pid=7
             > -: task 1 (say): started
            "
        ),
    );
    world
}

#[test]
fn a_task_ends_as_its_program_does_and_its_log_is_kept() {
    let mut world = running();
    run(
        &mut world,
        "node healthy task--1 ms=1
         node exited task--1 code=3
         > -: task 1 (say): 3
         > do remove task--1
         node removed task--1 log=9
         node exited task--1 code=0
         task 1 kill
         > refused: task 1: has ended already",
    );
    assert_eq!(world.task_outcome(1).as_deref(), Some("3 3\n"));
    assert_eq!(world.tasks.log(1), Some((false, Some(9))));
}

#[test]
fn a_task_whose_time_is_over_is_ended_and_says_so_whatever_its_program_makes_of_it() {
    let mut world = running();
    world.tasks.all.get_mut(&1).unwrap().due = Some(2);
    run(
        &mut world,
        "woke task--1
         woke task--1
         woke task--1
         > -: task 1 (say): told to end: timeout of 5.0s
         > do stop task--1
         woke task--1
         node exited task--1 code=0
         > -: task 1 (say): timeout of 5.0s: 0
         > do remove task--1",
    );
    assert_eq!(world.task_outcome(1).as_deref(), Some("124 timeout of 5.0s: 0\n"));
}

#[test]
fn a_task_that_is_killed_says_so_and_one_that_is_not_there_any_more_is_lost() {
    let mut world = running();
    run(
        &mut world,
        "task 1 kill
         > -: task 1 (say): told to end: killed
         > do stop task--1
         node exited task--1 code=137 signal=KILL
         > -: task 1 (say): killed: 137 KILL
         > do remove task--1",
    );
    assert_eq!(world.task_outcome(1).as_deref(), Some("137 killed: 137 KILL\n"));
    let mut world = running();
    run(
        &mut world,
        "node-up
         > -: node n answers
         > -: task 1 (say): failed: lost with its node
         > do remove task--1
         node-up
         > -: node n answers",
    );
    assert_eq!(world.task_outcome(1).as_deref(), Some("125 failed: lost with its node\n"));
}

#[test]
fn a_task_goes_on_where_it_was_when_the_node_answers_anew() {
    let mut world = running();
    run(
        &mut world,
        "node-up task--1 task--9
         > -: node n answers
         > do remove task--9",
    );
    assert!(world.task_text(1).unwrap().starts_with("state=running\n"));
    // One whose start may not have been heard is asked for again, at the image it resolved to.
    let mut world = World::default();
    world.tasks.claim();
    run(
        &mut world,
        &format!(
            "node-up
             > -: node n answers
             spec 1 image box:1
             task 1 start
             > -: task 1 (task): asked for by root
             > do pull box:1
             node-up
             > -: node n answers
             > do pull box:1
             node pulled box:1 digest={A}
             > do start task--1
             node-up
             > -: node n answers
             > do pull box@{A}
             node pulled box:1 digest={B}
             node pulled box@{A} digest={A}
             > do start task--1"
        ),
    );
}

#[test]
fn what_cannot_run_is_refused_before_anything_is_done() {
    let mut world = World::default();
    let claimed: Vec<u32> = (0..4).map(|_| world.tasks.claim()).collect();
    assert_eq!(claimed, [1, 2, 3, 4]);
    run(
        &mut world,
        "spec 9 image box:1
         > refused: file does not exist: tasks/9
         spec 1 image box:1; cpu x
         > refused: manifest refused: line 2, column 5: cpu: \"x\" is not a number of cores; \
           write 0.25 or 2
         spec 1 image box:1
         task 1 start
         > refused: task 1: node does not answer; try again
         node-up
         > -: node n answers
         spec 2 image box:1; cpu 2
         task 2 start
         > refused: task 2: no room: n: cpu: wants 2, 1 free of 1
         spec 3 image box:1; volume host:/etc /m
         task 3 start
         > refused: task 3: volume host:/etc is not below a directory that this server allows \
           (deployfs --allow-host): none is
         task 1 start
         > -: task 1 (task): asked for by root
         > do pull box:1
         node pull-failed box:1 reason='no such image' permanent=true
         > -: task 1 (task): failed: box:1: no such image
         job say image box:1; cpu x
         > refused: manifest refused: line 2, column 5: cpu: \"x\" is not a number of cores; \
           write 0.25 or 2
         job say image box:1
        ",
    );
    assert_eq!(world.jobs["say"].text, "image box:1\n");
}

#[test]
fn the_oldest_that_have_ended_are_forgotten_and_a_turn_that_could_not_be_saved_forgets_none() {
    let mut world = running();
    let like = world.tasks.all[&1].clone();
    for number in 2..=u32::try_from(ENDED_MAX).unwrap() + 2 {
        world.tasks.all.insert(number, like.clone());
    }
    let mut turn = Turn::new(9);
    let all: Vec<u32> = world.tasks.all.keys().copied().collect();
    let before = world.tasks.all.clone();
    for number in &all {
        world.task_over(*number, 0, "0".to_string(), &mut turn);
    }
    assert_eq!((world.tasks.numbers().len(), world.task_text(1)), (ENDED_MAX, None));
    world.undo(&mut turn);
    assert_eq!(world.tasks.all, before);
}

#[test]
fn the_first_to_end_is_forgotten_whatever_its_number() {
    let mut world = running();
    let like = world.tasks.all[&1].clone();
    let others = 2..=u32::try_from(ENDED_MAX).unwrap() + 1;
    for number in others.clone() {
        world.tasks.all.insert(number, like.clone());
    }
    let mut turn = Turn::new(9);
    others.for_each(|number| world.task_over(number, 0, "0".to_string(), &mut turn));
    world.task_over(1, 7, "7".to_string(), &mut Turn::new(10));
    assert!(world.task_text(1).is_some() && world.task_text(2).is_none());
}

#[test]
fn one_that_was_killed_before_it_began_never_begins() {
    let mut world = World::default();
    world.tasks.claim();
    run(
        &mut world,
        &format!(
            "node-up
             > -: node n answers
             spec 1 image box:1
             task 1 start
             > -: task 1 (task): asked for by root
             > do pull box:1
             node pulled box:1 digest={A}
             > do start task--1
             task 1 kill
             > -: task 1 (task): told to end: killed
             > do stop task--1
             node-up
             > -: node n answers
             > -: task 1 (task): killed before it was started
             > do remove task--1"
        ),
    );
}
