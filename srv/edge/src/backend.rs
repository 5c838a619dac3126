//! One instance that requests go to: the same one in every table that names its ID, until it
//! has drained.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::gate::{Gate, Gated};
use crate::metrics::{Figures, Reason};
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
    cut: OnceLock<Reason>,
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
            cut: OnceLock::new(),
        }
    }

    /// Says that what is still on its way is ended, and why; the first word holds.
    pub(crate) fn cut(&self, why: Reason) {
        self.cut.get_or_init(|| why);
    }

    /// Whether what is still on its way is ended.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut_for().is_some()
    }

    /// Why it is, if it is.
    pub(crate) fn cut_for(&self) -> Option<Reason> {
        self.cut.get().copied()
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
