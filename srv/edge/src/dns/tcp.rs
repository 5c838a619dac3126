//! Connections: questions one behind the other, each behind its length (RFC 1035, 4.2.2), answered
//! as the answers come (RFC 7766, 6.2.1.1). For answers that no datagram holds.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::chance::Chance;
use super::desk::{Desk, Step, Way};
use super::figures::Dropped;

/// How long a connection may be without a whole question (RFC 7766, 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// How long who asked may take to take his answers.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// Until the next connection is tried when not even one can be taken to be closed.
const PAUSE: Duration = Duration::from_millis(100);
/// Questions of one connection that others are being asked.
const OPEN_MAX: usize = 16;
/// Bytes read at a time.
const READ_BYTES: usize = 4096;
/// Bytes of answers that are gathered before they are sent.
const GATHERED_BYTES: usize = 64 * 1024;

/// Answer those who connect to `listener` until `stop` says so, and then what is still open.
pub(crate) async fn serve(listener: TcpListener, desk: Arc<Desk>, mut stop: watch::Receiver<()>) {
    let (mut talks, mut spare) = (JoinSet::new(), Spare::new());
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = stop.changed() => break,
        };
        match taken {
            Ok((stream, from)) => match desk.streams.enter(from.ip()) {
                Some(member) => {
                    let talk = Talk::new(stream, from, Arc::clone(&desk), stop.clone());
                    talks.spawn(async move {
                        // Whatever goes wrong with a connection, it is the connection's end.
                        let _ = talk.go().await;
                        drop(member);
                    });
                }
                None => desk.figures.dropped(Dropped::Connection, 1),
            },
            Err(_) if spare.shed(&listener) => desk.figures.dropped(Dropped::Connection, 1),
            // Others have all descriptors, or there is no memory: nothing tells when that ends.
            Err(_) => sleep(PAUSE).await,
        }
        while talks.try_join_next().is_some() {}
    }
    drop(listener);
    while talks.join_next().await.is_some() {}
}

/// A descriptor that is kept for when there are no more: who comes then is not left to wait, but
/// told at once, and asks by a datagram or elsewhere.
struct Spare(Option<File>);

impl Spare {
    fn new() -> Spare {
        Spare(File::open("/dev/null").ok())
    }

    /// Takes a connection and closes it; whether it did.
    fn shed(&mut self, listener: &TcpListener) -> bool {
        self.0 = None;
        let taken = listener.accept().now_or_never();
        let taken = taken.is_some_and(|taken| taken.is_ok());
        *self = Spare::new();
        taken
    }
}

/// One connection.
struct Talk {
    stream: TcpStream,
    from: SocketAddr,
    desk: Arc<Desk>,
    chance: Chance,
    /// What was read and is no whole question yet.
    read: Vec<u8>,
    /// Answers to send.
    gathered: Vec<u8>,
    answer: Vec<u8>,
    /// Answers that others are asked for.
    open: JoinSet<Option<Vec<u8>>>,
    stop: watch::Receiver<()>,
}

impl Talk {
    fn new(
        stream: TcpStream,
        from: SocketAddr,
        desk: Arc<Desk>,
        stop: watch::Receiver<()>,
    ) -> Talk {
        let (chance, read, gathered, answer) = (Chance::new(), vec![], vec![], vec![]);
        Talk { stream, from, desk, chance, read, gathered, answer, open: JoinSet::new(), stop }
    }

    async fn go(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let mut until = Instant::now() + IDLE;
        let mut ended = false;
        while !ended || !self.open.is_empty() {
            tokio::select! {
                // One who sends byte by byte gets no more time.
                bytes = timeout_at(until, read_some(&mut self.stream, &mut self.read)),
                    if !ended && self.open.len() < OPEN_MAX =>
                {
                    match bytes {
                        Err(_) if self.open.is_empty() => return Ok(()),
                        Err(_) => until = Instant::now() + IDLE,
                        Ok(bytes) => ended = bytes? == 0,
                    }
                }
                Some(answer) = self.open.join_next() => {
                    if let Ok(Some(answer)) = answer {
                        self.gather(&answer);
                    }
                    until = Instant::now() + IDLE;
                }
                _ = self.stop.changed(), if !ended => ended = true,
            }
            if self.take().await? {
                until = Instant::now() + IDLE;
            }
            self.send().await?;
        }
        Ok(())
    }

    /// Take the whole questions that were read, as long as there is room; whether there were any.
    async fn take(&mut self) -> io::Result<bool> {
        let mut at = 0;
        while self.open.len() < OPEN_MAX {
            let Some((length, rest)) = self.read[at..].split_first_chunk() else { break };
            let length = usize::from(u16::from_be_bytes(*length));
            let Some(message) = rest.get(..length) else { break };
            let (from, out) = (self.from, &mut self.answer);
            let names = self.desk.names();
            match self.desk.take(message, from, Way::Stream, &names, &mut self.chance, out) {
                Step::Send => {
                    drop(names);
                    let answer = std::mem::take(&mut self.answer);
                    self.gather(&answer);
                    self.answer = answer;
                }
                // Who sends such a thing has lost his place in the stream, or means ill.
                Step::Drop => return Err(io::ErrorKind::InvalidData.into()),
                Step::Forward => {
                    let (desk, message) = (Arc::clone(&self.desk), message.to_vec());
                    let ask = async move { desk.ask(&message, from.ip(), Way::Stream).await };
                    self.open.spawn(ask);
                }
            }
            at += 2 + length;
            if self.gathered.len() >= GATHERED_BYTES {
                self.send().await?;
            }
        }
        self.read.drain(..at);
        Ok(at > 0)
    }

    fn gather(&mut self, answer: &[u8]) {
        // No answer is longer than its limit.
        let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
        self.gathered.extend_from_slice(&length.to_be_bytes());
        self.gathered.extend_from_slice(answer);
    }

    async fn send(&mut self) -> io::Result<()> {
        timeout(TAKEN_WITHIN, self.stream.write_all(&self.gathered)).await??;
        self.gathered.clear();
        Ok(())
    }
}

/// Read what has come; nothing is lost when this is given up.
async fn read_some(stream: &mut TcpStream, into: &mut Vec<u8>) -> io::Result<usize> {
    into.reserve(READ_BYTES);
    stream.read_buf(into).await
}
