//! All that one process has counted, as other processes of the edge read it: so that a figure
//! goes on where it was, whichever of them is asked.
//!
//! A line a figure, its words apart by tabs: `route`, `instance` and `plain`, and what the process
//! has on its way: `flights`. `ended` stands last when it came to its end by itself, `killed` and
//! a number when whoever keeps it saw that it did not.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Reason;
use super::figures::Sum;
use crate::live::Live;
use crate::table::{Host, Place};

/// Figures that go down, too: they are those of processes that are there.
const GAUGES: [&str; 2] = ["deploy_held", "deploy_connections"];

/// Figures of a process, or of several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    routes: BTreeMap<String, Sum>,
    instances: BTreeMap<String, Sum>,
    /// All others, by the words before their number.
    plain: BTreeMap<String, u64>,
    /// Requests on their way.
    pub(crate) flights: u64,
    /// How many of those were lost, as far as that is known: none of a process that has ended.
    pub(crate) lost: Option<u64>,
}

impl Counts {
    /// What this process has counted, on what it had before. `rest` is the text of what belongs
    /// to no route and no instance.
    pub(crate) fn update(&mut self, live: &Live, rest: &str, flights: u64) {
        let routes = live.table.routes.iter().zip(&live.routes);
        let named = routes.filter_map(|(line, route)| {
            Some((key(&line.place, &line.service)?, route.figures.own()))
        });
        self.routes = named.filter(|(_, sum)| !sum.is_none()).collect();
        let instances = live.backends.values().map(|it| (it.is.id.to_string(), it.figures.own()));
        self.instances = instances.filter(|(_, sum)| !sum.is_none()).collect();
        // What is not told any more has not gone down.
        self.plain.extend(plain(rest).map(|(key, value)| (key.to_owned(), value)));
        self.flights = flights;
    }

    /// Adds those of a process; of one that is `gone` nothing is on its way.
    pub(crate) fn add(&mut self, more: &Counts, gone: bool) {
        let gone = gone || more.lost.is_some();
        let sums = [(&mut self.routes, &more.routes), (&mut self.instances, &more.instances)];
        for (to, of) in sums {
            for (key, sum) in of {
                let to = to.entry(key.clone()).or_default();
                to.add(sum);
                if gone {
                    to.in_flight -= sum.in_flight;
                }
            }
        }
        for (key, value) in more.plain.iter().filter(|(key, _)| !gone || !is_gauge(key)) {
            *self.plain.entry(key.clone()).or_default() += value;
        }
        if let Some(lost) = more.lost.or(gone.then_some(more.flights)) {
            let key = format!("deploy_requests_cut_total{{reason=\"{}\"}}", Reason::Killed.word());
            *self.plain.entry(key).or_default() += lost;
        }
        self.flights += if gone { 0 } else { more.flights };
    }

    /// Forgets what is of no route and no instance of the table any more.
    pub(crate) fn prune(&mut self, live: &Live) {
        let routes = live.table.routes.iter().filter_map(|it| key(&it.place, &it.service));
        let routes: std::collections::BTreeSet<String> = routes.collect();
        self.routes.retain(|key, _| routes.contains(key));
        self.instances.retain(|id, _| live.backends.contains_key(id.as_str()));
    }

    /// Lets the figures of routes and instances have these beside their own.
    pub(crate) fn show(&self, live: &Live) {
        let boxed = |sum: Option<&Sum>| sum.map(|sum| Box::new(sum.clone()));
        for (line, route) in live.table.routes.iter().zip(&live.routes) {
            let sum = key(&line.place, &line.service).and_then(|key| self.routes.get(&key));
            route.figures.show(boxed(sum));
        }
        for backend in live.backends.values() {
            backend.figures.show(boxed(self.instances.get(&*backend.is.id)));
        }
    }

    /// Adds the rest of these to a text of figures.
    pub(crate) fn added_to(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for line in text.lines() {
            let found =
                read_plain(line).and_then(|(key, own)| Some((key, own, self.plain.get(key)?)));
            // Writing to a string cannot fail.
            let _ = match found {
                Some((key, own, more)) => writeln!(out, "{key} {}", own + more),
                None => writeln!(out, "{line}"),
            };
        }
        out
    }

    /// One of the others.
    pub(crate) fn plain(&self, key: &str) -> u64 {
        self.plain.get(key).copied().unwrap_or(0)
    }

    /// Reads what `text` says; lines that make no sense are none.
    pub(crate) fn read(text: &str) -> Counts {
        let mut counts = Counts::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split('\t').collect();
            let number = words.last().and_then(|word| word.parse().ok());
            match (words[0], &words[1..], number) {
                ("route", [key, sum @ ..], _) => _ = counts.routes.insert((*key).into(), read(sum)),
                ("instance", [id, sum @ ..], _) => {
                    counts.instances.insert((*id).into(), read(sum));
                }
                ("plain", [key, _], Some(value)) => _ = counts.plain.insert((*key).into(), value),
                ("flights", _, Some(flights)) => counts.flights = flights,
                ("killed", _, Some(lost)) => counts.lost = Some(lost),
                ("ended", ..) => counts.lost = Some(0),
                _ => {}
            }
        }
        counts
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (word, sums) in [("route", &self.routes), ("instance", &self.instances)] {
            for (key, sum) in sums {
                write!(f, "{word}\t{key}\t{}\t{}\t", sum.in_flight, sum.took.sum_us)?;
                sum.classes.iter().try_for_each(|count| write!(f, "{count},"))?;
                f.write_str("\t")?;
                let mut buckets = sum.took.buckets();
                buckets.try_for_each(|(row, at, count)| write!(f, "{row}.{at}:{count},"))?;
                f.write_str("\n")?;
            }
        }
        for (key, value) in &self.plain {
            writeln!(f, "plain\t{key}\t{value}")?;
        }
        writeln!(f, "flights\t{}", self.flights)
    }
}

