//! Which tags and fids are in use, and what each answer is for. No I/O and no lock in here.
//!
//! Tags are laid out so that giving something up never has to wait for a free one: request `t`
//! is flushed by tag `FLUSH + t`, fid `f` is clunked by tag `CLUNK + f`.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::ClientError;
use super::fid::Fid;
use super::message::{Answer, Expect, Reply};

/// Requests that can be outstanding on a connection; more of them wait for their turn.
pub(super) const REQUESTS_MAX: u16 = 128;

/// Fids that can be in use on a connection, the root's not counted.
pub(super) const FIDS_MAX: u32 = 4096;

/// The tag that flushes request 0.
const FLUSH: u16 = 0x1000;

/// The tag that clunks fid 0; `CLUNK + FIDS_MAX` is below NOTAG.
const CLUNK: u16 = 0x4000;

/// What an answer that is not an error does to the request's fid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// A complete walk to it: it is there from now on.
    Makes,
    /// Tclunk and Tremove: it is gone, whatever the answer says (clunk(5), remove(5)).
    Ends,
}

/// A request on its way.
pub(super) struct Slot {
    pub(super) expect: Expect,
    pub(super) effect: Effect,
    pub(super) fid: Arc<Fid>,
    pub(super) to: To,
}

/// Who is told.
pub(super) enum To {
    /// Somebody waits.
    Waiter(oneshot::Sender<Result<Reply, ClientError>>),
    /// Nobody any more, and Tflush is on its way; the answer may still come before its Rflush.
    Flushed {
        /// It did.
        answered: bool,
    },
}

/// A request's name for its owner: the tag is used again, the serial number is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    tag: u16,
    serial: u64,
}

impl Ticket {
    /// The tag, for as long as the request is on its way.
    pub(super) fn tag(self) -> u16 {
        self.tag
    }
}

/// Tags and fids of one connection.
pub(super) struct Table {
    slots: Vec<Option<(u64, Slot)>>,
    free: Vec<u16>,
    serial: u64,
    fids: u32,
    free_fids: Vec<u32>,
    clunking: HashSet<u32>,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..REQUESTS_MAX).map(|_| None).collect(),
            free: (0..REQUESTS_MAX).rev().collect(),
            serial: 0,
            fids: 0,
            free_fids: Vec::new(),
            clunking: HashSet::new(),
        }
    }

    /// A fid number that the server does not know; 0 is the root's.
    pub(super) fn take_fid(&mut self) -> Option<u32> {
        self.free_fids.pop().or_else(|| {
            let more = self.fids < FIDS_MAX;
            more.then(|| {
                self.fids += 1;
                self.fids
            })
        })
    }

    /// Takes back a fid number that the server never got to know.
    pub(super) fn free_fid(&mut self, fid: u32) {
        self.free_fids.push(fid);
    }

    /// The tag to clunk `fid` with; its number is free when that is answered.
    pub(super) fn clunk(&mut self, fid: u32) -> u16 {
        self.clunking.insert(fid);
        CLUNK + fid as u16
    }

    /// A tag for a request, if one is free.
    pub(super) fn start(&mut self, slot: Slot) -> Option<Ticket> {
        let tag = self.free.pop()?;
        self.serial += 1;
        self.slots[usize::from(tag)] = Some((self.serial, slot));
        Some(Ticket { tag, serial: self.serial })
    }

    /// The tag to flush a request with; none when it is answered already.
    pub(super) fn flush(&mut self, ticket: Ticket) -> Option<u16> {
        match self.slots[usize::from(ticket.tag)].as_mut() {
            Some((serial, slot)) if *serial == ticket.serial => {
                slot.to = To::Flushed { answered: false };
                Some(FLUSH + ticket.tag)
            }
            Some(_) | None => None,
        }
    }

    /// Takes an answer, and gives the request that it finished, which must not be dropped under
    /// a lock that its fid takes. An error says what the server did wrong.
    pub(super) fn answer(&mut self, answer: Answer<'_>) -> Result<Option<Slot>, String> {
        let tag = answer.tag;
        if tag >= CLUNK {
            return self.clunked(tag, &answer);
        }
        if tag >= FLUSH {
            return self.flushed(tag, &answer);
        }
        let place = self.slots.get_mut(usize::from(tag)).and_then(Option::as_mut);
        let Some((_, slot)) = place else { return Err(stray(tag)) };
        let reply = slot.expect.check(answer)?;
        match (slot.effect, &reply) {
            (Effect::Makes, Ok(Reply::Walk { whole: true, .. })) => slot.fid.made(),
            (Effect::Ends, _) => slot.fid.gone(),
            (Effect::Makes | Effect::None, _) => {}
        }
        match &mut slot.to {
            To::Flushed { answered: true } => Err(format!("tag {tag} was answered twice")),
            To::Flushed { answered } => {
                *answered = true;
                Ok(None)
            }
            To::Waiter(_) => {
                let mut done = self.finish(tag);
                if let Some(slot) = &mut done {
                    slot.tell(reply);
                }
                Ok(done)
            }
        }
    }

    /// Everything that is outstanding, when the connection is lost.
    pub(super) fn drain(&mut self) -> Vec<Slot> {
        self.slots.iter_mut().filter_map(Option::take).map(|(_, slot)| slot).collect()
    }

    fn finish(&mut self, tag: u16) -> Option<Slot> {
        self.free.push(tag);
        self.slots[usize::from(tag)].take().map(|(_, slot)| slot)
    }

    fn flushed(&mut self, tag: u16, answer: &Answer<'_>) -> Result<Option<Slot>, String> {
        let old = tag - FLUSH;
        let place = self.slots.get(usize::from(old)).and_then(Option::as_ref);
        match place {
            Some((_, Slot { to: To::Flushed { .. }, .. })) if answer.is_flush() => {
                Ok(self.finish(old))
            }
            Some((_, Slot { to: To::Flushed { .. }, .. })) => {
                Err("Tflush was not answered with Rflush".to_owned())
            }
            Some(_) | None => Err(stray(tag)),
        }
    }

    fn clunked(&mut self, tag: u16, answer: &Answer<'_>) -> Result<Option<Slot>, String> {
        let fid = u32::from(tag - CLUNK);
        if !self.clunking.remove(&fid) {
            return Err(stray(tag));
        }
        if !answer.is_clunk() {
            return Err("Tclunk was answered with neither Rclunk nor Rerror".to_owned());
        }
        self.free_fids.push(fid);
        Ok(None)
    }
}

impl Slot {
    /// Tells whoever waits; nobody may.
    pub(super) fn tell(&mut self, reply: Result<Reply, ClientError>) {
        let nobody = To::Flushed { answered: true };
        match std::mem::replace(&mut self.to, nobody) {
            To::Waiter(waiter) => drop(waiter.send(reply)),
            To::Flushed { .. } => {}
        }
    }
}

fn stray(tag: u16) -> String {
    format!("an answer with tag {tag}, which nothing asked for")
}
