//! One turn of the loop after another: a batch of arrivals in, saved, and only then the orders
//! out. It has neither a clock nor hands nor a thread of its own, so that a simulation turns it
//! as the server does.

use crate::arrival::{Answer, Arrival, Awaited, Heard, Order};
use crate::clock::{Millis, Moment, Steady};
use crate::save::{self, Journal};
use crate::turn::{NODE_LOST, Turn};
use crate::world::Shared;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;
use store::Op;

/// How long the loop holds back when the state cannot be saved.
const UNSAVED_MS: u64 = 1_000;

/// The state of the loop beside its world.
pub struct Wheel {
    world: Shared,
    journal: Journal,
    clock: Steady,
    /// Each service's timer.
    timers: BTreeMap<String, Millis>,
    /// Who waits for what the node has not told yet.
    waiting: HashMap<Awaited, Vec<Answer>>,
    /// What could not be saved yet.
    unsaved: Vec<Heard>,
    /// What puts the store back where it may have kept what was taken back, by key.
    doubt: BTreeMap<String, Op>,
    /// When that is tried again, whatever arrives.
    retry: Millis,
    /// What edges have answered to the last turn's orders.
    answered: Vec<Heard>,
    /// That the last turn could not be saved was told.
    held_back: bool,
    /// `down` was asked: what happens from now on is the end, and no reason to act.
    ending: bool,
    ended: bool,
}

impl Wheel {
    /// A wheel over a loaded world.
    #[must_use]
    pub fn new(world: Shared, journal: Journal, at: Moment) -> Wheel {
        let latest = world.lock().latest();
        Wheel {
            world,
            journal,
            clock: Steady::new(at, latest),
            timers: BTreeMap::new(),
            waiting: HashMap::new(),
            unsaved: Vec::new(),
            doubt: BTreeMap::new(),
            retry: 0,
            answered: Vec::new(),
            held_back: false,
            ending: false,
            ended: false,
        }
    }

    /// The moment by the clock of decisions.
    #[must_use]
    pub fn now(&self, at: Moment) -> Millis {
        self.clock.at(at)
    }

    /// The services whose timers have come.
    pub fn due(&self, at: Moment) -> impl Iterator<Item = &String> {
        let now = self.clock.at(at);
        self.timers.iter().filter(move |(_, at)| **at <= now).map(|(service, _)| service)
    }

    /// What was heard and waits for the next turn.
    #[must_use]
    pub fn held(&self) -> usize {
        self.unsaved.len() + self.answered.len()
    }

    /// `down` was asked, and the node has ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// A turn took so long.
    pub fn spent(&self, looped: Duration) {
        self.world.lock().spent.looped += looped;
    }

    /// Milliseconds until it has to turn by itself; nothing when it need not.
    #[must_use]
    pub fn rest(&self, at: Moment) -> Option<Millis> {
        let now = self.clock.at(at);
        let timer = self.timers.values().min().copied();
        let unsaved = (!self.unsaved.is_empty()).then_some(self.retry);
        let answered = (!self.answered.is_empty()).then_some(now);
        let world = self.world.lock();
        let owed = world.edges.due().into_iter().chain(world.pulls.due());
        let due = timer.into_iter().chain(unsaved).chain(answered).chain(owed).min()?;
        Some(due.saturating_sub(now))
    }

    /// Takes what has arrived, and what time has brought; gives what is to be done.
    pub async fn turn(&mut self, at: Moment, arrivals: Vec<Arrival>) -> Vec<Order> {
        let now = self.clock.at(at);
        let held = self.unsaved.drain(..).chain(self.answered.drain(..));
        let mut batch: Vec<Arrival> = held.map(Arrival::Heard).collect();
        batch.extend(arrivals);
        batch.extend(self.expired(at));
        if self.ending {
            let down = |one: &Arrival| matches!(one, Arrival::Heard(Heard::NodeDown { .. }));
            self.ended |= batch.iter().any(down);
            return Vec::new();
        }
        let batch = self.heard_of_edges(batch, now);
        if batch.is_empty() {
            return Vec::new();
        }
        self.take(batch, Turn { stamp: at.wall, ..Turn::new(now) }).await
    }

    fn expired(&mut self, at: Moment) -> Vec<Arrival> {
        let now = self.clock.at(at);
        let due: Vec<String> = self.due(at).cloned().collect();
        due.iter().for_each(|service| {
            self.timers.remove(service);
        });
        let woke = due.into_iter().map(|service| Heard::Woke { service });
        let mut world = self.world.lock();
        let silent = world.edges.pass(now);
        let stuck = world.pulls.pass(now);
        woke.chain(silent).chain(stuck).map(Arrival::Heard).collect()
    }

