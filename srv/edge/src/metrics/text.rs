//! All figures as Prometheus reads them.

use std::fmt::Write;

use super::figures::{Class, Sum};
use super::histogram::{ROWS, ends_us, middle_ns};
use super::{Reason, Want};
use crate::swap::Shared;
use crate::table::{Host, Place};

/// The text of `metrics`.
pub(crate) fn text(shared: &Shared) -> String {
    let mut out = Text(String::with_capacity(64 * 1024));
    let live = shared.live();
    out.head("deploy_route_requests_total", "counter", "Requests of a route, by how they ended.");
    let routes: Vec<(String, Sum)> = live
        .table
        .routes
        .iter()
        .zip(&live.routes)
        .filter_map(|(line, route)| Some((place(&line.place, &line.service)?, route.figures.sum())))
        .collect();
    let backends: Vec<(String, Sum)> = live
        .backends
        .values()
        .map(|it| {
            let id = &it.is.id;
            let version = live.table.backends.get(id).map_or(&it.is.version, |now| &now.version);
            let service = &it.service;
            let labels = format!("service=\"{service}\",instance=\"{id}\",version=\"{version}\"");
            (labels, it.figures.sum())
        })
        .collect();
    out.classes("deploy_route_requests_total", &routes);
    out.head("deploy_requests_total", "counter", "Requests of an instance, by how they ended.");
    out.classes("deploy_requests_total", &backends);
    out.flights("deploy_route_inflight", &routes);
    out.flights("deploy_inflight", &backends);
    out.took("deploy_route_request_seconds", &routes);
    out.took("deploy_request_seconds", &backends);
    out.rest(shared);
    shared.tls.metrics(&mut out.0);
    out.0
}

/// The part of it that is of no route and no instance.
pub(crate) fn rest(shared: &Shared) -> String {
    let mut out = Text(String::new());
    out.rest(shared);
    out.0
}

fn place(place: &Place, service: &str) -> Option<String> {
    match place {
        Place::Http { host, path } => {
            let host = match host {
                Host::Exact(name) => name.to_string(),
                Host::Suffix(name) => format!("*.{name}"),
                Host::Any => "*".into(),
            };
            let path = path.replace('\\', "\\\\").replace('"', "\\\"");
            Some(format!("service=\"{service}\",host=\"{host}\",path=\"{path}\""))
        }
        Place::Tcp { port } => Some(format!("service=\"{service}\",host=\"tcp\",path=\"{port}\"")),
        Place::Nowhere => None,
    }
}

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn classes(&mut self, name: &str, sums: &[(String, Sum)]) {
        for (labels, sum) in sums {
            for class in Class::ALL {
                let (word, count) = (class.word(), sum.classes[class as usize]);
                if count > 0 || class == Class::Good {
                    let _ = writeln!(self.0, "{name}{{{labels},class=\"{word}\"}} {count}");
                }
            }
        }
    }

    fn flights(&mut self, name: &str, sums: &[(String, Sum)]) {
        self.head(name, "gauge", "Requests on their way.");
        for (labels, sum) in sums {
            let _ = writeln!(self.0, "{name}{{{labels}}} {}", sum.in_flight);
        }
    }

    fn took(&mut self, name: &str, sums: &[(String, Sum)]) {
        self.head(name, "histogram", "From a request's head to the end of its answer.");
        for (labels, sum) in sums {
            let mut below = 0;
            for row in 0..ROWS {
                below += sum.took.of_row(row);
                if let Some(end) = ends_us(row) {
                    let le = end as f64 / 1e6;
                    let _ = writeln!(self.0, "{name}_bucket{{{labels},le=\"{le}\"}} {below}");
                }
            }
            let _ = writeln!(self.0, "{name}_bucket{{{labels},le=\"+Inf\"}} {below}");
            let seconds = sum.took.sum_us as f64 / 1e6;
            let _ = writeln!(self.0, "{name}_sum{{{labels}}} {seconds}");
            let _ = writeln!(self.0, "{name}_count{{{labels}}} {below}");
            self.fine(name, labels, sum);
        }
        let quantiles = format!("{name}_quantile");
        self.head(&quantiles, "gauge", "What so many of all requests did not exceed.");
        for (labels, sum) in sums {
            for part in [0.5, 0.99] {
                if let Some(took) = sum.took.quantile(part) {
                    let seconds = took.as_secs_f64();
                    let _ =
                        writeln!(self.0, "{quantiles}{{{labels},quantile=\"{part}\"}} {seconds}");
                }
            }
        }
    }

    /// A comment with every bucket that counts something, as `MIDDLE:COUNT` in microseconds: a
    /// bound each would be far too many for who gathers them.
    fn fine(&mut self, name: &str, labels: &str, sum: &Sum) {
        if sum.took.count() == 0 {
            return;
        }
        let _ = write!(self.0, "# FINE {name}{{{labels}}}");
        for (row, at, count) in sum.took.buckets() {
            let _ = match middle_ns(row, at) {
                Some(ns) => write!(self.0, " {}:{count}", ns / 1000),
                None => write!(self.0, " +Inf:{count}"),
            };
        }
        self.0.push('\n');
    }

    fn rest(&mut self, shared: &Shared) {
        let cut = "deploy_requests_cut_total";
        self.head(cut, "counter", "Requests that were ended early; none in an update.");
        for why in Reason::ALL {
            let _ = writeln!(self.0, "{cut}{{reason=\"{}\"}} {}", why.word(), shared.cuts.of(why));
        }
        let refused = "deploy_requests_refused_total";
        self.head(refused, "counter", "Requests that nobody was there for.");
        for why in Want::ALL {
            let count = shared.refused.of(why);
            let _ = writeln!(self.0, "{refused}{{reason=\"{}\"}} {count}", why.word());
        }
        let held = shared.held.load(std::sync::atomic::Ordering::Relaxed) as u64;
        let (failed, refused) = shared.tls.unshaken();
        let refused = refused + shared.users.unshaken();
        let unrouted = shared.unrouted.sum().classes[Class::Edge as usize];
        for (name, kind, help, value) in [
            ("deploy_unrouted_total", "counter", "Requests that no route was for.", unrouted),
            ("deploy_held", "gauge", "Requests that wait for an instance.", held),
            ("deploy_connections", "gauge", "Connections of users.", shared.users.count()),
            (
                "deploy_connections_refused_total",
                "counter",
                "Connections over a limit.",
                shared.users.refused(),
            ),
            ("deploy_handshakes_failed_total", "counter", "TLS handshakes that failed.", failed),
            ("deploy_handshakes_refused_total", "counter", "TLS handshakes over a limit.", refused),
            (
                "deploy_access_lines_dropped_total",
                "counter",
                "Lines of the access log that nobody could take.",
                shared.access.dropped(),
            ),
            (
                "deploy_generation",
                "gauge",
                "Generation of the table that is served.",
                shared.live().table.generation,
            ),
        ] {
            self.head(name, kind, help);
            let _ = writeln!(self.0, "{name} {value}");
        }
    }
}
