//! From host and path to a route, as fast for ten thousand routes as for one.
//!
//! Hosts are tried exact, then by the longest suffix, then any; of a host that matches, the
//! longest prefix of the path by whole segments. A host with no fitting path leaves the request
//! to the next one that matches, as a catch-all is meant to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::table::Host;

/// Finds routes; a route is its number in the table.
#[derive(Debug, Default)]
pub(crate) struct Index {
    exact: HashMap<Arc<str>, Paths>,
    suffix: HashMap<Arc<str>, Paths>,
    any: Paths,
}

/// The prefixes of one host.
#[derive(Debug, Default)]
struct Paths {
    /// The route of `/`.
    all: Option<usize>,
    prefixes: HashMap<Arc<str>, usize>,
    /// Segments of the longest prefix: no more of a path need be looked at.
    segments_max: usize,
}

impl Index {
    /// Adds a route; `path` has no slash at its end, unless it is `/`.
    pub(crate) fn add(&mut self, host: &Host, path: &Arc<str>, route: usize) {
        let paths = match host {
            Host::Exact(name) => self.exact.entry(Arc::clone(name)).or_default(),
            Host::Suffix(name) => self.suffix.entry(Arc::clone(name)).or_default(),
            Host::Any => &mut self.any,
        };
        match &**path {
            "/" => paths.all = Some(route),
            _ => {
                let segments = path.bytes().filter(|c| *c == b'/').count();
                paths.segments_max = paths.segments_max.max(segments);
                paths.prefixes.insert(Arc::clone(path), route);
            }
        }
    }

    /// The route for a host, in lower case and without port, and a path.
    pub(crate) fn find(&self, host: &str, path: &str) -> Option<usize> {
        let exact = || self.exact.get(host).and_then(|paths| paths.find(path));
        exact().or_else(|| self.by_suffix(host, path)).or_else(|| self.any.find(path))
    }

    fn by_suffix(&self, host: &str, path: &str) -> Option<usize> {
        if self.suffix.is_empty() {
            return None;
        }
        let dots = host.bytes().enumerate().filter(|(_, c)| *c == b'.');
        let mut suffixes = dots.map(|(at, _)| &host[at + 1..]);
        suffixes.find_map(|suffix| self.suffix.get(suffix).and_then(|paths| paths.find(path)))
    }
}

impl Paths {
    fn find(&self, path: &str) -> Option<usize> {
        if self.segments_max == 0 {
            return self.all;
        }
        // Ends of the first segments, each before a slash or at the end of the path.
        let slashes = path.bytes().enumerate().skip(1).filter(|(_, c)| *c == b'/');
        let ends = slashes.map(|(at, _)| at).chain([path.len()]).take(self.segments_max);
        let mut found = self.all;
        for end in ends {
            found = self.prefixes.get(&path[..end]).copied().or(found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Place, Table};
    use std::time::Instant;

    fn index(table: &Table) -> Index {
        let mut index = Index::default();
        for (at, route) in table.routes.iter().enumerate() {
            if let Place::Http { host, path } = &route.place {
                index.add(host, path, at);
            }
        }
        index
    }

    /// Routes, one a line; then requests `HOST PATH`, and after `>` the service, or `none`.
    fn check(routes: &str, requests: &str) {
        let lines: Vec<String> =
            routes.lines().map(str::trim).map(|line| format!("{line} -\n")).collect();
        let table = Table::parse(&format!("generation 1\n{}", lines.concat())).expect("a table");
        let index = index(&table);
        for request in requests.lines().map(str::trim) {
            let (request, wanted) = request.split_once(" > ").expect("what comes of it");
            let (host, path) = request.split_once(' ').expect("host and path");
            let found = index.find(host, path).map_or("none", |at| &table.routes[at].service);
            assert_eq!(found, wanted, "{request}");
        }
    }

    #[test]
    fn the_longest_prefix_by_whole_segments_wins() {
        check(
            "a / root
             a /api api
             a /api/v1/ v1",
            "a / > root
             a /apis > root
             a /api > api
             a /api/ > api
             a /api/v1x > api
             a /api/v1 > v1
             a /api/v1/x/y > v1
             a /x/api > root
             a //api > root",
        );
    }

    #[test]
    fn an_exact_host_comes_before_a_suffix_and_that_before_any() {
        check(
            "shop.example.com / shop
             *.example.com / wild
             *.eu.example.com / eu
             * /all any",
            "shop.example.com / > shop
             x.example.com / > wild
             a.b.example.com / > wild
             a.eu.example.com / > eu
             eu.example.com / > wild
             example.com / > none
             example.com /all > any
             other / > none",
        );
    }

    #[test]
    fn a_host_without_the_path_leaves_it_to_the_next() {
        check(
            "shop.example.com /api api
             *.example.com /img img
             * / rest",
            "shop.example.com /api/1 > api
             shop.example.com /img/1 > img
             shop.example.com /other > rest",
        );
    }

    #[test]
    fn ten_thousand_routes_are_as_fast_as_one() {
        let many: String = (0..10_000).map(|n| format!("h{n}.example.com /a/{n} s -\n")).collect();
        let few = "generation 1\nh9999.example.com /a/9999 s -\n";
        let many = index(&Table::parse(&format!("generation 1\n{many}")).expect("many"));
        let few = index(&Table::parse(few).expect("few"));
        let time = |index: &Index| {
            let began = Instant::now();
            for _ in 0..10_000 {
                assert!(index.find("h9999.example.com", "/a/9999/b/c").is_some());
            }
            began.elapsed()
        };
        // The best of some, for the machine has other work too; a walk of all would be 1000 times.
        let best = |index| (0..10).map(|_| time(index)).min().expect("times");
        let (one, all) = (best(&few), best(&many));
        assert!(all < one * 20, "one: {one:?}, ten thousand: {all:?}");
    }
}
