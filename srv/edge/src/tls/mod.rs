//! HTTPS: certificates from a directory, and those that were ordered, chosen by the name that the
//! user asks for, taken anew when their files change. What is open goes on with what it began with.
//!
//! Never: makes or asks for a certificate; takes up a pair that does not fit, has expired or is
//! half written (one that expires while it is served goes on until there is another); lets a slow
//! handshake hold others up.

mod folder;
mod handshake;
mod pair;
mod set;
#[cfg(test)]
pub(crate) mod test;
mod validity;
mod watch;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::sync;

use crate::Error;
use crate::acme::Proofs;
use set::{Chooser, Set};

pub(crate) use folder::Places;
pub(crate) use handshake::shake;
pub(crate) use pair::{check, end, shown};
pub(crate) use validity::Validity;
pub(crate) use watch::keep;

/// What may be spoken inside, the best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS as all workers share it.
#[derive(Debug)]
pub(crate) struct Tls {
    /// The same for the life of the process, so that tickets outlive a change of certificates.
    config: Arc<ServerConfig>,
    set: Arc<ArcSwap<Set>>,
    /// Where certificates come from, once they do.
    places: OnceLock<Places>,
    /// One look at a time: an older one must not be the last.
    looking: Mutex<()>,
    /// What is told of those that are ordered: lines of `status`.
    orders: sync::watch::Sender<String>,
    /// Proofs for who hands certificates out.
    pub(crate) proofs: Arc<Proofs>,
    /// Where users are served; 0 for nowhere.
    port: AtomicU16,
    /// Handshakes that have not ended.
    under_way: AtomicUsize,
    failed: AtomicU64,
    refused: AtomicU64,
    /// Counts the times that the directory was looked at.
    looked: sync::watch::Sender<u64>,
}

impl Tls {
    /// Has no certificate yet.
    pub(crate) fn new() -> Result<Arc<Self>, Error> {
        let failed = |why: rustls::Error| Error::Process(format!("TLS: {why}"));
        let set = Arc::new(ArcSwap::from_pointee(Set::default()));
        let chooser = Arc::new(Chooser(Arc::clone(&set)));
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(chooser);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.ticketer = ring::Ticketer::new().map_err(failed)?;
        Ok(Arc::new(Self {
            config: Arc::new(config),
            set,
            places: OnceLock::new(),
            looking: Mutex::default(),
            orders: sync::watch::Sender::default(),
            proofs: Arc::default(),
            port: AtomicU16::new(0),
            under_way: AtomicUsize::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            looked: sync::watch::Sender::new(0),
        }))
    }

    /// Users are served at this port from now on.
    pub(crate) fn serves_at(&self, port: u16) {
        self.port.store(port, Ordering::Relaxed);
    }

    /// The port where this host, in small letters, is served over TLS.
    pub(crate) fn port_of(&self, host: &str) -> Option<u16> {
        let port = self.port.load(Ordering::Relaxed);
        (port != 0 && self.set.load().find(host).is_some()).then_some(port)
    }

    /// Handshakes that failed, and those that were refused because too many were under way.
    pub(crate) fn unshaken(&self) -> (u64, u64) {
        (self.failed.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed))
    }

    /// Hears of every look at the places of certificates.
    pub(crate) fn looks(&self) -> sync::watch::Receiver<u64> {
        self.looked.subscribe()
    }

    /// What a host in small letters, or a `*.` name, has that holds now: whether it was ordered,
    /// and for how long. One that was not ordered comes before one that was.
    pub(crate) fn held(&self, host: &str, now: DateTime<Utc>) -> Option<(bool, Validity)> {
        let set = self.set.load();
        let valid = set.of_host(host).filter(|it| it.valid.to >= now);
        valid.map(|it| (it.ordered, it.valid)).min_by_key(|(ordered, _)| *ordered)
    }

    /// Tells this of what is ordered from now on: lines of `status`.
    pub(crate) fn told(&self, lines: String) {
        self.orders.send_replace(lines);
    }

    /// Hears whenever something else is told of what is ordered.
    #[cfg(test)]
    pub(crate) fn retold(&self) -> sync::watch::Receiver<String> {
        self.orders.subscribe()
    }

    /// Takes what is in the places now. It reads files.
    pub(crate) fn look(&self) {
        let Some(places) = self.places.get() else { return };
        let _turn = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.set.load_full();
        let now = folder::look(places, &before, SystemTime::now().into());
        for (file, why) in now.told().iter().filter(|told| !before.told().contains(told)) {
            tracing::warn!("certificate {file}: {why}");
        }
        for new in now.all().iter().filter(|new| !before.all().iter().any(|old| old.is(new))) {
            tracing::info!("certificate {new}");
        }
        self.set.store(Arc::new(now));
        self.looked.send_modify(|looks| *looks += 1);
    }

    /// Lines of `status`.
    pub(crate) fn status(&self) -> String {
        let mut text = String::new();
        let Some(places) = self.places.get() else { return text };
        let set = self.set.load();
        if let Some(dir) = &places.given {
            let none = if set.all().is_empty() { " (none: handshakes are refused)" } else { "" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "certs={}{none}", dir.display());
        }
        for certificate in set.all() {
            let _ = writeln!(text, "cert={certificate}");
        }
        for (file, why) in set.told() {
            let _ = writeln!(text, "cert_wrong={file}: {why}");
        }
        text + &self.orders.borrow()
    }

    /// When each certificate ends, as Prometheus reads it.
    pub(crate) fn metrics(&self, text: &mut String) {
        let set = self.set.load();
        if set.all().is_empty() {
            return;
        }
        let name = "deploy_certificate_expiry_seconds";
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} When a certificate ends, in seconds since 1970.");
        let _ = writeln!(text, "# TYPE {name} gauge");
        for certificate in set.all() {
            let file = certificate.file.replace('\\', "\\\\").replace('"', "\\\"");
            let names = certificate.names.join(",");
            let end = certificate.valid.to.timestamp();
            let _ = writeln!(text, "{name}{{file=\"{file}\",names=\"{names}\"}} {end}");
        }
    }
}
