//! The loop: takes what has arrived, lets the world turn, saves, and only then acts, tells and
//! answers. Everything that can change the world comes through here, one batch at a time.

use crate::act::Hands;
use crate::arrival::{Answer, Arrival, Awaited, Heard, Order};
use crate::clock::{self, Millis};
use crate::save::{self, Journal};
use crate::turn::{NODE_LOST, Turn};
use crate::world::Shared;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Arrivals that may wait for the loop.
pub const ARRIVALS_MAX: usize = 1_024;
/// Arrivals taken in one turn, and saved together.
const BATCH_MAX: usize = 64;
/// How long the loop holds back when the state cannot be saved.
const UNSAVED_MS: u64 = 1_000;

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// Nobody can send it anything any more.
    Alone,
    /// `down` was asked, and the node has ended.
    Down,
}

/// The loop's own state.
pub struct Loop {
    world: Shared,
    journal: Journal,
    hands: Hands,
    /// Each service's timer.
    timers: BTreeMap<String, Millis>,
    /// Who waits for what the node has not told yet.
    waiting: HashMap<Awaited, Vec<Answer>>,
    /// What could not be saved yet.
    unsaved: Vec<Heard>,
    /// What edges have answered to the last turn's orders.
    answered: Vec<Heard>,
    /// That the last turn could not be saved was told.
    held_back: bool,
    /// `down` was asked: what happens from now on is the end, and no reason to act.
    ending: bool,
    /// The clock as the decision sees it: it never goes backwards.
    now: Millis,
}

impl Loop {
    /// A loop over a loaded world.
    #[must_use]
    pub fn new(world: Shared, journal: Journal, hands: Hands) -> Loop {
        Loop {
            world,
            journal,
            hands,
            timers: BTreeMap::new(),
            waiting: HashMap::new(),
            unsaved: Vec::new(),
            answered: Vec::new(),
            held_back: false,
            ending: false,
            now: 0,
        }
    }

    /// Turns until nobody is left or `down` was asked.
    pub async fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>) -> End {
        loop {
            let mut batch: Vec<Arrival> = self.unsaved.drain(..).map(Arrival::Heard).collect();
            let held_back = !batch.is_empty();
            let due = self.next_due(held_back);
            batch.extend(self.answered.drain(..).map(Arrival::Heard));
            tokio::select! {
                biased;
                // What cannot be saved is held back within a bound; the node says what was missed.
                first = arrivals.recv(), if batch.len() < ARRIVALS_MAX => match first {
                    Some(first) => batch.push(first),
                    None => return End::Alone,
                },
                () = sleep_until(due) => {}
            }
            while batch.len() < BATCH_MAX {
                let Ok(next) = arrivals.try_recv() else { break };
                batch.push(next);
            }
            self.now = self.now.max(clock::now());
            batch.extend(self.expired());
            if self.ending {
                if batch.iter().any(|one| matches!(one, Arrival::Heard(Heard::NodeDown { .. }))) {
                    return End::Down;
                }
                continue;
            }
            self.turn(batch).await;
        }
    }

    /// When the loop has to wake by itself.
    fn next_due(&self, held_back: bool) -> Instant {
        let now = clock::now().max(self.now);
        let timer = self.timers.values().min().copied();
        let unsaved = held_back.then_some(now + UNSAVED_MS);
        let answered = (!self.answered.is_empty()).then_some(now);
        let edges = self.world.lock().edges.due();
        let due = timer.into_iter().chain(unsaved).chain(answered).chain(edges).min();
        let wait = due.map_or(Duration::from_secs(3600), |due| {
            Duration::from_millis(due.saturating_sub(now))
        });
        Instant::now() + wait
    }

    fn expired(&mut self) -> Vec<Arrival> {
        let now = self.now;
        let due = self.timers.iter().filter(|(_, at)| **at <= now);
        let due: Vec<String> = due.map(|(service, _)| service.clone()).collect();
        due.iter().for_each(|service| {
            self.timers.remove(service);
        });
        let woke = due.into_iter().map(|service| Heard::Woke { service });
        let silent = self.world.lock().edges.pass(now);
        woke.chain(silent).map(Arrival::Heard).collect()
    }

    async fn turn(&mut self, batch: Vec<Arrival>) {
        let batch = self.heard_of_edges(batch);
        if batch.is_empty() {
            return;
        }
        let mut turn = Turn::new(self.now);
        let repeatable: Vec<Heard> = batch.iter().filter_map(repeat).collect();
        let (changes, last_event) = {
            let mut world = self.world.lock();
            // Only a user's verb asks for it.
            if batch.iter().any(|one| matches!(one, Arrival::Asked(..))) {
                world.full = self.journal.has_room().err().map(|error| error.to_string());
            }
            let last_event = world.last_event;
            for arrival in batch {
                world.arrive(arrival, &mut turn);
            }
            world.unsaved = true;
            (save::changes(&mut world, &turn), last_event)
        };
        if let Err(error) = self.journal.save(&changes).await {
            let mut world = self.world.lock();
            world.undo(&turn);
            world.last_event = last_event;
            world.revision.send_modify(|revision| *revision += 1);
            let text = format!("{error}; nothing was changed");
            if !std::mem::replace(&mut self.held_back, true) {
                tracing::error!("{text}");
                world.hold_back(&turn, &error.to_string());
            }
            world.refused(None, text.clone());
            drop(world);
            self.unsaved.extend(repeatable);
            self.answer(turn, Some(&text));
            return;
        }
        self.held_back = false;
        let answered = {
            let mut world = self.world.lock();
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
        for order in turn.orders.drain(..) {
            if let Order::Wake { service, at } = order {
                self.timers.insert(service, at);
            } else {
                self.hands.perform(order);
            }
        }
        self.answer(turn, None);
    }

    /// What edges did is taken once, before the turn, whose end it does not share: what it comes
    /// to can then be heard again when the turn could not be saved.
    fn heard_of_edges(&mut self, batch: Vec<Arrival>) -> Vec<Arrival> {
        let mut world = self.world.lock();
        let now = self.now;
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
