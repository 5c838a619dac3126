//! The lives of the worker: what it says, how one ends, and when the next is started.

use std::io::{self, Write as _};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::time::Instant;

use super::{Event, Phase, Supervisor};
use crate::error::Error;
use crate::process::crew::{self, Worker};
use crate::process::sockets::Place;
use crate::process::talk::Said;
use crate::process::totals;

/// A worker that lived for so long is started again at once.
const LIVED_MS_MIN: u64 = 1_000;
/// The shortest rest before one that did not is started a third time.
const REST_MS_MIN: u64 = 100;
/// The longest.
const REST_MS_MAX: u64 = 5_000;

impl Supervisor {
    /// What the worker said.
    pub(super) async fn said(&mut self, said: Said) {
        let mut words = said.line.split(' ');
        let first = words.next().unwrap_or_default();
        let port = words.next_back().and_then(|word| word.parse().ok());
        match (first, port) {
            ("ready", _) => {
                if matches!(self.phase, Phase::Starting { .. }) {
                    self.phase = Phase::Serving;
                    (self.deadline, self.door) = (None, self.sockets.door());
                    // Whoever started this process waits for the line; nobody else reads it, so
                    // that it could not be written means nothing.
                    let _ = writeln!(io::stdout(), "ready");
                }
            }
            ("yielded", _) => self.yielded(),
            // The system may tell both processes, which is not to be told twice.
            ("end", _) if self.phase == Phase::Ending => {}
            ("end", _) => self.end().await,
            ("bind", Some(port)) => self.bind(port).await,
            ("close", Some(port)) => self.sockets.close(&Place::Tcp(port)),
            ("socket", Some(port)) => {
                if let Some(socket) = said.with {
                    self.sockets.put(Place::Tcp(port), socket);
                }
            }
            _ => tracing::warn!("the worker said `{}`", said.line),
        }
    }

    async fn bind(&mut self, port: u16) {
        let place = Place::Tcp(port);
        if self.sockets.get(&place).is_none() {
            self.sockets.want_port(&self.options.wanted, port);
        }
        let Some(worker) = &self.worker else { return };
        match (self.sockets.get(&place), self.sockets.why(&place)) {
            (Some(socket), _) => {
                // One that does not hear has ended, and its successor is given it.
                let _ = worker.talk.give(&format!("socket {place}"), socket).await;
            }
            (None, why) => worker.say(&format!("missing {place}: {}", why.unwrap_or("gone"))).await,
        }
    }

    /// The worker has ended. An answer is the end of this process too.
    pub(super) async fn ended(
        &mut self,
        how: Option<io::Result<ExitStatus>>,
    ) -> Option<Result<(), Error>> {
        let by_itself = matches!(&how, Some(Ok(status)) if status.success());
        let how = how.map_or_else(|| "it was told to".to_owned(), crew::ended);
        if let Some(worker) = self.worker.take().filter(|_| !by_itself) {
            let cut = worker.flights();
            if cut > 0 {
                tracing::warn!("the worker ended ({how}) with {cut} requests on their way");
            }
            // Without its file another process has counted them.
            let _ = totals::killed(&self.state.edge(), worker.pid, cut);
        }
        let failed = |what: &str| Some(Err(Error::Process(format!("{what} ({how})"))));
        match self.phase {
            Phase::Leaving => return Some(Ok(())),
            Phase::Ending => {
                self.state.remove_sockets();
                return Some(Ok(()));
            }
            Phase::Starting { took_over: false } => {
                self.state.remove_sockets();
                return failed("the worker ended before it served");
            }
            Phase::Starting { took_over: true } => {
                if self.still_led().await {
                    return failed("the worker ended before it took over");
                }
                // It had taken over, and nobody else is left to serve.
                self.phase = Phase::Serving;
                (self.deadline, self.door) = (None, self.sockets.door());
            }
            Phase::Yielded => self.yielded(),
            Phase::Serving => {}
        }
        if self.since.elapsed() >= Duration::from_millis(LIVED_MS_MIN) {
            self.rest_ms = 0;
        }
        if self.phase == Phase::Serving {
            tracing::warn!("the worker ended ({how}): started again in {} ms", self.rest_ms);
            self.restart = Some(Instant::now() + Duration::from_millis(self.rest_ms));
        }
        self.rest_ms = (self.rest_ms * 2).clamp(REST_MS_MIN, REST_MS_MAX);
        None
    }

    pub(super) async fn start(&mut self) {
        self.restart = None;
        self.since = Instant::now();
        match Worker::start(&self.options, &self.sockets, None).await {
            Ok(worker) => self.worker = Some(worker),
            Err(why) => {
                tracing::error!("the worker cannot be started: {why}");
                self.rest_ms = (self.rest_ms * 2).clamp(REST_MS_MIN, REST_MS_MAX);
                self.restart = Some(self.since + Duration::from_millis(self.rest_ms));
            }
        }
    }
}

/// What comes of the worker; none, and never, when there is none that is waited for.
pub(super) async fn next(worker: &mut Option<Worker>, phase: Phase) -> Option<Event> {
    let Some(Worker { child, talk, .. }) = worker else {
        match phase {
            Phase::Ending => return Some(Event::Ended(None)),
            Phase::Starting { .. } | Phase::Serving | Phase::Yielded | Phase::Leaving => {
                return std::future::pending().await;
            }
        }
    };
    let said = tokio::select! {
        biased;
        said = talk.hear() => said,
        status = child.wait() => return Some(Event::Ended(Some(status))),
    };
    match said {
        Ok(Some(said)) => Some(Event::Said(said)),
        // One that says nothing any more is as good as gone.
        Ok(None) | Err(_) => {
            let _ = child.start_kill();
            Some(Event::Ended(Some(child.wait().await)))
        }
    }
}