    async fn take(&mut self, batch: Vec<Arrival>, mut turn: Turn) -> Vec<Order> {
        let repeatable: Vec<Heard> = batch.iter().filter_map(repeat).collect();
        let (changes, last_event) = {
            let mut world = self.world.lock();
            world.spent.arrivals += batch.len() as u64;
            // Only a user's verb asks for it.
            if batch.iter().any(|one| matches!(one, Arrival::Asked(..))) {
                world.full = self.journal.has_room().err().map(|error| error.to_string());
            }
            let last_event = world.last_event;
            for arrival in batch {
                world.arrive(arrival, &mut turn);
            }
            world.unsaved = true;
            let mut changes = save::changes(&mut world, &turn);
            self.put_back(&mut changes);
            (changes, last_event)
        };
        if let Err(error) = self.journal.save(&changes, &turn.audit).await {
            self.unsaved.extend(repeatable);
            self.take_back(turn, last_event, &error);
            self.doubt.extend(save::restored(&self.world.lock(), &changes));
            return Vec::new();
        }
        self.doubt.clear();
        self.held_back = false;
        let answered = {
            let mut world = self.world.lock();
            world.spent.saved = self.journal.spent();
            world.publish(&turn);
            world.route(&turn)
        };
        self.answered.extend(answered);
        if turn.node_lost {
            self.waiting.drain().flat_map(|(_, waiting)| waiting).for_each(|answer| {
                let _ = answer.send(Err(NODE_LOST.to_string()));
            });
        }
        self.ending = turn.orders.contains(&Order::Down);
        let mut orders = std::mem::take(&mut turn.orders);
        orders.retain(|order| {
            let Order::Wake { service, at } = order else { return true };
            self.timers.insert(service.clone(), *at);
            false
        });
        self.answer(turn, None);
        orders
    }

    /// Adds what undoes earlier changes, where these do not say better.
    fn put_back(&self, changes: &mut Vec<Op>) {
        if self.doubt.is_empty() {
            return;
        }
        let known: BTreeSet<&str> = changes.iter().map(save::key).collect();
        let doubt = self.doubt.iter().filter(|(key, _)| !known.contains(key.as_str()));
        let doubt: Vec<Op> = doubt.map(|(_, op)| op.clone()).collect();
        changes.extend(doubt);
    }

    /// A turn that could not be saved has not been.
    fn take_back(&mut self, mut turn: Turn, last_event: u64, error: &save::Error) {
        let mut world = self.world.lock();
        world.undo(&mut turn);
        world.last_event = last_event;
        world.revision.send_modify(|revision| *revision += 1);
        let text = format!("{error}; nothing was changed");
        if !std::mem::replace(&mut self.held_back, true) {
            tracing::error!("{text}");
            world.hold_back(&turn, &error.to_string());
        }
        world.refused(None, text.clone());
        drop(world);
        self.retry = turn.now.saturating_add(UNSAVED_MS);
        self.answer(turn, Some(&text));
    }

    /// What edges did is taken once, before the turn, whose end it does not share: what it comes
    /// to can then be heard again when the turn could not be saved.
    fn heard_of_edges(&mut self, batch: Vec<Arrival>, now: Millis) -> Vec<Arrival> {
        let mut world = self.world.lock();
        let take = |arrival| match arrival {
            Arrival::Edge { edge, deed } => {
                world.revision.send_modify(|revision| *revision += 1);
                let heard = world.edges.take(&edge, deed, now);
                heard.into_iter().map(Arrival::Heard).collect()
            }
            Arrival::Asked(..) | Arrival::Heard(_) => vec![arrival],
        };
        batch.into_iter().flat_map(take).collect()
    }

    /// Answers those who wait, with the refusal that holds for all of them where there is one.
    fn answer(&mut self, turn: Turn, refusal: Option<&str>) {
        let refused = || refusal.map_or(Ok(()), |text| Err(text.to_string()));
        for (answer, result) in turn.answers {
            let _ = answer.send(result.and_then(|()| refused()));
        }
        for (what, answer) in turn.awaited {
            match refusal {
                Some(text) => {
                    let _ = answer.send(Err(text.to_string()));
                }
                None => self.waiting.entry(what).or_default().push(answer),
            }
        }
        for (what, result) in turn.came {
            for answer in self.waiting.remove(&what).unwrap_or_default() {
                let _ = answer.send(result.clone());
            }
        }
    }
}

/// What has to be taken again when its turn could not be saved; a user's write is answered with
/// the refusal instead.
fn repeat(arrival: &Arrival) -> Option<Heard> {
    match arrival {
        Arrival::Asked(..) | Arrival::Edge { .. } => None,
        Arrival::Heard(heard) => Some(heard.clone()),
    }
}

#[cfg(test)]
#[path = "wheel_test.rs"]
mod tests;
