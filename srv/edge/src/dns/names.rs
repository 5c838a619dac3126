//! Every name of `deploy.` in one value that never changes: built from a table, swapped with it.
//!
//! Records stand in it as they go over the wire, so that an answer is a few copies. A service has
//! `web.deploy.`, an instance `0.web.deploy.`, and `_http._tcp.web.deploy.` tells the ports.
//! A service without healthy instances exists and has no records.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::label::{ZONE, arpa, push};
use super::record::{A_BYTES, AAAA_BYTES, Kind, QUESTION, address, pointer, srv};
use crate::table::Table;

/// The labels before a service's name that ask for its ports.
const PORTS: [&str; 2] = ["_http", "_tcp"];

/// The names of one generation of the table.
#[derive(Debug, Default)]
pub(crate) struct Names {
    generation: u64,
    nodes: HashMap<Box<[u8]>, Node>,
    /// Names of `in-addr.arpa.` and `ip6.arpa.`: only those of instances are ours.
    reverse: HashMap<Box<[u8]>, Box<[u8]>>,
}

/// The records of one name, each list of one length an entry so that it can be turned.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// A records, [`A_BYTES`] each.
    pub(crate) a: Vec<u8>,
    /// AAAA records, [`AAAA_BYTES`] each.
    pub(crate) aaaa: Vec<u8>,
    /// SRV records.
    pub(crate) srv: Vec<Box<[u8]>>,
    /// The addresses of those that `srv` names.
    pub(crate) extra: Vec<Box<[u8]>>,
}

/// One instance, as the names tell of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instance {
    /// Its number in the service.
    pub(crate) number: u32,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

/// What there is of a name in small letters.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// The name exists, maybe with no records.
    Node(&'a Node),
    /// The name is below `deploy.` and does not exist.
    Nothing,
}

impl Names {
    /// The names of `generation`: every service with its healthy instances, maybe none. A name
    /// that is no label of DNS has no names.
    pub(crate) fn of<'a, I>(
        generation: u64,
        services: impl IntoIterator<Item = (&'a str, I)>,
    ) -> Names
    where
        I: IntoIterator<Item = Instance>,
    {
        let mut names = Names { generation, ..Names::default() };
        names.node(&[]);
        for (service, instances) in services {
            let service = service.to_ascii_lowercase();
            if names.node(&[&service]).is_none() {
                continue;
            }
            names.node(&["_tcp", &service]);
            names.node(&[PORTS[0], PORTS[1], &service]);
            let mut sorted: Vec<Instance> = instances.into_iter().collect();
            sorted.sort_unstable();
            sorted.dedup();
            for instance in sorted {
                names.add(&service, instance);
            }
        }
        names
    }

    /// The names of `table`.
    pub(crate) fn of_table(table: &Table) -> Names {
        let mut services: BTreeMap<&str, BTreeSet<Instance>> = BTreeMap::new();
        for route in &table.routes {
            let healthy = route.backends.iter().filter_map(|id| table.backends.get(id));
            let instances = services.entry(&route.service).or_default();
            instances.extend(
                healthy
                    .map(|backend| Instance { number: backend.number, address: backend.address }),
            );
        }
        Names::of(table.generation, services)
    }

    /// Which table they are of.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// What there is of `key`, a name of `deploy.` in small letters.
    pub(crate) fn find(&self, key: &[u8]) -> Found<'_> {
        self.nodes.get(key).map_or(Found::Nothing, Found::Node)
    }

    /// The PTR record of `key`, a name in small letters, where an instance has that address.
    pub(crate) fn pointed(&self, key: &[u8]) -> Option<&[u8]> {
        self.reverse.get(key).map(|record| &**record)
    }

    /// The node of the labels under `deploy.`, made where there was none; `None` when they are
    /// no name.
    fn node(&mut self, labels: &[&str]) -> Option<&mut Node> {
        let key = under_zone(labels)?;
        Some(self.nodes.entry(key.into()).or_default())
    }

    fn add(&mut self, service: &str, instance: Instance) {
        let number = instance.number.to_string();
        let ip = instance.address.ip().to_canonical();
        let record = address(&QUESTION, ip);
        for labels in [&[service][..], &[&number, service]] {
            if let Some(node) = self.node(labels) {
                node.add_address(ip, &record);
            }
        }
        let Some(target) = under_zone(&[&number, service]) else { return };
        // A program without a port has no record that names one.
        if instance.address.port() != 0
            && let Some(ports) = self.node(&[PORTS[0], PORTS[1], service])
        {
            ports.add_port(&number, &target, instance.address.port(), ip);
        }
        if let Entry::Vacant(free) = self.reverse.entry(arpa(ip).into()) {
            free.insert(pointer(&target).into());
        }
    }
}

impl Node {
    fn add_address(&mut self, ip: IpAddr, record: &[u8]) {
        let (list, bytes) = match ip {
            IpAddr::V4(_) => (&mut self.a, A_BYTES),
            IpAddr::V6(_) => (&mut self.aaaa, AAAA_BYTES),
        };
        if !list.chunks(bytes).any(|there| there == record) {
            list.extend_from_slice(record);
        }
    }

    fn add_port(&mut self, number: &str, target: &[u8], port: u16, ip: IpAddr) {
        let record = srv(port, target);
        if !self.srv.iter().any(|there| **there == *record) {
            self.srv.push(record.into());
        }
        // The owner's name ends as the question does, behind the two labels of `PORTS`.
        let behind = QUESTION[1] + PORTS.iter().map(|label| 1 + label.len() as u8).sum::<u8>();
        let mut owner = Vec::new();
        push(&mut owner, number);
        owner.extend_from_slice(&[QUESTION[0], behind]);
        let extra = address(&owner, ip);
        if !self.extra.iter().any(|there| **there == *extra) {
            self.extra.push(extra.into());
        }
    }

    /// The records of `kind`: how many, and the bytes of all of one length, where they have one.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::A => !self.a.is_empty(),
            Kind::Aaaa => !self.aaaa.is_empty(),
            Kind::Srv => !self.srv.is_empty(),
            Kind::Soa | Kind::Ptr | Kind::Any | Kind::Meta | Kind::Other => false,
        }
    }
}

/// The wire form of `labels` under `deploy.`; `None` when they are no name.
fn under_zone(labels: &[&str]) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for label in labels {
        if !push(&mut key, label) {
            return None;
        }
    }
    key.extend_from_slice(ZONE);
    (key.len() <= super::query::NAME_BYTES_MAX).then_some(key)
}

#[cfg(test)]
#[path = "names_test.rs"]
mod tests;
