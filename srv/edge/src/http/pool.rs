//! The connections of one worker to one instance. The last one that rested goes first, so that
//! few are in use and the rest grow old; none outlives the instance's place in the table.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;

use super::body::Upload;
use super::dial::dial;
use super::lent::{Lent, Link};
use super::plain::Wire;
use crate::backend::{Backend, Connections};
use crate::gate::{Claim, Gated};
use crate::limits::Limits;
use crate::worker::Local;

/// What a worker has open to one instance.
#[derive(Debug)]
pub(crate) struct Pool {
    backend: Arc<Backend>,
    idle: RefCell<Vec<Resting<Link>>>,
    /// The same for plain requests.
    plain: RefCell<Vec<Resting<Wire>>>,
    /// HTTP/2 needs but one, which all requests share.
    shared: RefCell<Option<http2::SendRequest<Upload>>>,
    /// What can be cut: connections, tunnels and streams.
    open: RefCell<HashMap<u64, Open>>,
    next: Cell<u64>,
    /// How many may rest.
    idle_max: usize,
    /// Until when other instances are tried first.
    pub(crate) doubted: Cell<Option<Instant>>,
}

#[derive(Debug)]
struct Resting<T> {
    link: T,
    since: Instant,
}

/// Something open to an instance, and how it is ended by force.
#[derive(Debug)]
enum Open {
    /// The same socket once more, to be shut down: its owner is told by the kernel. Shut down
    /// counts as closed, though the owner may take his time to hear of it.
    Socket { again: std::net::TcpStream, _claim: Claim<Connections> },
    /// The work that has it.
    Work(AbortHandle),
}

/// A stream to an instance.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stream: TcpStream,
    /// Whether it takes bytes before the runtime knows of it.
    there: bool,
    /// What says that it is open.
    pub(crate) claim: Claim<Connections>,
}

/// Says that something is open, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Held {
    pool: Rc<Pool>,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let closed = self.pool.open.borrow_mut().remove(&self.number);
        drop(closed);
    }
}

impl Pool {
    pub(crate) fn new(backend: &Arc<Backend>, limits: &Limits) -> Self {
        Self {
            backend: Arc::clone(backend),
            idle: RefCell::default(),
            plain: RefCell::default(),
            shared: RefCell::default(),
            open: RefCell::default(),
            next: Cell::new(0),
            idle_max: limits.upstream_idle,
            doubted: Cell::new(None),
        }
    }

    /// A connection that rests and is ready, the one that has rested shortest.
    fn rested(self: &Rc<Self>, limits: &Limits, now: Instant) -> Option<Lent> {
        let mut idle = self.idle.borrow_mut();
        for at in (0..idle.len()).rev() {
            let resting = &mut idle[at];
            let rested = now.saturating_duration_since(resting.since);
            if resting.link.is_closed() || rested > limits.upstream_idle_time {
                idle.remove(at);
            } else if resting.link.is_ready() {
                return Some(Lent::new(self, idle.remove(at).link, true));
            }
        }
        None
    }

