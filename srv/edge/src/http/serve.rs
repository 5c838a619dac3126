//! Connections of users: taken by whichever worker is awake, served by the one that has fewest,
//! and ended in peace when the edge leaves.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::body::Download;
use super::forward::forward;
use super::guard::{Guard, Pulse};
use super::head::{Peer, Scheme};
use super::plain;
use super::rest::{self, REST_AFTER, Slot, rest};
use super::scan::Scan;
use super::streams::Streams;
use crate::limits::Limits;
use crate::metrics::Reason;
use crate::swap::Shared;
use crate::users::Seat;
use crate::worker::{Kind, Order, Worker};
use crate::{Error, tcp, tls};

/// How long taking connections rests when the process may have no more descriptors.
const BACK_OFF: Duration = Duration::from_millis(50);

/// How often a connection is looked at on which something moves.
const LOOK: Duration = Duration::from_secs(1);

/// Serves what is spoken at `listener` until `leave` ends and all that came from there has ended.
pub(crate) async fn serve(
    listener: TcpListener,
    kind: Kind,
    shared: Arc<Shared>,
    leave: impl Future<Output = ()>,
) -> Result<(), Error> {
    let failed = |why: io::Error| Error::Io { what: "listening socket".into(), why };
    listener.set_nonblocking(true).map_err(failed)?;
    shared.limits.keep_alive.set(&listener).map_err(failed)?;
    let (leaving, heard) = watch::channel(false);
    let (done, mut ended) = mpsc::channel(1);
    for number in 0..shared.limits.workers {
        let (listener, leave) = (listener.try_clone().map_err(failed)?, heard.clone());
        shared.tell(number, Order::Listen { listener, kind, leave, done: done.clone() });
    }
    drop((listener, done));
    leave.await;
    leaving.send_replace(true);
    // Nobody sends; the last one who might goes when the last connection has ended.
    let _: Option<()> = ended.recv().await;
    Ok(())
}

/// Takes connections until told to leave.
pub(crate) async fn accept(
    worker: Rc<Worker>,
    listener: TcpListener,
    kind: Kind,
    mut leave: watch::Receiver<bool>,
    done: mpsc::Sender<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        let taken = tokio::select! {
            taken = listener.accept() => taken,
            _ = leave.wait_for(|leaves| *leaves) => return,
        };
        match taken {
            Ok(taken) => place(&worker, taken, kind, leave.clone(), done.clone()),
            // No descriptors, or no memory, are left: others must end first.
            Err(why) if !is_of_one(&why) => sleep(BACK_OFF).await,
            Err(_) => {}
        }
    }
}

