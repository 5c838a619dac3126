//! Requests without an answer yet: those whose work runs, and those that wait for their turn.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::error::{Error, Result};
use crate::wire::Tmsg;

use super::job::Plain;
use super::{Bounds, Ticket};

/// The fids of one request.
pub(super) type Fids = [Option<u32>; 2];

/// What a request needs of its fids.
#[derive(Clone, Copy)]
struct Needs {
    /// These to itself.
    own: Fids,
    /// This to be there and as it is: several walks may begin at one fid.
    shared: Option<u32>,
}

impl Needs {
    fn of(message: &Tmsg<'_>) -> Self {
        if let Tmsg::Walk { fid, newfid, .. } = *message
            && fid != newfid
        {
            Self { own: [Some(newfid), None], shared: Some(fid) }
        } else if let Tmsg::Stat { fid } | Tmsg::Getattr { fid, .. } | Tmsg::Statfs { fid } =
            *message
        {
            Self { own: [None, None], shared: Some(fid) }
        } else {
            Self { own: message.fids(), shared: None }
        }
    }

    fn own(&self) -> impl Iterator<Item = u32> {
        self.own.into_iter().flatten()
    }

    fn all(&self) -> impl Iterator<Item = u32> {
        self.own().chain(self.shared)
    }

    /// Whether it must wait for an earlier request that needs `before`.
    fn conflicts(&self, before: &Self) -> bool {
        self.own().any(|fid| before.all().any(|other| other == fid))
            || self.shared.is_some_and(|fid| before.own().any(|other| other == fid))
    }
}

/// All requests of a session that have no answer yet.
///
/// Law: a request is performed only when no request before it that has a fid in common with it
/// is unanswered; reads of *wait* files do not count, and what leaves a fid as it is, like a
/// walk from it, waits only for what does not.
#[derive(Default)]
pub(super) struct Requests {
    running: HashMap<Ticket, Running>,
    waiting: VecDeque<Waiting>,
    tags: HashMap<u16, Place>,
    held: HashSet<u32>,
    waiting_bytes: usize,
    /// Something has been let go since it was last seen that no waiting request may go on.
    freed: bool,
    tickets: Ticket,
}

/// A request whose job runs.
pub(super) struct Running {
    pub(super) tag: u16,
    pub(super) holds: Holds,
    pub(super) flushed: Flushed,
}

/// What a running request keeps others from.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// Its fids.
    Fids(Fids),
    /// Nothing: it reads a *wait* file on this fid and is given up with it.
    Stream(u32),
}

/// What a flush does to a running request.
#[derive(Clone, Copy)]
pub(super) enum Flushed {
    /// It is given up.
    Dropped,
    /// It cannot be taken back: the fid is gone. It is answered, and its job goes on.
    Answered(Plain),
}

struct Waiting {
    tag: u16,
    needs: Needs,
    frame: Vec<u8>,
}

enum Place {
    Running(Ticket),
    Waiting,
}

/// What was there under a tag.
pub(super) enum Found {
    Nothing,
    Waiting,
    Running(Ticket, Running),
}