fn read(words: &[&str]) -> Sum {
    let mut sum = Sum::default();
    let [in_flight, sum_us, classes, buckets] = words else { return sum };
    sum.in_flight = in_flight.parse().unwrap_or(0);
    sum.took.sum_us = sum_us.parse().unwrap_or(0);
    for (to, count) in sum.classes.iter_mut().zip(classes.split(',')) {
        *to = count.parse().unwrap_or(0);
    }
    for (at, count) in buckets.split(',').filter_map(|it| it.split_once(':')) {
        let row = at.split_once('.').map(|(row, at)| (row.parse(), at.parse()));
        if let (Some((Ok(row), Ok(at))), Ok(count)) = (row, count.parse()) {
            sum.took.add_to(row, at, count);
        }
    }
    sum
}

/// The name of a route that every process gives it.
fn key(place: &Place, service: &str) -> Option<String> {
    match place {
        Place::Http { host: Host::Exact(name), path } => Some(format!("{name} {path} {service}")),
        Place::Http { host: Host::Suffix(name), path } => {
            Some(format!("*.{name} {path} {service}"))
        }
        Place::Http { host: Host::Any, path } => Some(format!("* {path} {service}")),
        Place::Tcp { port } => Some(format!("tcp {port} {service}")),
        Place::Nowhere => None,
    }
}

fn plain(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(read_plain)
}

/// A line of figures, if it is one that can be added up as it stands.
fn read_plain(line: &str) -> Option<(&str, u64)> {
    let (key, value) = line.rsplit_once(' ')?;
    let name = key.split('{').next()?;
    // Those of routes and instances are added up where they are counted.
    let of_one = name == "deploy_requests_total" || name == "deploy_route_requests_total";
    let adds = (name.ends_with("_total") && !of_one) || is_gauge(key);
    adds.then(|| value.parse().ok()).flatten().map(|value| (key, value))
}

fn is_gauge(key: &str) -> bool {
    GAUGES.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Class;
    use crate::table::Table;
    use std::time::Duration;

    const REST: &str = "# TYPE deploy_held gauge\ndeploy_held 2\n\
        deploy_requests_cut_total{reason=\"killed\"} 1\ndns_queries_total{rcode=\"NXDOMAIN\"} 5\n";

    fn live() -> Live {
        let text =
            "generation 1\nshop / web - 0/web-1/v1=1.2.3.4:5\ntcp 7 db - 0/db-1/v1=1.2.3.4:6\n";
        Live::of(Table::parse(text).expect("a table"), None, 2)
    }

    fn counted(live: &Live) -> Counts {
        let (mut counts, web) = (Counts::default(), &live.backends["web-1"].figures);
        for figures in [web, &*live.routes[0].figures] {
            figures.begin(1);
            figures.end(1, Class::Good, Duration::from_millis(3));
            figures.begin(0);
        }
        counts.update(live, REST, 1);
        counts
    }

    #[test]
    fn what_one_process_has_counted_another_reads_and_shows_beside_its_own() {
        let counts = Counts::read(&counted(&live()).to_string());
        let other = live();
        let mut others = Counts::default();
        others.add(&counts, false);
        others.show(&other);
        for figures in [&other.backends["web-1"].figures, &*other.routes[0].figures] {
            let sum = figures.sum();
            assert_eq!((sum.classes[1], sum.in_flight, sum.took.count()), (1, 1, 1));
            assert_eq!(sum.took.sum_us, 3000);
            assert_eq!(figures.own().took.count(), 0, "its own are its own");
        }
        assert_eq!(other.backends["db-1"].figures.sum().took.count(), 0);
        let text = others.added_to(REST);
        assert!(text.contains("deploy_held 4\n") && text.contains("NXDOMAIN\"} 10\n"), "{text}");
        assert!(text.starts_with("# TYPE deploy_held gauge\n"), "{text}");
    }

    #[test]
    fn of_a_process_that_is_gone_counts_stay_and_what_was_on_its_way_is_lost() {
        let text = counted(&live()).to_string();
        let check = |last: &str, killed: u64| {
            let mut past = Counts::default();
            past.add(&Counts::read(&format!("{text}{last}")), true);
            let cut = past.plain("deploy_requests_cut_total{reason=\"killed\"}");
            assert_eq!((cut, past.flights, past.plain("deploy_held")), (killed, 0, 0), "{last}");
            assert_eq!((past.instances["web-1"].in_flight, past.routes.len()), (0, 1), "{last}");
            // What was folded in is not lost once more.
            let mut later = Counts::default();
            later.add(&Counts::read(&past.to_string()), false);
            assert_eq!(later.plain("deploy_requests_cut_total{reason=\"killed\"}"), killed);
        };
        check("", 2);
        check("killed\t3\n", 4);
        check("ended\n", 1);
    }

    #[test]
    fn what_the_table_has_no_more_is_forgotten() {
        let mut counts = counted(&live());
        counts.prune(&Live::of(Table::default(), None, 1));
        assert!(counts.routes.is_empty() && counts.instances.is_empty());
        assert_eq!(counts.plain("deploy_requests_cut_total{reason=\"killed\"}"), 1);
    }
}
