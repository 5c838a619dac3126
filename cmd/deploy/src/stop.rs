//! Ctrl-C and SIGTERM, while something runs on this side that has to be ended first.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals, from its making on.
#[derive(Debug)]
pub(crate) struct Stop([Option<Signal>; 2]);

impl Stop {
    /// Begins to hear them. Where one cannot be heard it ends this program, as it always did.
    pub(crate) fn new() -> Stop {
        Stop([SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok()))
    }

    /// Waits for either.
    pub(crate) async fn asked(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            () = arrived(interrupt.as_mut()) => {}
            () = arrived(terminate.as_mut()) => {}
        }
    }
}

async fn arrived(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
