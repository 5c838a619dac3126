//! What every worker and the names share: the table that is served, and its change in one store.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::Error;
use crate::access::Access;
use crate::backend::Backend;
use crate::drain;
use crate::gate::Gated;
use crate::limits::Limits;
use crate::live::Live;
use crate::metrics::{Cuts, Figures, Flights, Refused};
use crate::table::Table;
use crate::tls::Tls;
use crate::users::Users;
use crate::worker::{self, Order};

/// What came of an instance that left the table, or is worth a line otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// No claim on it is left and no connection to it is open. Said once each time it leaves.
    Drained {
        /// The instance.
        id: Arc<str>,
    },
    /// Its drain took too long, so what was on its way was ended. Said before it is drained.
    Cut {
        /// The instance.
        id: Arc<str>,
        /// Requests, tunnels and streams that were ended.
        count: u64,
        /// Why.
        why: String,
    },
    /// Something that whoever looks after the machine should know.
    Told {
        /// What, in one line.
        text: String,
    },
}

/// The table that is served, and those who serve it.
#[derive(Debug)]
pub(crate) struct Shared {
    live: ArcSwap<Live>,
    /// Changes after `live` did; requests that are held wait on it.
    generation: watch::Sender<u64>,
    /// Instances that left the table and have not drained.
    leaving: Mutex<Vec<Arc<Backend>>>,
    notes: mpsc::UnboundedSender<Note>,
    control: Handle,
    workers: Vec<mpsc::UnboundedSender<Order>>,
    /// Every number that bounds something.
    pub(crate) limits: Limits,
    /// Lines for the access log, if there is one.
    pub(crate) access: Access,
    /// Requests that no route was for.
    pub(crate) unrouted: Figures,
    /// Requests that were ended early, by reason.
    pub(crate) cuts: Cuts,
    /// Requests that nobody could be found for, by reason.
    pub(crate) refused: Refused,
    /// Requests on their way, for who comes after this process.
    pub(crate) flights: Flights,
    /// Connections of users.
    pub(crate) users: Arc<Users>,
    /// Certificates, and handshakes by them.
    pub(crate) tls: Arc<Tls>,
    /// Becomes true when no drain is waited for any more.
    pub(crate) hurry: watch::Sender<bool>,
    /// Requests that wait for an instance.
    pub(crate) held: AtomicUsize,
}

impl Shared {
    /// Serves no route yet. Starts the workers, which end with the process; instances drain on
    /// the runtime that this is called in.
    pub(crate) fn new(
        limits: Limits,
        access: Access,
    ) -> Result<(Arc<Self>, mpsc::UnboundedReceiver<Note>), Error> {
        let (notes, heard) = mpsc::unbounded_channel();
        let (workers, orders): (Vec<_>, Vec<_>) =
            (0..limits.workers).map(|_| mpsc::unbounded_channel()).unzip();
        let shared = Arc::new(Self {
            live: ArcSwap::from_pointee(Live::of(Table::default(), None, limits.workers)),
            generation: watch::Sender::new(0),
            leaving: Mutex::default(),
            notes,
            control: Handle::current(),
            workers,
            unrouted: Figures::new(limits.workers),
            access,
            cuts: Cuts::default(),
            refused: Refused::default(),
            flights: Flights::new(limits.workers),
            users: Users::new(limits.workers),
            tls: Tls::new()?,
            hurry: watch::Sender::new(false),
            held: AtomicUsize::new(0),
            limits,
        });
        for (number, orders) in orders.into_iter().enumerate() {
            worker::start(number, &shared, orders)?;
        }
        Ok((shared, heard))
    }

    /// Serves the table that `text` says from the next request on, everywhere at once. Instances
    /// that it has no more begin to drain, each with the drain of the table before.
    pub(crate) fn take(self: &Arc<Self>, text: &str) -> Result<u64, Error> {
        let table = Table::parse(text)?;
        let generation = table.generation;
        // One change at a time; those who serve never wait for this.
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.live.load_full();
        let next = Arc::new(Live::of(table, Some(&before), self.limits.workers));
        self.live.store(Arc::clone(&next));
        self.generation.send_replace(generation);
        let drains = before.drains();
        for gone in before.gone(&next) {
            gone.gate().drain();
            let limit = drains.get(&gone.serial).copied().unwrap_or_default();
            leaving.push(Arc::clone(gone));
            self.control.spawn(drain::run(Arc::clone(self), Arc::clone(gone), limit));
        }
        Ok(generation)
    }

    /// The table that is served now.
    pub(crate) fn live(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }

    /// Hears of every new generation.
    pub(crate) fn generations(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    /// Instances that left the table and have not drained, with what is on its way to each.
    pub(crate) fn draining(&self) -> Vec<(Arc<str>, u64)> {
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.iter().map(|it| (Arc::clone(&it.is.id), it.gate().count())).collect()
    }

    /// Connections of users that are open.
    pub(crate) fn connections(&self) -> u64 {
        self.users.count()
    }

    /// Tells one worker.
    pub(crate) fn tell(&self, worker: usize, order: Order) {
        // A worker ends with the process only.
        let _ = self.workers[worker].send(order);
    }

    /// Tells every worker.
    pub(crate) fn order(&self, order: impl Fn() -> Order) {
        (0..self.workers.len()).for_each(|worker| self.tell(worker, order()));
    }

    /// Ends when every line so far stands in the access log, within a bound.
    pub(crate) async fn logged(&self) {
        let (handed, mut all) = mpsc::channel(1);
        self.order(|| Order::Log { handed: handed.clone() });
        drop(handed);
        // Nobody sends; the last worker that has handed over its lines lets go.
        self.access.settle(async { _ = all.recv().await as Option<()> }).await;
    }

    /// Tells it to whoever speaks for the edge.
    pub(crate) fn note(&self, note: Note) {
        // Nobody listens any more when the process ends.
        let _ = self.notes.send(note);
    }

    /// Forgets an instance that has drained.
    pub(crate) fn forget(&self, gone: &Backend) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|it| it.serial != gone.serial);
    }
}
