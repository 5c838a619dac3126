//! One thread that serves, with connections, pools and figures of its own: requests never cross
//! from one to another, so nothing on their way is locked.

mod line;
mod serial;
mod start;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_local;

use crate::backend::Backend;
use crate::http::{Pool, Scheme, Taken};
use crate::live::Live;
use crate::swap::Shared;

use serial::Serial;

pub(crate) use line::{Ended, Line};
pub(crate) use start::start;

/// How long an instance that could not be reached is asked only when no other is there.
const DOUBT: Duration = Duration::from_secs(1);

/// What a worker is told to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Take connections of users here, until told to leave.
    Listen {
        /// The socket, one of several on the same queue.
        listener: TcpListener,
        /// What is spoken there.
        kind: Kind,
        /// Becomes true when this process is to go.
        leave: watch::Receiver<bool>,
        /// Is dropped when all that came from there has ended.
        done: mpsc::Sender<()>,
    },
    /// Serve a connection that another worker took.
    Serve {
        /// The connection.
        stream: TcpStream,
        /// What else there is to know of it.
        taken: Taken,
    },
    /// Close what rests of this instance's connections.
    Close(Arc<Backend>),
    /// End all that is open to this instance.
    Cut(Arc<Backend>),
    /// Hand over the lines that were gathered.
    Log {
        /// Is dropped when that is done.
        handed: mpsc::Sender<()>,
    },
}

/// What is spoken at a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// HTTP, in the clear.
    Http(Scheme),
    /// Anything, for the service of this port.
    Tcp(u16),
}

/// What all connections of one thread share.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Which of the workers, from 0: the shard of the figures.
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    view: RefCell<Rc<View>>,
    pools: RefCell<HashMap<u64, Rc<Pool>, BuildHasherDefault<Serial>>>,
    turn: Cell<usize>,
    ids: Cell<u64>,
    /// Memory for the next copy of a head.
    pub(crate) spare: RefCell<Vec<u8>>,
    /// Hundredths of a request that may still be sent again.
    retries: Cell<u32>,
    lines: RefCell<line::Lines>,
}

/// The table as this thread holds it: counted without touching memory of other threads.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) live: Arc<Live>,
}

impl Worker {
    /// The table that is served now.
    pub(crate) fn view(&self) -> Rc<View> {
        let live = self.shared.live();
        let mut view = self.view.borrow_mut();
        if !Arc::ptr_eq(&view.live, &live) {
            *view = Rc::new(View { live: Arc::clone(&live) });
        }
        Rc::clone(&view)
    }

    /// This thread's connections to an instance.
    pub(crate) fn pool(&self, backend: &Arc<Backend>) -> Rc<Pool> {
        let mut pools = self.pools.borrow_mut();
        let make = || Rc::new(Pool::new(backend, &self.shared.limits));
        let pool = pools.entry(backend.serial).or_insert_with(make);
        Rc::clone(pool)
    }

    /// A number that goes round, for turns.
    pub(crate) fn turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }

    /// An ID for a request, of which there is no other.
    pub(crate) fn id(&self) -> HeaderValue {
        let next = self.ids.get();
        self.ids.set(next.wrapping_add(1));
        // An odd factor and a shift scatter the count over all bits and give no number twice.
        let mixed = next.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut text = [0; 16];
        for (at, letter) in text.iter_mut().enumerate() {
            *letter = b"0123456789abcdef"[(mixed >> (60 - 4 * at) & 15) as usize];
        }
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }

    /// A request has come: a part of one may be sent again.
    pub(crate) fn earn(&self) {
        let most = 100 * 100;
        let earned = self.retries.get() + self.shared.limits.retry_percent;
        self.retries.set(earned.min(most));
    }

    /// Whether one more request may be sent again.
    pub(crate) fn may_retry(&self) -> bool {
        let left = self.retries.get().checked_sub(100);
        self.retries.set(left.unwrap_or(self.retries.get()));
        left.is_some()
    }

    /// An instance could not be reached: others come first for a while.
    pub(crate) fn doubt(&self, pool: &Pool) {
        pool.doubted.set(Some(Instant::now() + DOUBT));
    }

    /// Whether other instances come before this one.
    pub(crate) fn doubts(&self, backend: &Backend, now: impl Fn() -> Instant) -> bool {
        let pools = self.pools.borrow();
        let doubted = pools.get(&backend.serial).and_then(|pool| pool.doubted.get());
        doubted.is_some_and(|until| now() < until)
    }

    /// Writes a line to the access log.
    pub(crate) fn log(
        self: &Rc<Self>,
        line: &Line,
        service: &str,
        backend: Option<&Backend>,
        ended: Ended,
        bytes: u64,
    ) {
        let mut lines = self.lines.borrow_mut();
        if lines.add(line, service, backend, ended, bytes, &self.shared.access) {
            let worker = Rc::clone(self);
            spawn_local(async move {
                tokio::time::sleep(line::FLUSHED_AFTER).await;
                worker.hand_over_lines();
            });
        }
    }

    fn hand_over_lines(&self) {
        self.lines.borrow_mut().flush(&self.shared.access);
    }

    fn close(&self, gone: &Backend) {
        if let Some(pool) = self.pools.borrow_mut().remove(&gone.serial) {
            pool.close();
        }
    }

    fn cut(&self, gone: &Backend) {
        let pool = self.pools.borrow_mut().remove(&gone.serial);
        if let Some(pool) = pool {
            pool.cut();
        }
    }

    /// Closes connections to instances that have rested for too long.
    fn sweep(&self) {
        self.pools.borrow().values().for_each(|pool| pool.sweep(&self.shared.limits));
    }
}

/// Runs what HTTP/2 has to run beside, on this thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, work: F) {
        spawn_local(work);
    }
}
