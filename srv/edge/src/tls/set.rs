//! The certificates that are served, found by the name that a user asks for.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::Certificate;

/// All of them, and what is wrong in the directory.
#[derive(Debug, Default)]
pub(crate) struct Set {
    /// In the order of their files' names.
    all: Vec<Arc<Certificate>>,
    exact: HashMap<String, Arc<Certificate>>,
    /// By what comes after the `*.`.
    wild: HashMap<String, Arc<Certificate>>,
    /// A file's name and what is wrong with it.
    told: Vec<(String, String)>,
}

impl Set {
    /// Of two for one name, the one that holds now serves, then the one that was not ordered,
    /// then the one that holds longer.
    pub(crate) fn of(
        mut all: Vec<Arc<Certificate>>,
        told: Vec<(String, String)>,
        now: DateTime<Utc>,
    ) -> Self {
        all.sort_by(|one, other| (one.ordered, &one.file).cmp(&(other.ordered, &other.file)));
        let worth = |it: &Certificate| (it.valid.to >= now, !it.ordered, it.valid.to);
        let mut set = Self { told, ..Self::default() };
        for certificate in &all {
            for name in &certificate.names {
                // Those that were ordered come last, and are for where there is no other.
                let given = |it: &Arc<Certificate>| !it.ordered && it.valid.to >= now;
                if certificate.ordered && set.find(name).is_some_and(given) {
                    continue;
                }
                let (map, name) = match name.strip_prefix("*.") {
                    Some(rest) => (&mut set.wild, rest),
                    None => (&mut set.exact, name.as_str()),
                };
                let best = map.entry(name.to_owned()).or_insert_with(|| Arc::clone(certificate));
                if worth(best) < worth(certificate) {
                    *best = Arc::clone(certificate);
                }
            }
        }
        Self { all, ..set }
    }

    /// The one for a host in small letters: exact, then by `*.`, which stands for one label.
    pub(crate) fn find(&self, host: &str) -> Option<&Arc<Certificate>> {
        let wild = || host.split_once('.').and_then(|(_, rest)| self.wild.get(rest));
        self.exact.get(host).or_else(wild)
    }

    /// All for a host in small letters, or for the same `*.` name; one of each kind.
    pub(crate) fn of_host<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a Certificate> {
        let after = host.strip_prefix("*.").or_else(|| host.split_once('.').map(|(_, rest)| rest));
        let wild = after.and_then(|rest| self.wild.get(rest));
        self.exact.get(host).into_iter().chain(wild).map(|it| &**it)
    }

    pub(crate) fn all(&self) -> &[Arc<Certificate>] {
        &self.all
    }

    pub(crate) fn told(&self) -> &[(String, String)] {
        &self.told
    }
}

/// Chooses for each handshake from the set of that moment.
#[derive(Debug)]
pub(crate) struct Chooser(pub(crate) Arc<ArcSwap<Set>>);

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.0.load();
        let found = match hello.server_name() {
            Some(name) => set.find(&name.to_ascii_lowercase()),
            None => set.all.first(),
        };
        found.map(|certificate| Arc::clone(&certificate.key))
    }
}
