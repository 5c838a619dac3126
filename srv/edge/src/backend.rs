//! One instance that requests go to: the same one in every table that names its ID, until it
//! has drained.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::gate::{Gate, Gated};
use crate::metrics::Figures;
use crate::table;

/// An instance as the proxy knows it.
#[derive(Debug)]
pub(crate) struct Backend {
    /// What the table says of it.
    pub(crate) is: table::Backend,
    /// Whose instance it is.
    pub(crate) service: Arc<str>,
    /// A short name of it inside this process, never used twice.
    pub(crate) serial: u64,
    /// Its requests, counted by the workers.
    pub(crate) figures: Figures,
    /// Its open connections; closes after the last request.
    pub(crate) connections: Arc<Connections>,
    /// Requests, tunnels and streams on their way to it.
    requests: Gate,
    cut: AtomicBool,
}

/// The connections to one backend: a gate of its own, so that it is known when all are closed.
#[derive(Debug)]
pub(crate) struct Connections(Gate);

static SERIAL: AtomicU64 = AtomicU64::new(1);

impl Backend {
    pub(crate) fn new(is: table::Backend, service: Arc<str>, workers: usize) -> Self {
        Self {
            is,
            service,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            figures: Figures::new(workers),
            connections: Arc::new(Connections(Gate::new())),
            requests: Gate::new(),
            cut: AtomicBool::new(false),
        }
    }

    /// Says that what is still on its way is ended, because the drain has taken too long.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    /// Whether what is still on its way is ended.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }
}

impl Gated for Backend {
    fn gate(&self) -> &Gate {
        &self.requests
    }
}

impl Gated for Connections {
    fn gate(&self) -> &Gate {
        &self.0
    }
}
