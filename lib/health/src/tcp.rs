//! A connection to an instance's port, and in words why there is none.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// Connects; the error is the answer's text. The caller limits the time.
pub(crate) async fn connect(to: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(to).await.map_err(|why| refused(to, &why))
}

fn refused(to: SocketAddr, why: &io::Error) -> String {
    let kind = why.kind();
    if kind == ErrorKind::ConnectionRefused {
        format!("connection refused by {to}")
    } else if kind == ErrorKind::HostUnreachable || kind == ErrorKind::NetworkUnreachable {
        format!("no route to {to}")
    } else if kind == ErrorKind::TimedOut {
        format!("no answer from {to}")
    } else if kind == ErrorKind::ConnectionReset {
        format!("connection reset by {to}")
    } else {
        format!("{to}: {why}")
    }
}
