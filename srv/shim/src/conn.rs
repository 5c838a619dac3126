//! The control socket: who is connected, the lines they send, the lines they have yet to take.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use serde::Serialize;

use crate::error::Error;
use crate::wire::{Answer, Outcome};

/// Name of the socket in the instance's directory.
pub(crate) const SOCK: &str = "sock";

/// More connections than this at a time are closed at once.
const CONNS_MAX: usize = 16;

/// A line from the node is at most this long, in bytes.
const LINE_MAX: usize = 64 << 10;

/// A connection that leaves more than this untaken is closed, in bytes; it may come again and
/// gets a snapshot.
const OUT_MAX: usize = 256 << 10;

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    /// Never used again for another.
    pub(crate) id: u64,
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    gone: bool,
}

/// The socket and its connections.
#[derive(Debug)]
pub(crate) struct Conns {
    listener: UnixListener,
    conns: Vec<Conn>,
    next_id: u64,
}

impl Conns {
    /// Listens in the current directory; a long path would not fit a socket's address.
    pub(crate) fn listen() -> Result<Conns, Error> {
        let _ = fs::remove_file(SOCK);
        let listener = UnixListener::bind(SOCK).map_err(Error::io("listen on", SOCK))?;
        let owner_only = PermissionsExt::from_mode(0o600);
        fs::set_permissions(SOCK, owner_only).map_err(Error::io("protect", SOCK))?;
        listener.set_nonblocking(true).map_err(Error::io("listen on", SOCK))?;
        Ok(Conns { listener, conns: Vec::new(), next_id: 0 })
    }

    /// The socket itself, readable when somebody wants in.
    pub(crate) fn door(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Every connection: its id, its descriptor, whether it has something to take.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u64, BorrowedFd<'_>, bool)> {
        self.conns.iter().map(|conn| (conn.id, conn.stream.as_fd(), !conn.output.is_empty()))
    }

    /// Lets everybody in who waits, with `snapshot` as the first line.
    pub(crate) fn accept(&mut self, snapshot: &impl Serialize) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.conns.len() >= CONNS_MAX || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let id = self.next_id;
            self.next_id += 1;
            let (input, output) = (Vec::new(), Vec::new());
            self.conns.push(Conn { id, stream, input, output, gone: false });
            self.say(id, snapshot);
        }
    }

    /// Says a line to one connection, if it is still there.
    pub(crate) fn say(&mut self, id: u64, line: &impl Serialize) {
        if let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) {
            conn.push(line);
        }
        self.conns.retain(|conn| !conn.gone);
    }

    /// Says a line to everybody.
    pub(crate) fn say_all(&mut self, line: &impl Serialize) {
        for conn in &mut self.conns {
            conn.push(line);
        }
        self.conns.retain(|conn| !conn.gone);
    }

    /// Hands out what waits, as far as it is taken.
    pub(crate) fn write(&mut self, id: u64) {
        if let Some(conn) = self.conns.iter_mut().find(|conn| conn.id == id) {
            conn.flush();
        }
        self.conns.retain(|conn| !conn.gone);
    }

    /// Whole lines that have come from a connection.
    pub(crate) fn read(&mut self, id: u64) -> Vec<Vec<u8>> {
        let lines = match self.conns.iter_mut().find(|conn| conn.id == id) {
            Some(conn) => conn.read(),
            None => Vec::new(),
        };
        self.conns.retain(|conn| !conn.gone);
        lines
    }

    /// Whether somebody has yet to take something.
    pub(crate) fn waiting(&self) -> bool {
        self.conns.iter().any(|conn| !conn.output.is_empty())
    }

    /// Refuses a line.
    pub(crate) fn refuse(&mut self, id: u64, n: Option<u64>, why: impl Into<String>) {
        self.say(id, &Answer { n, outcome: Outcome::Error(why.into()) });
    }
}

impl Conn {
    fn push(&mut self, line: &impl Serialize) {
        if let Ok(mut bytes) = serde_json::to_vec(line) {
            bytes.push(b'\n');
            self.output.append(&mut bytes);
        }
        self.flush();
        self.gone |= self.output.len() > OUT_MAX;
    }

    fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(count) if count > 0 => {
                    self.output.drain(..count);
                }
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                // Whoever has gone may have left an order: only reading finds the end.
                Ok(_) | Err(_) => self.output.clear(),
            }
        }
    }

    fn read(&mut self) -> Vec<Vec<u8>> {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.gone = true,
                Ok(count) => self.input.extend_from_slice(&bytes[..count]),
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
            if self.gone || self.input.len() > LINE_MAX {
                break;
            }
        }
        let mut lines = Vec::new();
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.input.drain(..=end).collect();
            line.pop();
            lines.push(line);
        }
        self.gone |= self.input.len() > LINE_MAX;
        lines
    }
}
