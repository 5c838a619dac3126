//! Bytes between sockets and sessions, over tokio.
//!
//! A connection is one task and one machine that is polled: it takes every whole message that a
//! read brought, then every job that has ended, and writes all answers with one write. Answers
//! that are ready spawn nothing and wait for nothing. A peer that does not read is not read from.

mod buffer;
mod census;
mod connection;
mod jobs;
#[cfg(test)]
mod jobs_test;
#[cfg(test)]
mod test;
mod trace;
mod who;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::dial::{Arrival, Listener, Peer};
use crate::session::{Bounds, Session, Who};
use crate::tree::Tree;
use crate::user::User;

use census::{Census, Counted};
use connection::Connection;
use trace::Trace;

/// How much a server gives to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What one connection is given.
    pub connection: Bounds,
    /// Connections; 64 more of root are accepted.
    pub connections_max: usize,
    /// Connections of one user who is not root.
    pub user_connections_max: usize,
    /// The time from the connection to an agreed version, in milliseconds.
    pub version_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connection: Bounds::default(),
            connections_max: 4_096,
            user_connections_max: 512,
            version_ms_max: 10_000,
        }
    }
}

/// Serves a tree.
pub struct Server<T: Tree> {
    tree: Arc<T>,
    limits: Limits,
    trace: bool,
    who: Who,
    census: Arc<Census>,
    stop: watch::Sender<bool>,
    connections: AtomicU64,
}

impl<T: Tree> Server<T> {
    /// A server of `tree`.
    #[must_use]
    pub fn new(tree: Arc<T>, limits: Limits) -> Self {
        let census = Census::new(limits.connections_max, limits.user_connections_max);
        Self {
            tree,
            limits,
            trace: false,
            who: who::of_the_machine(),
            census: Arc::new(census),
            stop: watch::Sender::new(false),
            connections: AtomicU64::new(0),
        }
    }

    /// Says each message, one line each, to the log target `9p` at level info.
    #[must_use]
    pub fn trace(mut self, on: bool) -> Self {
        self.trace = on;
        self
    }

    /// Accepts and serves until `stop`, then until every connection has ended. A connection over
    /// the limits is closed without a word.
    ///
    /// # Errors
    /// What makes the listener useless. Connections go on; `stop` ends them.
    pub async fn serve(self: Arc<Self>, listener: Listener) -> std::io::Result<()> {
        let mut tasks = JoinSet::new();
        let mut stopped = self.stop.subscribe();
        let ended = loop {
            let accepted = tokio::select! {
                accepted = listener.arrival() => accepted,
                _ = stopped.wait_for(|stop| *stop) => break Ok(()),
            };
            // Not waited for above: giving up an accept may lose a connection.
            while tasks.try_join_next().is_some() {}
            match accepted {
                Ok(arrival) => {
                    tasks.spawn(Arc::clone(&self).serve_arrival(arrival));
                }
                Err(error) => break Err(error),
            }
        };
        // Nobody is to be accepted while the others end.
        drop(listener);
        while tasks.join_next().await.is_some() {}
        ended
    }

    /// Serves one connection until it is lost, the peer breaks the framing, or `stop`; returns
    /// when everything that was open on it is closed.
    pub async fn serve_connection<S>(self: Arc<Self>, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let user = User::of_peer(&peer);
        if let Some(_counted) = self.count(user.uid) {
            self.serve_user(stream, user).await;
        }
    }

    /// Counted before the user database is asked, so that who waits for it counts too.
    async fn serve_arrival(self: Arc<Self>, arrival: Arrival) {
        if let Some(_counted) = self.count(User::of_peer(arrival.peer()).uid) {
            let (stream, peer) = arrival.known().await;
            self.serve_user(stream, User::of_peer(&peer)).await;
        }
    }

    fn count(&self, uid: u32) -> Option<Counted> {
        let counted = Census::enter(&self.census, uid);
        if counted.is_none() {
            tracing::warn!(uid, "too many connections: one more is closed");
        }
        counted
    }

    async fn serve_user<S>(&self, stream: S, mut user: User)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        user.connection = number + 1;
        let trace = self.trace.then_some(Trace { connection: number });
        let session =
            Session::new(self.tree.clone(), user, self.who.clone(), self.limits.connection);
        let mut connection = Connection::new(session, trace);
        let deadline = sleep(Duration::from_millis(self.limits.version_ms_max));
        let mut stopped = self.stop.subscribe();
        let end = tokio::select! {
            end = connection.run(stream, deadline) => end,
            _ = stopped.wait_for(|stop| *stop) => connection::End::Stopped,
        };
        tracing::debug!(connection = number, "ended: {end}");
        connection.close().await;
    }

    /// Ends accepting and every connection, for good.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}
