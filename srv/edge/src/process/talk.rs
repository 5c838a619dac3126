//! Talk between two processes of one edge: whole messages, each with at most one descriptor.
//!
//! A message is a line of words. The socket keeps messages apart (`SOCK_SEQPACKET` of unix(7)),
//! so that one from a process that is killed in the middle is there whole or not at all.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

/// Bytes of the longest message.
const MESSAGE_BYTES_MAX: usize = 4096;
/// Processes that may wait to be answered.
const WAITING_MAX: i32 = 16;

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// One end. To the runtime a socket is like another: the kind matters to the kernel only.
#[derive(Debug)]
pub(crate) struct Talk(UnixStream);

/// What the other end said.
#[derive(Debug)]
pub(crate) struct Said {
    /// The words.
    pub(crate) line: String,
    /// What came along.
    pub(crate) with: Option<OwnedFd>,
}

impl Talk {
    /// Two ends; one is for a process that is about to be started.
    pub(crate) fn pair() -> io::Result<(Talk, OwnedFd)> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (ours, theirs) = rustix::net::socketpair(family, kind, FLAGS, None)?;
        Ok((Talk::over(ours)?, theirs))
    }

    /// Talks over a socket that is there; it must not block.
    pub(crate) fn over(socket: OwnedFd) -> io::Result<Talk> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Talk(UnixStream::from_std(socket.into())?))
    }

    /// Talks to whoever listens at `path`.
    pub(crate) fn dial(path: &Path) -> io::Result<Talk> {
        let socket = socket()?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Talk::over(socket)
    }

    /// Says a line.
    pub(crate) async fn say(&self, line: &str) -> io::Result<()> {
        self.send(line, None).await
    }

    /// Says a line that a descriptor goes with.
    pub(crate) async fn give(&self, line: &str, with: impl AsFd) -> io::Result<()> {
        self.send(line, Some(with.as_fd())).await
    }

    async fn send(&self, line: &str, with: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if let Some(with) = &with {
                control.push(SendAncillaryMessage::ScmRights(std::slice::from_ref(with)));
            }
            let words = [IoSlice::new(line.as_bytes())];
            rustix::net::sendmsg(&self.0, &words, &mut control, SendFlags::NOSIGNAL)?;
            Ok(())
        };
        self.0.async_io(Interest::WRITABLE, send).await
    }

    /// What the other end says next; none when it has ended. Giving the future up loses nothing.
    pub(crate) async fn hear(&self) -> io::Result<Option<Said>> {
        let receive = || {
            let mut bytes = [0; MESSAGE_BYTES_MAX];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut room = [IoSliceMut::new(&mut bytes)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let count = rustix::net::recvmsg(&self.0, &mut room, &mut control, flags)?.bytes;
            let with = control.drain().find_map(|message| {
                let RecvAncillaryMessage::ScmRights(mut sent) = message else { return None };
                sent.next()
            });
            Ok((String::from_utf8_lossy(&bytes[..count]).into_owned(), with))
        };
        match self.0.async_io(Interest::READABLE, receive).await {
            Ok((line, with)) if !line.is_empty() => Ok(Some(Said { line, with })),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether root or this user is at the other end.
    pub(crate) fn ours(&self) -> bool {
        let own = rustix::process::geteuid();
        let peer = rustix::net::sockopt::socket_peercred(&self.0);
        peer.is_ok_and(|peer| peer.uid.is_root() || peer.uid == own)
    }
}

impl AsFd for Talk {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where others begin to talk.
#[derive(Debug)]
pub(crate) struct Door(UnixListener);

impl Door {
    /// Makes the socket `path`, which must be free.
    pub(crate) fn bind(path: &Path) -> io::Result<OwnedFd> {
        let socket = socket()?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::net::listen(&socket, WAITING_MAX)?;
        Ok(socket)
    }

    /// Waits at a socket that `bind` made, here or in a process before.
    pub(crate) fn over(socket: OwnedFd) -> io::Result<Door> {
        Ok(Door(UnixListener::from_std(socket.into())?))
    }

    /// The next who comes to a door; nobody, and never, where there is none.
    pub(crate) async fn met(door: &Option<Door>) -> Option<Talk> {
        match door {
            Some(door) => door.next().await.ok(),
            None => std::future::pending().await,
        }
    }

    /// The next who comes. Somebody else than root or this user is sent away.
    pub(crate) async fn next(&self) -> io::Result<Talk> {
        loop {
            let (socket, _) = self.0.accept().await?;
            let talk = Talk(socket);
            if talk.ours() {
                return Ok(talk);
            }
        }
    }
}

fn socket() -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
    Ok(rustix::net::socket_with(family, kind, FLAGS, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};

    #[tokio::test]
    async fn lines_come_whole_and_in_order_and_a_descriptor_comes_with_its_line() {
        let (here, there) = Talk::pair().unwrap();
        let there = Talk::over(there).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        here.say("one").await.unwrap();
        here.give("two", &file).await.unwrap();
        drop(here);
        let one = there.hear().await.unwrap().unwrap();
        assert!(one.line == "one" && one.with.is_none());
        let two = there.hear().await.unwrap().unwrap();
        assert_eq!(two.line, "two");
        file.write_all(b"same").unwrap();
        let mut same = File::from(two.with.unwrap());
        same.rewind().unwrap();
        let mut text = String::new();
        same.read_to_string(&mut text).unwrap();
        assert_eq!(text, "same");
        assert!(there.hear().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_door_is_the_same_whoever_waits_at_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("door");
        let socket = Door::bind(&path).unwrap();
        let again = socket.try_clone().unwrap();
        let first = Door::over(socket).unwrap();
        let comer = Talk::dial(&path).unwrap();
        drop(first);
        // It came while the first was there, and is met by the second.
        let met = Door::over(again).unwrap().next().await.unwrap();
        comer.say("hello").await.unwrap();
        assert_eq!(met.hear().await.unwrap().unwrap().line, "hello");
    }
}
