//! The same laws without an index: every node is looked at, and everything is counted anew.

use crate::{CORE_BYTES, Machine, Reason, Refusal, State, Want};
use manifest::Constraint;
use std::collections::BTreeMap;

/// An instance, what it needs and where it is.
#[derive(Clone, Debug)]
pub(super) struct Seated {
    pub(super) instance: u64,
    pub(super) want: Want,
    pub(super) node: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    pub(super) machines: BTreeMap<String, Machine>,
    /// Node and bytes by volume.
    pub(super) volumes: BTreeMap<String, (String, u64)>,
    pub(super) instances: Vec<Seated>,
}

/// What is on a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) cpu: u64,
    pub(super) memory: u64,
    pub(super) volumes: u64,
    pub(super) ports: Vec<u16>,
    pub(super) services: BTreeMap<String, u32>,
    /// Who shuns whom here.
    shuns: Vec<(String, String)>,
}

type Tallies = BTreeMap<String, Tally>;

fn others(want: &Want, beside: bool) -> Vec<String> {
    let other = |constraint: &Constraint| match constraint {
        Constraint::Affinity { service } => Some((service.clone(), true)),
        Constraint::AntiAffinity { service } => Some((service.clone(), false)),
        Constraint::Equal { .. } | Constraint::NotEqual { .. } | Constraint::Spread { .. } => None,
    };
    let all = want.constraints.iter().filter_map(other);
    all.filter(|(_, is)| *is == beside).map(|(service, _)| service).collect()
}

impl Reference {
    pub(super) fn tallies(&self) -> Tallies {
        let mut all: Tallies =
            self.machines.keys().map(|name| (name.clone(), Tally::default())).collect();
        for one in &self.instances {
            let tally = all.get_mut(&one.node).unwrap();
            tally.cpu += u64::from(one.want.needs.cpu_milli);
            tally.memory += one.want.needs.memory_bytes;
            let own = one.want.volumes.iter().filter(|volume| volume.ephemeral);
            tally.volumes += own.map(|volume| volume.bytes).sum::<u64>();
            tally.ports.extend(&one.want.ports);
            *tally.services.entry(one.want.service.clone()).or_default() += 1;
            let shuns = others(&one.want, false).into_iter();
            tally.shuns.extend(shuns.map(|other| (one.want.service.clone(), other)));
        }
        for (node, bytes) in self.volumes.values() {
            all.get_mut(node).unwrap().volumes += bytes;
        }
        all
    }

    /// Everything that stands against a node, in words of the test's own.
    fn against(&self, want: &Want, name: &str, tallies: &Tallies) -> Vec<String> {
        let (machine, here) = (&self.machines[name], &tallies[name]);
        if machine.state != State::Accepting {
            return vec![format!("{:?}", machine.state)];
        }
        let mut against = Vec::new();
        let cpu = u64::from(machine.capacity.cpu_milli).saturating_sub(here.cpu);
        if u64::from(want.needs.cpu_milli) > cpu {
            against.push(format!("cpu {cpu}"));
        }
        let memory = machine.capacity.memory_bytes.saturating_sub(here.memory);
        if want.needs.memory_bytes > memory {
            against.push(format!("memory {memory}"));
        }
        for constraint in &want.constraints {
            let (label, value, equal) = match constraint {
                Constraint::Equal { label, value } => (label, value, true),
                Constraint::NotEqual { label, value } => (label, value, false),
                Constraint::Spread { .. }
                | Constraint::Affinity { .. }
                | Constraint::AntiAffinity { .. } => continue,
            };
            let has = if label == "node" { Some(&machine.name) } else { machine.labels.get(label) };
            match (equal, has == Some(value)) {
                (true, false) => against.push(format!("label {label} {value} {has:?}")),
                (false, true) => against.push(format!("unwanted {label} {value}")),
                _ => {}
            }
        }
        let taken = want.ports.iter().filter(|port| here.ports.contains(port));
        against.extend(taken.map(|port| format!("port {port}")));
        let mut bytes = 0;
        for volume in &want.volumes {
            match self.volumes.get(&volume.name).filter(|_| !volume.ephemeral) {
                Some((node, _)) if node != name => {
                    against.push(format!("volume {} on {node}", volume.name));
                }
                Some((_, has)) => bytes += volume.bytes.saturating_sub(*has),
                None => bytes += volume.bytes,
            }
        }
        let free = machine.volume_bytes.saturating_sub(here.volumes);
        if bytes > free {
            against.push(format!("bytes {bytes} of {free}"));
        }
        let anywhere = |other: &str| tallies.values().any(|t| t.services.contains_key(other));
        for other in others(want, true) {
            let first = other == want.service && !anywhere(&other);
            if !first && !here.services.contains_key(&other) {
                against.push(format!("lacks {other}"));
            }
        }
        let apart = others(want, false);
        let beside = apart.iter().filter(|other| here.services.contains_key(*other));
        against.extend(beside.map(|other| format!("beside {other}")));
        let mut shuns: Vec<&String> = Vec::new();
        for (who, whom) in &here.shuns {
            let told = *who == want.service && apart.contains(&want.service);
            if *whom == want.service && !told && !shuns.contains(&who) {
                shuns.push(who);
            }
        }
        against.extend(shuns.into_iter().map(|who| format!("shunned by {who}")));
        against
    }

