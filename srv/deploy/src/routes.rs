//! The table of routes: which host and path goes to which service, and its backends. It is derived
//! from the world after each turn that was saved, and never changed by events; a text that differs
//! is the next generation. The lines of a service are kept and made anew only when it was touched.

use crate::show::address_of;
use crate::world::{Service, container};
use bytes::Bytes;
use manifest::{Manifest, Route};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::watch;

/// Generations that a server may use before it reserves more: whatever was not saved when it
/// died, the next one begins above.
pub const BLOCK: u64 = 1_000_000;
/// So many left of the block, and the next is reserved.
const BLOCK_REST: u64 = 1_000;

/// A table as it is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Grows with every table; 0 for none yet.
    pub generation: u64,
    /// Its text.
    pub text: Bytes,
}

/// What of a new table concerns edges.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// The new table's.
    pub generation: u64,
    /// Containers that were in the table before, and are not in this one.
    pub left: Vec<String>,
}

/// The newest table, and what it was made of.
#[derive(Debug)]
pub struct Routes {
    /// Of the newest table; before the first, where this server's begin.
    generation: u64,
    /// Generations up to here are saved as used.
    reserved: u64,
    /// A table was derived: those touched later are enough to derive the next.
    whole: bool,
    lines: BTreeMap<String, Lines>,
    /// Who has a host and path, or a port.
    claims: BTreeMap<String, String>,
    /// Services without some line of theirs, which another service has.
    denied: BTreeSet<String>,
    newest: watch::Sender<Table>,
}

/// A service's part of the table.
#[derive(Debug, Default)]
struct Lines {
    text: String,
    places: BTreeSet<String>,
    backends: BTreeSet<String>,
}

impl Default for Routes {
    fn default() -> Self {
        Routes::after(0)
    }
}

impl Routes {
    /// Routes whose generations are above one that was saved as used.
    #[must_use]
    pub fn after(used: u64) -> Routes {
        Routes {
            generation: used,
            reserved: used,
            whole: false,
            lines: BTreeMap::new(),
            claims: BTreeMap::new(),
            denied: BTreeSet::new(),
            newest: watch::Sender::default(),
        }
    }

    /// The newest table.
    #[must_use]
    pub fn newest(&self) -> Table {
        self.newest.borrow().clone()
    }

    /// Follows the tables.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Table> {
        self.newest.subscribe()
    }

    /// The generation to save as used with the next change, when it is time for that.
    #[must_use]
    pub fn to_reserve(&self) -> Option<u64> {
        let short = self.generation + BLOCK_REST > self.reserved;
        short.then(|| self.generation + BLOCK)
    }

    /// That generation was saved.
    pub fn reserve(&mut self, used: u64) {
        self.reserved = used;
    }

    /// Derives the table from services of which these were touched. Nothing when its text is the
    /// same as before.
    pub fn derive<'a>(
        &mut self,
        services: &BTreeMap<String, Service>,
        touched: impl Iterator<Item = &'a String>,
    ) -> Option<Change> {
        let mut names: BTreeSet<&str> = touched.map(String::as_str).collect();
        let first = !std::mem::replace(&mut self.whole, true);
        if first {
            names = services.keys().map(String::as_str).collect();
        }
        let denied = std::mem::take(&mut self.denied);
        names.extend(denied.iter().map(String::as_str));
        // What is given up is free before it is claimed, in whichever order the services come.
        for name in &names {
            let wanted = services.get(*name).map(places).unwrap_or_default();
            if let Some(lines) = self.lines.get_mut(*name) {
                let claims = &mut self.claims;
                lines.places.retain(|place| {
                    let keeps = wanted.contains(place);
                    if !keeps {
                        claims.remove(place);
                    }
                    keeps
                });
            }
        }
        let mut left = Vec::new();
        let mut differs = first;
        for name in names {
            let new = services.get(name).map(|service| self.lines_of(name, service));
            let old = match new {
                Some(new) => {
                    let same = self.lines.get(name).is_some_and(|old| old.text == new.text);
                    differs |= !same;
                    let kept = new.backends.clone();
                    let old = self.lines.insert(name.to_string(), new).unwrap_or_default();
                    old.backends.difference(&kept).cloned().collect()
                }
                None => {
                    let old = self.lines.remove(name);
                    differs |= old.is_some();
                    old.unwrap_or_default().backends.into_iter().collect::<Vec<String>>()
                }
            };
            left.extend(old);
        }
        differs.then(|| self.publish(left))
    }

    fn publish(&mut self, left: Vec<String>) -> Change {
        self.generation += 1;
        let generation = self.generation;
        let head = format!("generation {generation}\n");
        let bytes = self.lines.values().map(|lines| lines.text.len()).sum::<usize>();
        let mut text = String::with_capacity(head.len() + bytes);
        text.push_str(&head);
        self.lines.values().for_each(|lines| text.push_str(&lines.text));
        self.newest.send_replace(Table { generation, text: Bytes::from(text) });
        Change { generation, left }
    }

    /// The lines of a service: one a route, and without any one for its name alone.
    fn lines_of(&mut self, name: &str, service: &Service) -> Lines {
        let manifest = deployed(service);
        let (backends, ids) = backends(name, service);
        let hold_ms = hold_ms(service);
        let drain_ms = manifest.map(|manifest| manifest.drain_ms);
        let mut lines = Lines { backends: ids, ..Lines::default() };
        for route in manifest.map(|manifest| manifest.routes.as_slice()).unwrap_or_default() {
            let (place, websocket) = place(route);
            let owner = self.claims.entry(place.clone()).or_insert_with(|| name.to_string());
            if owner != name {
                self.denied.insert(name.to_string());
                continue;
            }
            let options = options(websocket, drain_ms, hold_ms);
            let _ = writeln!(lines.text, "{place} {name} {options}{backends}");
            lines.places.insert(place);
        }
        if lines.text.is_empty() {
            let _ =
                writeln!(lines.text, "- - {name} {}{backends}", options(false, drain_ms, hold_ms));
        }
        lines
    }
}

