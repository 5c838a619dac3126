//! The deploy lock of a service: who has it open, what he is at, who waits for it, and whose
//! writes count no more. Pure: times come in as data, and whoever asks is known by the number of
//! his open of the file, which is never used twice. It is not saved: with this server every
//! connection ends, and so does what was held over it.
//!
//! The open is the token of the fence. While a lock is held, what begins a deploy counts only when
//! it comes through that open or over its connection; a lock that was taken by force leaves its
//! earlier holder refused for as long as he has it open, whoever holds it then, or nobody.

use crate::clock::{Millis, stamp};
use crate::record::By;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use thiserror::Error;

/// A lock that is older may be taken by force, in milliseconds, unless the server was told another
/// age.
pub const FORCE_MS: Millis = 300_000;
/// Who may wait for one lock, at most.
pub const WAITING_MAX: usize = 64;
/// Letters of what a holder says of himself, each.
const SAID_CHARS_MAX: usize = 200;

/// Whose hand writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hand {
    /// Who, as the kernel says.
    pub uid: u32,
    /// Over which connection.
    pub connection: u64,
    /// Through which open of the lock, if it is that file.
    pub open: Option<u64>,
}

/// Who opens the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// Which open of it.
    pub open: u64,
    /// Over which connection.
    pub connection: u64,
    /// Who.
    pub by: By,
}

/// A moment: by the clock of decisions, and as people read it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct When {
    /// For deciding.
    pub now: Millis,
    /// For telling.
    pub stamp: Millis,
}

/// What goes on at the holder's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// He has the lock.
    Lock,
    /// He looks whether everything is as it should be.
    PreFlight,
    /// He makes the image.
    Build,
}

/// Each phase's word.
const PHASES: [(Phase, &str); 3] =
    [(Phase::Lock, "lock"), (Phase::PreFlight, "pre-flight"), (Phase::Build, "build")];

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = PHASES.iter().find(|(phase, _)| phase == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

/// What a deploy is of, and for: kept in the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// The commit it was built from: its hash and its subject.
    pub commit: Option<String>,
    /// Why, in the user's words.
    pub message: Option<String>,
}

/// What a holder writes of himself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// What he is at.
    Phase(Phase),
    /// Where he is: a host, a process.
    From(String),
    /// Which commit.
    Commit(String),
    /// Why.
    Message(String),
}

/// Who has the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    asker: Asker,
    /// Since when.
    pub since: When,
    /// What he is at.
    pub phase: Phase,
    /// Where he says he is.
    from: String,
    /// What he says of his deploy.
    pub notes: Notes,
    /// He has applied something.
    pub used: bool,
}

/// Who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Waiter {
    asker: Asker,
    since: When,
}

/// An open that has lost its lock to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Broken {
    connection: u64,
    by: By,
    at: When,
    how: Loss,
}

/// How a holder has lost it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// It was taken by force.
    Taken,
    /// What he did with it was cancelled.
    Cancelled,
}

/// Why something is refused. `Display` is what the user reads.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// Somebody has it.
    #[error("lock is in use by {0}; wait for it: deploy apply --wait-lock")]
    InUse(String),
    /// It is too young to be taken by force.
    #[error("lock is in use by {holder}; it can be broken in {left_s} s")]
    Young {
        /// Who has it, since when, and what he is at.
        holder: String,
        /// Seconds until then.
        left_s: u64,
    },
    /// It was taken from who writes.
    #[error("lock was taken by {by} at {at}; nothing you write counts until you open it again")]
    Taken {
        /// By whom.
        by: String,
        /// When.
        at: String,
    },
    /// What whoever writes began with it was cancelled.
    #[error("deploy was cancelled by {by} at {at}; nothing you write counts until you lock again")]
    Cancelled {
        /// By whom.
        by: String,
        /// When.
        at: String,
    },
    /// The open is not one that holds it.
    #[error("lock is not held by this open; open it again")]
    NotHeld,
    /// Nobody has it.
    #[error("lock is free; nothing is to be broken")]
    Free,
    /// Too many wait.
    #[error("lock is in use, and {WAITING_MAX} wait for it already; try again later")]
    Full,
}

