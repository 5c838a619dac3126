//! Law 11: services that are applied all or none end so.

use crate::laws::Laws;
use deployfs::bond::Part;
use deployfs::record::Record;
use deployfs::world::World;
use rollout::{Kind, Update, Verdict, Version};
use std::collections::BTreeMap;

/// One of those who are tied, as it was seen last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tied {
    /// What it ran before.
    was: Option<Version>,
    /// It has what it was to have.
    serves: bool,
}

/// Who is tied to whom.
pub(crate) type Bonds = BTreeMap<u64, BTreeMap<String, Tied>>;

fn of(world: &World) -> Bonds {
    let mut bonds = Bonds::new();
    for (name, service) in &world.services {
        if let Some(bond) = service.record.bond.as_ref().filter(|bond| bond.atomic) {
            let was = match bond.part {
                // One that waits may still go back by itself.
                Part::Pulls | Part::Waits { .. } => service.running(),
                Part::Goes | Part::Serves => bond.was,
                Part::Back { .. } => continue,
            };
            let tied = Tied { was, serves: bond.part == Part::Serves };
            bonds.entry(bond.number).or_default().insert(name.clone(), tied);
        }
    }
    bonds
}

/// Those who were tied are so for as long as anybody is: nobody leaves by himself.
pub(crate) fn known(before: &Bonds, world: &World) -> Bonds {
    let mut now = of(world);
    for (number, all) in before {
        if let Some(found) = now.get_mut(number) {
            all.iter().for_each(|(name, tied)| {
                found.entry(name.clone()).or_insert(*tied);
            });
        }
    }
    now
}

impl Laws {
    /// After a turn that was saved; a `single` one took nothing but what may have ended a bond.
    pub(crate) fn bound(&mut self, world: &World, single: bool) {
        let before = std::mem::take(&mut self.bonds);
        // Of several things that happened at once, one may have begun what has the same number.
        let now = if single { known(&before, world) } else { of(world) };
        for (number, all) in before.into_iter().filter(|(number, _)| !now.contains_key(number)) {
            let records = |is: fn(&Record, Tied) -> bool| {
                all.iter().all(|(name, tied)| {
                    world.services.get(name).is_none_or(|one| is(&one.record, *tied))
                })
            };
            let holds = !single || records(is_new) || records(is_back);
            self.must(11, holds, || {
                let name = |name: &String| Some((name.clone(), world.services.get(name)?));
                let left = all.keys().filter_map(name);
                let left = left.map(|(name, one)| {
                    let rollout = &one.record.rollout;
                    let (current, stopped) = (rollout.current(), rollout.stopped());
                    let said = &one.record.outcome;
                    format!("{name}: {current:?} {stopped} {said:?} {:?}\n", rollout.update())
                });
                format!("bond {number} of {all:?} ended with\n{}", left.collect::<String>())
            });
        }
        self.bonds = now;
    }
}

/// It serves what it was to, or that was what it served before, or it did and does not hold.
fn is_new(record: &Record, Tied { was, serves }: Tied) -> bool {
    let rollout = &record.rollout;
    let unchanged = record.outcome.as_ref().is_some_and(|said| said.starts_with("unchanged"));
    let new = rollout.current().is_some() && rollout.current() != was;
    // The same version again ends in the very turn.
    let again = rollout.outcome().is_some_and(|last| {
        last.verdict == Verdict::Done && last.to == was && last.ended == rollout.latest()
    });
    let reached = record.preparing.is_none() && (serves || new || unchanged || again);
    rollout.update().is_none_or(does_not_hold) && reached
}

/// It runs what it ran before, or is on its way there, or somebody wants something else of it.
fn is_back(record: &Record, Tied { was, .. }: Tied) -> bool {
    let rollout = &record.rollout;
    if record.bond.as_ref().is_some_and(|bond| matches!(bond.part, Part::Back { .. })) {
        return true;
    }
    match rollout.update() {
        Some(update) => match update.kind {
            // Without a reason somebody asked for it; what it ran before may be what does not hold.
            Kind::Rollback => update.to == was || update.reason.is_none() || does_not_hold(update),
            Kind::Stop | Kind::Remove | Kind::Restart => true,
            Kind::Deploy | Kind::Change => false,
        },
        None => was.is_none() && rollout.stopped() || rollout.current() == was,
    }
}

/// It goes back because what was deployed crashes.
fn does_not_hold(update: &Update) -> bool {
    update.reason.as_ref().is_some_and(|why| why.ends_with("soon after its update"))
}