/// The manifest whose routes hold: what is deployed; before the first completes, what is coming.
fn deployed(service: &Service) -> Option<&Arc<Manifest>> {
    let rollout = &service.record.rollout;
    let version = rollout.current().or(rollout.target())?;
    service.manifests.get(&version)
}

/// Where a route begins: `shop.example.com /api`, `tcp 5432`; and whether it may be upgraded.
fn place(route: &Route) -> (String, bool) {
    match route {
        Route::Http { host, path, websocket } => (format!("{host} {path}"), *websocket),
        Route::Tcp { port } => (format!("tcp {port}"), false),
    }
}

/// The places that a service is to have.
fn places(service: &Service) -> BTreeSet<String> {
    let routes = deployed(service).map(|manifest| manifest.routes.as_slice()).unwrap_or_default();
    routes.iter().map(|route| place(route).0).collect()
}

/// The place that a manifest claims and another service has already, and who that is.
#[must_use]
pub fn conflict(
    name: &str,
    manifest: &Manifest,
    services: &BTreeMap<String, Service>,
) -> Option<(String, String)> {
    if manifest.routes.is_empty() {
        return None;
    }
    let wanted = |route: &&Route| manifest.routes.iter().any(|own| same(own, route));
    let mut others = services.iter().filter(|(other, _)| *other != name);
    others.find_map(|(other, service)| {
        let first = |manifest: &Manifest| {
            manifest.routes.iter().filter(wanted).map(|route| place(route).0).min()
        };
        let deployed = claimed(service).filter_map(|manifest| first(manifest)).min();
        let coming = coming(other, service).and_then(|manifest| first(&manifest));
        Some((deployed.into_iter().chain(coming).min()?, other.clone()))
    })
}

/// Whose route has that port.
#[must_use]
pub fn owner(port: u16, services: &BTreeMap<String, Service>) -> Option<&str> {
    let has = |manifest: &Arc<Manifest>| {
        manifest
            .routes
            .iter()
            .any(|route| matches!(route, Route::Tcp { port: its } if *its == port))
    };
    services.iter().find(|(_, service)| claimed(service).any(has)).map(|(name, _)| name.as_str())
}

/// Whether two routes begin at one place.
fn same(one: &Route, other: &Route) -> bool {
    match (one, other) {
        (Route::Http { host, path, .. }, Route::Http { host: its, path: below, .. }) => {
            host == its && path == below
        }
        (Route::Tcp { port }, Route::Tcp { port: its }) => port == its,
        (Route::Http { .. }, Route::Tcp { .. }) | (Route::Tcp { .. }, Route::Http { .. }) => false,
    }
}

/// The manifests whose routes a service has, or is to have.
fn claimed(service: &Service) -> impl Iterator<Item = &Arc<Manifest>> {
    let rollout = &service.record.rollout;
    let versions = [rollout.current(), rollout.target()].into_iter().flatten();
    versions.filter_map(|version| service.manifests.get(&version))
}

/// The manifest that an apply brings once its image is there.
fn coming(name: &str, service: &Service) -> Option<Arc<Manifest>> {
    let coming = service.record.preparing.as_ref()?;
    match &service.coming {
        Some((text, manifest)) if *text == coming.text => Some(Arc::clone(manifest)),
        Some(_) | None => manifest::parse(name, &coming.text).manifest.map(Arc::new),
    }
}

/// How long edges may keep a request while no instance serves; none where none is on its way.
/// An edge of an older build takes no table with the number in it. It is renewed before it is
/// missed: until a process of this build serves the table, no instance is stopped that left it.
fn hold_ms(service: &Service) -> Option<u64> {
    let rollout = &service.record.rollout;
    let ways = [rollout.current(), rollout.target()].into_iter().flatten();
    let manifests = ways.filter_map(|version| service.manifests.get(&version));
    rollout.holding().then(|| manifest::hold_ms(manifests.map(|manifest| &**manifest)))
}

fn options(websocket: bool, drain_ms: Option<u64>, hold_ms: Option<u64>) -> String {
    let drain = drain_ms.map(|ms| format!("drain={ms}"));
    let hold = hold_ms.map(|ms| format!("hold={ms}"));
    let words = [websocket.then(|| "websocket".to_string()), drain, hold];
    let words: Vec<String> = words.into_iter().flatten().collect();
    if words.is_empty() { "-".to_string() } else { words.join(",") }
}

/// What follows a line's options, and the containers in it. An instance whose address the node
/// has not told is left out.
fn backends(name: &str, service: &Service) -> (String, BTreeSet<String>) {
    let (mut text, mut ids) = (String::new(), BTreeSet::new());
    let rollout = &service.record.rollout;
    let routed = rollout.routed().iter().filter_map(|id| rollout.instances().get(id));
    for instance in routed {
        let Some((address, port)) = address_of(service, instance) else { continue };
        let Ok(address) = address.parse::<IpAddr>() else { continue };
        // A program without a port still has a name.
        let at = SocketAddr::new(address, port.unwrap_or(0));
        let edition = service.record.edition(Some(instance.version));
        let version = edition.map_or("unknown", |edition| edition.name.as_str());
        let id = container(name, instance.id);
        let _ = write!(text, " {}/{id}/{version}={at}", instance.number);
        ids.insert(id);
    }
    (text, ids)
}

#[cfg(test)]
#[path = "routes_test.rs"]
mod tests;
