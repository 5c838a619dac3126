//! The process that holds the sockets for the one that serves, and starts it again when it ends.
//!
//! It knows no table and no request: it is small, has one thread, and has no reason to end. The
//! sockets stay open over the end of a worker, so that connections wait and none is refused.

use std::io::{self, Write as _};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::crew::{Worker, ended};
use super::handover::{Step, give, receive};
use super::sockets::{Place, Sockets};
use super::state::State;
use super::talk::{Door, Said, Talk};
use super::worker::END_TIME_MAX;
use crate::args::Options;
use crate::error::Error;

/// How long a worker may take until it serves.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long the one before may take to answer whether it still serves.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// A worker that lived for so long is started again at once.
const LIVED_MS_MIN: u64 = 1_000;
/// The shortest rest before one that did not is started a third time.
const REST_MS_MIN: u64 = 100;
/// The longest.
const REST_MS_MAX: u64 = 5_000;
/// What it has beyond its own limit to end, before it is killed.
const END_SPARE: Duration = Duration::from_secs(2);

/// Keeps a worker until it is told to end or another edge takes over.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let state = State::open(&options.state)?;
    let (mut sockets, from) = found(&state).await?;
    sockets.want(&options.wanted);
    for (place, why) in sockets.missing() {
        tracing::warn!("without {place}: {why}");
    }
    let took_over = from.is_some();
    let worker = Worker::start(&options, &sockets, 0, from).await;
    let worker = worker.map_err(Error::io("start the worker"))?;
    let (steps, asked) = mpsc::channel(4);
    let signals = (SignalKind::terminate(), SignalKind::interrupt());
    let listen = |kind| signal(kind).map_err(Error::io("hear signals"));
    let mut supervisor = Supervisor {
        state,
        options,
        sockets,
        worker: Some(worker),
        killed: 0,
        since: Instant::now(),
        restart: None,
        rest_ms: 0,
        phase: Phase::Starting { took_over },
        door: None,
        giving: false,
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

/// The sockets of the edge that serves, and the talk with it; new ones when there is none.
async fn found(state: &State) -> Result<(Sockets, Option<Talk>), Error> {
    if let Some(lock) = state.lock()? {
        return Ok((state.begin(lock)?, None));
    }
    let up = state.up();
    let what = format!("take over from the edge at {}", up.display());
    let talk = Talk::dial(&up).map_err(Error::io(what.clone()))?;
    let sockets = receive(&talk).await.map_err(Error::io(what))?;
    Ok((sockets, Some(talk)))
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
    /// It did: the worker ends what it began.
    Leaving,
    /// Everything ends.
    Ending,
}

struct Supervisor {
    state: State,
    options: Options,
    sockets: Sockets,
    worker: Option<Worker>,
    /// Requests that workers took along when they were killed.
    killed: u64,
    /// When it was started.
    since: Instant,
    /// When it is started again.
    restart: Option<Instant>,
    rest_ms: u64,
    phase: Phase,
    /// Where new edges ask; none while one is answered.
    door: Option<Door>,
    giving: bool,
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
                    (self.giving, self.door) = (true, None);
                    tokio::spawn(give(talk, self.sockets.clone(), self.steps.clone()));
                }
                Event::Asked(step) => {
                    if self.asked(step).await {
                        return Ok(());
                    }
                }
                Event::RestWasLong => self.start().await,
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
            Some(event) = of_worker(&mut self.worker, self.phase) => event,
            Some(talk) = at_door(&self.door) => Event::Came(talk),
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

    /// What the worker said.
    async fn said(&mut self, said: Said) {
        let mut words = said.line.split(' ');
        let first = words.next().unwrap_or_default();
        let port = words.next_back().and_then(|word| word.parse().ok());
        match (first, port) {
            ("ready", _) => {
                if matches!(self.phase, Phase::Starting { .. }) {
                    self.phase = Phase::Serving;
                    (self.deadline, self.door) = (None, self.new_door());
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
    async fn ended(&mut self, how: Option<io::Result<ExitStatus>>) -> Option<Result<(), Error>> {
        let by_itself = matches!(&how, Some(Ok(status)) if status.success());
        let how = how.map_or_else(|| "it was told to".to_owned(), ended);
        let cut = self.worker.take().map_or(0, |worker| worker.flights());
        if cut > 0 && !by_itself {
            self.killed += cut;
            tracing::warn!("the worker ended ({how}) with {cut} requests on their way");
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
                (self.deadline, self.door) = (None, self.new_door());
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

    async fn start(&mut self) {
        self.restart = None;
        self.since = Instant::now();
        match Worker::start(&self.options, &self.sockets, self.killed, None).await {
            Ok(worker) => self.worker = Some(worker),
            Err(why) => {
                tracing::error!("the worker cannot be started: {why}");
                self.rest_ms = (self.rest_ms * 2).clamp(REST_MS_MIN, REST_MS_MAX);
                self.restart = Some(self.since + Duration::from_millis(self.rest_ms));
            }
        }
    }

    /// Asks the edge before this one whether it goes on.
    async fn still_led(&self) -> bool {
        let ask = async {
            let talk = Talk::dial(&self.state.up())?;
            receive(&talk).await
        };
        timeout(ANSWER_TIME_MAX, ask).await.is_ok_and(|answer| answer.is_ok())
    }

    /// What a new edge wants. Whether this process ends with that.
    async fn asked(&mut self, step: Step) -> bool {
        match step {
            Step::Yield(reply) => {
                self.yielding = Some(reply);
                if self.phase == Phase::Serving {
                    self.phase = Phase::Yielded;
                }
                match self.worker {
                    Some(_) => self.say("yield").await,
                    None => {
                        self.restart = None;
                        self.yielded();
                    }
                }
            }
            Step::Lost => {
                (self.giving, self.yielding) = (false, None);
                if self.phase == Phase::Yielded {
                    self.phase = Phase::Serving;
                    self.say("lead").await;
                    if self.worker.is_none() {
                        self.start().await;
                    }
                }
                if self.phase == Phase::Serving {
                    self.door = self.new_door();
                }
            }
            Step::Took => {
                tracing::info!("another edge has taken over");
                self.phase = Phase::Leaving;
                (self.door, self.restart) = (None, None);
                self.sockets = Sockets::default();
                self.say("leave").await;
                return self.worker.is_none();
            }
        }
        false
    }

    fn yielded(&mut self) {
        if let Some(reply) = self.yielding.take() {
            // The new edge may be gone by now, which is said as well.
            let _ = reply.send(self.sockets.clone());
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

    fn new_door(&self) -> Option<Door> {
        let socket = self.sockets.get(&Place::Up)?;
        socket.try_clone().and_then(Door::over).ok()
    }
}

/// What comes of the worker; none, and never, when there is none that is waited for.
async fn of_worker(worker: &mut Option<Worker>, phase: Phase) -> Option<Event> {
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

async fn at_door(door: &Option<Door>) -> Option<Talk> {
    match door {
        Some(door) => door.next().await.ok(),
        None => std::future::pending().await,
    }
}
