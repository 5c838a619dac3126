//! Loom: a request and a drain in every interleaving and memory order, and two requests in all
//! with at most [`PREEMPTIONS`] switches out of turn, where every known fault of a gate shows.

use loom::cell::Cell;
use loom::sync::Arc;
use loom::thread;

use super::with_loom::{counting, gate};
use super::{Door, found, unordered};

/// An instance: requests look at its life, the stop changes it, and loom tells when the two may
/// meet. The outer mutex is the standard one, which loom does not see: it orders nothing.
struct Instance<D> {
    door: D,
    life: std::sync::Mutex<Cell<bool>>,
}

impl<D: Door> Instance<D> {
    fn alive(&self) -> bool {
        self.life.lock().expect("life").get()
    }

    fn stop(&self) {
        self.life.lock().expect("life").set(false);
    }
}

/// Switches out of turn in the check of two requests; without a bound it takes minutes.
const PREEMPTIONS: usize = 2;

/// Requests come while the instance is drained and then stopped.
fn a_drain_meets_requests<D: Door>(requests: usize) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (requests > 1).then_some(PREEMPTIONS);
    model.check(move || {
        let life = std::sync::Mutex::new(Cell::new(true));
        let instance = Arc::new(Instance { door: D::new(), life });
        let requests: Vec<_> = (0..requests)
            .map(|_| {
                let instance = Arc::clone(&instance);
                thread::spawn(move || {
                    if instance.door.enter() {
                        assert!(instance.alive(), "a request meets a stopped instance");
                        instance.door.leave();
                    }
                })
            })
            .collect();
        instance.door.drain();
        loom::future::block_on(instance.door.drained());
        instance.stop();
        for request in requests {
            request.join().expect("a request");
        }
    });
}

#[test]
fn no_request_is_inside_once_the_gate_has_drained() {
    a_drain_meets_requests::<gate::Gate>(1);
    a_drain_meets_requests::<gate::Gate>(2);
}

#[test]
fn the_last_to_leave_is_never_missed() {
    loom::model(|| {
        let gate = Arc::new(gate::Gate::new());
        assert!(gate.enter(), "an open gate lets in");
        let leaving = Arc::clone(&gate);
        let request = thread::spawn(move || leaving.leave());
        gate.drain();
        loom::future::block_on(gate.drained());
        assert!(!gate.enter(), "a drained gate lets nobody in");
        request.join().expect("a request");
    });
}

#[test]
fn the_check_finds_a_gate_that_only_counts() {
    assert!(found(|| a_drain_meets_requests::<counting::Gate>(1)));
}

#[test]
fn the_check_finds_a_gate_whose_atomics_order_nothing() {
    assert!(found(|| a_drain_meets_requests::<unordered::gate::Gate>(1)));
}