impl Requests {
    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// A number for a job that nobody waits for.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        self.tickets
    }

    /// Whether a request that has just arrived may be performed; if not it waits for its turn.
    pub(super) fn admit(
        &mut self,
        tag: u16,
        message: &Tmsg<'_>,
        frame: &[u8],
        bounds: &Bounds,
    ) -> Result<bool> {
        if self.tags.contains_key(&tag) {
            return Err(Error::TagInUse);
        }
        // What gives something up is never refused for want of room.
        let full = self.tags.len() >= bounds.requests_max;
        let frees = matches!(message, Tmsg::Clunk { .. } | Tmsg::Remove { .. });
        if full && !frees {
            return Err(Error::TooMany("too many requests on this connection"));
        }
        let needs = Needs::of(message);
        if !self.blocked(&needs) {
            return Ok(true);
        }
        if full || self.waiting_bytes + frame.len() > bounds.waiting_bytes_max {
            return Err(Error::TooMany("too many requests waiting for their turn"));
        }
        self.waiting_bytes += frame.len();
        self.waiting.push_back(Waiting { tag, needs, frame: frame.to_vec() });
        self.tags.insert(tag, Place::Waiting);
        Ok(false)
    }

    /// A request whose job begins.
    pub(super) fn start(&mut self, running: Running) -> Ticket {
        let ticket = self.ticket();
        if let Holds::Fids(fids) = running.holds {
            self.held.extend(fids.into_iter().flatten());
        }
        self.tags.insert(running.tag, Place::Running(ticket));
        self.running.insert(ticket, running);
        ticket
    }

    /// The tag of the request whose job has ended; none if nobody waits for it any more.
    pub(super) fn ended(&mut self, ticket: Ticket) -> Option<u16> {
        let running = self.running.remove(&ticket)?;
        self.let_go(&running);
        Some(running.tag)
    }

    /// Takes out what is under a tag.
    pub(super) fn take(&mut self, tag: u16) -> Found {
        match self.tags.remove(&tag) {
            None => Found::Nothing,
            Some(Place::Waiting) => {
                if let Some(at) = self.waiting.iter().position(|one| one.tag == tag) {
                    self.unqueue(at);
                }
                Found::Waiting
            }
            Some(Place::Running(ticket)) => match self.running.remove(&ticket) {
                None => Found::Nothing,
                Some(running) => {
                    self.let_go(&running);
                    Found::Running(ticket, running)
                }
            },
        }
    }

    /// Takes out the reads of the *wait* file that is open on `fid`.
    pub(super) fn take_streams(&mut self, fid: u32) -> Vec<(Ticket, u16)> {
        let on_fid = |one: &Running| matches!(one.holds, Holds::Stream(on) if on == fid);
        let mut taken: Vec<_> = self
            .running
            .extract_if(|_, one| on_fid(one))
            .map(|(ticket, running)| (ticket, running.tag))
            .collect();
        taken.sort_unstable();
        for (_, tag) in &taken {
            self.tags.remove(tag);
        }
        taken
    }

    /// Forgets everything; gives the jobs that are to be dropped.
    pub(super) fn take_all(&mut self) -> Vec<Ticket> {
        let running = std::mem::take(&mut self.running);
        let tickets = self.tickets;
        *self = Self { tickets, ..Self::default() };
        let dropped = |one: &Running| matches!(one.flushed, Flushed::Dropped);
        running.into_iter().filter(|(_, one)| dropped(one)).map(|(ticket, _)| ticket).collect()
    }

    /// Takes out the first waiting request whose turn has come.
    pub(super) fn next_free(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.freed) {
            return None;
        }
        let (mut own, mut shared) = (self.held.clone(), HashSet::new());
        let at = self.waiting.iter().position(|one| {
            let free = !one.needs.all().any(|fid| own.contains(&fid))
                && !one.needs.own().any(|fid| shared.contains(&fid));
            own.extend(one.needs.own());
            shared.extend(one.needs.shared);
            free
        })?;
        let one = self.unqueue(at)?;
        self.tags.remove(&one.tag);
        Some(one.frame)
    }

    fn unqueue(&mut self, at: usize) -> Option<Waiting> {
        let one = self.waiting.remove(at)?;
        self.freed = true;
        self.waiting_bytes -= one.frame.len();
        Some(one)
    }

    fn let_go(&mut self, running: &Running) {
        self.freed = true;
        self.tags.remove(&running.tag);
        if let Holds::Fids(fids) = running.holds {
            for fid in fids.into_iter().flatten() {
                self.held.remove(&fid);
            }
        }
    }

    fn blocked(&self, needs: &Needs) -> bool {
        needs.all().any(|fid| self.held.contains(&fid))
            || self.waiting.iter().any(|one| needs.conflicts(&one.needs))
    }
}
