//! An edge with a directory of certificates, and users who trust some of them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::access::Access;
use crate::http::Scheme;
use crate::http::test::rig::{Instance, Rig, listen, soon};
use crate::limits::Limits;
use crate::tls::Places;
use crate::worker::Kind;

/// What `openssl` needs to be told, so that the machine's own settings count for nothing.
const SETTINGS: &str = "[req]\ndistinguished_name=dn\n[dn]\n";

/// An edge, one instance that is behind every host, and the directory.
pub(crate) struct Secure {
    pub(crate) rig: Rig,
    pub(crate) instance: Instance,
    pub(crate) dir: TempDir,
    pub(crate) address: SocketAddr,
    _leave: tokio::sync::watch::Sender<bool>,
}

impl Secure {
    pub(crate) async fn new() -> Self {
        Self::with(Limits { workers: 2, ..Limits::default() }).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let (mut rig, instance) =
            (Rig::with(limits, Access::none()).await, Instance::new("a").await);
        rig.table(&format!("* / a websocket {}", instance.line()));
        let dir = tempfile::tempdir().expect("a directory");
        let (address, leave, _served) = listen(&rig.shared, Kind::Http(Scheme::Https)).await;
        rig.shared.tls.serves_at(address.port());
        Self { rig, instance, dir, address, _leave: leave }
    }

    /// Serves the directory from now on.
    pub(crate) async fn keep(&self) {
        let given = Some(self.dir.path().to_owned());
        crate::tls::keep(&self.rig.shared.tls, Places { given, ordered: None }).await;
    }

    pub(crate) fn status(&self) -> String {
        self.rig.shared.tls.status()
    }

    /// Waits until the status says this.
    pub(crate) async fn says(&self, text: &str) {
        let mut looked = self.rig.shared.tls.looked.subscribe();
        let told = async {
            while !self.status().contains(text) {
                looked.changed().await.expect("a look");
            }
        };
        if tokio::time::timeout(crate::http::test::rig::SOON, told).await.is_err() {
            panic!("no `{text}` in:\n{}", self.status());
        }
    }

    /// Makes `NAME.crt` and `NAME.key` for these names, and gives the certificate.
    pub(crate) fn make(&self, name: &str, names: &str) -> CertificateDer<'static> {
        make(self.dir.path(), name, names, 9)
    }

    /// A user's stream, who asks for `name` and trusts only `trusted`.
    pub(crate) async fn user(
        &self,
        name: &str,
        trusted: &CertificateDer<'static>,
        protocols: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.connect(name, client(trusted, protocols)).await
    }

    pub(crate) async fn connect(
        &self,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        self.over(TcpStream::connect(self.address).await?, name, config).await
    }

    /// The same over a stream that is there.
    pub(crate) async fn over(
        &self,
        stream: TcpStream,
        name: &str,
        config: Arc<ClientConfig>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        soon("a handshake", TlsConnector::from(config).connect(name, stream)).await
    }

    /// Whether a new user who asks for `name` is shown that certificate.
    pub(crate) async fn shows(&self, name: &str, certificate: &CertificateDer<'static>) -> bool {
        self.user(name, certificate, &[]).await.is_ok()
    }
}

/// A client that trusts one certificate.
pub(crate) fn client(trusted: &CertificateDer<'static>, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut config = (*client_of(std::slice::from_ref(trusted))).clone();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A client that trusts some, and says nothing of what it can speak.
pub(crate) fn client_of(trusted: &[CertificateDer<'static>]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    trusted.iter().for_each(|one| roots.add(one.clone()).expect("a certificate"));
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Makes a pair in a directory; `days` below nothing is a time that has passed.
pub(crate) fn make(dir: &Path, name: &str, names: &str, days: i32) -> CertificateDer<'static> {
    let file = |kind: &str| dir.join(format!("{name}.{kind}")).display().to_string();
    let scratch = tempfile::tempdir().expect("a directory");
    let spare = |name: &str| scratch.path().join(name).display().to_string();
    let (settings, extensions, request) = (spare("settings"), spare("extensions"), spare("csr"));
    std::fs::write(&settings, SETTINGS).expect("settings");
    let list: Vec<String> = names.split(',').map(|name| format!("DNS:{name}")).collect();
    let list = list.join(",");
    let text = format!("subjectAltName={list}\nbasicConstraints=critical,CA:FALSE\n");
    std::fs::write(&extensions, text).expect("extensions");
    let key = file("key");
    openssl(&format!(
        "req -new -config {settings} -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
         -keyout {key} -out {request} -subj /CN={name}"
    ));
    let certificate = file("crt");
    openssl(&format!(
        "x509 -req -in {request} -key {key} -days {days} -extfile {extensions} -out {certificate}"
    ));
    CertificateDer::from_pem_file(certificate).expect("a certificate")
}

fn openssl(words: &str) {
    let done = Command::new("openssl").args(words.split_whitespace()).output().expect("openssl");
    assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
}

fn request(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("https://shop.example{path}"))
        .header("host", "shop.example")
        .body(Empty::new())
        .expect("a request")
}

async fn text(answer: Response<hyper::body::Incoming>) -> (u16, String) {
    let status = answer.status().as_u16();
    let whole = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&whole).into_owned())
}

/// One question over HTTP/1.1.
pub(crate) async fn ask(stream: TlsStream<TcpStream>, path: &str) -> (u16, String) {
    let (mut send, connection) = http1::handshake(TokioIo::new(stream)).await.expect("http/1.1");
    tokio::spawn(connection);
    text(soon("an answer", send.send_request(request(path))).await.expect("an answer")).await
}

/// One question over HTTP/2.
pub(crate) async fn ask_http2(stream: TlsStream<TcpStream>, path: &str) -> (u16, String) {
    let shaken = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut send, connection) = shaken.expect("h2");
    tokio::spawn(connection);
    text(soon("an answer", send.send_request(request(path))).await.expect("an answer")).await
}
