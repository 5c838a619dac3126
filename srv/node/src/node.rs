//! The loop: one thing at a time arrives, the world takes it in, what follows is done.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::desk::Ask;
use crate::error::{Error, Result};
use crate::fact::{Action, Alive, Fact, Order, Request};
use crate::follow::Shim;
use crate::id::Id;
use crate::kept;
use crate::life::{self, Preparing};
use crate::means::Means;
use crate::record;
use crate::ring::Ring;
use crate::spec::Spec;
use crate::verb::Verb;
use crate::warm;
use crate::world::World;

/// Orders that wait for one instance's task.
const ORDERS_MAX: usize = 64;

/// All that can arrive.
#[derive(Debug)]
enum Arrival {
    /// Something has happened.
    Fact(Fact),
    /// A client asks.
    Ask(Ask),
    /// The process was told to end.
    Signal,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By a signal: everything runs on.
    Left,
    /// By `down`: nothing runs.
    Down,
}

/// The loop and what it owns.
pub(crate) struct Node {
    means: Arc<Means>,
    world: Arc<RwLock<World>>,
    ring: Ring,
    /// The way to the tasks of those that live.
    lives: HashMap<Id, mpsc::Sender<Order>>,
    /// What was begun for a start beside the syncs of its intent.
    early: HashMap<Id, Preparing>,
    end: Option<End>,
}

impl Node {
    pub(crate) fn new(means: Arc<Means>, world: Arc<RwLock<World>>, ring: Ring) -> Node {
        Node { means, world, ring, lives: HashMap::new(), early: HashMap::new(), end: None }
    }

    /// Works until there is an end.
    pub(crate) async fn run(
        mut self,
        mut facts: mpsc::Receiver<Fact>,
        mut asks: mpsc::Receiver<Ask>,
    ) -> Result<End> {
        let on = |kind| signal(kind).map_err(|why| Error::Serve(format!("signals: {why}")));
        let (mut term, mut int) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
        loop {
            let arrival = tokio::select! {
                biased;
                () = told_to_end(&mut term, &mut int) => Arrival::Signal,
                Some(fact) = facts.recv() => Arrival::Fact(fact),
                Some(ask) = asks.recv() => Arrival::Ask(ask),
            };
            match arrival {
                Arrival::Fact(fact) => self.take_in(fact),
                Arrival::Ask(Ask { requests, answer }) => {
                    let accepted = self.accept(&requests).await;
                    if accepted.is_ok() {
                        requests
                            .into_iter()
                            .map(Fact::Accepted)
                            .for_each(|fact| self.take_in(fact));
                    }
                    self.give_back().await;
                    // Who asked may have gone; what was asked holds all the same.
                    let _ = answer.send(accepted);
                }
                Arrival::Signal => self.end = Some(End::Left),
            }
            if let Some(end) = self.end {
                return Ok(end);
            }
        }
    }

    /// Takes in one fact and does what follows.
    pub(crate) fn take_in(&mut self, fact: Fact) {
        tracing::debug!("{fact:?}");
        if let Fact::Over(id) = &fact {
            self.lives.remove(id);
        }
        let actions = self.world.write().unwrap_or_else(PoisonError::into_inner).step(fact);
        for action in actions {
            self.act(action);
        }
    }

    /// Refuses, or makes durable what the requests need; then nothing can refuse them any more.
    ///
    /// Law: no container comes of a start whose intent is not on disk. What goes before the launch
    /// begins beside the intent's syncs.
    async fn accept(&mut self, requests: &[Request]) -> Result<()> {
        let (mut writes, mut starts) = (Vec::new(), Vec::new());
        {
            let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
            for request in requests {
                world.check(request)?;
                self.check_secrets(&world, request)?;
                writes.extend(self.write_of(&world, request));
                starts.extend(start_of(&world, request));
            }
            self.check_orders(requests)?;
        }
        for (id, spec) in starts {
            let begin = || Preparing::begin(self.means.clone(), id.clone(), spec);
            self.early.entry(id.clone()).or_insert_with(begin);
        }
        for write in writes {
            spawn_blocking(write).await.map_err(|_| Error::Ended)??;
        }
        Ok(())
    }

    /// Gives up what was begun for a start that did not come of its request.
    async fn give_back(&mut self) {
        for (id, preparing) in self.early.drain() {
            preparing.give_back(&self.means, &id).await;
            record::take_back(&self.means.dirs.instance(&id));
        }
    }

