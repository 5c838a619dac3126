//! Chance with many nodes and instances, where the index is deep: rows have many blocks and
//! counts are kept in tables.

use super::reference::Reference;
use crate::{Fleet, Machine, Resources, State, Want};
use manifest::Constraint;

const NODES: usize = 90;
const STEPS: usize = 3_000;

/// The same numbers at every run (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap() % end
    }
}

fn machine(at: usize, chance: &mut Chance) -> Machine {
    let zone = ["x", "y", "z"][chance.below(3)];
    let disk = ["ssd", "hdd"][chance.below(2)];
    let cpu_milli = [4_000, 8_000, 16_000][chance.below(3)];
    let labels = [("zone", zone), ("disk", disk)];
    let labels = labels.map(|(label, value)| (label.to_owned(), value.to_owned()));
    let memory_bytes = u64::from(cpu_milli) * 4_000_000 + chance.below(10_000) as u64;
    Machine {
        name: format!("n{at:03}"),
        capacity: Resources { cpu_milli, memory_bytes },
        labels: labels.into(),
        ..Machine::default()
    }
}

fn wants() -> Vec<Want> {
    let label = || "zone".to_owned();
    let service = || "s0".to_owned();
    let constraints = [
        vec![],
        vec![Constraint::Spread { label: label() }],
        vec![Constraint::Equal { label: "disk".to_owned(), value: "ssd".to_owned() }],
        vec![
            Constraint::NotEqual { label: label(), value: "x".to_owned() },
            Constraint::Spread { label: label() },
        ],
        vec![Constraint::AntiAffinity { service: service() }],
        vec![Constraint::Affinity { service: service() }],
        vec![],
    ];
    let want = |(at, constraints): (usize, Vec<Constraint>)| Want {
        service: format!("s{at}"),
        needs: Resources {
            cpu_milli: [250, 500, 1_000, 100][at % 4],
            memory_bytes: [1_000_000_000, 300_000_000, 4_000_000_000][at % 3],
        },
        constraints,
        ..Want::default()
    };
    constraints.into_iter().enumerate().map(want).collect()
}

#[test]
fn in_a_large_fleet_the_index_chooses_as_looking_at_everything_does() {
    let mut chance = Chance(0x9E37_79B9_7F4A_7C15);
    let (mut fleet, mut reference) = (Fleet::new(), Reference::default());
    for at in 0..NODES {
        let machine = machine(at * 7 % NODES, &mut chance);
        fleet.join(machine.clone());
        reference.machines.insert(machine.name.clone(), machine);
    }
    let wants = wants();
    let ids: Vec<_> = wants.iter().map(|want| fleet.declare(want.clone())).collect();
    let (mut refused, mut stayed) = (0, 0);
    for instance in 0..STEPS as u64 {
        let len = reference.instances.len();
        if len > 0 && chance.below(4) == 0 {
            let gone = reference.instances.swap_remove(chance.below(len));
            fleet.remove(gone.instance).unwrap();
        }
        if chance.below(50) == 0 {
            let name = format!("n{:03}", chance.below(NODES));
            let state = [State::Accepting, State::Draining][chance.below(2)];
            fleet.set_state(&name, state).unwrap();
            reference.machines.get_mut(&name).unwrap().state = state;
        }
        let at = chance.below(wants.len());
        let len = reference.instances.len();
        let after = (len > 0).then(|| reference.instances[chance.below(len.max(1))].clone());
        let leaver = after.as_ref().map(|one| one.instance);
        let expected = reference.choose(&wants[at], leaver);
        let got = fleet.place(instance, ids[at], leaver).ok().map(str::to_owned);
        assert_eq!(got, expected, "{:?}", wants[at]);
        match expected {
            Some(node) => {
                stayed += usize::from(after.is_some_and(|one| one.node == node));
                reference.seat(instance, &wants[at], &node);
            }
            None => refused += 1,
        }
    }
    // Both ends of the search were seen, and it was not refusals only.
    assert!(refused > 20 && stayed > 20, "{refused} refused, {stayed} stayed");
    assert!(reference.instances.len() > STEPS / 3, "{} placed", reference.instances.len());
}
