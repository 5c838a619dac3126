//! A fleet and its services as people have them, the same at every run.

use manifest::Constraint;
use place::{Machine, Resources, Volume, Want};

/// The same numbers at every run (xorshift).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new() -> Chance {
        Chance(0x9E37_79B9_7F4A_7C15)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end.max(1)
    }

    /// One of these, each with its share.
    fn one<T: Copy>(&mut self, of: &[(u64, T)]) -> Option<T> {
        let mut at = self.below(of.iter().map(|(share, _)| share).sum());
        for (share, value) in of {
            match at.checked_sub(*share) {
                Some(rest) => at = rest,
                None => return Some(*value),
            }
        }
        None
    }
}

/// A machine of 16 to 96 cores with 4 GB a core, less what its kernel keeps, which differs on
/// each; in one of three zones, with one of two kinds of disk and of processor.
pub(crate) fn machine(at: usize, chance: &mut Chance) -> Machine {
    let cores = chance.one(&[(30, 16), (35, 32), (25, 64), (10, 96)]).unwrap_or(32);
    let zone = chance.one(&[(1, "a"), (1, "b"), (1, "c")]).unwrap_or("a");
    let disk = chance.one(&[(6, "ssd"), (4, "hdd")]).unwrap_or("ssd");
    let arch = chance.one(&[(8, "amd64"), (2, "arm64")]).unwrap_or("amd64");
    let rack = format!("r{}", at / 20);
    let labels = [("zone", zone), ("disk", disk), ("arch", arch), ("rack", &rack)];
    Machine {
        name: format!("node-{at:04}"),
        capacity: Resources {
            cpu_milli: cores * 1000,
            memory_bytes: u64::from(cores) * 4_000_000_000 - chance.below(200_000_000),
        },
        volume_bytes: 1_000_000_000_000,
        labels: labels.map(|(label, value)| (label.to_owned(), value.to_owned())).into(),
        ..Machine::default()
    }
}

/// Services with that many instances together: most are small, most instances are of large ones.
pub(crate) fn services(instances: u64, chance: &mut Chance) -> Vec<(Want, u64)> {
    let mut all: Vec<(Want, u64)> = Vec::new();
    let mut left = instances;
    while left > 0 {
        let replicas = match chance.one(&[(500, 0), (350, 1), (120, 2), (28, 3), (2, 4)]) {
            Some(0) => 1 + chance.below(3),
            Some(1) => 4 + chance.below(16),
            Some(2) => 50 + chance.below(150),
            Some(3) => 500 + chance.below(1_500),
            _ => 4_000 + chance.below(4_000),
        };
        let replicas = replicas.min(left);
        let want = want(all.len(), replicas, chance);
        left -= replicas;
        all.push((want, replicas));
    }
    all
}

fn want(number: usize, replicas: u64, chance: &mut Chance) -> Want {
    let sizes = [
        (20, (50, 64)),
        (25, (100, 256)),
        (20, (100, 512)),
        (15, (250, 512)),
        (10, (250, 1_000)),
        (5, (500, 2_000)),
        (3, (1_000, 1_000)),
        (2, (100, 4_000)),
    ];
    let (cpu_milli, megabytes) = chance.one(&sizes).unwrap_or((100, 256));
    let mut want = Want {
        service: format!("service-{number}"),
        needs: Resources { cpu_milli, memory_bytes: megabytes * 1_000_000 },
        constraints: constraints(number, chance),
        ..Want::default()
    };
    if replicas == 1 && chance.below(4) == 0 {
        let bytes = 1_000_000_000 * (1 + chance.below(20));
        want.volumes = vec![Volume { name: format!("data-{number}"), ephemeral: false, bytes }];
    }
    if replicas < 1_000 && chance.below(50) == 0 {
        want.ports = vec![u16::try_from(8_000 + chance.below(2_000)).unwrap_or(8_000)];
    }
    want
}

/// Of all services 30 in 100 need an ssd, 10 a processor, 20 spread over zones, 3 shun another one,
/// 3 shun themselves, 2 follow a small one.
fn constraints(number: usize, chance: &mut Chance) -> Vec<Constraint> {
    let (mut all, own) = (Vec::new(), str::to_owned);
    if chance.below(100) < 30 {
        all.push(Constraint::Equal { label: own("disk"), value: own("ssd") });
    }
    if chance.below(100) < 10 {
        all.push(Constraint::NotEqual { label: own("arch"), value: own("arm64") });
    }
    if chance.below(100) < 20 {
        all.push(Constraint::Spread { label: own("zone") });
    }
    let other = format!("service-{}", chance.below(number as u64));
    match chance.below(100) {
        0..3 => all.push(Constraint::AntiAffinity { service: other }),
        3..6 => all.push(Constraint::AntiAffinity { service: format!("service-{number}") }),
        6..8 => all.push(Constraint::Affinity { service: other }),
        _ => {}
    }
    all
}
