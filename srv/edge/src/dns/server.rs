//! The server: listeners that share one desk, begun on sockets that are bound already, so that one
//! process can hand them to the next.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::allowed::Guests;
use super::desk::{Desk, Source};
use super::figures::Figures;
use super::forward::Forward;
use super::resolvers::Resolvers;
use super::{tcp, udp};

/// Room for datagrams that wait. What the kernel gives unasked holds less than 300 of them, which
/// one client with a thousand questions overruns.
const WAITING_BYTES: usize = 1 << 20;

/// Sockets at one address.
#[derive(Debug)]
pub(crate) struct Listener {
    /// For datagrams.
    pub(crate) datagrams: UdpSocket,
    /// For connections.
    pub(crate) streams: TcpListener,
}

/// A server that answers until it is told to leave or is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    listeners: JoinSet<()>,
    figures: Arc<Figures>,
    /// All listeners leave when it goes.
    stays: watch::Sender<()>,
}

impl Server {
    /// Answer at `listeners`, from `names` and from the machine's `resolvers`. Must be called
    /// where tasks can be started.
    pub(crate) fn start(
        listeners: Vec<Listener>,
        names: Source,
        resolvers: Resolvers,
    ) -> io::Result<Server> {
        let mut own = Vec::new();
        for listener in &listeners {
            own.push(listener.datagrams.local_addr()?);
            own.push(listener.streams.local_addr()?);
        }
        let figures = Arc::new(Figures::default());
        let forward = Forward::new(resolvers.without(&own), Arc::clone(&figures));
        let guests = Guests::of(own.iter().map(SocketAddr::ip).collect());
        let desk = Arc::new(Desk::new(names, guests, own, forward, Arc::clone(&figures)));
        let (stays, stop) = watch::channel(());
        let mut tasks = JoinSet::new();
        for Listener { datagrams, streams } in listeners {
            datagrams.set_nonblocking(true)?;
            streams.set_nonblocking(true)?;
            // More than the machine's limit takes a capability; what there is will do.
            if setsockopt(&datagrams, sockopt::RcvBufForce, &WAITING_BYTES).is_err() {
                let _ = setsockopt(&datagrams, sockopt::RcvBuf, &WAITING_BYTES);
            }
            let datagrams = tokio::net::UdpSocket::from_std(datagrams)?;
            let streams = tokio::net::TcpListener::from_std(streams)?;
            tasks.spawn(udp::serve(Arc::new(datagrams), Arc::clone(&desk), stop.clone()));
            tasks.spawn(tcp::serve(streams, Arc::clone(&desk), stop.clone()));
        }
        Ok(Server { listeners: tasks, figures, stays })
    }

    /// What it counted.
    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Take no more questions, and answer those that were taken, as far as that is done `within`.
    pub(crate) async fn leave(self, within: Duration) {
        let Server { mut listeners, figures: _, stays } = self;
        drop(stays);
        let all = async { while listeners.join_next().await.is_some() {} };
        // Who has no answer by then asks again.
        let _ = timeout(within, all).await;
    }
}

#[cfg(test)]
#[path = "server_test.rs"]
mod tests;
#[cfg(test)]
pub(crate) use tests::{Alone, with_resolvers_at};