    /// A connection for one request of HTTP/1.1.
    pub(crate) async fn lend(
        self: &Rc<Self>,
        limits: &Limits,
        fresh: bool,
        now: Instant,
    ) -> io::Result<Lent> {
        if !fresh && let Some(lent) = self.rested(limits, now) {
            return Ok(lent);
        }
        let (stream, _, held) = self.socket(limits).await?;
        let mut client = http1::Builder::new();
        client.max_buf_size(limits.head_bytes.max(64 * 1024)).writev(false);
        let handshake = client.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        let mut link = Link::new(sender, connection, held);
        poll_fn(|context| match link.poll_ready(context) {
            Poll::Ready(true) => Poll::Ready(Ok(())),
            Poll::Ready(false) => Poll::Ready(Err(io::ErrorKind::ConnectionReset)),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        Ok(Lent::new(self, link, false))
    }

    /// A stream to the instance that can be cut.
    async fn socket(self: &Rc<Self>, limits: &Limits) -> io::Result<(TcpStream, bool, Held)> {
        let Dialled { stream, there, claim } = self.connect(limits).await?;
        let again = std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        let held = self.hold();
        self.open.borrow_mut().insert(held.number, Open::Socket { again, _claim: claim });
        Ok((stream, there, held))
    }

    /// A connection for plain requests that rests, the one that has rested shortest.
    pub(super) fn rested_wire(&self, limits: &Limits, now: Instant) -> Option<Wire> {
        let mut plain = self.plain.borrow_mut();
        while let Some(mut resting) = plain.pop() {
            let rested = now.saturating_duration_since(resting.since);
            if rested <= limits.upstream_idle_time && resting.link.is_quiet() {
                return Some(resting.link);
            }
        }
        None
    }

    /// A new connection for plain requests.
    pub(super) async fn wire(self: &Rc<Self>, limits: &Limits) -> io::Result<Wire> {
        let (stream, there, held) = self.socket(limits).await?;
        Ok(Wire::new(stream, there, held))
    }

    /// One rests until the next request, unless its instance leaves.
    pub(super) fn rest_wire(&self, link: Wire, since: Instant) {
        let mut plain = self.plain.borrow_mut();
        if !self.backend.gate().drains() && plain.len() < self.idle_max {
            plain.push(Resting { link, since });
        }
    }

    /// A connection rests until the next request, unless its instance leaves.
    pub(super) fn rest(&self, link: Link, since: Instant) {
        let mut idle = self.idle.borrow_mut();
        if !self.backend.gate().drains() && idle.len() < self.idle_max {
            idle.push(Resting { link, since });
        }
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
        let Dialled { stream, claim, .. } = self.connect(limits).await?;
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

    /// A stream to the instance.
    pub(crate) async fn connect(&self, limits: &Limits) -> io::Result<Dialled> {
        let claim = self.claim()?;
        let dialling = dial(self.backend.is.address);
        let (stream, there) = timeout(limits.connect_time, dialling).await??;
        if self.backend.is_cut() {
            // What is open has been cut already, and this was not among it.
            return Err(left());
        }
        limits.keep_alive.set(&stream)?;
        Ok(Dialled { stream, there, claim })
    }

    /// A claim on the right to have something open.
    pub(crate) fn claim(&self) -> io::Result<Claim<Connections>> {
        Claim::on(&self.backend.connections).ok_or_else(left)
    }

    fn hold(self: &Rc<Self>) -> Held {
        let number = self.next.get();
        self.next.set(number + 1);
        Held { pool: Rc::clone(self), number }
    }

    /// Runs `work`, which has something open, until it ends or is cut.
    pub(crate) fn keep(
        self: &Rc<Self>,
        claim: Claim<Connections>,
        work: impl Future<Output = ()> + 'static,
    ) {
        let held = self.hold();
        let number = held.number;
        let task = spawn_local(async move {
            work.await;
            drop((claim, held));
        });
        // The work has not begun yet: all this is one thread.
        self.open.borrow_mut().insert(number, Open::Work(task.abort_handle()));
    }

    /// Closes what rests.
    pub(crate) fn close(&self) {
        self.idle.borrow_mut().clear();
        self.plain.borrow_mut().clear();
        self.shared.borrow_mut().take();
    }

    /// Ends all that is open.
    pub(crate) fn cut(&self) {
        self.close();
        let open: Vec<Open> = self.open.borrow_mut().drain().map(|(_, open)| open).collect();
        for it in open {
            match it {
                // It may have been closed by the other side already.
                Open::Socket { again, .. } => _ = again.shutdown(Shutdown::Both),
                Open::Work(task) => task.abort(),
            }
        }
    }

    /// Closes what has rested for too long, or was closed by the instance.
    pub(crate) fn sweep(&self, limits: &Limits) {
        let old = |since: Instant| since.elapsed() > limits.upstream_idle_time;
        self.idle.borrow_mut().retain_mut(|it| !old(it.since) && !it.link.is_closed());
        self.plain.borrow_mut().retain_mut(|it| !old(it.since) && it.link.is_quiet());
    }
}

fn left() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the instance has left")
}
