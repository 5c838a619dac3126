//! Listening: a unix socket or a loopback port, and the loop-proof accept.

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::connect::{fits, keep};
use super::groups::Groups;
use super::{Address, DialError, Peer, Stream};

/// The pause after an accept that failed for want of descriptors or memory. No event says that
/// one is free again (it may be a file of another part of the process, or of another process),
/// and the waiting connection keeps the socket readable, so without a pause the loop would spin.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// How long a socket that is found at start may take to answer before it counts as served: one
/// whose queue is full does not answer, but belongs to somebody.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// A socket that servers accept connections from. Dropping a unix one removes its file.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    groups: Arc<Groups>,
}

/// A connection of which only what the kernel says is known yet.
pub(crate) struct Arrival {
    stream: Stream,
    peer: Peer,
    groups: Arc<Groups>,
}

impl Arrival {
    /// Who counts for it: a unix user, or nobody on TCP.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Asks the user database who that is, and waits for it no longer than `Groups` does.
    pub(crate) async fn known(mut self) -> (Stream, Peer) {
        if let Peer::Unix { uid, gid, groups, name, pid: _ } = &mut self.peer {
            let known = self.groups.of(*uid, *gid).await;
            (*groups, *name) = (known.groups, known.name);
        }
        (self.stream, self.peer)
    }
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener, Place),
    Tcp(TcpListener),
}

/// The file of a unix socket, as it was made: what is there later may be somebody else's.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Listens at `address`.
///
/// Unix: missing directories are made with mode 0755; the socket gets mode 0666, because rights
/// are decided by the peer's credentials, not by who can reach the file; a socket that nobody
/// answers on is removed. While it is made, a file beside it, `.lock` after its name and mode
/// 0600, keeps other servers out. TCP: loopback only, since nobody is known on it.
///
/// # Errors
/// `Served` when somebody answers there, `NotSocket`, `NotLoopback`, `PathTooLong`, `NotYet` for
/// `tls` and `ssh`, and what the system refuses.
pub async fn listen(address: &Address) -> Result<Listener, DialError> {
    let socket = match address {
        Address::Unix(path) => listen_unix(path, address).await?,
        Address::Tcp { host, port } => listen_tcp(host, *port, address).await?,
        Address::Tls { .. } => return Err(DialError::NotYet(address.clone(), "tls")),
        Address::Ssh { .. } => return Err(DialError::NotYet(address.clone(), "ssh")),
    };
    Ok(Listener { socket, groups: Arc::default() })
}

impl Listener {
    /// The next connection and who made it.
    ///
    /// A connection that is lost before it is taken, and a want of descriptors or memory, are
    /// waited out here: neither may end a server. Giving the future up may lose a connection
    /// that was just taken; the peer sees it closed.
    ///
    /// # Errors
    /// Only what makes the socket useless for good.
    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        Ok(self.arrival().await?.known().await)
    }

    /// Like `accept`, but does not wait for the user database, which may take its time for one
    /// user while others come.
    pub(crate) async fn arrival(&self) -> io::Result<Arrival> {
        loop {
            match self.accept_once().await {
                Ok((stream, peer)) => {
                    return Ok(Arrival { stream, peer, groups: Arc::clone(&self.groups) });
                }
                Err(error) => match weight(&error) {
                    Weight::Connection => {}
                    Weight::Shortage => {
                        tracing::warn!("cannot accept: {error}: trying again");
                        sleep(SHORTAGE_PAUSE).await;
                    }
                    Weight::Listener => return Err(error),
                },
            }
        }
    }

    /// The address, with the port the system chose when 0 was asked for.
    ///
    /// # Errors
    /// When the system does not tell (TCP only).
    pub fn address(&self) -> io::Result<Address> {
        match &self.socket {
            Socket::Unix(_, place) => Ok(Address::Unix(place.path.clone())),
            Socket::Tcp(listener) => {
                let at = listener.local_addr()?;
                Ok(Address::Tcp { host: at.ip().to_string(), port: at.port() })
            }
        }
    }

    async fn accept_once(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let cred = stream.peer_cred().map_err(|_| gone())?;
                let (uid, gid) = (cred.uid(), cred.gid());
                let (groups, name) = (vec![gid], uid.to_string());
                // The kernel gives 0 for a process this namespace has no number for.
                let pid = cred.pid().filter(|&pid| pid > 0);
                Ok((Stream::Unix(stream), Peer::Unix { uid, gid, groups, name, pid }))
            }
            Socket::Tcp(listener) => {
                let (stream, from) = listener.accept().await?;
                keep(&stream).map_err(|_| gone())?;
                Ok((Stream::Tcp(stream), Peer::Tcp(from)))
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|now| now.dev() == self.device && now.ino() == self.inode);
        if ours && let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("{}: not removed: {error}", self.path.display());
        }
    }
}