/// How an open stands to the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// It holds it.
    Holds,
    /// It waits for it.
    Waits,
    /// It held it, and lost it to somebody.
    Broken,
}

/// The lock of one service.
#[derive(Debug, Clone, Default)]
pub struct Lock {
    held: Option<Held>,
    waiting: VecDeque<Waiter>,
    broken: BTreeMap<u64, Broken>,
}

impl Lock {
    /// Who has it.
    #[must_use]
    pub fn held(&self) -> Option<&Held> {
        self.held.as_ref()
    }

    /// The same, to be changed.
    pub fn held_mut(&mut self) -> Option<&mut Held> {
        self.held.as_mut()
    }

    /// How an open stands to it; none of those that have nothing to do with it.
    #[must_use]
    pub fn stands(&self, open: u64) -> Option<Stands> {
        if self.held.as_ref().is_some_and(|held| held.asker.open == open) {
            Some(Stands::Holds)
        } else if self.waiting.iter().any(|waiter| waiter.asker.open == open) {
            Some(Stands::Waits)
        } else {
            self.broken.contains_key(&open).then_some(Stands::Broken)
        }
    }

    /// Gives it to whoever asks while it is free.
    ///
    /// # Errors
    /// [`Refused::InUse`].
    pub fn take(&mut self, asker: Asker, since: When) -> Result<(), Refused> {
        match &self.held {
            Some(held) => Err(Refused::InUse(held.to_string())),
            None => {
                self.held = Some(Held::new(asker, since));
                Ok(())
            }
        }
    }

    /// Gives it to whoever asks, as soon as it is free and those before him had it.
    ///
    /// # Errors
    /// [`Refused::Full`].
    pub fn wait(&mut self, asker: Asker, since: When) -> Result<(), Refused> {
        match self.held {
            None => self.take(asker, since),
            Some(_) if self.waiting.len() >= WAITING_MAX => Err(Refused::Full),
            Some(_) => {
                self.waiting.push_back(Waiter { asker, since });
                Ok(())
            }
        }
    }

    /// An open is closed: what it held goes to who has waited longest. Gives what it held.
    pub fn leave(&mut self, open: u64, now: When) -> Option<Held> {
        self.broken.remove(&open);
        self.waiting.retain(|waiter| waiter.asker.open != open);
        let held = self.held.take_if(|held| held.asker.open == open)?;
        self.hand_over(now);
        Some(held)
    }

    /// Takes it from its holder, if he has had it for so many milliseconds. Gives what he held.
    ///
    /// # Errors
    /// [`Refused::Young`], [`Refused::Free`].
    pub fn force(&mut self, by: &By, at: When, after_ms: Millis) -> Result<Held, Refused> {
        let held = self.held.as_ref().ok_or(Refused::Free)?;
        let left_ms = held.since.now.saturating_add(after_ms).saturating_sub(at.now);
        if left_ms > 0 {
            let (holder, left_s) = (held.to_string(), left_ms.div_ceil(1_000));
            return Err(Refused::Young { holder, left_s });
        }
        self.end(by, at, Loss::Taken).ok_or(Refused::Free)
    }

    /// Ends what its holder does with it, however long he has had it. Gives what he held.
    pub fn cancel(&mut self, by: &By, at: When) -> Option<Held> {
        self.end(by, at, Loss::Cancelled)
    }

    fn end(&mut self, by: &By, at: When, how: Loss) -> Option<Held> {
        let held = self.held.take()?;
        let Asker { open, connection, .. } = held.asker;
        self.broken.insert(open, Broken { connection, by: by.clone(), at, how });
        self.hand_over(at);
        Some(held)
    }

    /// Whether that hand is its holder's.
    #[must_use]
    pub fn is_held_by(&self, hand: Hand) -> bool {
        self.held.as_ref().is_some_and(|held| {
            hand.open == Some(held.asker.open) || hand.connection == held.asker.connection
        })
    }

    fn hand_over(&mut self, now: When) {
        self.held = self.waiting.pop_front().map(|next| Held::new(next.asker, now));
    }