/// Whether taking a connection failed because that one had gone already.
fn is_of_one(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Gives a connection to the worker that has fewest.
fn place(
    worker: &Rc<Worker>,
    (stream, from): (TcpStream, SocketAddr),
    kind: Kind,
    leave: watch::Receiver<bool>,
    done: mpsc::Sender<()>,
) {
    let shared = &worker.shared;
    // Too many: the connection is closed at once.
    let Some(seat) = shared.users.come(from.ip(), worker.number, &shared.limits) else { return };
    let there = seat.worker();
    let taken = Taken { from, kind, _seat: seat, leave, _done: done };
    if there == worker.number {
        begin(worker, stream, taken);
    } else if let Ok(stream) = stream.into_std() {
        shared.tell(there, Order::Serve { stream, taken });
    }
}

/// A connection of a user, but for the connection itself.
#[derive(Debug)]
pub(crate) struct Taken {
    from: SocketAddr,
    kind: Kind,
    _seat: Seat,
    /// Becomes true when this process is to go.
    leave: watch::Receiver<bool>,
    /// Is dropped when the connection has ended, and what it became.
    _done: mpsc::Sender<()>,
}

impl Taken {
    /// The user's address.
    pub(super) fn ip(&self) -> IpAddr {
        self.from.ip()
    }
}

/// Serves a connection.
pub(crate) fn begin(worker: &Rc<Worker>, stream: TcpStream, taken: Taken) {
    let worker = Rc::clone(worker);
    // A request must not wait for a packet to fill.
    let _ = stream.set_nodelay(true);
    match taken.kind {
        Kind::Http(scheme) => {
            let leave = taken.leave.clone();
            let peer = Peer::new(taken, scheme);
            spawn_local(async move {
                match scheme {
                    Scheme::Http => self::stream(worker, stream, peer, leave).await,
                    Scheme::Https => secure(worker, stream, peer, leave).await,
                }
            });
        }
        Kind::Tcp(port) => {
            spawn_local(async move {
                tcp::stream(worker, stream, port).await;
                drop(taken);
            });
        }
    }
}

/// Serves what is inside TLS, when both sides agree on it.
async fn secure(worker: Rc<Worker>, stream: TcpStream, peer: Peer, leave: watch::Receiver<bool>) {
    let Shared { tls, limits, users, .. } = &*worker.shared;
    let Some(shaking) = users.shake(peer.ip, limits) else { return };
    let inside = tls::shake(tls, stream, leave.clone(), limits).await;
    drop(shaking);
    if let Some(inside) = inside {
        self::stream(worker, inside, peer, leave).await;
    }
}

/// Serves HTTP on a stream that is ready for it, until either side ends it or, when the edge
/// leaves, until its requests are answered and it has rested for a while.
pub(crate) async fn stream<S>(
    worker: Rc<Worker>,
    mut stream: S,
    peer: Peer,
    mut leave: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &worker.shared.limits;
    let pulse = Pulse::new(peer.busy());
    let peer = Rc::new(peer);
    let fresh = Cell::new(true);
    loop {
        let end = pulse.deadline(peer.rested(), limits);
        let end = end.unwrap_or_else(|| Instant::now() + limits.head_time);
        let Some(first) = rest(&mut stream, &mut leave, end).await else { return };
        // In memory of its own, which is given back when the connection rests.
        let plain = plain(&worker, &mut stream, first, &peer, &pulse, &mut leave, &fresh);
        let first = match Box::pin(plain).await {
            plain::After::Other(first) if first.is_empty() && !*leave.borrow() => continue,
            plain::After::Other(first) => first,
            plain::After::Over => return,
        };
        let scan = Scan::new(limits.head_bytes, fresh.take());
        let back = Slot::default();
        let guard = Guard::new(stream, &back, first, scan, &pulse);
        match Box::pin(talk(&worker, guard, &peer, &pulse, &mut leave)).await {
            After::Rest => {}
            After::Over => return,
        }
        let Some(again) = rest::take(&back) else { return };
        stream = again;
    }
}

/// What follows when nothing more is to be said for now.
enum After {
    /// The next request, some time.
    Rest,
    /// Nothing.
    Over,
}

/// Serves plain requests until another comes; with nothing left when the connection rests.
async fn plain<S>(
    worker: &Rc<Worker>,
    stream: &mut S,
    first: Vec<u8>,
    peer: &Rc<Peer>,
    pulse: &Pulse,
    leave: &mut watch::Receiver<bool>,
    fresh: &Cell<bool>,
) -> plain::After
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (limits, leaves) = (&worker.shared.limits, Cell::new(*leave.borrow()));
    let after = Cell::new(plain::After::Over);
    let talking = async {
        after.set(plain::talk(worker, stream, first, peer, pulse, &leaves, fresh).await);
    };
    let mut talking = std::pin::pin!(talking);
    let look = |now| look(now, peer, pulse, !leaves.get(), limits);
    let mut woken = attend(talking.as_mut(), leave, look).await;
    if let Woken::Leave = woken {
        // What is on its way is answered; the rest is for who says farewell.
        leaves.set(true);
        let (_silent, mut never) = watch::channel(false);
        woken = attend(talking, &mut never, look).await;
    }
    match woken {
        Woken::Rests => plain::After::Other(Vec::new()),
        Woken::Late => {
            give_up(worker, peer, pulse);
            plain::After::Over
        }
        Woken::Ended | Woken::Leave => after.replace(plain::After::Over),
    }
}

/// Serves requests until the connection rests or is over.
async fn talk<S>(
    worker: &Rc<Worker>,
    guard: Guard<S>,
    peer: &Rc<Peer>,
    pulse: &Pulse,
    leave: &mut watch::Receiver<bool>,
) -> After
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &worker.shared.limits;
    let (leaves, http2) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let service = service_fn(|request: Request<Incoming>| {
        http2.set(request.version() == Version::HTTP_2);
        let (worker, peer, leaves) = (Rc::clone(worker), Asked::by(peer), Rc::clone(&leaves));
        async move { Ok::<_, Infallible>(answer(worker, &peer, request, &leaves).await) }
    });
    let streams = Streams::default();
    let builder = builder(limits, streams.clone());
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(guard), service);
    let mut serving = std::pin::pin!(serving);
    let look = |now| {
        let next = look(now, peer, pulse, !leaves.get(), limits)?;
        streams.end_stalled(now, limits.stall_time);
        Ok(next)
    };
    match attend(serving.as_mut(), leave, look).await {
        Woken::Ended => return After::Over,
        Woken::Rests => return After::Rest,
        Woken::Late if http2.get() && peer.rested().is_some() => {
            // It is told that there is an end, and has a while to hear it.
            serving.as_mut().graceful_shutdown();
            _ = timeout(limits.head_time, serving).await;
            return After::Over;
        }
        Woken::Late => {
            give_up(worker, peer, pulse);
            return After::Over;
        }
        Woken::Leave => leaves.set(true),
    }
    if !http2.get() {
        // A user's next request may be on the wire already; its answer says that it is the last.
        tokio::select! {
            _ = serving.as_mut() => return After::Over,
            () = sleep(limits.linger_time) => {}
        }
    }
    serving.as_mut().graceful_shutdown();
    // Its sender is kept: a word that nobody can say any more is not waited for a second time.
    let (_silent, mut never) = watch::channel(false);
    if let Woken::Late = attend(serving, &mut never, look).await {
        give_up(worker, peer, pulse);
    }
    After::Over
}

