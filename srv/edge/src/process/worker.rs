//! The process that serves: it is given its sockets, has a table from the disk at once and follows
//! `deployfs` when it answers.
//!
//! Without its supervisor it goes on: it answers the next edge itself, and starts one.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::crew::told;
use super::front::Front;
use super::handover::{Step, ask_to_yield, give};
use super::leave::Leaving;
use super::sockets::{Place, Sockets};
use super::state::State;
use super::talk::{Door, Said, Talk};
use super::{orphan, served};
use crate::access::Access;
use crate::args::Options;
use crate::error::Error;
use crate::follow::books::Books;
use crate::follow::keep::Keep;
use crate::follow::{Follower, older};
use crate::tree::desk::{Desk, Shown};

/// How long everything that is in flight may take when the edge ends for good.
pub(crate) const END_TIME_MAX: Duration = Duration::from_secs(30);
/// How long resting connections may take to be closed: each is answered for a while, so that it
/// can be told to close, and an answer may be late on a busy machine. After it nobody comes any
/// more, and what is in flight has its drain.
const LINGER: Duration = Duration::from_secs(3);
/// How long who wrote `end` may take to close `ctl` and hear that all is well.
const TOLD: Duration = Duration::from_millis(100);

/// `deployfs edge --worker`: serves until it is told to go.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let talk = input.and_then(Talk::over).map_err(Error::io("talk to the supervisor"))?;
    let Given { mut sockets, flights, killed, from } = given(&talk).await?;
    let state = State::open(&options.state)?;
    let (front, notes) = Front::new(Access::at(&options.access, &state.edge())?)?;
    if let Some(flights) = flights {
        front.count_flights(flights, killed);
    }
    if let (Some(dir), Some(_)) = (&options.certs, &options.wanted.https) {
        front.keep_certificates(dir.clone()).await;
    }
    let keep = Keep::new(state.edge());
    let books = Arc::new(Books::new(front.clone(), keep));
    tokio::spawn(books.clone().listen(notes));
    // Read here, so that it is warm when the one before has yielded.
    books.refresh().await;
    let teller = older::tell(&state.edge(), books.clone());
    let teller = teller.map_err(Error::io("listen for newer processes"))?;
    if let Some(from) = &from {
        let all = ask_to_yield(from).await.map_err(Error::io("take over"))?;
        for (place, socket) in all.there().filter(|(place, _)| matches!(place, Place::Tcp(_))) {
            let line = format!("socket {place}");
            talk.give(&line, socket).await.map_err(Error::io("talk to the supervisor"))?;
            sockets.put_shared(place.clone(), socket.clone());
        }
        books.refresh().await;
    }
    let mut worker = Worker::new(options, state, sockets, front, books, talk)?;
    worker.serve()?;
    worker.lead().await;
    if let Some(from) = from {
        from.say("took").await.map_err(Error::io("take over"))?;
    }
    worker.say("ready").await;
    worker.work().await;
    teller.finish().await;
    // Whoever waits for the lock waits for the process.
    std::mem::forget(worker.sockets);
    Ok(())
}

/// What the supervisor gives it first.
#[derive(Default)]
struct Given {
    sockets: Sockets,
    /// Where to write how many requests are on their way.
    flights: Option<OwnedFd>,
    /// Requests that workers before it took along.
    killed: u64,
    /// The talk with an edge that is to be taken over from.
    from: Option<Talk>,
}

async fn given(talk: &Talk) -> Result<Given, Error> {
    let mut given = Given::default();
    loop {
        let said = talk.hear().await.map_err(Error::io("hear the supervisor"))?;
        let said = said.ok_or_else(|| Error::Process("the supervisor ended".to_owned()))?;
        let Some(Said { line, with }) = told(&mut given.sockets, said) else { continue };
        let killed = line.strip_prefix("killed ").and_then(|count| count.parse().ok());
        match (line.as_str(), with, killed) {
            ("flights", file, _) => given.flights = file,
            (_, _, Some(killed)) => given.killed = killed,
            ("begin", _, _) => return Ok(given),
            ("take", Some(from), _) => {
                given.from = Some(Talk::over(from).map_err(Error::io("take over"))?);
                return Ok(given);
            }
            _ => return Err(Error::Process(format!("the supervisor said `{line}`"))),
        }
    }
}

