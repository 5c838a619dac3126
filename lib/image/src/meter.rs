//! How far a pull is, told not too often.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Progress;
use crate::digest::Digest;

/// Shortest time between two reports: four a second.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Counts the bytes of a pull and tells them.
pub(crate) struct Meter {
    tell: Box<dyn Fn(Progress) + Send + Sync>,
    state: Mutex<State>,
}

struct State {
    layer: String,
    done: u64,
    total: u64,
    told: Option<Instant>,
}

impl Meter {
    pub(crate) fn new(tell: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        let state = State { layer: String::new(), done: 0, total: 0, told: None };
        Self { tell: Box::new(tell), state: Mutex::new(state) }
    }

    /// The bytes there are to be; what moved before counts.
    pub(crate) fn begin(&self, total: u64) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).total = total;
    }

    /// So many bytes of a blob came; fewer than none when they have to come again.
    pub(crate) fn moved(&self, blob: &Digest, bytes: i64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = state.done.saturating_add_signed(bytes);
        let due = state.told.is_none_or(|told| told.elapsed() >= REPORT_EVERY);
        if due && state.total > 0 {
            state.layer = blob.to_string();
            state.told = Some(Instant::now());
            (self.tell)(state.report());
        }
    }

    /// Tells the end.
    pub(crate) fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done = state.total;
        (self.tell)(state.report());
    }
}

impl State {
    fn report(&self) -> Progress {
        let done = self.done.min(self.total);
        Progress { layer: self.layer.clone(), done, total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn many_moves_make_few_reports_and_the_last_is_complete() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&told);
        let meter = Meter::new(move |progress| to.lock().unwrap().push(progress));
        let blob = Digest::of(b"x");
        meter.moved(&blob, 100);
        meter.begin(1000);
        let began = Instant::now();
        for _ in 0..9 {
            meter.moved(&blob, 100);
        }
        meter.moved(&blob, -500);
        let most = 2 + usize::try_from(began.elapsed().as_millis() / 250).unwrap();
        meter.end();
        let told = told.lock().unwrap();
        assert!(told.len() <= most + 1, "{told:?}");
        assert_eq!(told[0], Progress { layer: blob.to_string(), done: 200, total: 1000 });
        assert_eq!(told.last().unwrap().done, 1000);
    }
}
