//! Certificates that are ordered, on the whole: from a manifest's route to a user who is served
//! over TLS, and by servers and edges that were started again.

use crate::authority::Authority;
use crate::edge::{ask, told};
use crate::rig::{PATIENCE, Rig, web};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// A server whose edge orders from that authority.
async fn ordering(authority: &Authority) -> Rig {
    let root = authority.root().to_str().expect("a path in UTF-8").to_owned();
    let words = ["--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--dns", "-", "--acme"];
    let words = words.into_iter().map(str::to_owned);
    let words = words.chain([authority.url.clone(), "--acme-ca".to_owned(), root]);
    let words: Vec<&'static str> = words.map(|word| &*word.leak()).collect();
    let rig = Rig::with(words.leak()).await;
    let at = told(&rig, "http").await;
    let port = at.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    authority.behave(|ways| ways.port = port.expect("a port"));
    rig
}

/// Waits until the host has a certificate.
async fn held(rig: &Rig, host: &str) {
    let line = format!("acme_host={host} until=");
    let looked =
        timeout(PATIENCE, async { while !rig.cat("edges/main/status").await.contains(&line) {} });
    if looked.await.is_err() {
        panic!("no `{line}` in {}", rig.cat("edges/main/status").await);
    }
}

/// The whole answer to a user of that host who trusts the authority only.
async fn ask_tls(at: &str, authority: &Authority, host: &str) -> String {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(authority.root()).expect("the root");
    roots.add(root).expect("a certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from(host.to_owned()).expect("a name");
    let asked = async {
        let stream = TcpStream::connect(at).await?;
        let mut stream = TlsConnector::from(config).connect(name, stream).await?;
        let text = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    timeout(PATIENCE, asked).await.expect("answered").unwrap_or_else(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_gets_a_certificate_which_outlives_servers_and_edges() {
    let authority = Authority::start(0).await;
    let mut rig = ordering(&authority).await;
    rig.push(&["v1"]).await;
    let text = web("web:v1") + "route shop.test /\nroute *.shop.test /\n";
    rig.manifest("web", &text).await.expect("right");
    rig.deploy(&["apply", "web"]).await.fine();
    held(&rig, "shop.test").await;
    let status = rig.cat("edges/main/status").await;
    assert!(status.contains("\nacme_without=*.shop.test: "), "{status}");
    let (http, https) = (told(&rig, "http").await, told(&rig, "https").await);
    let served = async |at: &str| {
        let answer = ask_tls(at, &authority, "shop.test").await;
        assert!(answer.contains("hello from v1"), "{answer}");
    };
    served(&https).await;
    let sent = ask(&http, "shop.test").await;
    let port = https.rsplit_once(':').expect("a port").1;
    let there = format!("https://shop.test:{port}/\r\n");
    assert!(sent.starts_with("HTTP/1.1 308") && sent.contains(&there), "{sent}");
    let metrics = rig.cat("metrics").await;
    assert!(metrics.contains("\ndeploy_certificate_expiry_seconds{"), "{metrics}");

    rig.kill_server().await;
    // Nobody else is needed for it.
    served(&https).await;
    rig.serve().await;
    held(&rig, "shop.test").await;
    for key in ["supervisor", "pid"] {
        let pid: i32 = told(&rig, key).await.parse().expect("a pid");
        let kill = nix::sys::signal::Signal::SIGKILL;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), kill).expect("told");
    }
    rig.until("events", |text| text.matches("edge main is connected").count() >= 2).await;
    held(&rig, "shop.test").await;
    served(&told(&rig, "https").await).await;
    let seen = authority.seen();
    assert_eq!((seen.accounts, seen.orders, seen.issued, seen.faults), (1, 1, 1, 0), "{seen:?}");
    rig.end().await;
}
