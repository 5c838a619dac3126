//! A small HTTP server on loopback, which remembers what it was asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// With the query, colons and commas in plain.
    pub path: String,
    pub authorization: Option<String>,
    pub at: Instant,
}

impl Ask {
    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let query = self.path.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What is answered.
pub struct Reply {
    pub status: u16,
    pub header: Option<String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn new(status: u16, header: Option<&str>, body: impl Into<Vec<u8>>) -> Self {
        Self { status, header: header.map(Into::into), body: body.into() }
    }
}

/// The server; its thread ends with the test program and holds nothing but sockets.
pub struct Http {
    pub host: String,
    asks: Arc<Mutex<Vec<Ask>>>,
}

impl Http {
    /// Serves by a function of how many requests came before, and the request.
    pub fn serve(answer: impl Fn(usize, &Ask) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asks = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&asks), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || talk(&stream.unwrap(), &kept, &*answer));
            }
        });
        Self { host, asks }
    }

    /// The requests so far.
    pub fn asks(&self) -> Vec<Ask> {
        self.asks.lock().unwrap().clone()
    }
}

/// One request of a connection; the other side may leave before it has all of the answer.
fn talk(mut stream: &TcpStream, asks: &Mutex<Vec<Ask>>, answer: &dyn Fn(usize, &Ask) -> Reply) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = first.split(' ').nth(1).unwrap().replace("%3A", ":").replace("%2C", ",");
    let authorization = head.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    let ask = Ask { path, authorization, at: Instant::now() };
    let before = {
        let mut asks = asks.lock().unwrap();
        asks.push(ask.clone());
        asks.len() - 1
    };
    let reply = answer(before, &ask);
    let header = reply.header.map(|line| format!("{line}\r\n")).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} x\r\nConnection: close\r\nContent-Length: {}\r\n{header}\r\n",
        reply.status,
        reply.body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&reply.body));
}
