//! What users do with the deploy lock of a service, as turns of the world: opening, saying,
//! leaving, breaking, and the fence before everything that begins a deploy.

use crate::arrival::Request;
use crate::audit;
use crate::lock::{Asker, Hand, Notes, Refused, Stands, When, Word, who};
use crate::record::{By, Record};
use crate::turn::Turn;
use crate::verbs::{Line, Verb};
use crate::world::{SERVICES_MAX, Service, World};
use std::collections::BTreeSet;

type Result = std::result::Result<(), String>;

/// What is asked of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// To have it.
    Take {
        /// Who.
        asker: Asker,
        /// Also later: as soon as it is free.
        wait: bool,
    },
    /// To know something of its holder.
    Say {
        /// Which open of it writes.
        open: u64,
        /// What.
        words: Vec<Word>,
    },
    /// To be rid of it.
    Leave {
        /// Which open of it is closed.
        open: u64,
    },
}

impl World {
    /// Whether a request counts when it comes by that hand: what begins a deploy, or says what is
    /// to be deployed, does not while somebody else holds the lock, and nothing does that comes
    /// through an open from which it was taken.
    pub(crate) fn fence(&mut self, hand: Hand, request: &Request) -> Result {
        let admits = |world: &World, service: &str| match world.services.get(service) {
            Some(service) => service.lock.admits(hand),
            None if hand.open.is_some() => Err(Refused::NotHeld),
            None => Ok(()),
        };
        match request {
            Request::Verbs { lines, .. } => {
                for line in lines {
                    let Some(service) = line.service.as_deref() else { continue };
                    let fenced = hand.open.is_some() || line.verb.deploys();
                    if let (true, Err(refused)) = (fenced, admits(self, service)) {
                        let text = format!("{}: {refused}", line.text);
                        return Err(self.refused(Some(service), text));
                    }
                }
                Ok(())
            }
            Request::Manifest { service, .. } | Request::Unlink { service } => {
                let admitted = admits(self, service);
                admitted.map_err(|refused| self.refused(Some(service), refused.to_string()))
            }
            Request::Instance { .. }
            | Request::Secrets(_)
            | Request::Edge { .. }
            | Request::Place { .. }
            | Request::Renew { .. }
            | Request::DropVolume { .. }
            | Request::TaskSpec { .. }
            | Request::Task { .. }
            | Request::Job { .. }
            | Request::DropJob { .. }
            | Request::Strange { .. }
            | Request::Lock { .. }
            | Request::Over { .. } => Ok(()),
        }
    }

    /// A place for a service, where there is none: for its first manifest, or before that, so that
    /// its lock can be held while its first image is made.
    pub(crate) fn placed(&mut self, name: &str, turn: &mut Turn) -> Result {
        if self.services.contains_key(name) {
            return Ok(());
        }
        if self.services.len() >= SERVICES_MAX {
            return Err(self.refused(None, format!("no more than {SERVICES_MAX} services")));
        }
        self.last_incarnation += 1;
        let numbers = self.gone.remove(name).unwrap_or_default();
        let record = Record::new(self.last_incarnation, numbers);
        turn.touched.entry(name.to_string()).or_insert(None);
        self.services.insert(name.to_string(), Service::new(name, record));
        Ok(())
    }

    /// What an open of the lock asks of it.
    pub(crate) fn of_lock(&mut self, name: &str, ask: Ask, turn: &mut Turn) -> Result {
        let asked = audit::opened(name, &ask);
        let done = self.at_lock(name, ask, turn);
        turn.audit.extend(asked.map(|(hand, file, what)| {
            let refused = done.clone().err();
            audit::Line { at: turn.stamp, hand, file, what, refused }
        }));
        done
    }

    fn at_lock(&mut self, name: &str, ask: Ask, turn: &mut Turn) -> Result {
        let gone = || format!("file does not exist: active/{name}/lock");
        let now = When { now: turn.now, stamp: turn.stamp };
        let lock = &mut self.services.get_mut(name).ok_or_else(gone)?.lock;
        let done = match ask {
            Ask::Take { asker, wait } => {
                let (open, by) = (asker.open, asker.by.clone());
                let taken = if wait { lock.wait(asker, now) } else { lock.take(asker, now) };
                let holds = lock.stands(open) == Some(Stands::Holds);
                taken.map(|()| match holds {
                    true => format!("locked by {}", who(&by)),
                    false => format!("{} waits for the lock", who(&by)),
                })
            }
            Ask::Say { open, words } => {
                let phase = words.iter().rev().find_map(|word| match word {
                    Word::Phase(phase) => Some(*phase),
                    Word::From(_) | Word::Commit(_) | Word::Message(_) => None,
                });
                let said = lock.say(open, words);
                said.map(|()| phase.map(|phase| phase.to_string()).unwrap_or_default())
            }
            Ask::Leave { open } => {
                self.left(name, open, now, turn);
                return Ok(());
            }
        };
        match done {
            Ok(text) => {
                self.touch(name, turn);
                if !text.is_empty() {
                    turn.tell(name, text);
                }
                Ok(())
            }
            Err(refused) => Err(self.refused(Some(name), refused.to_string())),
        }
    }

