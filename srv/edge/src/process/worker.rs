//! The process that serves: it is given its sockets, has a table from the disk at once and follows
//! `deployfs` when it answers.
//!
//! Without its supervisor it goes on: it answers the next edge itself, and starts one.

mod alone;
mod given;
mod going;
mod ports;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::front::Front;
use super::handover::{Step, ask_to_yield, give};
use super::leave::Leaving;
use super::sockets::{Place, Sockets};
use super::state::State;
use super::talk::{Door, Said, Talk};
use super::totals::{RESTS, WRITE_EVERY};
use super::{orphan, served};
use crate::access::Access;
use crate::acme::Orders;
use crate::args::Options;
use crate::error::Error;
use crate::follow::ahead::Ahead;
use crate::follow::books::Books;
use crate::follow::keep::Keep;
use crate::follow::ledger::Ledger;
use crate::follow::older::Olders;
use crate::follow::{Follower, older};
use crate::tls::Places;
use crate::tree::desk::{Desk, Shown};

use given::Given;
use going::Going;

pub(crate) use going::END_TIME_MAX;

/// `deployfs edge --worker`: serves until it is told to go.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let talk = input.and_then(Talk::over).map_err(Error::io("talk to the supervisor"))?;
    let Given { mut sockets, flights, from } = Given::hear(&talk).await?;
    let state = State::open(&options.state)?;
    let access = Access::at(&options.access, &state.edge())?;
    let (front, notes) = Front::new(access, state.edge(), options.trust.clone())?;
    if let Some(flights) = flights {
        front.count_flights(flights);
    }
    tokio::spawn(count(front.clone()));
    if options.wanted.https.is_some() {
        let ordered = options.acme.as_ref().map(|from| from.place(&state.edge()));
        front.keep_certificates(Places { given: options.certs.clone(), ordered }).await;
    }
    let keep = Keep::new(state.edge());
    let books = Arc::new(Books::new(front.clone(), keep));
    tokio::spawn(books.clone().listen(notes));
    // Read here, so that it is warm when the one before has yielded.
    books.refresh().await;
    let teller = older::tell(&state.edge(), books.clone());
    let mut teller = teller.map_err(Error::io("listen for newer processes"))?;
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
    let going = worker.work().await;
    worker.go(going, &mut teller).await;
    teller.finish().await;
    // Whoever waits for the lock waits for the process.
    std::mem::forget(worker.sockets);
    Ok(())
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
    /// Where it follows.
    ahead: Ahead,
    follower: Option<Follower>,
    /// Who was followed by this process, for as long as it speaks for the edge.
    olders: Olders,
    /// Certificates that are ordered.
    orders: Option<Orders>,
    connected: watch::Sender<String>,
    changes: watch::Receiver<u64>,
    /// The routes' ports that were asked for.
    ports: BTreeSet<u16>,
    /// Those that are not there, and why, as it was told.
    missing: BTreeMap<u16, String>,
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
            ahead: Ahead::start()?,
            follower: None,
            olders: Olders::default(),
            orders: None,
            connected,
            changes,
            ports: BTreeSet::new(),
            missing: BTreeMap::new(),
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
        self.olders = older::hear_all(&self.state.edge(), &self.books).await;
        let (servers, name) = (self.options.servers.clone(), self.options.name.clone());
        let (books, connected) = (self.books.clone(), self.connected.clone());
        let follower = Follower::start(&self.ahead, books, servers, name, connected);
        self.follower = Some(follower);
        self.orders = self.options.acme.clone().map(|from| {
            let dir = from.place(&self.state.edge());
            self.front.order_certificates(from, dir)
        });
        self.sync_ports().await;
        self.show();
    }

    /// Stops speaking for the edge; the next one hears those before it.
    async fn yield_to_newer(&mut self) {
        self.stop_following().await;
        self.olders = Olders::default();
        self.books.older(Ledger::older_left);
        // The next one begins with this.
        self.front.count();
    }

    async fn stop_following(&mut self) {
        if let Some(follower) = self.follower.take() {
            follower.stop().await;
        }
        if let Some(orders) = self.orders.take() {
            orders.stop().await;
        }
        self.connected.send_replace("a newer process follows".to_owned());
    }

    async fn work(&mut self) -> Going {
        loop {
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
        }
    }

    async fn next(&mut self) -> Event {
        tokio::select! {
            said = hear(&self.talk) => Event::Said(said),
            _ = self.changes.changed() => Event::Changed,
            Some(talk) = Door::met(&self.door) => Event::Came(talk),
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

/// Writes what was counted now and then, so that one that is killed loses little of it.
async fn count(front: Arc<Front>) {
    loop {
        let (front, began) = (front.clone(), Instant::now());
        // Not here, where names are answered and drains are waited for: tables are long.
        _ = spawn_blocking(move || front.count()).await;
        sleep(WRITE_EVERY.max(began.elapsed() * RESTS)).await;
    }
}
