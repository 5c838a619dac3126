//! Shuttle: gate, swap of the table and the way of a request together, under random schedules
//! and schedules that favour rare orders.

use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicBool, Ordering};
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;

use super::with_shuttle::{counting, gate};
use super::{Door, found};

/// Schedules a check tries of each kind.
const SCHEDULES: usize = 2_000;
/// Instances that serve one after another.
const INSTANCES: usize = 3;
/// Points at which the rare-order scheduler changes its mind.
const CHANGES: usize = 4;

struct Instance<D> {
    door: D,
    alive: AtomicBool,
}

impl<D: Door> Instance<D> {
    fn new() -> Arc<Self> {
        Arc::new(Self { door: D::new(), alive: AtomicBool::new(true) })
    }
}

/// The table that is published; a lock stands for the one atomic store.
type Published<D> = Arc<Mutex<Arc<Instance<D>>>>;

/// As a request goes: route, claim, and route again when the claim fails.
fn request<D: Door>(published: &Published<D>) {
    for _ in 0..=INSTANCES {
        let instance = Arc::clone(&published.lock().expect("a table"));
        if instance.door.enter() {
            assert!(instance.alive.load(Ordering::SeqCst), "a request meets a stopped instance");
            instance.door.leave();
            return;
        }
    }
    panic!("a claim that failed found no newer table");
}

/// The order in which an instance leaves.
#[derive(Clone, Copy)]
enum Order {
    /// Out of the table, then drained, then stopped.
    TableFirst,
    /// Drained while the table still has it.
    DrainFirst,
}

fn an_update_meets_requests<D: Door>(order: Order) {
    let first = Instance::<D>::new();
    let published: Published<D> = Arc::new(Mutex::new(Arc::clone(&first)));
    let requests: Vec<_> = (0..3)
        .map(|_| {
            let published = Arc::clone(&published);
            thread::spawn(move || {
                request(&published);
                request(&published);
            })
        })
        .collect();
    let mut old = first;
    for _ in 1..INSTANCES {
        let new = Instance::<D>::new();
        if let Order::DrainFirst = order {
            old.door.drain();
            thread::yield_now();
        }
        *published.lock().expect("a table") = Arc::clone(&new);
        old.door.drain();
        block_on(old.door.drained());
        old.alive.store(false, Ordering::SeqCst);
        old = new;
    }
    for request in requests {
        request.join().expect("a request");
    }
}

fn under_many_schedules<D: Door>(order: Order) {
    shuttle::check_random(move || an_update_meets_requests::<D>(order), SCHEDULES);
    shuttle::check_pct(move || an_update_meets_requests::<D>(order), SCHEDULES, CHANGES);
}

#[test]
fn no_update_loses_a_request() {
    under_many_schedules::<gate::Gate>(Order::TableFirst);
}

#[test]
fn the_check_finds_a_gate_that_only_counts() {
    assert!(found(|| under_many_schedules::<counting::Gate>(Order::TableFirst)));
}

#[test]
fn the_check_finds_a_drain_before_the_table_is_published() {
    assert!(found(|| under_many_schedules::<gate::Gate>(Order::DrainFirst)));
}
