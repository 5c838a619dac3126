//! A small HTTP server: an instance that users reach through the edge.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// An instance; it lives until the tests end.
#[derive(Clone)]
pub(crate) struct Backend {
    /// Its name.
    pub(crate) id: &'static str,
    /// Where it is.
    pub(crate) address: SocketAddr,
    /// Requests for `/slow` that wait, and whether they still do.
    slow: Arc<(Mutex<(u32, bool)>, Condvar)>,
}

impl Backend {
    /// Answers every request with its name; one for `/slow` when it is released.
    pub(crate) fn start(id: &'static str) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let backend = Backend { id, address, slow: Arc::default() };
        let serving = backend.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || serving.serve(stream));
            }
        });
        backend
    }

    /// As a table has it.
    pub(crate) fn text(&self) -> String {
        format!("0/{}/v1={}", self.id, self.address)
    }

    /// Waits until so many requests for `/slow` are here.
    pub(crate) fn wait_slow(&self, count: u32) {
        let (state, changed) = &*self.slow;
        drop(changed.wait_while(state.lock().unwrap(), |(waiting, _)| *waiting < count).unwrap());
    }

    /// Lets requests for `/slow` go on.
    pub(crate) fn release(&self) {
        self.slow.0.lock().unwrap().1 = true;
        self.slow.1.notify_all();
    }

    fn serve(&self, stream: TcpStream) {
        let mut read = BufReader::new(stream.try_clone().unwrap());
        let mut write = stream;
        loop {
            let (mut first, mut body) = (String::new(), 0);
            if read.read_line(&mut first).unwrap_or(0) == 0 {
                return;
            }
            loop {
                let mut line = String::new();
                if read.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                let lower = line.to_ascii_lowercase();
                if let Some(length) = lower.strip_prefix("content-length:") {
                    body = length.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut sent = vec![0; body];
            if read.read_exact(&mut sent).is_err() {
                return;
            }
            if first.contains("/slow") {
                self.wait_for_release();
            }
            let id = self.id;
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{id}", id.len());
            if write.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn wait_for_release(&self) {
        let (state, changed) = &*self.slow;
        let mut waiting = state.lock().unwrap();
        waiting.0 += 1;
        changed.notify_all();
        let mut waiting = changed.wait_while(waiting, |(_, released)| !*released).unwrap();
        waiting.0 -= 1;
        if waiting.0 == 0 {
            waiting.1 = false;
        }
    }
}

/// A server of plain streams: gives back what it gets.
pub(crate) fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut write = stream.try_clone().unwrap();
                let _ = std::io::copy(&mut &stream, &mut write);
            });
        }
    });
    address
}
