//! HTTPS: certificates from a directory, chosen by the name that the user asks for, taken anew
//! when their files change. What is open goes on with what it began with.
//!
//! Never: makes or asks for a certificate; serves a pair that does not fit, has expired or is
//! half written; lets a slow handshake hold others up.

mod folder;
mod handshake;
mod pair;
mod set;
#[cfg(test)]
mod test;
mod validity;
mod watch;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::sync;

use crate::Error;
use set::{Chooser, Set};

pub(crate) use handshake::shake;
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
    dir: OnceLock<PathBuf>,
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
            dir: OnceLock::new(),
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

    /// Takes what is in the directory now. It reads files.
    fn look(&self, dir: &Path) {
        let before = self.set.load_full();
        let now = folder::look(dir, &before, SystemTime::now().into());
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
        let Some(dir) = self.dir.get() else { return text };
        let set = self.set.load();
        // Writing to a string cannot fail.
        let _ = match set.all() {
            [] => writeln!(text, "certs={} (none: handshakes are refused)", dir.display()),
            _ => writeln!(text, "certs={}", dir.display()),
        };
        for certificate in set.all() {
            let _ = writeln!(text, "cert={certificate}");
        }
        for (file, why) in set.told() {
            let _ = writeln!(text, "cert_wrong={file}: {why}");
        }
        text
    }
}