    /// Refuses a start whose secrets are not there, before its intent is on disk.
    fn check_secrets(&self, world: &World, request: &Request) -> Result<()> {
        match start_of(world, request) {
            Some((id, spec)) if !spec.secrets.is_empty() && !self.means.handed.has(&id) => {
                Err(Error::NoSecrets(id.to_string()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses what may be orders when they might find no room on their way to a task: an order
    /// that was accepted is never lost.
    fn check_orders(&self, requests: &[Request]) -> Result<()> {
        let mut asked: HashMap<&Id, usize> = HashMap::new();
        for request in requests {
            let Request::Do { id, verb: Verb::Stop { .. } | Verb::Signal(_) | Verb::Remove } =
                request
            else {
                continue;
            };
            let count = asked.entry(id).or_default();
            *count += 1;
            let to = self.lives.get(id).filter(|to| !to.is_closed());
            let room = to.map_or(ORDERS_MAX, mpsc::Sender::capacity);
            if *count > room {
                return Err(Error::Orders { id: id.to_string(), waiting: ORDERS_MAX - room });
            }
        }
        Ok(())
    }

    /// Passes an order on to the task of an instance; when that has ended there is nothing that
    /// could do it or would need it.
    fn order(&self, id: &Id, order: Order) {
        let Some(Err(TrySendError::Full(order))) = self.lives.get(id).map(|to| to.try_send(order))
        else {
            return;
        };
        // Only an order that no client gave by name comes to a full line: a stop by `down`.
        let Some(to) = self.lives.get(id).cloned() else { return };
        tokio::spawn(async move { to.send(order).await });
    }

    /// What must be on disk before the request is done.
    fn write_of(&self, world: &World, request: &Request) -> Option<Write> {
        match request {
            Request::Make(id) => {
                let dir = self.means.dirs.instance(id);
                // What is made is about to be started.
                warm::begin();
                Some(Box::new(move || record::make(&dir)))
            }
            Request::Specify { id, text, .. } => {
                let (dir, text) = (self.means.dirs.instance(id), text.clone());
                let write = move || record::write_loosely(&dir, record::SPEC, &text);
                world.get(id).ok()?.written.is_none().then(|| Box::new(write) as Write)
            }
            Request::Do { id, verb: Verb::Start } => {
                let dir = self.means.dirs.instance(id);
                warm::begin();
                let write = move || record::write_intent(&dir);
                world.get(id).ok()?.may_start().then(|| Box::new(write) as Write)
            }
            Request::Do { verb: Verb::Stop { .. } | Verb::Signal(_) | Verb::Remove, .. }
            | Request::Down => None,
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Tell(event) => {
                let line = event.to_string();
                // Whoever wants to see them reads `events`; a log would only grow with them.
                tracing::debug!("{line}");
                self.ring.push(&line);
            }
            Action::Begin(id) => self.begin(id),
            Action::Adopt(id, alive) => self.adopt(id, alive),
            Action::Order(id, order) => self.order(&id, order),
            Action::Retire(id) => {
                let means = self.means.clone();
                tokio::spawn(async move { life::retire(&means, &id, record::never_ran()).await });
            }
            Action::Mark(id, healthy) => {
                if let Err(error) = record::mark(&self.means.dirs.instance(&id), healthy) {
                    tracing::warn!("{id}: {error}");
                }
            }
            Action::Erase(id, pause) => self.erase(id, pause),
            Action::End => self.end = Some(End::Down),
        }
    }

    fn begin(&mut self, id: Id) {
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let written = world.get(&id).ok().and_then(|one| one.written.clone());
        drop(world);
        let Some(written) = written else {
            tracing::error!("{id} was to be started without a spec");
            return;
        };
        let orders = self.line_to(&id);
        let begin = || Preparing::begin(self.means.clone(), id.clone(), written.spec);
        let preparing = self.early.remove(&id).unwrap_or_else(begin);
        tokio::spawn(life::begin(self.means.clone(), id, preparing, orders));
    }

    fn adopt(&mut self, id: Id, alive: Alive) {
        // At once, so that nobody who starts later gets the same address.
        let lease = self.means.net.adopt(alive.address, alive.port);
        let shim =
            Shim { spec: alive.spec, lease, child: None, turn: None, healthy: alive.healthy };
        let orders = self.line_to(&id);
        tokio::spawn(life::follow(self.means.clone(), id, shim, orders));
    }

    fn line_to(&mut self, id: &Id) -> mpsc::Receiver<Order> {
        let (to, orders) = mpsc::channel(ORDERS_MAX);
        self.lives.insert(id.clone(), to);
        orders
    }

    fn erase(&self, id: Id, pause: Duration) {
        self.means.handed.forget(&id);
        let means = self.means.clone();
        tokio::spawn(async move {
            sleep(pause).await;
            let (dir, logs) = (means.dirs.instance(&id), means.dirs.logs());
            let fact = match spawn_blocking(move || kept::erase(&dir, &logs)).await {
                Ok(Ok(log_bytes)) => Fact::Erased { id, log_bytes },
                Ok(Err(error)) => Fact::EraseFailed { id, reason: error.to_string() },
                Err(error) => Fact::EraseFailed { id, reason: error.to_string() },
            };
            means.say(fact).await;
        });
    }
}

/// The instance a request starts, and its spec.
fn start_of(world: &World, request: &Request) -> Option<(Id, Arc<Spec>)> {
    let Request::Do { id, verb: Verb::Start } = request else { return None };
    let one = world.get(id).ok().filter(|one| one.may_start())?;
    Some((id.clone(), one.written.as_ref()?.spec.clone()))
}

/// Something to be written, off the loop's thread.
type Write = Box<dyn FnOnce() -> Result<()> + Send>;

async fn told_to_end(term: &mut Signal, int: &mut Signal) {
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

#[cfg(test)]
#[path = "node_test.rs"]
mod tests;
