//! Which instance a request goes to: the one with the fewest requests on their way, in turn
//! among equals.

use std::time::Instant;

use crate::backend::Backend;
use crate::gate::{Claim, Gated};
use crate::live::Route;
use crate::worker::Worker;

/// Instances that one request tries.
pub(crate) const TRIES_MAX: usize = 3;

/// Instances that a request has tried in vain, by their serials.
pub(crate) type Tried = [u64; TRIES_MAX];

/// Claims an instance of `route` that was not tried yet; none when there is no other, or when a
/// newer table has come.
pub(crate) fn choose(worker: &Worker, route: &Route, tried: &Tried) -> Option<Claim<Backend>> {
    loop {
        let backend = best(worker, route, tried)?;
        if let Some(claim) = Claim::on(&route.backends[backend]) {
            return Some(claim);
        }
    }
}

fn best(worker: &Worker, route: &Route, tried: &Tried) -> Option<usize> {
    let count = route.backends.len();
    let first = worker.turn();
    let mut best: Option<(usize, (bool, u64))> = None;
    for step in 0..count {
        let at = (first + step) % count;
        let backend = &route.backends[at];
        if backend.gate().drains() || tried.contains(&backend.serial) {
            continue;
        }
        let rank = (worker.doubts(backend, Instant::now), backend.gate().count());
        if best.is_none_or(|(_, least)| rank < least) {
            best = Some((at, rank));
        }
    }
    best.map(|(at, _)| at)
}
