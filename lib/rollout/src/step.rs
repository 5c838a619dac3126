//! The two doors: an event in, actions out; and all outstanding actions after a restart.

use crate::outstanding::outstanding;
use crate::refusal::asks;
use crate::turn::Turn;
use crate::{Action, Event, Millis, Service, may};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// Takes one event into the state and gives what is to be done now, lines to tell first. Save the
/// state and the lines before doing anything (law 7). `now` must not go backwards.
pub fn step(service: &mut Service, now: Millis, event: Event) -> Vec<Action> {
    if asks(&event).is_some_and(|verb| may(service, verb).is_err()) {
        return Vec::new();
    }
    let mut before: BTreeSet<Action> = outstanding(service).into_iter().collect();
    if event == Event::Woke {
        // The timer has gone off: whatever is waited for next must be asked for anew.
        before.retain(|action| !matches!(action, Action::Wake { .. }));
    }
    let mut turn = Turn::new(service, now);
    turn.take(event);
    turn.settle();
    let mut actions: Vec<Action> = turn.end().into_iter().map(Action::Tell).collect();
    actions.extend(outstanding(service).into_iter().filter(|action| !before.contains(action)));
    actions
}

/// After a restart, or when a node or edge was connected again: every action whose answer is still
/// missing. Doing some of them twice does no harm. A `Wake` in the past is given as `now`.
///
/// Answers may have been lost, too: afterwards tell by events how every instance is that the node
/// has (`Started`, `Healthy` or `Unhealthy`, `Exited`), and `Lost` for a live record that it has
/// not. Lines to tell are not repeated.
pub fn resume(service: &Service, now: Millis) -> Vec<Action> {
    let late = |action| match action {
        Action::Wake { at } => Action::Wake { at: at.max(now) },
        Action::Pull { .. }
        | Action::Place { .. }
        | Action::Start { .. }
        | Action::Publish { .. }
        | Action::Drain { .. }
        | Action::Stop { .. }
        | Action::Forget { .. }
        | Action::Delete
        | Action::Tell(_) => action,
    };
    outstanding(service).into_iter().map(late).collect()
}
