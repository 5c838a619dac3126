//! Bytes between sockets and sessions.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::dial::{Listener, Peer};
use crate::tree::Tree;

/// How much one server gives to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest message agreed on, in bytes.
    pub msize_max: u32,
    /// Fids of a connection.
    pub fids_max: usize,
    /// Requests of a connection that wait for their answer.
    pub requests_max: usize,
    /// Bytes of requests of a connection that wait for their turn.
    pub waiting_bytes_max: usize,
    /// Connections of a server.
    pub connections_max: usize,
    /// Connections of one user who is not root.
    pub user_connections_max: usize,
    /// The time from the connection to the first Tversion, in milliseconds.
    pub version_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            msize_max: 128 * 1024 + 24,
            fids_max: 16_384,
            requests_max: 4_096,
            waiting_bytes_max: 4 << 20,
            connections_max: 4_096,
            user_connections_max: 256,
            version_ms_max: 10_000,
        }
    }
}

/// Serves a tree.
pub struct Server<T: Tree> {
    tree: Arc<T>,
    limits: Limits,
    trace: bool,
}

impl<T: Tree> Server<T> {
    /// A server of `tree`.
    #[must_use]
    pub fn new(tree: Arc<T>, limits: Limits) -> Self {
        Self { tree, limits, trace: false }
    }

    /// Says each message, one line each, to the log target `9p` at level info.
    #[must_use]
    pub fn trace(mut self, on: bool) -> Self {
        self.trace = on;
        self
    }

    /// Accepts and serves until `stop`, then until every connection has ended.
    ///
    /// # Errors
    /// What makes the listener useless.
    pub async fn serve(self: Arc<Self>, listener: Listener) -> std::io::Result<()> {
        let _ = (listener, &self.tree, self.limits, self.trace);
        todo!()
    }

    /// Serves one connection until it is lost, the peer breaks the framing, or `stop`; returns
    /// when everything that was open on it is closed.
    pub async fn serve_connection<S>(self: Arc<Self>, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let _ = (stream, peer);
        todo!()
    }

    /// Ends accepting and every connection.
    pub fn stop(&self) {
        todo!()
    }
}
