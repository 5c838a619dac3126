//! The two doors: an event in, actions out; and all outstanding actions after a restart.

use crate::{Action, Event, Millis, Service};
use alloc::vec::Vec;

/// Takes one event into the state and gives what is to be done now, lines to tell first. Save the
/// state and the lines before doing anything (law 7). `now` must not go backwards.
pub fn step(service: &mut Service, now: Millis, event: Event) -> Vec<Action> {
    let _ = (service, now, event);
    todo!()
}

/// After a restart, or when a node or edge was connected again: every action whose answer is still
/// missing. Doing some of them twice does no harm. A `Wake` in the past means at once.
pub fn resume(service: &Service, now: Millis) -> Vec<Action> {
    let _ = (service, now);
    todo!()
}
