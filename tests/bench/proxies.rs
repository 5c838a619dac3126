//! The proxies that are measured, each started for one core.

use crate::backend::{Backend, answers, ask, until};
use crate::certificate::{Certificate, NAME};
use crate::edge::edge;
use crate::program::{MEASURED_CORE, Program, free_port, put};
use crate::{nginx, table};
use std::fs;
use std::net::TcpStream;
use std::path::Path;

/// All of them.
pub(crate) const PEERS: &[Peer] = &[Peer::Edge, Peer::Nginx, Peer::Haproxy, Peer::Caddy];

/// A kind of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Edge,
    Nginx,
    Haproxy,
    Caddy,
}

/// What all of them are to do alike.
pub(crate) struct Setup<'a> {
    /// Where their files go.
    pub(crate) dir: &'a Path,
    /// Where our programs are.
    pub(crate) bin: &'a Path,
    /// What is behind, by HTTP/1.1.
    pub(crate) backend: &'a Backend,
    /// With it they serve TLS 1.3 and both versions of HTTP, without it HTTP/1.1 in the clear.
    pub(crate) certificate: Option<&'a Certificate>,
    /// What is behind, by HTTP/2: instead of the other.
    pub(crate) http2: Option<&'a Backend>,
}

/// A proxy that runs.
pub(crate) struct Proxy {
    pub(crate) peer: Peer,
    pub(crate) program: Program,
    pub(crate) port: u16,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Edge => "edge",
            Peer::Nginx => "nginx",
            Peer::Haproxy => "haproxy",
            Peer::Caddy => "caddy",
        }
    }
}

impl Proxy {
    /// Starts one; none when it is not installed.
    ///
    /// # Errors
    /// It is installed and does not serve.
    pub(crate) fn start(peer: Peer, setup: &Setup<'_>) -> Result<Option<Proxy>, String> {
        let port = free_port()?;
        let dir = &setup.dir.join(peer.name());
        let program = match peer {
            Peer::Edge => Some(own(setup, dir, port)?),
            Peer::Nginx => nginx::start(dir, &nginx_servers(setup, port), MEASURED_CORE)?,
            Peer::Haproxy => {
                let config = put(dir, "haproxy.cfg", &haproxy_config(setup, port))?;
                let words = ["-db".as_ref(), "-f".as_ref(), config.as_os_str()];
                Program::start(MEASURED_CORE, "haproxy", words, dir)?
            }
            Peer::Caddy => {
                let config = put(dir, "Caddyfile", &caddy_config(setup, port))?;
                let words = ["run", "--adapter", "caddyfile", "--config"].map(AsRef::as_ref);
                let words = words.into_iter().chain([config.as_os_str()]);
                Program::start(MEASURED_CORE, "caddy", words, dir)?
            }
        };
        let Some(program) = program else {
            println!("{:<60} is not installed", peer.name());
            return Ok(None);
        };
        let log = || fs::read_to_string(dir.join("log")).unwrap_or_default();
        let answers = match setup.certificate {
            None => answers(port),
            // Who asks by TLS says so when there is no answer.
            Some(_) => until(|| TcpStream::connect(("127.0.0.1", port)))
                .map(drop)
                .map_err(|error| format!("port {port}: {error}")),
        };
        answers.map_err(|error| format!("{}: {error}\n{}", peer.name(), log()))?;
        Ok(Some(Proxy { peer, program, port }))
    }

    /// Those that are installed.
    ///
    /// # Errors
    /// One is installed and does not serve.
    pub(crate) fn all(setup: &Setup<'_>) -> Result<Vec<Proxy>, String> {
        let all: Result<Vec<_>, _> = PEERS.iter().map(|peer| Proxy::start(*peer, setup)).collect();
        Ok(all?.into_iter().flatten().collect())
    }

    /// Asks once, and keeps the connection.
    pub(crate) fn ask_and_stay(&self) -> Result<TcpStream, String> {
        ask(self.port).map_err(|error| format!("port {}: {error}", self.port))
    }
}

impl Setup<'_> {
    fn ports(&self) -> [u16; 2] {
        self.http2.unwrap_or(self.backend).ports
    }
}

fn own(setup: &Setup<'_>, dir: &Path, port: u16) -> Result<Program, String> {
    let options = if setup.http2.is_some() { "h2" } else { "-" };
    let at = format!("127.0.0.1:{port}");
    match setup.certificate {
        None => {
            let table = table::one(table::HOST, options, setup.ports());
            edge(dir, setup.bin, &table, &[("--http", &at)])
        }
        Some(certificate) => {
            let table = table::one(NAME, options, setup.ports());
            let certs = certificate.dir.display().to_string();
            edge(dir, setup.bin, &table, &[("--https", &at), ("--certs", &certs)])
        }
    }
}

fn nginx_servers(setup: &Setup<'_>, port: u16) -> String {
    let [a, b] = setup.ports();
    let listen = match setup.certificate {
        None => format!("listen 127.0.0.1:{port};"),
        Some(certificate) => format!(
            "listen 127.0.0.1:{port} ssl http2; ssl_protocols TLSv1.3; ssl_certificate {}; \
             ssl_certificate_key {};",
            certificate.chain().display(),
            certificate.key().display()
        ),
    };
    let pass = match setup.http2 {
        Some(_) => "grpc_pass grpc://back;",
        None => "proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection \"\";",
    };
    format!(
        "upstream back {{ server 127.0.0.1:{a}; server 127.0.0.1:{b}; keepalive 128; \
         keepalive_requests 1000000000; }}\n\
         server {{ {listen} location / {{ {pass} }} }}\n"
    )
}

fn haproxy_config(setup: &Setup<'_>, port: u16) -> String {
    let [a, b] = setup.ports();
    let tls = match setup.certificate {
        None => String::new(),
        Some(certificate) => {
            let both = certificate.both();
            format!(" ssl crt {} alpn h2,http/1.1 ssl-min-ver TLSv1.3", both.display())
        }
    };
    let kind = if setup.http2.is_some() { " proto h2" } else { "" };
    format!(
        "global\n nbthread 1\n maxconn 4000\ndefaults\n mode http\n timeout client 30s\n \
         timeout server 30s\n timeout connect 5s\n option http-keep-alive\n http-reuse always\n\
         frontend f\n bind 127.0.0.1:{port}{tls}\n default_backend b\n\
         backend b\n balance leastconn\n server a 127.0.0.1:{a}{kind}\n \
         server b 127.0.0.1:{b}{kind}\n"
    )
}

fn caddy_config(setup: &Setup<'_>, port: u16) -> String {
    let [a, b] = setup.ports();
    let site = match setup.certificate {
        None => format!("http://:{port} {{\n"),
        Some(certificate) => format!(
            "https://{NAME}:{port} {{\n tls {} {} {{\n protocols tls1.3\n }}\n",
            certificate.chain().display(),
            certificate.key().display()
        ),
    };
    let kind = match setup.http2 {
        Some(_) => " transport http {\n versions h2c\n }\n",
        None => "",
    };
    format!(
        "{{\n admin off\n auto_https off\n}}\n{site} reverse_proxy 127.0.0.1:{a} 127.0.0.1:{b} \
         {{\n lb_policy least_conn\n{kind} }}\n}}\n"
    )
}
