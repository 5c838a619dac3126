//! Datagrams: many taken, answered and sent at a time, so that a busy server pays one call of the
//! kernel for dozens of questions.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::chance::Chance;
use super::desk::{Desk, Step, Way};
use super::figures::Dropped;
use super::peer;
use super::query::DATAGRAM_BYTES_MAX;

/// Datagrams taken at a time.
const BATCH: usize = 32;
/// Bytes of a query: what is longer is cut, and is malformed then.
const MESSAGE_BYTES_MAX: usize = DATAGRAM_BYTES_MAX as usize;

/// Answer what comes to `socket` until `stop` says so, and then what is still open.
pub(crate) async fn serve(socket: Arc<UdpSocket>, desk: Arc<Desk>, mut stop: watch::Receiver<()>) {
    let mut batch = Batch::new();
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            ready = socket.readable() => if ready.is_err() { break },
            _ = stop.changed() => break,
        }
        // An error is of one datagram: what a sender's host said of an answer of ours.
        if socket.try_io(Interest::READABLE, || batch.take(socket.as_raw_fd(), &desk)).is_ok() {
            for (question, from) in batch.open.drain(..) {
                open.spawn(ask(Arc::clone(&socket), Arc::clone(&desk), question, from));
            }
            batch.send(&socket, &desk).await;
        }
        while open.try_join_next().is_some() {}
    }
    while open.join_next().await.is_some() {}
}

/// Send the answer that another is asked for.
async fn ask(socket: Arc<UdpSocket>, desk: Arc<Desk>, question: Vec<u8>, from: SocketAddr) {
    if let Some(answer) = desk.ask(&question, from.ip(), Way::Datagram).await
        && socket.send_to(&answer, from).await.is_err()
    {
        desk.figures.dropped(Dropped::Unsent, 1);
    }
}

/// The datagrams that were taken together, and their answers.
struct Batch {
    space: Vec<[u8; MESSAGE_BYTES_MAX]>,
    chance: Chance,
    /// Answers, as many of the first as `to` has; the others are kept for their room.
    answers: Vec<Vec<u8>>,
    to: Vec<Option<SockaddrStorage>>,
    /// Questions that another has to be asked.
    open: Vec<(Vec<u8>, SocketAddr)>,
}

impl Batch {
    fn new() -> Batch {
        Batch {
            space: vec![[0; MESSAGE_BYTES_MAX]; BATCH],
            chance: Chance::new(),
            answers: vec![Vec::new(); BATCH],
            to: Vec::with_capacity(BATCH),
            open: Vec::new(),
        }
    }

    /// Take what has come, and write the answers.
    fn take(&mut self, socket: RawFd, desk: &Desk) -> io::Result<()> {
        self.to.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.space.iter_mut().map(|space| [IoSliceMut::new(space)]).collect();
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
        let taken =
            recvmmsg(socket, &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        let names = desk.names();
        for datagram in taken {
            let message = datagram.iovs().next().unwrap_or_default();
            let Some(storage) = datagram.address else { continue };
            let Some(from) = peer::of(&storage) else { continue };
            let out = &mut self.answers[self.to.len()];
            match desk.take(message, from, Way::Datagram, &names, &mut self.chance, out) {
                Step::Send => self.to.push(Some(storage)),
                Step::Drop => {}
                Step::Forward => self.open.push((message.to_vec(), from)),
            }
        }
        Ok(())
    }

    /// Send the answers. One that the kernel does not take is left: who asked asks again.
    async fn send(&mut self, socket: &UdpSocket, desk: &Desk) {
        let mut sent = 0;
        while sent < self.to.len() {
            let some = || self.some(sent, socket.as_raw_fd());
            match socket.try_io(Interest::WRITABLE, some) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if socket.writable().await.is_err() {
                        return;
                    }
                }
                Err(_) => {
                    desk.figures.dropped(Dropped::Unsent, 1);
                    sent += 1;
                }
            }
        }
    }

    /// Send the answers from `first` on; gives how many went.
    fn some(&self, first: usize, socket: RawFd) -> io::Result<usize> {
        let slices: Vec<[IoSlice<'_>; 1]> = self.answers[first..self.to.len()]
            .iter()
            .map(|answer| [IoSlice::new(answer)])
            .collect();
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(slices.len(), None);
        let to = &self.to[first..];
        match sendmmsg(socket, &mut headers, &slices, to, [], MsgFlags::MSG_DONTWAIT) {
            Ok(sent) => Ok(sent.count()),
            Err(Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
