//! The process that holds the sockets for the one that serves, and starts it again when it ends.
//!
//! It knows no table and no request: it is small, has one thread, and has no reason to end. The
//! sockets stay open over the end of a worker, so that connections wait and none is refused.

mod lives;
mod successor;

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::crew::Worker;
use super::handover::{Step, give};
use super::sockets::{Place, Sockets};
use super::state::State;
use super::talk::{Door, Said, Talk};
use super::worker::END_TIME_MAX;
use crate::args::Options;
use crate::error::Error;

/// How long a worker may take until it serves.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long one that was followed is kept: most have nothing left to do by then. Who has streams
/// without an end needs nobody beside him.
const LEAVE_TIME: Duration = Duration::from_secs(5);
/// What it has beyond its own limit to end, before it is killed.
const END_SPARE: Duration = Duration::from_secs(2);

/// Keeps a worker until it is told to end or another edge takes over.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let state = State::open(&options.state)?;
    let (mut sockets, from) = successor::found(&state).await?;
    sockets.want(&options.wanted);
    for (place, why) in sockets.missing() {
        tracing::warn!("without {place}: {why}");
    }
    let took_over = from.is_some();
    let worker = Worker::start(&options, &sockets, from).await;
    let worker = worker.map_err(Error::io("start the worker"))?;
    let (steps, asked) = mpsc::channel(4);
    let signals = (SignalKind::terminate(), SignalKind::interrupt());
    let listen = |kind| signal(kind).map_err(Error::io("hear signals"));
    let mut supervisor = Supervisor {
        state,
        options,
        sockets,
        worker: Some(worker),
        since: Instant::now(),
        restart: None,
        rest_ms: 0,
        phase: Phase::Starting { took_over },
        door: None,
        yielding: None,
        steps,
        asked,
        signals: [listen(signals.0)?, listen(signals.1)?],
        deadline: Some(Instant::now() + START_TIME_MAX),
    };
    let kept = supervisor.keep().await;
    // Whoever waits for the lock waits for the process.
    std::mem::forget(supervisor.sockets);
    kept
}

/// What is to become of the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The first worker has not served yet.
    Starting {
        /// Another edge served before.
        took_over: bool,
    },
    /// A worker serves, or will.
    Serving,
    /// A new edge is about to take over.
    Yielded,
    /// It did: the worker goes on with what it began, and is left alone with it soon.
    Leaving,
    /// Everything ends.
    Ending,
}

struct Supervisor {
    state: State,
    options: Options,
    sockets: Sockets,
    worker: Option<Worker>,
    /// When it was started.
    since: Instant,
    /// When it is started again.
    restart: Option<Instant>,
    rest_ms: u64,
    phase: Phase,
    /// Where new edges ask; none while one is answered.
    door: Option<Door>,
    /// Who waits until the worker has yielded.
    yielding: Option<oneshot::Sender<Sockets>>,
    steps: mpsc::Sender<Step>,
    asked: mpsc::Receiver<Step>,
    signals: [Signal; 2],
    /// When what is waited for takes too long.
    deadline: Option<Instant>,
}

/// What can happen to it.
enum Event {
    Signalled,
    Said(Said),
    /// The worker has ended; how, unless there was none.
    Ended(Option<io::Result<ExitStatus>>),
    Came(Talk),
    Asked(Step),
    RestWasLong,
    TookTooLong,
}

impl Supervisor {
    async fn keep(&mut self) -> Result<(), Error> {
        loop {
            match self.next().await {
                Event::Signalled => self.end().await,
                Event::Said(said) => self.said(said).await,
                Event::Ended(how) => {
                    if let Some(result) = self.ended(how).await {
                        return result;
                    }
                }
                Event::Came(talk) => {
                    self.door = None;
                    tokio::spawn(give(talk, self.sockets.clone(), self.steps.clone()));
                }
                Event::Asked(step) => {
                    if self.asked(step).await {
                        return Ok(());
                    }
                }
                Event::RestWasLong => self.start().await,
                Event::TookTooLong if self.phase == Phase::Leaving => return Ok(()),
                Event::TookTooLong => {
                    self.deadline = None;
                    tracing::warn!("the worker takes too long: it is killed");
                    if let Some(worker) = &mut self.worker {
                        worker.kill().await;
                    }
                }
            }
        }
    }

    async fn next(&mut self) -> Event {
        let [terminate, interrupt] = &mut self.signals;
        let until = |at: Option<Instant>| async move {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => Event::Signalled,
            _ = interrupt.recv() => Event::Signalled,
            Some(event) = lives::next(&mut self.worker, self.phase) => event,
            Some(talk) = Door::met(&self.door) => Event::Came(talk),
            Some(step) = self.asked.recv() => Event::Asked(step),
            () = until(self.restart) => Event::RestWasLong,
            () = until(self.deadline) => Event::TookTooLong,
        }
    }

    async fn say(&self, line: &str) {
        if let Some(worker) = &self.worker {
            worker.say(line).await;
        }
    }

    /// Ends the worker, and then this process. Asked a second time: at once.
    async fn end(&mut self) {
        match self.phase {
            // Who takes over has everything, so there is nothing here to be ended.
            Phase::Yielded | Phase::Leaving => return,
            // The edge before goes on.
            Phase::Starting { took_over: true } => {
                self.deadline = Some(Instant::now());
                return;
            }
            Phase::Ending => {
                self.deadline = Some(Instant::now());
                return;
            }
            Phase::Starting { took_over: false } | Phase::Serving => {}
        }
        self.phase = Phase::Ending;
        self.deadline = Some(Instant::now() + END_TIME_MAX + END_SPARE);
        (self.door, self.restart) = (None, None);
        // Nobody may come any more; the lock is held until this process is gone.
        self.sockets.retain(|place| *place == Place::Lock);
        self.say("end").await;
    }
}
