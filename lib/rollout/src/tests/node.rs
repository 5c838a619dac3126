//! A node and its edges that answer well, in order and at once.

use super::world::World;
use crate::{Action, Event, Exit};

/// Answers whatever is outstanding until nothing is; gives all that was asked or told meanwhile.
pub(super) fn answer_well(world: &mut World) -> Vec<Action> {
    let mut all = Vec::new();
    for _ in 0..10_000 {
        let Some(action) = world.outstanding().into_iter().find(|a| *a != Action::Delete) else {
            return all;
        };
        for event in good(&action) {
            all.extend(world.happens(event));
        }
    }
    panic!("it does not end\n{world}");
}

/// The answers to an action when all is well.
pub(super) fn good(action: &Action) -> Vec<Event> {
    match *action {
        Action::Pull { version } => vec![Event::Pulled { version }],
        Action::Place { id } => vec![Event::Placed { id, node: "n1".to_string() }],
        Action::Start { id, .. } => vec![Event::Started { id }, Event::Healthy { id, ms: 50 }],
        Action::Publish { generation } => vec![Event::Served { generation }],
        Action::Drain { id, .. } => vec![Event::Drained { id }],
        Action::Stop { id } => vec![Event::Exited { id, exit: Exit::default() }],
        Action::Forget { id } => vec![Event::Forgotten { id }],
        Action::Delete | Action::Wake { .. } | Action::Tell(_) => vec![],
    }
}
