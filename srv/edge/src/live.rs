//! A table as it is served: its routes in an index, its instances with their gates.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::backend::Backend;
use crate::dns::Names;
use crate::http::Index;
use crate::metrics::Figures;
use crate::table::{Options, Place, Table};

/// One generation of the table, with what lives longer than one.
#[derive(Debug)]
pub(crate) struct Live {
    /// The table as it was read.
    pub(crate) table: Table,
    /// As in the table, in its order.
    pub(crate) routes: Vec<Route>,
    /// Finds a route by host and path.
    pub(crate) index: Index,
    /// Finds a route by its port.
    pub(crate) tcp: BTreeMap<u16, usize>,
    /// What is answered for names: of the same table, so that who asks for a name and then for a
    /// page is never told of two.
    pub(crate) names: Arc<Names>,
    /// Every instance of the table, by its ID.
    pub(crate) backends: HashMap<Arc<str>, Arc<Backend>>,
}

/// A route with its instances.
#[derive(Debug)]
pub(crate) struct Route {
    /// Whose it is.
    pub(crate) service: Arc<str>,
    /// How its requests are treated.
    pub(crate) options: Options,
    /// Who serves it now.
    pub(crate) backends: Vec<Arc<Backend>>,
    /// Its requests, counted by the workers.
    pub(crate) figures: Arc<Figures>,
}

impl Live {
    /// What `table` makes of the one that was served before; instances and figures that stay
    /// are the same ones.
    pub(crate) fn of(table: Table, before: Option<&Live>, workers: usize) -> Self {
        let known = |id: &Arc<str>| before.and_then(|live| live.backends.get(id));
        let figures = before.map(Live::figures).unwrap_or_default();
        let mut live = Self {
            routes: Vec::with_capacity(table.routes.len()),
            index: Index::default(),
            tcp: BTreeMap::new(),
            names: Arc::new(Names::of_table(&table)),
            backends: HashMap::with_capacity(table.backends.len()),
            table: Table::default(),
        };
        for (at, route) in table.routes.iter().enumerate() {
            let backends = route.backends.iter().filter_map(|id| {
                let is = table.backends.get(id)?;
                let make = || Backend::new(is.clone(), Arc::clone(&route.service), workers);
                // Its number and version may change while it serves: an update ends with new
                // numbers. With another gate what is on its way to it would be forgotten.
                let same = |old: &&Arc<Backend>| old.is.address == is.address;
                let backend = live.backends.entry(Arc::clone(id)).or_insert_with(|| {
                    known(id).filter(same).cloned().unwrap_or_else(|| make().into())
                });
                Some(Arc::clone(backend))
            });
            let backends = backends.collect();
            let figures = figures.get(&(&route.place, &route.service)).copied().cloned();
            live.routes.push(Route {
                service: Arc::clone(&route.service),
                options: route.options.clone(),
                backends,
                figures: figures.unwrap_or_else(|| Arc::new(Figures::new(workers))),
            });
            match &route.place {
                Place::Http { host, path } => live.index.add(host, path, at),
                Place::Tcp { port } => _ = live.tcp.insert(*port, at),
                Place::Nowhere => {}
            }
        }
        live.table = table;
        live
    }

    /// Instances of this table that `next` has no more, with the drain that this one gives them.
    pub(crate) fn gone<'a>(&'a self, next: &'a Live) -> impl Iterator<Item = &'a Arc<Backend>> {
        let stays = |old: &Arc<Backend>| {
            next.backends.get(&old.is.id).is_some_and(|new| Arc::ptr_eq(old, new))
        };
        self.backends.values().filter(move |old| !stays(old))
    }

    /// The longest drain that a route gives to each instance.
    pub(crate) fn drains(&self) -> HashMap<u64, std::time::Duration> {
        let mut drains = HashMap::with_capacity(self.backends.len());
        for route in &self.routes {
            for backend in &route.backends {
                let drain = drains.entry(backend.serial).or_insert(route.options.drain);
                *drain = route.options.drain.max(*drain);
            }
        }
        drains
    }

    fn figures(&self) -> HashMap<(&Place, &Arc<str>), &Arc<Figures>> {
        let both = self.table.routes.iter().zip(&self.routes);
        both.map(|(line, route)| ((&line.place, &line.service), &route.figures)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_the_same_one_whatever_its_number_and_version_become() {
        let live = |text: &str, before: Option<&Live>| {
            let table = Table::parse(&format!("generation 1\nshop / web - {text}\n"));
            Live::of(table.expect("a table"), before, 1)
        };
        let first = live("3/web-3/aa=1.2.3.4:5", None);
        let renumbered = live("0/web-3/bb=1.2.3.4:5", Some(&first));
        assert_eq!(first.gone(&renumbered).count(), 0);
        assert!(Arc::ptr_eq(&first.backends["web-3"], &renumbered.backends["web-3"]));
        let moved = live("0/web-3/bb=1.2.3.4:6", Some(&renumbered));
        assert_eq!(renumbered.gone(&moved).count(), 1, "an address is another program");
    }
}
