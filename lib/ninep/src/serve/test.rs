//! The server over streams in memory and over sockets.

mod end;
mod flow;
mod peer;

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use crate::dial::Peer;
use crate::ram::Ram;
use crate::wire::{Dialect, NOFID, NONUNAME, Names, Rmsg, Tmsg, Uid, frame_size};
use crate::{Limits, Server};

/// A client that writes what it is told and shows what it is answered.
struct Raw<S> {
    stream: S,
    received: Vec<u8>,
}

/// A server of the tree in memory, and a connection to it that has attached fid 0 as root.
async fn serving(limits: Limits) -> (Ram, JoinHandle<()>, Raw<DuplexStream>) {
    let ram = Ram::new();
    let server = Arc::new(Server::new(Arc::new(ram.clone()), limits).trace(true));
    let (ours, theirs) = duplex(64 * 1024);
    let task = tokio::spawn(server.serve_connection(theirs, root()));
    let mut raw = Raw::new(ours);
    raw.greet().await;
    ram.state().log.clear();
    (ram, task, raw)
}

fn root() -> Peer {
    Peer::Unix { uid: 0, gid: 0, groups: vec![0], name: "root".into(), pid: None }
}

fn walk<'a>(fid: u32, newfid: u32, name: &'a str) -> Tmsg<'a> {
    Tmsg::Walk { fid, newfid, names: Names::new(&[name.as_bytes()]).unwrap() }
}

fn read(fid: u32) -> Tmsg<'static> {
    Tmsg::Read { fid, offset: 0, count: 8192 }
}

const VERSION: Tmsg<'static> = Tmsg::Version { msize: 131_096, version: b"9P2000" };
const ATTACH: Tmsg<'static> =
    Tmsg::Attach { fid: 0, afid: NOFID, uname: b"", aname: b"", n_uname: Uid(NONUNAME) };

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    fn new(stream: S) -> Self {
        Self { stream, received: Vec::new() }
    }

    async fn greet(&mut self) {
        self.send(&[(1, VERSION), (1, ATTACH)]).await;
        assert_eq!(self.next().await, "1 Rversion msize 131096 version \"9P2000\"");
        assert_eq!(self.next().await, "1 Rattach qid (0 0 80)");
    }

    /// Opens a file of the root for reading.
    async fn open(&mut self, fid: u32, name: &str) {
        self.send(&[(1, walk(0, fid, name)), (1, Tmsg::Open { fid, mode: 0 })]).await;
        assert!(self.next().await.starts_with("1 Rwalk"));
        assert!(self.next().await.starts_with("1 Ropen"));
    }

    /// Sends the messages, each with its tag, in one write.
    async fn send(&mut self, messages: &[(u16, Tmsg<'_>)]) {
        self.stream.write_all(&bytes(messages)).await.unwrap();
    }

    /// The next answer, after its tag.
    async fn next(&mut self) -> String {
        self.next_or_end().await.expect("an answer")
    }

    /// The next answer; none when the server has closed.
    async fn next_or_end(&mut self) -> Option<String> {
        loop {
            let size = frame_size(&self.received, u32::MAX).unwrap().unwrap_or(usize::MAX);
            if size <= self.received.len() {
                let frame: Vec<u8> = self.received.drain(..size).collect();
                let (tag, message) = Rmsg::decode(&frame, Dialect::P9).unwrap();
                return Some(format!("{tag} {message}"));
            }
            if self.stream.read_buf(&mut self.received).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }
}

fn bytes(messages: &[(u16, Tmsg<'_>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (tag, message) in messages {
        message.encode(*tag, Dialect::P9, &mut bytes);
    }
    bytes
}
