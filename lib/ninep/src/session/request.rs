//! Requests without an answer yet: those whose work runs, and those that wait for their turn.

use std::collections::{HashMap, HashSet, VecDeque};

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::wire::Tmsg;

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
    /// It changes something: no flush and no lost connection ends it.
    pub(super) must_end: bool,
    /// The tags of the flushes that are answered after it.
    pub(super) flushes: Vec<u16>,
}

/// What a running request keeps others from.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// Its fids.
    Fids(Fids),
    /// Nothing: it reads a *wait* file on this fid and is given up with it.
    Stream(u32),
}

impl Holds {
    fn fids(self) -> Fids {
        match self {
            Self::Fids(fids) => fids,
            Self::Stream(_) => [None, None],
        }
    }
}

struct Waiting {
    tag: u16,
    /// The fid it gives up.
    frees: Option<u32>,
    needs: Needs,
    /// Wiped when it is done: it may be a write that nobody else is to see.
    frame: Zeroizing<Vec<u8>>,
}

enum Place {
    Running(Ticket),
    Waiting,
    /// A flush of what runs under this ticket.
    Flush(Ticket),
}

/// What comes of a flush.
pub(super) enum Flush {
    /// Nothing runs: it is to be answered.
    Nothing,
    /// This job is to be dropped, and the flush answered.
    Drop(Ticket),
    /// It is answered after what it flushes, which holds these fids.
    Later(Fids),
    TagInUse,
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
        let frees = if let Tmsg::Clunk { fid } | Tmsg::Remove { fid } = *message {
            Some(fid)
        } else {
            None
        };
        if full && frees.is_none() {
            return Err(Error::TooMany("too many requests on this connection"));
        }
        let needs = Needs::of(message);
        if !self.blocked(&needs) {
            return Ok(true);
        }
        // A fid whose clunk is refused is the client's no more, and would be ours for ever. One
        // that waits already gives it up.
        let once = frees.is_some() && self.waiting.iter().all(|one| one.frees != frees);
        let long = self.waiting_bytes + frame.len() > bounds.waiting_bytes_max;
        if (full || long) && !once {
            return Err(Error::TooMany("too many requests waiting for their turn"));
        }
        self.waiting_bytes += frame.len();
        self.waiting.push_back(Waiting { tag, frees, needs, frame: frame.to_vec().into() });
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

    /// The request whose job has ended; none if nobody waits for it any more.
    pub(super) fn ended(&mut self, ticket: Ticket) -> Option<Running> {
        let running = self.running.remove(&ticket)?;
        self.let_go(&running);
        Some(running)
    }

    /// Takes out what is under a tag, if it can be taken back.
    pub(super) fn flush(&mut self, tag: u16, oldtag: u16) -> Flush {
        let ticket = match self.tags.get(&oldtag) {
            None => return Flush::Nothing,
            Some(Place::Waiting) => {
                self.tags.remove(&oldtag);
                if let Some(at) = self.waiting.iter().position(|one| one.tag == oldtag) {
                    self.unqueue(at);
                }
                return Flush::Nothing;
            }
            // A flush is flushed by being answered.
            Some(Place::Running(ticket) | Place::Flush(ticket)) => *ticket,
        };
        if let Some(running) = self.running.get_mut(&ticket).filter(|one| one.must_end) {
            // That tags are free is what bounds the flushes that wait.
            if self.tags.contains_key(&tag) {
                return Flush::TagInUse;
            }
            running.flushes.push(tag);
            let fids = running.holds.fids();
            self.tags.insert(tag, Place::Flush(ticket));
            return Flush::Later(fids);
        }
        let Some(running) = self.running.remove(&ticket) else { return Flush::Nothing };
        self.let_go(&running);
        Flush::Drop(ticket)
    }

    /// Gives the flushes that are to be answered now that their request `tag` has been, and frees
    /// their tags. If it runs on, none is.
    pub(super) fn flushed(&mut self, tag: u16, flushes: Vec<u16>) -> Vec<u16> {
        if let Some(&Place::Running(ticket)) = self.tags.get(&tag)
            && let Some(running) = self.running.get_mut(&ticket)
        {
            self.tags.extend(flushes.iter().map(|&flush| (flush, Place::Flush(ticket))));
            running.flushes = flushes;
            return Vec::new();
        }
        for flush in &flushes {
            self.tags.remove(flush);
        }
        flushes
    }

    /// The fids of what runs and changes something.
    pub(super) fn changing(&self) -> Vec<u32> {
        let changing = self.running.values().filter(|one| one.must_end);
        changing.flat_map(|one| one.holds.fids()).flatten().collect()
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
        let dropped = |one: &Running| !one.must_end;
        running.into_iter().filter(|(_, one)| dropped(one)).map(|(ticket, _)| ticket).collect()
    }

    /// Takes out the first waiting request whose turn has come.
    pub(super) fn next_free(&mut self) -> Option<Zeroizing<Vec<u8>>> {
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
