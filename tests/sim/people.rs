//! What people ask for: any verb at any time, of whatever manifest.

use crate::chance::Chance;
use crate::image::MANNERS;
use std::fmt::Write as _;

/// The names that services have.
pub(crate) const NAMES: [&str; 3] = ["web", "api", "db"];

/// How people are in one run.
#[derive(Debug, Clone)]
pub(crate) struct People {
    pub(crate) services: u64,
    /// Of a thousand images so many are not good.
    bad: u64,
    /// Of a thousand looks at an update in flight so many lead to a verb.
    meddling: u64,
    /// Cores, in thousandths, that an instance asks for at most.
    cpu_max: u64,
    last_image: u64,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A manifest is written, of that service.
    Manifest(String, String),
    /// Lines are written into the root `ctl`.
    Lines(String),
    /// An instance is restarted, stopped or signalled; the number picks it.
    Instance(u64),
    /// A manifest is removed.
    Unlink,
    /// A place is made for a service.
    Place,
    /// The deploy lock is opened, or waited for.
    Lock { wait: bool },
    /// Somebody who has a lock open goes on; the number picks who, and how.
    UnderLock(u64),
}

impl People {
    pub(crate) fn new(chance: &mut Chance) -> People {
        People {
            services: chance.pick(&[1, 1, 2, 2, 3]),
            bad: chance.pick(&[0, 100, 300]),
            meddling: chance.pick(&[0, 10, 60]),
            cpu_max: chance.pick(&[100, 100, 900]),
            last_image: chance.below(1_000),
        }
    }

    /// What somebody asks of a service, looking at how it is.
    pub(crate) fn ask(
        &mut self,
        name: &str,
        flying: bool,
        deployed: bool,
        chance: &mut Chance,
    ) -> Vec<Wish> {
        if flying && !chance.strikes(self.meddling) {
            return Vec::new();
        }
        let apply = |people: &mut People, chance: &mut Chance| {
            let text = people.manifest(name, chance);
            let manifest = Wish::Manifest(name.to_string(), text);
            vec![manifest, Wish::Lines(format!("apply {name}"))]
        };
        let one = |words: &str| vec![Wish::Lines(format!("{words} {name}"))];
        let all = if flying {
            0
        } else if deployed {
            40
        } else {
            100
        };
        if chance.below(100) < all {
            let several = self.services > 1 && chance.strikes(250);
            return if several { self.several(chance) } else { apply(self, chance) };
        }
        match chance.below(34) {
            0 | 1 => one("pause"),
            2..=4 => one("resume"),
            5 => one("cancel"),
            6..=8 => one("rollback"),
            9 => vec![Wish::Lines(format!("rollback {name} v{}", chance.between(1, 6)))],
            10 | 11 => one("restart"),
            12 | 13 => vec![Wish::Lines(format!("scale {name} {}", chance.below(5)))],
            14 => one("stop"),
            15 => one("remove"),
            16 | 17 => vec![Wish::Instance(chance.draw())],
            18 => vec![Wish::Lines(format!("apply {name}\nscale {name} {}", chance.below(4)))],
            19 => vec![Wish::Lines(format!("cancel {name}\napply {name}"))],
            20 => vec![Wish::Unlink],
            21 => vec![Wish::Manifest(name.to_string(), "image app:1\nreplicas many\n".into())],
            22 => self.several(chance),
            23 => vec![Wish::Lines("push made:1 /srv/made".to_string())],
            24 => vec![Wish::Lines("cancel-push made:1".to_string())],
            25 => vec![Wish::Lines("gc".to_string())],
            26 => one("unlock"),
            27 => vec![Wish::Place],
            28 => vec![Wish::Lock { wait: false }],
            29 => vec![Wish::Lock { wait: true }],
            _ => vec![Wish::UnderLock(chance.draw())],
        }
    }

    /// Several services at once, all or none of them or each by itself.
    fn several(&mut self, chance: &mut Chance) -> Vec<Wish> {
        let verb = chance.pick(&["together", "atomic", "atomic"]);
        let (mut wishes, mut line) = (Vec::new(), verb.to_string());
        for name in &NAMES[..self.services as usize] {
            // Some stay as they are, and are applied all the same.
            if !chance.strikes(100) {
                let text = self.manifest(name, chance);
                wishes.push(Wish::Manifest((*name).to_string(), text));
            }
            let _ = write!(line, " {name}");
        }
        wishes.push(Wish::Lines(line));
        wishes
    }

    pub(crate) fn manifest(&mut self, name: &str, chance: &mut Chance) -> String {
        self.last_image += MANNERS;
        let manner = if chance.strikes(self.bad) { chance.below(MANNERS) } else { 0 };
        // Now and then one that others have, too, and may be waiting for.
        let own = if chance.strikes(50) { 0 } else { self.last_image / MANNERS };
        let image = own * MANNERS + manner;
        let mut text = format!("image app:{image}\nport 80\n");
        let replicas = chance.pick(&[1, 1, 2, 2, 2, 3, 3, 4, 0]);
        let mut put = |key: &str, value: &str| {
            let _ = writeln!(text, "{key} {value}");
        };
        put("replicas", &replicas.to_string());
        put("update", chance.pick(&["rolling", "rolling", "rolling", "rolling", "replace"]));
        put("update_batch", chance.pick(&["1", "1", "2", "3"]));
        put("update_pause", chance.pick(&["0", "0", "0", "2"]));
        put("update_failure", chance.pick(&["abort", "rollback", "pause"]));
        put("health_deadline", chance.pick(&["1", "3"]));
        put("progress_deadline", chance.pick(&["5", "30", "60"]));
        put("drain", chance.pick(&["0", "0.2", "2"]));
        put("stop_timeout", chance.pick(&["0.5", "2"]));
        put("restart", chance.pick(&["always", "always", "always", "on-failure", "never"]));
        put("max_restarts", chance.pick(&["1", "2", "5"]));
        put("cpu", &format!("0.{:03}", chance.between(50, self.cpu_max)));
        if chance.strikes(300) {
            let host = if chance.strikes(100) { "shop" } else { name };
            put("route", &format!("{host}.example.com /"));
        }
        text
    }
}