    /// What a holder says of himself.
    ///
    /// # Errors
    /// [`Refused::Taken`] and [`Refused::NotHeld`] of an open that does not hold it.
    pub fn say(&mut self, open: u64, words: Vec<Word>) -> Result<(), Refused> {
        self.admits(Hand { open: Some(open), ..Hand::default() })?;
        let held = self.held.as_mut().ok_or(Refused::NotHeld)?;
        for word in words {
            match word {
                Word::Phase(phase) => held.phase = phase,
                Word::From(from) => held.from = from,
                Word::Commit(commit) => held.notes.commit = Some(commit),
                Word::Message(message) => held.notes.message = Some(message),
            }
        }
        Ok(())
    }

    /// Whether a write that begins a deploy counts when it comes by that hand.
    ///
    /// # Errors
    /// What stands against it.
    pub fn admits(&self, hand: Hand) -> Result<(), Refused> {
        let held = self.held.as_ref();
        if let Some(open) = hand.open {
            return match (held, self.broken.get(&open)) {
                (Some(held), _) if held.asker.open == open => Ok(()),
                (_, Some(broken)) => Err(broken.refused()),
                (_, None) => Err(Refused::NotHeld),
            };
        }
        let mut broken = self.broken.values();
        match held {
            Some(held) if held.asker.connection == hand.connection => Ok(()),
            _ => match broken.find(|broken| broken.connection == hand.connection) {
                Some(broken) => Err(broken.refused()),
                None => held.map_or(Ok(()), |held| Err(Refused::InUse(held.to_string()))),
            },
        }
    }

    /// As the file `lock` shows it; nothing while it is free.
    #[must_use]
    pub fn text(&self) -> String {
        let Some(held) = &self.held else { return String::new() };
        let By { uid, name } = &held.asker.by;
        let or = |text: &Option<String>| text.clone().unwrap_or_default();
        format!(
            "holder={name}\nuid={uid}\nfrom={}\nsince={}\nphase={}\ncommit={}\nmessage={}\n",
            held.from,
            stamp(held.since.stamp),
            held.phase,
            or(&held.notes.commit),
            or(&held.notes.message),
        )
    }

    /// As the file `queue` shows it: who waits, in the order in which they get it.
    #[must_use]
    pub fn queue(&self) -> String {
        let line = |waiter: &Waiter| {
            format!("{} since {}\n", who(&waiter.asker.by), stamp(waiter.since.stamp))
        };
        self.waiting.iter().map(line).collect()
    }
}

impl Held {
    fn new(asker: Asker, since: When) -> Held {
        let (phase, from, notes) = (Phase::Lock, String::new(), Notes::default());
        Held { asker, since, phase, from, notes, used: false }
    }

    /// Who it is.
    #[must_use]
    pub fn by(&self) -> &By {
        &self.asker.by
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&who(&self.asker.by))?;
        if !self.from.is_empty() {
            write!(f, " on {}", self.from)?;
        }
        write!(f, " since {}, phase {}", stamp(self.since.stamp), self.phase)
    }
}

impl Broken {
    fn refused(&self) -> Refused {
        let (by, at) = (who(&self.by), stamp(self.at.stamp));
        match self.how {
            Loss::Taken => Refused::Taken { by, at },
            Loss::Cancelled => Refused::Cancelled { by, at },
        }
    }
}

/// `ann (uid 1000)`.
#[must_use]
pub fn who(by: &By) -> String {
    format!("{} (uid {})", by.name, by.uid)
}

/// What a holder wrote of himself, a line each; none when any line is something else.
#[must_use]
pub fn read(text: &str) -> Option<Vec<Word>> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(word).collect()
}

fn word(line: &str) -> Option<Word> {
    if let Some((phase, _)) = PHASES.iter().find(|(_, word)| *word == line) {
        return Some(Word::Phase(*phase));
    }
    let (key, rest) = line.split_once(' ')?;
    // Whoever reads it on a terminal must not be at the mercy of who wrote it.
    let plain = rest.trim().chars().map(|c| if c.is_control() { '?' } else { c });
    let said: String = plain.take(SAID_CHARS_MAX).collect();
    match key {
        "from" => Some(Word::From(said)),
        "commit" => Some(Word::Commit(said)),
        "message" => Some(Word::Message(said)),
        _ => None,
    }
}

#[cfg(test)]
#[path = "lock_test.rs"]
mod tests;
