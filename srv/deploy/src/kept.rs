//! Logs of instances that are gone. The node keeps them all; which of them are wanted is said
//! here, when one comes and when the node answers anew, so that none is left without an owner.

use crate::arrival::Order;
use crate::clock::Millis;
use crate::turn::Turn;
use crate::world::{World, container, split};
use rollout::Id;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Instances of a service that are gone and whose logs are kept, at most.
pub const KEPT_MAX: usize = 10;
/// Bytes of these logs, at most; the last one stays however long it is.
pub const KEPT_BYTES_MAX: u64 = 32 << 20;

/// A log that the node keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// When its instance went.
    pub at: Millis,
    /// Bytes.
    pub bytes: u64,
}

/// Those that are too many or too long together, of which the oldest go first.
#[must_use]
pub fn too_many(kept: &BTreeMap<Id, Kept>) -> Vec<Id> {
    let mut newest: Vec<(Id, Kept)> = kept.iter().map(|(id, kept)| (*id, *kept)).collect();
    newest.sort_by_key(|(id, kept)| Reverse((kept.at, *id)));
    let mut bytes = 0;
    let stay = newest.iter().enumerate().take_while(|(count, (_, kept))| {
        bytes += kept.bytes;
        *count == 0 || *count < KEPT_MAX && bytes <= KEPT_BYTES_MAX
    });
    let stay = stay.count();
    newest.split_off(stay).into_iter().map(|(id, _)| id).collect()
}

impl World {
    /// The node keeps a log: its service's, or nobody's.
    pub(crate) fn keep(&mut self, name: &str, kept: Kept, turn: &mut Turn) {
        if let Some(number) = crate::tasks::number(name) {
            return self.task_kept(number, kept, turn);
        }
        let drop = |container| Order::DropLog { container };
        let owner = split(name).and_then(|(owner, id)| {
            let service = self.services.get_mut(owner)?;
            // One of an earlier service of the name went with that.
            (id >= service.record.first_id).then_some((owner, service, id))
        });
        let Some((owner, service, id)) = owner else {
            turn.orders.push(drop(name.to_string()));
            return;
        };
        turn.kept.entry(owner.to_string()).or_insert_with(|| service.kept.clone());
        service.kept.insert(id, kept);
        for old in too_many(&service.kept) {
            service.kept.remove(&old);
            turn.orders.push(drop(container(owner, old)));
        }
    }

    /// The logs the node keeps, as it lists them when it answers.
    pub(crate) fn keep_all(&mut self, logs: &BTreeMap<String, Kept>, turn: &mut Turn) {
        for (name, service) in &mut self.services {
            let before = std::mem::take(&mut service.kept);
            turn.kept.entry(name.clone()).or_insert(before);
        }
        for (name, kept) in logs {
            self.keep(name, *kept, turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;
    use crate::world::{Numbers, Service};

    /// `id at bytes`, a log each; what goes.
    fn check(logs: &[(u64, u64, u64)], goes: &[u64]) {
        let kept = logs.iter().map(|(id, at, bytes)| (Id(*id), Kept { at: *at, bytes: *bytes }));
        let gone: Vec<u64> = too_many(&kept.collect()).iter().map(|id| id.0).collect();
        assert_eq!(gone, goes, "{logs:?}");
    }

    #[test]
    fn the_last_ten_stay_and_those_that_went_first_go() {
        let ten: Vec<_> = (1..=10).map(|n| (n, n, 1)).collect();
        check(&ten, &[]);
        // The oldest instance may be the last to go.
        check(&[&ten[..], &[(0, 11, 1)]].concat(), &[1]);
        check(&[&ten[..], &[(11, 11, 1), (12, 12, 1)]].concat(), &[2, 1]);
    }

    #[test]
    fn together_they_are_no_longer_than_the_bound_but_the_last_one_stays() {
        let half = KEPT_BYTES_MAX / 2;
        check(&[(1, 1, half), (2, 2, half)], &[]);
        check(&[(1, 1, half), (2, 2, 1), (3, 3, half)], &[1]);
        check(&[(1, 1, 1), (2, 2, 3 * half)], &[1]);
    }

    #[test]
    fn logs_to_be_dropped_in_a_turn_that_could_not_be_saved_are_dropped_in_the_next() {
        let one = Kept { at: 2, bytes: 1 };
        let record = Record::new(1, Numbers::default());
        let mut world = World::default();
        world.services.insert("web".to_string(), Service::new("web", record));
        (1..=10).for_each(|id| world.keep(&format!("web-{id}"), one, &mut Turn::new(1)));
        let mut check = |change: &dyn Fn(&mut World, &mut Turn), goes: &[&str]| {
            let before = world.services["web"].kept.clone();
            for _ in 0..2 {
                let mut turn = Turn::new(3);
                change(&mut world, &mut turn);
                let drop = |name: &&str| Order::DropLog { container: (*name).to_string() };
                assert_eq!(turn.orders, goes.iter().map(drop).collect::<Vec<_>>());
                world.undo(&mut turn);
                assert_eq!(world.services["web"].kept, before);
            }
        };
        check(&|world, turn| world.keep("web-11", one, turn), &["web-1"]);
        let listed = ["web-3", "api-1"].map(|name| (name.to_string(), one));
        check(&|world, turn| world.keep_all(&listed.clone().into(), turn), &["api-1"]);
        let all: Vec<String> = (1..=10).map(|id| format!("web-{id}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        check(&|world, turn| world.delete("web", turn), &all);
    }
}
