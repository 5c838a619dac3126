//! Whatever happens to a small fleet: after every step it answers as the reference does.

use super::reference::{Reference, said};
use crate::{Error, Fleet, Machine, Resources, State, Volume, Want, WantId};
use manifest::Constraint;
use proptest::prelude::*;

const NODES: [&str; 5] = ["a", "b", "c", "d", "e"];
const SERVICES: [&str; 3] = ["api", "db", "web"];

#[derive(Clone, Debug)]
enum Step {
    Join(Machine),
    Turn(usize, State),
    Leave(usize),
    Declare(Want),
    Retire(usize),
    Place(usize, Option<usize>),
    Put(usize, usize),
    Remove(usize),
    Hold(usize, usize, u64),
    DropVolume(usize),
}

fn any_state() -> impl Strategy<Value = State> {
    use State::{Accepting, Closed, Draining, Lost, Suspect};
    let others = prop::sample::select(vec![Closed, Draining, Suspect, Lost]);
    prop_oneof![5 => Just(Accepting), 1 => others]
}

fn any_machine() -> impl Strategy<Value = Machine> {
    let zone = prop::option::of(prop::sample::select(vec!["x", "y"]));
    let disk = prop::option::of(prop::sample::select(vec!["ssd", "hdd"]));
    let has = (0_u32..6, 0_u64..6, 0_u64..5);
    (0..NODES.len(), has, zone, disk, any_state()).prop_map(
        |(name, (cpu, memory, volume_bytes), zone, disk, state)| {
            let zone = zone.map(|zone| ("zone".to_owned(), zone.to_owned()));
            let disk = disk.map(|disk| ("disk".to_owned(), disk.to_owned()));
            // Cores weigh much more than the few bytes: both decide, cores first.
            let capacity = Resources { cpu_milli: cpu, memory_bytes: memory };
            let labels = zone.into_iter().chain(disk).collect();
            Machine { name: NODES[name].to_owned(), capacity, volume_bytes, labels, state }
        },
    )
}

fn any_constraint() -> impl Strategy<Value = Constraint> {
    let label = prop::sample::select(vec!["zone", "disk", "node", "rack"]);
    let value = prop::sample::select(vec!["x", "y", "ssd", "a", "b"]);
    let service = prop::sample::select(SERVICES.to_vec());
    (0..5, label, value, service).prop_map(|(kind, label, value, service)| {
        let (label, value, service) = (label.to_owned(), value.to_owned(), service.to_owned());
        match kind {
            0 => Constraint::Equal { label, value },
            1 => Constraint::NotEqual { label, value },
            2 => Constraint::Spread { label },
            3 => Constraint::Affinity { service },
            _ => Constraint::AntiAffinity { service },
        }
    })
}