/// A connection is given up on which nothing has moved for too long. What is on its way on it is
/// counted as it ends, unless its user has just gone; an answer that was all there, here.
fn give_up(worker: &Worker, peer: &Peer, pulse: &Pulse) {
    match peer.rested() {
        None => peer.late.set(!pulse.is_half() || pulse.is_writing()),
        Some(_) if pulse.is_writing() => worker.shared.cuts.add(Reason::Stall, 1),
        Some(_) => {}
    }
}

/// A request has come and is not answered: for as long as this lives, the connection does not rest.
struct Asked(Rc<Peer>);

impl Asked {
    fn by(peer: &Rc<Peer>) -> Self {
        peer.begin();
        Self(Rc::clone(peer))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.end(Instant::now());
    }
}

/// Why attending to a connection ended.
enum Woken {
    /// One side has ended it.
    Ended,
    /// It has answered, and its next request has not begun for a while.
    Rests,
    /// The edge leaves.
    Leave,
    /// It did nothing for too long.
    Late,
}

/// Whether a connection has to be left to itself or given up; else when to look again.
fn look(
    now: Instant,
    peer: &Peer,
    pulse: &Pulse,
    may_rest: bool,
    limits: &Limits,
) -> Result<Instant, Woken> {
    let rested = peer.rested();
    let next = pulse.deadline(rested, limits).unwrap_or(now + limits.head_time);
    if next <= now {
        return Err(Woken::Late);
    }
    let rests = match rested.filter(|_| may_rest && pulse.is_whole()) {
        Some(since) if since + REST_AFTER <= now => return Err(Woken::Rests),
        Some(since) => since + REST_AFTER,
        None => now + LOOK,
    };
    Ok(next.min(rests).min(now + limits.head_time))
}

/// Attends to a connection. What hardly ever happens is looked at only when it may have.
async fn attend<S: Future>(
    mut serving: Pin<&mut S>,
    leave: &mut watch::Receiver<bool>,
    look: impl Fn(Instant) -> Result<Instant, Woken>,
) -> Woken {
    let seen = leave.clone();
    let mut left = std::pin::pin!(leave.wait_for(|leaves| *leaves));
    let mut late = std::pin::pin!(sleep(REST_AFTER));
    let (mut first, mut deaf) = (true, false);
    poll_fn(|context| {
        if serving.as_mut().poll(context).is_ready() {
            return Poll::Ready(Woken::Ended);
        }
        if !deaf && (std::mem::take(&mut first) || seen.has_changed().unwrap_or(true)) {
            match left.as_mut().poll(context) {
                Poll::Ready(Ok(_)) => return Poll::Ready(Woken::Leave),
                // Nobody can say so any more.
                Poll::Ready(Err(_)) => deaf = true,
                Poll::Pending => {}
            }
        }
        // Armed for a long time; what happens in between is told by the look then.
        while late.as_mut().poll(context).is_ready() {
            match look(Instant::now()) {
                Ok(next) => late.as_mut().reset(next.into()),
                Err(woken) => return Poll::Ready(woken),
            }
        }
        Poll::Pending
    })
    .await
}

async fn answer(
    worker: Rc<Worker>,
    Asked(peer): &Asked,
    request: Request<Incoming>,
    leaves: &Cell<bool>,
) -> Response<Download> {
    let old = request.version() < Version::HTTP_2;
    let offered = old && request.headers().contains_key(UPGRADE);
    let mut answer = forward(worker, Rc::clone(peer), request).await;
    // What follows an offer to speak something else was not looked at as requests are.
    let last = offered && answer.status() != StatusCode::SWITCHING_PROTOCOLS;
    if old && (last || leaves.get()) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

fn builder(limits: &Limits, streams: Streams) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(streams);
    builder
        .http1()
        // The guard knows better how long a head may take, and does so without a timer each.
        .header_read_timeout(None)
        .writev(false)
        .max_buf_size(limits.head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(limits.resets)
        .max_header_list_size(limits.head_bytes as u32)
        .keep_alive_interval(limits.idle_time)
        .adaptive_window(true);
    builder
}
