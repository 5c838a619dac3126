//! The connections of one worker to one instance. The last one that rested goes first, so that
//! few are in use and the rest grow old; none outlives the instance's place in the table.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;

use super::body::Upload;
use crate::backend::{Backend, Connections};
use crate::gate::{Claim, Gated};
use crate::limits::Limits;
use crate::worker::Local;

/// What a worker has open to one instance.
#[derive(Debug)]
pub(crate) struct Pool {
    backend: Arc<Backend>,
    idle: RefCell<Vec<Resting>>,
    /// HTTP/2 needs but one, which all requests share.
    shared: RefCell<Option<http2::SendRequest<Upload>>>,
    /// What can be cut: connections, tunnels and streams.
    open: RefCell<HashMap<u64, AbortHandle>>,
    next: Cell<u64>,
    /// Until when other instances are tried first.
    pub(crate) doubted: Cell<Option<Instant>>,
}

#[derive(Debug)]
struct Resting {
    sender: http1::SendRequest<Upload>,
    since: Instant,
}

/// Something open to an instance: it keeps the instance from being called drained, and can be cut.
#[derive(Debug)]
pub(crate) struct Held {
    pool: Rc<Pool>,
    number: u64,
    _claim: Claim<Connections>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.pool.open.borrow_mut().remove(&self.number);
    }
}

/// A connection that is used by one request.
#[derive(Debug)]
pub(crate) struct Lent {
    pool: Rc<Pool>,
    sender: http1::SendRequest<Upload>,
    /// It has served before, so the instance may be closing it right now.
    pub(crate) reused: bool,
    idle_max: usize,
}

impl Lent {
    pub(crate) fn sender(&mut self) -> &mut http1::SendRequest<Upload> {
        &mut self.sender
    }

    /// It rests until the next request, unless its instance leaves.
    pub(crate) fn give_back(self) {
        let mut idle = self.pool.idle.borrow_mut();
        let leaves = self.pool.backend.gate().drains();
        if !self.sender.is_closed() && !leaves && idle.len() < self.idle_max {
            idle.push(Resting { sender: self.sender, since: Instant::now() });
        }
    }
}

impl Pool {
    pub(crate) fn new(backend: &Arc<Backend>) -> Self {
        Self {
            backend: Arc::clone(backend),
            idle: RefCell::default(),
            shared: RefCell::default(),
            open: RefCell::default(),
            next: Cell::new(0),
            doubted: Cell::new(None),
        }
    }

    /// A connection that rests and is ready, the one that has rested shortest.
    fn rested(self: &Rc<Self>, limits: &Limits) -> Option<Lent> {
        let mut idle = self.idle.borrow_mut();
        for at in (0..idle.len()).rev() {
            let resting = &idle[at];
            if resting.sender.is_closed() || resting.since.elapsed() > limits.upstream_idle_time {
                idle.remove(at);
            } else if resting.sender.is_ready() {
                let sender = idle.remove(at).sender;
                let (pool, idle_max) = (Rc::clone(self), limits.upstream_idle);
                return Some(Lent { pool, sender, reused: true, idle_max });
            }
        }
        None
    }

    /// A connection for one request of HTTP/1.1.
    pub(crate) async fn lend(self: &Rc<Self>, limits: &Limits, fresh: bool) -> io::Result<Lent> {
        if !fresh && let Some(lent) = self.rested(limits) {
            return Ok(lent);
        }
        let (stream, claim) = self.connect(limits).await?;
        let mut client = http1::Builder::new();
        client.max_buf_size(limits.head_bytes.max(64 * 1024)).writev(false);
        let handshake = client.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(io::Error::other)?;
        self.keep(claim, async move {
            // How it ended, its request has heard.
            let _ = connection.with_upgrades().await;
        });
        sender.ready().await.map_err(io::Error::other)?;
        let (pool, idle_max) = (Rc::clone(self), limits.upstream_idle);
        Ok(Lent { pool, sender, reused: false, idle_max })
    }

    /// The connection for all requests of HTTP/2.
    pub(crate) async fn share(
        self: &Rc<Self>,
        limits: &Limits,
    ) -> io::Result<http2::SendRequest<Upload>> {
        let open = self.shared.borrow().clone();
        if let Some(mut sender) = open
            && !sender.is_closed()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let (stream, claim) = self.connect(limits).await?;
        let mut client = http2::Builder::new(Local);
        client.timer(TokioTimer::new()).adaptive_window(true);
        let handshake = client.handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(io::Error::other)?;
        self.keep(claim, async move {
            let _ = connection.await;
        });
        sender.ready().await.map_err(io::Error::other)?;
        *self.shared.borrow_mut() = Some(sender.clone());
        Ok(sender)
    }

    /// A stream to the instance, and what says that it is open.
    pub(crate) async fn connect(
        &self,
        limits: &Limits,
    ) -> io::Result<(TcpStream, Claim<Connections>)> {
        let claim = self.claim()?;
        let connecting = TcpStream::connect(self.backend.is.address);
        let stream = timeout(limits.connect_time, connecting).await??;
        stream.set_nodelay(true)?;
        Ok((stream, claim))
    }

    /// A claim on the right to have something open.
    pub(crate) fn claim(&self) -> io::Result<Claim<Connections>> {
        let closed = || io::Error::new(io::ErrorKind::ConnectionAborted, "the instance has left");
        Claim::on(&self.backend.connections).ok_or_else(closed)
    }

    /// Runs `work`, which has something open, until it ends or is cut.
    pub(crate) fn keep(
        self: &Rc<Self>,
        claim: Claim<Connections>,
        work: impl Future<Output = ()> + 'static,
    ) {
        let number = self.next.get();
        self.next.set(number + 1);
        let held = Held { pool: Rc::clone(self), number, _claim: claim };
        let task = spawn_local(async move {
            work.await;
            drop(held);
        });
        self.open.borrow_mut().insert(number, task.abort_handle());
    }

    /// Closes what rests.
    pub(crate) fn close(&self) {
        self.idle.borrow_mut().clear();
        self.shared.borrow_mut().take();
    }

    /// Ends all that is open.
    pub(crate) fn cut(&self) {
        self.close();
        let open: Vec<AbortHandle> = self.open.borrow_mut().drain().map(|(_, it)| it).collect();
        open.iter().for_each(AbortHandle::abort);
    }

    /// Closes what has rested for too long.
    pub(crate) fn sweep(&self, limits: &Limits) {
        let old = |it: &Resting| it.since.elapsed() > limits.upstream_idle_time;
        self.idle.borrow_mut().retain(|it| !it.sender.is_closed() && !old(it));
    }
}