struct Worker {
    options: Options,
    state: State,
    sockets: Sockets,
    front: Arc<Front>,
    books: Arc<Books>,
    desk: Arc<Desk>,
    /// None: the supervisor is gone.
    talk: Option<Talk>,
    leaving: Leaving,
    /// Said when the tree is to be found with the next process.
    tree_leaving: Leaving,
    follower: Option<Follower>,
    connected: watch::Sender<String>,
    changes: watch::Receiver<u64>,
    /// The routes' ports that were asked for.
    ports: BTreeSet<u16>,
    /// The table of which they are.
    synced: Option<u64>,
    /// Where new edges ask when nobody else answers them.
    door: Option<Door>,
    steps: mpsc::Sender<Step>,
    asked: mpsc::Receiver<Step>,
    ends: mpsc::Receiver<()>,
    terminated: Signal,
    revival: Option<orphan::Revival>,
}

enum Event {
    Said(Option<Said>),
    Changed,
    Came(Talk),
    Asked(Step),
    EndWanted,
}

/// Why it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    /// Another edge serves.
    Leave,
    /// Nobody is to serve any more.
    End,
}

impl Worker {
    fn new(
        options: Options,
        state: State,
        sockets: Sockets,
        front: Arc<Front>,
        books: Arc<Books>,
        talk: Talk,
    ) -> Result<Worker, Error> {
        let (steps, asked) = mpsc::channel(4);
        let (end, ends) = mpsc::channel(1);
        let connected = watch::Sender::new("not yet".to_owned());
        let (desk_books, desk_front) = (books.clone(), front.clone());
        let name = options.name.clone();
        let desk = Desk::new(name, desk_front, desk_books, connected.subscribe(), end);
        let changes = books.changes();
        Ok(Worker {
            options,
            state,
            sockets,
            front,
            books,
            desk: Arc::new(desk),
            talk: Some(talk),
            leaving: Leaving::new(),
            tree_leaving: Leaving::new(),
            follower: None,
            connected,
            changes,
            ports: BTreeSet::new(),
            synced: None,
            door: None,
            steps,
            asked,
            ends,
            terminated: signal(SignalKind::terminate()).map_err(Error::io("hear signals"))?,
            revival: None,
        })
    }

    /// Begins to serve on all sockets there are.
    fn serve(&mut self) -> Result<(), Error> {
        self.show();
        let leave = self.leaving.hear();
        for (place, socket) in self.sockets.there() {
            let served = self.front.serve(place, socket, &leave);
            served.map_err(Error::io(format!("serve {place}")))?;
        }
        self.front.serve_names(&self.sockets).map_err(Error::io("serve names"))?;
        if let Some(socket) = self.sockets.get(&Place::Tree) {
            let serving =
                served::tree(&self.options, &socket, self.desk.clone(), self.tree_leaving.hear());
            serving.map_err(Error::io("serve the tree"))?;
        }
        for (place, _) in self.sockets.there() {
            if let Place::Tcp(port) = place {
                self.ports.insert(*port);
            }
        }
        Ok(())
    }

    /// Speaks for the edge from now on.
    async fn lead(&mut self) {
        older::hear_all(&self.state.edge(), &self.books).await;
        let (servers, name) = (self.options.servers.clone(), self.options.name.clone());
        let follower = Follower::start(self.books.clone(), servers, name, self.connected.clone());
        self.follower = Some(follower);
        self.sync_ports().await;
        self.show();
    }