    /// An open of the lock is closed. A place in which nothing came to be goes with it.
    fn left(&mut self, name: &str, open: u64, now: When, turn: &mut Turn) {
        let Some(service) = self.services.get_mut(name) else { return };
        if service.lock.stands(open).is_none() {
            return;
        }
        let held = service.lock.leave(open, now);
        let nothing_left = service.lock.held().is_none() && service.record.is_blank();
        self.touch(name, turn);
        let Some(held) = held else {
            // Of one that was cancelled the place stood until now.
            if nothing_left {
                self.delete(name, turn);
            }
            return;
        };
        // That it was let go of after an apply is no news: the apply was.
        if !held.used {
            turn.tell(name, format!("lock of {held}: left, nothing applied"));
        }
        match nothing_left {
            true => self.delete(name, turn),
            false => self.handed(name, turn),
        }
    }

    /// Whether all locks can be broken that a write would break: one that was broken cannot be
    /// given back. Gives the service and the reason of the first that cannot.
    pub(crate) fn breakable<'a>(
        &self,
        lines: &'a [Line],
        turn: &Turn,
    ) -> std::result::Result<(), (Option<&'a str>, String)> {
        let now = When { now: turn.now, stamp: turn.stamp };
        let mut named = BTreeSet::new();
        for line in lines.iter().filter(|line| line.verb == Verb::Unlock) {
            let name = line.service.as_deref();
            let service = name.and_then(|name| self.services.get(name));
            let may = match service.map(|service| service.lock.may_force(now, self.lock_force_ms)) {
                Some(Err(refused)) => Err(refused.to_string()),
                Some(Ok(())) if !named.insert(name) => Err("it is named twice".to_string()),
                // Its verb refuses one that is not there, and stands alone.
                None if lines.len() > 1 => Err("service does not exist".to_string()),
                Some(Ok(())) | None => Ok(()),
            };
            may.map_err(|why| (name, format!("{}: {why}", line.text)))?;
        }
        Ok(())
    }

    /// Takes the lock from its holder, who has had it too long.
    pub(crate) fn unlock(&mut self, name: &str, by: &By, turn: &mut Turn) -> Result {
        let now = When { now: turn.now, stamp: turn.stamp };
        let after_ms = self.lock_force_ms;
        let Some(service) = self.touch(name, turn) else { return Ok(()) };
        let held = service.lock.force(by, now, after_ms).map_err(|refused| refused.to_string())?;
        turn.tell(name, format!("lock of {held}: broken by {}", who(by)));
        self.handed(name, turn);
        Ok(())
    }

    /// Whether a cancel by that hand is meant for what somebody else does with the lock, before
    /// anything has come here that could be cancelled.
    pub(crate) fn cancels_lock(&self, name: &str, hand: Hand) -> bool {
        let service = self.services.get(name);
        service.is_some_and(|one| one.begun_by().is_some() && !one.lock.is_held_by(hand))
    }

    /// The way out is never locked: what somebody prepares with the lock will come after it.
    pub(crate) fn warn_of_lock(&self, name: &str, turn: &mut Turn) {
        let held = self.services.get(name).and_then(Service::begun_by);
        if let Some(held) = held.filter(|_| self.cancels_lock(name, turn.hand)) {
            turn.tell(
                name,
                format!("lock of {held}: it goes on, and applies after this; cancel ends it"),
            );
        }
    }

    /// Cancels what is prepared with the lock: nothing more of it counts, and its holder is told
    /// at once where he follows the events.
    pub(crate) fn cancel_lock(&mut self, name: &str, by: &By, turn: &mut Turn) {
        let now = When { now: turn.now, stamp: turn.stamp };
        let Some(service) = self.touch(name, turn) else { return };
        let Some(held) = service.lock.cancel(by, now) else { return };
        turn.tell(name, format!("lock of {held}: cancelled by {}", who(by)));
        self.unprepare(name, "cancelled before anything was started", turn);
        self.handed(name, turn);
    }

    /// Tells who has the lock now, where somebody waited for it.
    fn handed(&self, name: &str, turn: &mut Turn) {
        if let Some(next) = self.services.get(name).and_then(|service| service.lock.held()) {
            turn.tell(name, format!("locked by {}", who(next.by())));
        }
    }

    /// What the holder of the lock said of the deploy that he begins.
    pub(crate) fn notes(&mut self, name: &str) -> Notes {
        let held = self.services.get_mut(name).and_then(|service| service.lock.held_mut());
        held.map_or_else(Notes::default, |held| {
            held.used = true;
            held.notes.clone()
        })
    }
}
