//! An edge with one instance, an authority that looks for proofs at it, and users who trust that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::access::Access;
use crate::acme::authority::Authority;
use crate::acme::{Orders, Pace, Settings};
use crate::http::Scheme;
use crate::http::test::rig::{Instance, Rig, SOON, listen, soon};
use crate::limits::Limits;
use crate::tls::Places;
use crate::tls::test::rig::client_of;
use crate::worker::Kind;

/// An edge that orders.
pub(super) struct Ordering {
    pub(super) rig: Rig,
    pub(super) instance: Instance,
    pub(super) authority: Authority,
    /// What people have put there.
    pub(super) given: TempDir,
    state: TempDir,
    pub(super) https: SocketAddr,
    orders: Option<Orders>,
    pub(super) settings: Settings,
    _leave: watch::Sender<bool>,
}

/// Rests that a test can wait for.
pub(super) const QUICK: Pace =
    Pace { rest_min: Duration::from_millis(100), rest_max: Duration::from_secs(5), orders: 4 };

impl Ordering {
    /// An edge with these hosts, which does not order yet.
    pub(super) async fn new(hosts: &[&str]) -> Ordering {
        let limits = Limits { workers: 2, ..Limits::default() };
        let (rig, instance) = (Rig::with(limits, Access::none()).await, Instance::new("a").await);
        let (https, leave, _served) = listen(&rig.shared, Kind::Http(Scheme::Https)).await;
        rig.shared.tls.serves_at(https.port());
        let authority = Authority::start(rig.address.port()).await;
        let mut settings = Settings::at(authority.url.clone()).expect("an address");
        settings.ca = Some(authority.root());
        settings.contact = Some("a@shop.example".to_owned());
        let dir = || tempfile::tempdir().expect("a directory");
        let (given, state) = (dir(), dir());
        let places = Places {
            given: Some(given.path().to_owned()),
            ordered: Some(settings.place(state.path())),
        };
        crate::tls::keep(&rig.shared.tls, places).await;
        let _leave = leave;
        let mut it = Ordering {
            rig,
            instance,
            authority,
            given,
            state,
            https,
            orders: None,
            settings,
            _leave,
        };
        it.table(hosts);
        it
    }

    /// Serves these hosts from now on.
    pub(super) fn table(&mut self, hosts: &[&str]) {
        let line = |host: &&str| format!("{host} / a - {}", self.instance.line());
        let lines: Vec<String> = hosts.iter().map(line).collect();
        self.rig.table(&lines.join("\n"));
    }

    /// Orders from now on, as a process that was just started does.
    pub(super) fn order(&mut self, pace: Pace) {
        let dir = self.settings.place(self.state.path());
        let shared = Arc::clone(&self.rig.shared);
        self.orders = Some(Orders::start(shared, self.settings.clone(), dir, pace));
    }

    pub(super) async fn stop(&mut self) {
        self.orders.take().expect("it orders").stop().await;
    }

    /// The file of what was ordered.
    pub(super) fn file(&self, name: &str) -> std::path::PathBuf {
        self.settings.place(self.state.path()).join(name)
    }

    pub(super) fn status(&self) -> String {
        self.rig.shared.tls.status()
    }

    /// Waits until the status fits.
    pub(super) async fn until(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let tls = &self.rig.shared.tls;
        let (mut told, mut looks) = (tls.retold(), tls.looks());
        let waited = tokio::time::timeout(SOON, async {
            loop {
                let status = self.status();
                if fits(&status) {
                    return status;
                }
                tokio::select! {
                    told = told.changed() => told.expect("it lives"),
                    looked = looks.changed() => looked.expect("it lives"),
                }
            }
        });
        waited.await.unwrap_or_else(|_| panic!("no {what} in:\n{}", self.status()))
    }

    /// Waits until the host has a certificate that was ordered.
    pub(super) async fn has(&self, host: &str) {
        let line = format!("acme_host={host} until=2");
        self.until(&line, |status| status.contains(&line)).await;
    }

    /// A user who trusts the authority.
    pub(super) fn client(&self) -> Arc<ClientConfig> {
        let root = CertificateDer::from_pem_file(self.authority.root()).expect("the root");
        client_of(&[root])
    }

    /// Such a user's stream.
    pub(super) async fn user(&self, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        connect(self.https, host, self.client()).await
    }
}

pub(super) async fn connect(
    at: SocketAddr,
    host: &str,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(at).await?;
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    soon("a handshake", TlsConnector::from(config).connect(name, stream)).await
}