    /// Stops speaking for the edge.
    async fn yield_to_newer(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.stop().await;
        }
        self.connected.send_replace("a newer process follows".to_owned());
    }

    async fn work(&mut self) {
        let going = loop {
            match self.next().await {
                Event::Said(Some(said)) => {
                    if let Some(going) = self.said(said).await {
                        break going;
                    }
                }
                Event::Said(None) => self.orphaned().await,
                Event::Changed => self.sync_ports().await,
                Event::Came(talk) => {
                    self.door = None;
                    tokio::spawn(give(talk, self.sockets.clone(), self.steps.clone()));
                }
                Event::Asked(step) => {
                    if let Some(going) = self.asked(step).await {
                        break going;
                    }
                }
                Event::EndWanted if self.talk.is_some() => self.say("end").await,
                Event::EndWanted => {
                    self.state.remove_sockets();
                    break Going::End;
                }
            }
            self.show();
        };
        self.go(going).await;
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            said = hear(&self.talk) => Event::Said(said),
            _ = self.changes.changed() => Event::Changed,
            Some(talk) = at_door(&self.door) => Event::Came(talk),
            Some(step) = self.asked.recv() => Event::Asked(step),
            Some(()) = self.ends.recv() => Event::EndWanted,
            _ = self.terminated.recv() => Event::EndWanted,
        }
    }

    async fn say(&self, line: &str) {
        if let Some(talk) = &self.talk
            && let Err(why) = talk.say(line).await
        {
            tracing::debug!("{line}: {why}");
        }
    }

    async fn said(&mut self, said: Said) -> Option<Going> {
        match said.line.as_str() {
            "yield" => {
                self.yield_to_newer().await;
                self.say("yielded").await;
            }
            "lead" => self.lead().await,
            "leave" => return Some(Going::Leave),
            "end" => return Some(Going::End),
            _ => self.take_socket(said).await,
        }
        None
    }

    /// A socket that was asked for, or why there is none.
    async fn take_socket(&mut self, said: Said) {
        let port = said.line.strip_prefix("socket tcp ").and_then(|port| port.parse().ok());
        if let Some(said) = told(&mut self.sockets, said) {
            tracing::warn!("the supervisor said `{}`", said.line);
        }
        match port {
            Some(port) if self.ports.contains(&port) => self.serve_port(port),
            // No route wants it any more.
            Some(port) => self.close_port(port).await,
            None => {}
        }
    }

    async fn close_port(&mut self, port: u16) {
        self.front.close(port);
        self.sockets.close(&Place::Tcp(port));
        self.say(&format!("close {port}")).await;
    }

    fn serve_port(&mut self, port: u16) {
        let place = Place::Tcp(port);
        let Some(socket) = self.sockets.get(&place) else { return };
        if let Err(why) = self.front.serve(&place, &socket, &self.leaving.hear()) {
            self.sockets.miss(place, why.to_string());
        }
    }

    /// Listens where the table's routes want it, and nowhere else.
    async fn sync_ports(&mut self) {
        if self.follower.is_none() {
            return;
        }
        let wanted = self.books.ports();
        let there = std::mem::replace(&mut self.ports, wanted.clone());
        for port in there.difference(&wanted) {
            self.close_port(*port).await;
        }
        // One that was in use may be free by the time of another table.
        let generation = self.books.generation();
        let again = std::mem::replace(&mut self.synced, generation) != generation;
        for port in &wanted {
            let missing = again && self.sockets.get(&Place::Tcp(*port)).is_none();
            if there.contains(port) && !missing {
                continue;
            }
            if self.talk.is_some() {
                self.say(&format!("bind {port}")).await;
            } else {
                self.sockets.want_port(&self.options.wanted, *port);
                self.serve_port(*port);
            }
        }
    }

    /// The supervisor is gone: this process answers for it until there is another.
    async fn orphaned(&mut self) {
        tracing::warn!("the supervisor ended: another one is started");
        self.talk = None;
        if self.follower.is_none() {
            // Who was about to take over talked to it, and has lost it too.
            self.lead().await;
        }
        self.door = self.new_door();
        self.revival = Some(orphan::revive(&self.options));
    }

    fn new_door(&self) -> Option<Door> {
        let socket = self.sockets.get(&Place::Up)?;
        socket.try_clone().and_then(Door::over).ok()
    }

    /// What a new edge wants, when there is no supervisor to ask.
    async fn asked(&mut self, step: Step) -> Option<Going> {
        match step {
            Step::Yield(reply) => {
                self.yield_to_newer().await;
                let _: Result<(), Sockets> = oneshot::Sender::send(reply, self.sockets.clone());
            }
            Step::Lost => {
                if self.follower.is_none() {
                    self.lead().await;
                }
                self.door = self.new_door();
            }
            Step::Took => return Some(Going::Leave),
        }
        None
    }

    /// No new connections, the present ones to their end. Whoever still holds an instance when
    /// its drain has passed is cut.
    async fn go(&mut self, going: Going) {
        tracing::info!("going: {going:?}");
        self.yield_to_newer().await;
        (self.door, self.revival) = (None, None);
        self.leaving.say();
        if going == Going::Leave {
            self.tree_leaving.say();
        }
        self.sockets.retain(|place| going == Going::End && *place == Place::Lock);
        let front = self.front.clone();
        let books = self.books.clone();
        let rest = async move {
            let mut left = std::pin::pin!(front.left());
            tokio::select! {
                () = &mut left => return,
                () = tokio::time::sleep(LINGER) => books.close().await,
            }
            left.await;
        };
        let longest = self.front.longest_drain() + LINGER + LINGER;
        let limit = if going == Going::End { longest.min(END_TIME_MAX) } else { longest };
        let told = tokio::time::sleep(if going == Going::End { TOLD } else { Duration::ZERO });
        if tokio::join!(timeout(limit, rest), told).0.is_err() {
            tracing::warn!("connections do not end: they are closed");
        }
        self.front.logged().await;
    }

    fn show(&self) {
        self.desk.show(Shown::of(&self.sockets, self.talk.is_some()));
    }
}

async fn hear(talk: &Option<Talk>) -> Option<Said> {
    match talk {
        Some(talk) => talk.hear().await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

async fn at_door(door: &Option<Door>) -> Option<Talk> {
    match door {
        Some(door) => door.next().await.ok(),
        None => std::future::pending().await,
    }
}
