//! The connections of HTTP/2 of one worker to one instance, which requests share: the one with the
//! fewest goes first, and a further one is made when all have as many as they take.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Instant;

use hyper::client::conn::http2;
use hyper_util::rt::TokioTimer;
use tokio::task::spawn_local;

use super::body::Upload;
use super::pool::Pool;
use super::whole::Whole;
use crate::gate::Gated as _;
use crate::limits::Limits;
use crate::worker::Local;

type Sender = http2::SendRequest<Upload>;
type Connection = http2::Connection<Whole, Upload, Local>;

/// All that are open, and how they are made.
#[derive(Debug, Default)]
pub(super) struct Shares {
    open: RefCell<Vec<Share>>,
    /// One is made at a time: those who come in between share it.
    making: tokio::sync::Mutex<()>,
    /// How many could not be made.
    failed: Cell<u64>,
}

#[derive(Debug)]
struct Share {
    sender: Sender,
    /// Knows how many streams the instance allows.
    connection: Weak<RefCell<Connection>>,
    /// One more than there are requests on their way.
    streams: Rc<()>,
    /// When the last of them began.
    since: Instant,
}

/// A request is on its way on a connection, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Stream(#[expect(dead_code, reason = "it is counted, not looked at")] Rc<()>);

impl Share {
    fn streams(&self) -> usize {
        Rc::strong_count(&self.streams) - 1
    }

    /// Whether one more has room. What is too many waits inside, behind all others.
    fn has_room(&self, most: usize) -> bool {
        let allowed = |connection: Rc<RefCell<Connection>>| {
            connection.try_borrow().map_or(most, |it| it.current_max_send_streams())
        };
        let allowed = self.connection.upgrade().map_or(0, allowed);
        // Who allows none for a while is asked with one.
        self.streams() < allowed.clamp(1, most)
    }
}

impl Shares {
    /// The connection with the fewest requests, if any has room.
    fn pick(&self, most: usize) -> Option<(Sender, Stream)> {
        let mut open = self.open.borrow_mut();
        open.retain(|share| !share.sender.is_closed());
        let roomy = open.iter_mut().filter(|share| share.has_room(most));
        let share = roomy.min_by_key(|share| share.streams())?;
        share.since = Instant::now();
        Some((share.sender.clone(), Stream(Rc::clone(&share.streams))))
    }

    /// A connection for one more request.
    pub(super) async fn share(
        &self,
        pool: &Rc<Pool>,
        limits: &Limits,
    ) -> io::Result<(Sender, Stream)> {
        let failed = self.failed.get();
        if let Some(share) = self.pick(limits.upstream_streams) {
            return Ok(share);
        }
        let _turn = self.making.lock().await;
        if let Some(share) = self.pick(limits.upstream_streams) {
            return Ok(share);
        }
        if self.failed.get() != failed {
            // That of who came before is word enough: nobody waits for one after another.
            return Err(io::ErrorKind::NotConnected.into());
        }
        let made = self.make(pool, limits).await;
        self.failed.set(failed + u64::from(made.is_err()));
        made
    }

    async fn make(&self, pool: &Rc<Pool>, limits: &Limits) -> io::Result<(Sender, Stream)> {
        let (stream, _, held) = pool.socket(limits).await?;
        let mut client = http2::Builder::new(Local);
        client.timer(TokioTimer::new()).adaptive_window(true);
        let handshake = client.handshake(Whole::new(stream, held)).await;
        let (mut sender, connection) = handshake.map_err(io::Error::other)?;
        // It hands out streams; a task of its own has the socket.
        let connection = Rc::new(RefCell::new(connection));
        let (weak, streams) = (Rc::downgrade(&connection), Rc::new(()));
        spawn_local(async move {
            _ = poll_fn(|context| Pin::new(&mut *connection.borrow_mut()).poll(context)).await;
        });
        sender.ready().await.map_err(io::Error::other)?;
        let stream = Stream(Rc::clone(&streams));
        // What is kept by an instance that has left would be closed by nobody.
        if !pool.backend().gate().drains() {
            let (sender, since) = (sender.clone(), Instant::now());
            self.open.borrow_mut().push(Share { sender, connection: weak, streams, since });
        }
        Ok((sender, stream))
    }

    /// Lets go of all: each closes after its last request.
    pub(super) fn close(&self) {
        self.open.borrow_mut().clear();
    }

    /// Lets go of those that were needed for a while only.
    pub(super) fn sweep(&self, limits: &Limits) {
        let mut open = self.open.borrow_mut();
        open.retain(|share| !share.sender.is_closed());
        let mut first = true;
        open.retain(|share| {
            let old = share.streams() == 0 && share.since.elapsed() > limits.upstream_idle_time;
            std::mem::take(&mut first) || !old
        });
    }
}
