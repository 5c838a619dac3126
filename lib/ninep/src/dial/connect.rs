//! Reaching a server.

use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::{Address, DialError, SOCKET_PATH_MAX, Stream};

/// The longest wait for a connection, in seconds.
const CONNECT_S_MAX: u64 = 10;

/// After this silence on a TCP connection the other side is asked whether it lives, in seconds;
/// long enough to cost nothing, short enough that a pulled cable is seen within two minutes.
const KEEPALIVE_IDLE_S: u32 = 30;

/// Sent bytes that nobody acknowledges for so long end a TCP connection, in milliseconds.
const UNACKNOWLEDGED_MS_MAX: u32 = 60_000;

/// Connects to `address`, within ten seconds.
///
/// # Errors
/// What stands in the way, with the address; `DialError::NotYet` for `tls` and `ssh`.
pub async fn connect(address: &Address) -> Result<Stream, DialError> {
    let io = |error| DialError::Io(address.clone(), error);
    match address {
        Address::Unix(path) => {
            fits(path, address)?;
            in_time(address, UnixStream::connect(path)).await.map(Stream::Unix)
        }
        Address::Tcp { host, port } => {
            let connected = TcpStream::connect((host.as_str(), *port));
            let stream = in_time(address, connected).await?;
            keep(&stream).map_err(io)?;
            Ok(Stream::Tcp(stream))
        }
        Address::Tls { .. } => Err(DialError::NotYet(address.clone(), "tls")),
        Address::Ssh { .. } => Err(DialError::NotYet(address.clone(), "ssh")),
    }
}

/// Checks that a socket of this path can exist: the system's own word is "invalid argument".
pub(super) fn fits(path: &Path, address: &Address) -> Result<(), DialError> {
    match path.as_os_str().len() {
        0..=SOCKET_PATH_MAX => Ok(()),
        long => Err(DialError::PathTooLong(address.clone(), long)),
    }
}

/// Sets what every TCP connection of ours has: no delay for small messages, and an end when the
/// other side is gone without a word.
pub(super) fn keep(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_S)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &UNACKNOWLEDGED_MS_MAX)?;
    Ok(())
}

async fn in_time<T>(
    address: &Address,
    connecting: impl Future<Output = std::io::Result<T>>,
) -> Result<T, DialError> {
    match timeout(Duration::from_secs(CONNECT_S_MAX), connecting).await {
        Ok(done) => done.map_err(|error| DialError::Io(address.clone(), error)),
        Err(_) => Err(DialError::Slow(address.clone(), CONNECT_S_MAX)),
    }
}