/// What a connection that is lost while it is taken is.
fn gone() -> io::Error {
    Errno::ECONNABORTED.into()
}

/// What a failed accept concerns.
#[derive(Debug, PartialEq, Eq)]
enum Weight {
    Connection,
    Shortage,
    Listener,
}

/// Nothing left to take a connection with, for the moment.
const SHORT: [Errno; 4] = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];

/// The few that speak of the socket itself.
const FINAL: [Errno; 4] = [Errno::EBADF, Errno::EINVAL, Errno::ENOTSOCK, Errno::EFAULT];

/// Linux passes errors of the network on through accept(2) and wants them tried again.
fn weight(error: &io::Error) -> Weight {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) if SHORT.contains(&errno) => Weight::Shortage,
        Some(errno) if FINAL.contains(&errno) => Weight::Listener,
        Some(_) => Weight::Connection,
        None => Weight::Listener,
    }
}

async fn listen_tcp(host: &str, port: u16, address: &Address) -> Result<Socket, DialError> {
    let io = |error| DialError::Io(address.clone(), error);
    let found: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(io)?.collect();
    if found.iter().any(|at| !at.ip().is_loopback()) {
        return Err(DialError::NotLoopback(address.clone()));
    }
    TcpListener::bind(found.as_slice()).await.map(Socket::Tcp).map_err(io)
}

async fn listen_unix(path: &Path, address: &Address) -> Result<Socket, DialError> {
    let io = |error| DialError::Io(address.clone(), error);
    fits(path, address)?;
    let above = match path.parent() {
        Some(above) if !above.as_os_str().is_empty() => above,
        Some(_) | None => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o755).create(above).map_err(io)?;
    let _lock = Lock::take(path, address)?;
    clear(path, address).await?;
    let listener = UnixListener::bind(path).map_err(io)?;
    let made = std::fs::symlink_metadata(path).map_err(io)?;
    let place = Place { path: path.to_owned(), device: made.dev(), inode: made.ino() };
    std::fs::set_permissions(path, Permissions::from_mode(0o666)).map_err(io)?;
    Ok(Socket::Unix(listener, place))
}

/// Two servers that start at once must not remove each other's socket: looking, removing and
/// binding happen under a lock. It is on a file of its own, which nobody else can open: whoever
/// can open a file or a directory, if only to read, can lock it (flock(2)).
struct Lock {
    path: PathBuf,
    _held: Flock<File>,
}

impl Lock {
    fn take(socket: &Path, address: &Address) -> Result<Self, DialError> {
        let io = |error| DialError::Io(address.clone(), error);
        let path = lock_path(socket);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&path)
            .map_err(io)?;
        let held = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => held,
            Err((_, Errno::EWOULDBLOCK)) => return Err(DialError::Starting(address.clone())),
            Err((_, errno)) => return Err(io(errno.into())),
        };
        // Who had it before has removed it: a lock on what is left keeps nobody out.
        let ours = held.metadata().map_err(io)?;
        match std::fs::symlink_metadata(&path) {
            Ok(now) if now.dev() == ours.dev() && now.ino() == ours.ino() => {
                Ok(Self { path, _held: held })
            }
            Ok(_) | Err(_) => Err(DialError::Starting(address.clone())),
        }
    }
}

impl Drop for Lock {
    /// While it is still held.
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("{}: not removed: {error}", self.path.display());
        }
    }
}

fn lock_path(socket: &Path) -> PathBuf {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}

/// Removes a socket that nobody answers on.
async fn clear(path: &Path, address: &Address) -> Result<(), DialError> {
    let io = |error| DialError::Io(address.clone(), error);
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(DialError::NotSocket(address.clone())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    }
    match timeout(ANSWER_MAX, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(io)
        }
        // A full queue (EAGAIN) or a slow one is somebody's; so is one we may not connect to.
        Ok(_) | Err(_) => Err(DialError::Served(address.clone())),
    }
}

#[cfg(test)]
#[path = "listen_test.rs"]
mod tests;