fn any_want() -> impl Strategy<Value = Want> {
    let volume = (prop::sample::select(vec!["v", "w"]), any::<bool>(), 0_u64..3);
    let parts = (
        prop::sample::select(SERVICES.to_vec()),
        (0_u32..3, 0_u64..3),
        prop::collection::btree_set(80_u16..82, 0..2),
        prop::option::weighted(0.3, volume),
        prop_oneof![
            2 => Just(Vec::new()),
            2 => prop::collection::vec(any_constraint(), 1..2),
            1 => prop::collection::vec(any_constraint(), 2..4),
        ],
    );
    parts.prop_map(|(service, (cpu_milli, memory_bytes), ports, volume, constraints)| {
        // The manifest takes none twice.
        let mut once: Vec<Constraint> = Vec::new();
        for constraint in constraints {
            if !once.contains(&constraint) {
                once.push(constraint);
            }
        }
        let volume = volume.map(|(name, ephemeral, bytes)| {
            let name = name.to_owned();
            Volume { name, ephemeral, bytes }
        });
        Want {
            service: service.to_owned(),
            needs: Resources { cpu_milli, memory_bytes },
            ports: ports.into_iter().collect(),
            volumes: volume.into_iter().collect(),
            constraints: once,
        }
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let at = 0..100_usize;
    prop_oneof![
        4 => any_machine().prop_map(Step::Join),
        1 => (at.clone(), any_state()).prop_map(|(node, state)| Step::Turn(node, state)),
        1 => at.clone().prop_map(Step::Leave),
        6 => any_want().prop_map(Step::Declare),
        1 => at.clone().prop_map(Step::Retire),
        12 => (at.clone(), prop::option::of(at.clone())).prop_map(|(w, a)| Step::Place(w, a)),
        2 => (at.clone(), at.clone()).prop_map(|(want, node)| Step::Put(want, node)),
        4 => at.clone().prop_map(Step::Remove),
        1 => (at.clone(), at.clone(), 0_u64..3).prop_map(|(v, n, bytes)| Step::Hold(v, n, bytes)),
        1 => at.prop_map(Step::DropVolume),
    ]
}

/// A fleet and the reference, to which the same happens.
#[derive(Clone, Default)]
struct Pair {
    fleet: Fleet,
    reference: Reference,
    wants: Vec<(WantId, Want)>,
    next: u64,
}

fn pick<T: Clone>(all: &[T], at: usize) -> Option<T> {
    all.get(at.checked_rem(all.len())?).cloned()
}

impl Pair {
    fn names(&self) -> Vec<String> {
        self.reference.machines.keys().cloned().collect()
    }

    fn step(&mut self, step: Step) -> Option<()> {
        match step {
            Step::Join(machine) => {
                self.fleet.join(machine.clone());
                self.reference.machines.insert(machine.name.clone(), machine);
            }
            Step::Turn(at, state) => {
                let name = pick(&self.names(), at)?;
                self.fleet.set_state(&name, state).unwrap();
                self.reference.machines.get_mut(&name)?.state = state;
            }
            Step::Leave(at) => {
                let name = pick(&self.names(), at)?;
                let gone = self.fleet.leave(&name).unwrap();
                let here = self.reference.instances.iter().filter(|one| one.node == name);
                let mut here: Vec<u64> = here.map(|one| one.instance).collect();
                here.sort_unstable();
                assert_eq!(gone, here);
                self.reference.leave(&name);
            }
            Step::Declare(want) => {
                let id = self.fleet.declare(want.clone());
                self.wants.push((id, want));
            }
            Step::Retire(at) => {
                let (id, want) = pick(&self.wants, at)?;
                self.fleet.retire(id).unwrap();
                assert_eq!(self.fleet.retire(id), Err(Error::NoWant(id.0)));
                let at = self.wants.iter().position(|one| *one == (id, want.clone()))?;
                self.wants.remove(at);
            }
            Step::Place(at, after) => {
                let (id, want) = pick(&self.wants, at)?;
                let after = after.and_then(|at| pick(&self.reference.instances, at));
                self.place(id, &want, after.map(|one| one.instance));
            }
            Step::Put(at, node) => {
                let ((id, want), node) = (pick(&self.wants, at)?, pick(&self.names(), node)?);
                self.fleet.put(self.next, id, &node).unwrap();
                self.reference.seat(self.next, &want, &node);
                self.next += 1;
            }
            Step::Remove(at) => {
                let one = pick(&self.reference.instances, at)?;
                self.fleet.remove(one.instance).unwrap();
                self.reference.instances.retain(|other| other.instance != one.instance);
            }
            Step::Hold(volume, node, bytes) => {
                let volume = pick(&["v", "w"], volume)?;
                let node = pick(&self.names(), node)?;
                let free = self.reference.volumes.get(volume).is_none_or(|home| home.0 == node);
                assert_eq!(self.fleet.hold(volume, &node, bytes).is_ok(), free);
                self.reference.hold(volume, &node, bytes);
            }
            Step::DropVolume(volume) => {
                let volume = pick(&["v", "w"], volume)?;
                let was = self.reference.volumes.remove(volume).is_some();
                assert_eq!(self.fleet.drop_volume(volume).is_ok(), was);
            }
        }
        Some(())
    }

    fn place(&mut self, id: WantId, want: &Want, after: Option<u64>) -> bool {
        let expected = self.reference.choose(want, after);
        let instance = self.next;
        let answer = self.fleet.place(instance, id, after).map(str::to_owned);
        assert_eq!(answer, expected.clone().ok_or(Error::NoRoom(instance)));
        if let Some(node) = expected {
            self.reference.seat(instance, want, &node);
            self.next += 1;
        }
        answer.is_ok()
    }

    /// Everything that can be asked is answered as the reference answers it.
    fn agrees(&self) {
        for (name, tally) in self.reference.tallies() {
            let has = self.reference.machines[&name].capacity;
            let cpu = u64::from(has.cpu_milli).saturating_sub(tally.cpu);
            let free = Resources {
                cpu_milli: u32::try_from(cpu).unwrap(),
                memory_bytes: has.memory_bytes.saturating_sub(tally.memory),
            };
            assert_eq!(self.fleet.free(&name), Ok(free), "{name}");
        }
        for (id, want) in &self.wants {
            let refusals = self.fleet.refusals(*id).unwrap();
            let refusals: Vec<_> = refusals.iter().map(said).collect();
            assert_eq!(refusals, self.reference.refusals(want), "{want:?}");
            let afters = self.reference.instances.iter().map(|one| Some(one.instance));
            for after in afters.chain([None]) {
                let node = self.fleet.would_place(*id, after).unwrap();
                assert_eq!(node, self.reference.choose(want, after).as_deref(), "{want:?}");
            }
            self.has_room(*id, want);
        }
    }

    fn has_room(&self, id: WantId, want: &Want) {
        const COUNT: u32 = 4;
        let mut placed = 0;
        let mut later = self.clone();
        while placed < COUNT && later.place(id, want, None) {
            placed += 1;
        }
        assert_eq!(self.fleet.room(id, COUNT), Ok(placed), "{want:?}");
    }

    /// The same, told in another order.
    fn told_anew(&self) -> Pair {
        let (reference, next) = (self.reference.clone(), self.next);
        let mut other = Pair { reference, next, ..Pair::default() };
        for (_, want) in self.wants.iter().rev() {
            other.wants.push((other.fleet.declare(want.clone()), want.clone()));
        }
        for machine in self.reference.machines.values().rev() {
            other.fleet.join(machine.clone());
        }
        for one in self.reference.instances.iter().rev() {
            let id = other.fleet.declare(one.want.clone());
            other.fleet.put(one.instance, id, &one.node).unwrap();
            other.fleet.retire(id).unwrap();
        }
        // Finding an instance makes its volumes, also those that were dropped under it or smaller.
        for volume in ["v", "w"] {
            let _ = other.fleet.drop_volume(volume);
            if let Some((node, bytes)) = self.reference.volumes.get(volume) {
                other.fleet.hold(volume, node, *bytes).unwrap();
            }
        }
        other
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_index_chooses_and_refuses_as_looking_at_everything_does(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut pair = Pair::default();
        for step in steps {
            pair.step(step);
            pair.agrees();
        }
    }

    #[test]
    fn the_same_fleet_told_in_another_order_gives_the_same_answers(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut pair = Pair::default();
        for step in steps {
            pair.step(step);
        }
        pair.told_anew().agrees();
    }

    #[test]
    fn what_is_removed_is_given_back_exactly(
        steps in prop::collection::vec(any_step(), 1..60),
    ) {
        let mut pair = Pair::default();
        for step in steps {
            pair.step(step);
        }
        for one in pair.reference.instances.clone() {
            pair.fleet.remove(one.instance).unwrap();
            prop_assert_eq!(pair.fleet.remove(one.instance), Err(Error::NoInstance(one.instance)));
        }
        pair.reference.instances.clear();
        for machine in pair.reference.machines.values() {
            prop_assert_eq!(pair.fleet.free(&machine.name), Ok(machine.capacity));
        }
        pair.agrees();
    }

    #[test]
    fn what_is_placed_is_never_more_than_there_is(
        machines in prop::collection::vec(any_machine(), 1..6),
        wants in prop::collection::vec(any_want(), 1..20),
    ) {
        let mut pair = Pair::default();
        for machine in machines {
            pair.step(Step::Join(machine));
        }
        for (at, want) in wants.into_iter().enumerate() {
            pair.step(Step::Declare(want));
            pair.step(Step::Place(at, None));
        }
        for (name, mut tally) in pair.reference.tallies() {
            let machine = &pair.reference.machines[&name];
            prop_assert!(tally.cpu <= u64::from(machine.capacity.cpu_milli));
            prop_assert!(tally.memory <= machine.capacity.memory_bytes);
            prop_assert!(tally.volumes <= machine.volume_bytes);
            tally.ports.sort_unstable();
            prop_assert!(tally.ports.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert!(machine.state == State::Accepting || tally.services.is_empty());
        }
    }
}