    /// The node that the laws choose.
    pub(super) fn choose(&self, want: &Want, after: Option<u64>) -> Option<String> {
        let tallies = self.tallies();
        let after = after.and_then(|id| self.instances.iter().find(|one| one.instance == id));
        let leaver = after.filter(|one| one.want.service == want.service);
        let leaver = leaver.map(|one| one.node.as_str());
        let count = |name: &str| {
            let all = tallies[name].services.get(&want.service).copied().unwrap_or(0);
            all - u32::from(leaver == Some(name))
        };
        let key = |name: &String| {
            let machine = &self.machines[name];
            let mut spread = Vec::new();
            for constraint in &want.constraints {
                let Constraint::Spread { label } = constraint else { continue };
                if label != "node" {
                    let alike = self
                        .machines
                        .values()
                        .filter(|other| other.labels.get(label) == machine.labels.get(label));
                    spread.push(alike.map(|other| count(&other.name)).sum::<u32>());
                }
            }
            let has = machine.capacity;
            let cpu = u64::from(has.cpu_milli).saturating_sub(tallies[name].cpu);
            let memory = has.memory_bytes.saturating_sub(tallies[name].memory);
            let left = cpu * (CORE_BYTES / 1000) + memory;
            (spread, count(name), leaver != Some(name.as_str()), left, name.clone())
        };
        let names = self.machines.keys();
        let fitting = names.filter(|name| self.against(want, name, &tallies).is_empty());
        fitting.min_by_key(|name| key(name)).cloned()
    }

    /// The refusals, with the words of [`said`].
    pub(super) fn refusals(&self, want: &Want) -> Vec<(String, Vec<String>)> {
        let tallies = self.tallies();
        let all = self.machines.keys().map(|name| {
            let mut against = self.against(want, name, &tallies);
            against.sort();
            (name.clone(), against)
        });
        all.filter(|(_, against)| !against.is_empty()).collect()
    }

    pub(super) fn seat(&mut self, instance: u64, want: &Want, node: &str) {
        let one = Seated { instance, want: want.clone(), node: node.to_owned() };
        for volume in want.volumes.iter().filter(|volume| !volume.ephemeral) {
            self.hold(&volume.name, node, volume.bytes);
        }
        self.instances.push(one);
    }

    pub(super) fn hold(&mut self, volume: &str, node: &str, bytes: u64) {
        let home = self.volumes.entry(volume.to_owned()).or_insert((node.to_owned(), 0));
        if home.0 == node {
            home.1 = home.1.max(bytes);
        }
    }

    pub(super) fn leave(&mut self, node: &str) {
        self.machines.remove(node);
        self.volumes.retain(|_, (home, _)| home != node);
        self.instances.retain(|one| one.node != node);
    }
}

/// A refusal in the words of the reference.
pub(super) fn said(refusal: &Refusal) -> (String, Vec<String>) {
    let mut said: Vec<String> = refusal.reasons.iter().map(reason).collect();
    said.sort();
    (refusal.node.clone(), said)
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::State(state) => format!("{state:?}"),
        Reason::Label { label, wants, has } => format!("label {label} {wants} {has:?}"),
        Reason::Unwanted { label, has } => format!("unwanted {label} {has}"),
        Reason::Cpu { free_milli, .. } => format!("cpu {free_milli}"),
        Reason::Memory { free_bytes, .. } => format!("memory {free_bytes}"),
        Reason::Port(port) => format!("port {port}"),
        Reason::Elsewhere { volume, node } => format!("volume {volume} on {node}"),
        Reason::Volumes { wants_bytes, free_bytes, .. } => {
            format!("bytes {wants_bytes} of {free_bytes}")
        }
        Reason::Lacks(other) => format!("lacks {other}"),
        Reason::Beside(other) => format!("beside {other}"),
        Reason::Shunned(other) => format!("shunned by {other}"),
    }
}
