//! What is behind all proxies: an nginx on two ports, on the other core.

use crate::nginx;
use crate::program::{OTHER_CORE, Program, free_port};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a program of another may take until it answers.
const START_MAX: Duration = Duration::from_secs(20);
/// What it answers with.
const ANSWER_BYTES: usize = 1024;

/// Two ports that answer with 1 KiB.
pub(crate) struct Backend {
    _server: Program,
    pub(crate) ports: [u16; 2],
}

impl Backend {
    /// It speaks HTTP/1.1, or HTTP/2 without TLS.
    ///
    /// # Errors
    /// nginx is not there, or does not answer.
    pub(crate) fn start(dir: &Path, http2: bool) -> Result<Backend, String> {
        let ports = [free_port()?, free_port()?];
        let kind = if http2 { " http2" } else { "" };
        let text = format!(
            "server {{ listen 127.0.0.1:{}{kind}; listen 127.0.0.1:{}{kind}; \
             location / {{ return 200 \"{}\"; }} }}\n",
            ports[0],
            ports[1],
            "x".repeat(ANSWER_BYTES),
        );
        let server = nginx::start(dir, &text, OTHER_CORE)?;
        let server = server.ok_or("nginx is not installed; apt-get install nginx")?;
        for port in ports.iter().filter(|_| !http2) {
            answers(*port)?;
        }
        Ok(Backend { _server: server, ports })
    }
}

/// Waits until a port answers.
///
/// # Errors
/// It does not.
pub(crate) fn answers(port: u16) -> Result<(), String> {
    until(|| ask(port).map(drop)).map_err(|error| format!("port {port} does not answer: {error}"))
}

/// Waits until a program of another can do something. A listening socket is nothing one could be
/// told of by it.
///
/// # Errors
/// Why it still cannot.
pub(crate) fn until<T, E>(mut tried: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let began = Instant::now();
    loop {
        match tried() {
            Err(_) if began.elapsed() < START_MAX => {
                std::thread::sleep(Duration::from_millis(5));
            }
            done => return done,
        }
    }
}

/// One request, answered with the kilobyte; the connection is kept.
pub(crate) fn ask(port: u16) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(START_MAX))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")?;
    let (mut all, mut part) = (Vec::new(), [0; 4096]);
    while !all.ends_with(&[b'x'; ANSWER_BYTES]) {
        match stream.read(&mut part)? {
            0 => return Err(std::io::Error::other(String::from_utf8_lossy(&all).into_owned())),
            count => all.extend_from_slice(&part[..count]),
        }
    }
    Ok(stream)
}
