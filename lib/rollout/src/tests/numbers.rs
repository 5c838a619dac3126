//! Ids, back-offs and durations.

use super::script;
use super::world::World;
use crate::crash::backoff;
use crate::span::Span;
use crate::{Id, Service};

#[test]
fn a_back_off_doubles_from_100_ms_to_60_s_with_jitter_that_only_shortens_it() {
    for count in 0..80 {
        let full = (100 << count.min(20)).min(60_000);
        let waits: Vec<u64> = (0..50).map(|id| backoff(Id(id), count)).collect();
        assert!(waits.iter().all(|ms| *ms <= full && *ms > full * 3 / 4 - 1), "{count} {waits:?}");
        assert!(waits.iter().any(|ms| *ms != waits[0]), "{count}: all in step");
        assert_eq!(waits[7], backoff(Id(7), count), "same id, same count, same wait");
    }
}

#[test]
fn ids_of_a_removed_service_are_not_used_again() {
    let mut world = World::new();
    script::run(&mut world, "! apply v1 replicas=2\n! well\n! remove\n! well");
    assert!(world.service.removed());
    let next = world.service.next_id();
    let mut world = World::new_from(Service::new(next), world.now);
    script::run(&mut world, "! apply v1");
    assert_eq!(world.service.instances().keys().copied().collect::<Vec<_>>(), [Id(2)]);
}

#[test]
fn durations_read_as_people_say_them() {
    let cases = [(0, "0.00s"), (55, "0.05s"), (200, "0.2s"), (1_050, "1.0s"), (30_000, "30s")];
    for (ms, text) in cases {
        assert_eq!(Span(ms).to_string(), text);
    }
}
