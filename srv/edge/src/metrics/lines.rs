//! The figures of routes and instances as people read them: lines of `status`.

use std::fmt::Write;

use super::figures::{Class, Sum};
use crate::swap::Shared;
use crate::table::Place;

/// Lines of each kind; those of more are in `metrics` only.
const LINES_MAX: usize = 200;

/// A line a route and a line an instance that has been asked for something.
pub(crate) fn lines(shared: &Shared) -> String {
    let live = shared.live();
    let mut out = String::new();
    let routes = live.table.routes.iter().zip(&live.routes);
    let routes = routes.filter_map(|(line, route)| {
        let place = match &line.place {
            Place::Http { host, path } => format!("{host} {path}"),
            Place::Tcp { port } => format!("tcp {port}"),
            Place::Nowhere => return None,
        };
        Some((format!("route={} {place}", line.service), route.figures.sum()))
    });
    add(&mut out, routes);
    let mut instances: Vec<_> = live.backends.values().collect();
    instances.sort_unstable_by(|one, other| one.is.id.cmp(&other.is.id));
    let instances = instances.into_iter().map(|it| {
        let text = format!("instance={} {} {}", it.service, it.is.id, it.is.version);
        (text, it.figures.sum())
    });
    add(&mut out, instances);
    out
}

fn add(out: &mut String, all: impl Iterator<Item = (String, Sum)>) {
    let asked = all.filter_map(|(of, sum)| {
        let requests: u64 = sum.classes.iter().sum();
        (requests + sum.in_flight > 0).then_some((of, requests, sum))
    });
    for (of, requests, sum) in asked.take(LINES_MAX) {
        let errors = sum.classes[Class::Instance as usize] + sum.classes[Class::Edge as usize];
        // Writing to a string does not fail.
        let _ = write!(out, "{of} requests={requests} errors={errors} inflight={}", sum.in_flight);
        for (name, part) in [("p50_ms", 0.5), ("p99_ms", 0.99)] {
            let took = sum.took.quantile(part).map_or(0.0, |took| took.as_secs_f64() * 1e3);
            let _ = write!(out, " {name}={took:.3}");
        }
        out.push('\n');
    }
}
