//! Which hosts of the table a certificate can be ordered for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::plan::Held;
use crate::table::{Host, Place, Table};

/// Hosts of one edge that certificates are ordered for.
const HOSTS_MAX: usize = 1000;
/// Bytes of a host's name: a file is named by it.
const HOST_BYTES_MAX: usize = 230;
/// Hosts without that are told.
const TOLD_MAX: usize = 20;

/// The table's hosts, parted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Hosts {
    /// One can be ordered for, and what each has.
    pub(super) all: BTreeMap<String, Held>,
    /// None can be, and why.
    pub(super) without: Vec<(String, String)>,
}

/// The hosts of a table; `held` says what a name, or what follows a `*.`, has now.
pub(super) fn of(table: &Table, held: impl Fn(&str) -> Held) -> Hosts {
    let (mut hosts, mut without) = (Hosts::default(), BTreeSet::new());
    for route in &table.routes {
        let Place::Http { host, .. } = &route.place else { continue };
        let name = match host {
            Host::Exact(name) => name,
            Host::Suffix(suffix) => {
                if held(&format!("*.{suffix}")) != Held::Given {
                    let why = "names cannot be proven by HTTP before they are known";
                    without.insert((format!("*.{suffix}"), why));
                }
                continue;
            }
            Host::Any => {
                without.insert(("*".to_owned(), "only names can be proven"));
                continue;
            }
        };
        match unfit(name) {
            _ if hosts.all.contains_key(&**name) => {}
            Some(why) => drop(without.insert((name.to_string(), why))),
            None if hosts.all.len() == HOSTS_MAX => {
                without.insert((name.to_string(), "there are too many hosts before it"));
            }
            None => drop(hosts.all.insert(name.to_string(), held(name))),
        }
    }
    let told = without.into_iter().filter(|(host, _)| held(host) != Held::Given).take(TOLD_MAX);
    hosts.without = told.map(|(host, why)| (host, why.to_owned())).collect();
    hosts
}

/// Why no authority hands out a certificate for it.
fn unfit(name: &str) -> Option<&'static str> {
    if name.starts_with('[') || name.parse::<IpAddr>().is_ok() {
        return Some("it is an address");
    }
    let label = |label: &str| {
        let fine = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        label.bytes().all(fine) && !label.starts_with('-') && !label.ends_with('-')
    };
    match () {
        () if !name.contains('.') => Some("a name without a dot is nobody's"),
        () if name.len() > HOST_BYTES_MAX => Some("its name is too long"),
        () if !name.split('.').all(label) => Some("it is no name of a host"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_names_are_ordered_for_and_others_are_told() {
        let lines = [
            "shop.example / web -",
            "shop.example /api web -",
            "given.example / web -",
            "*.shop.example / web -",
            "*.given.example / web -",
            "* / web -",
            "192.0.2.1 / web -",
            "[2001:db8::1] / web -",
            "localhost / web -",
            "a_b.example / web -",
            "tcp 5432 db -",
            "- - idle -",
        ];
        let text = format!("generation 1\n{}\n", lines.join("\n"));
        let table = Table::parse(&text).unwrap();
        let hosts = of(&table, |name| match name {
            "given.example" | "*.given.example" => Held::Given,
            _ => Held::Nothing,
        });
        let all: Vec<_> = hosts.all.iter().map(|(host, held)| (host.as_str(), *held)).collect();
        assert_eq!(all, [("given.example", Held::Given), ("shop.example", Held::Nothing)]);
        let without: Vec<_> = hosts.without.iter().map(|(host, _)| host.as_str()).collect();
        let want =
            ["*", "*.shop.example", "192.0.2.1", "[2001:db8::1]", "a_b.example", "localhost"];
        assert_eq!(without, want);
    }

    #[test]
    fn there_is_a_limit_to_how_many_hosts_are_ordered_for() {
        let lines: String =
            (0..HOSTS_MAX + 50).map(|i| format!("h{i}.example / web -\n")).collect();
        let table = Table::parse(&format!("generation 1\n{lines}")).unwrap();
        let hosts = of(&table, |_| Held::Nothing);
        assert_eq!((hosts.all.len(), hosts.without.len()), (HOSTS_MAX, TOLD_MAX));
    }
}
