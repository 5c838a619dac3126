//! Giving up fids: Tclunk, Tremove, Tversion, a lost connection. Every open file is closed once.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::tree::{Answer, Tree};

use super::fid::{Fid, Opened, What};
use super::job::{Closing, Plain, Work};
use super::request::Holds;
use super::{Command, Effects, Job, Session};

impl<T: Tree> Session<T> {
    pub(super) fn clunk(&mut self, tag: u16, fid: u32, fx: &mut Effects<T::Node>) -> Result<()> {
        self.give_up(tag, fid, Ok(()), Plain::Clunk, fx)
    }

    /// Drops the fid, whatever comes of closing it. Reads of a *wait* file that still wait on it
    /// are answered first, as interrupted.
    pub(super) fn give_up(
        &mut self,
        tag: u16,
        number: u32,
        before: Result<()>,
        answer: Plain,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let fid = self.fids.remove(&number).ok_or(Error::UnknownFid)?;
        if let Some(Opened { what: What::File(_, Some(_)), .. }) = fid.open {
            for (ticket, read) in self.requests.take_streams(number) {
                fx.commands.push(Command::Drop(ticket));
                self.refuse(read, &Error::Interrupted, fx);
            }
        }
        match self.close(fid) {
            Answer::Now(closed) => self.have_done(tag, before.and(closed), answer, fx),
            Answer::Later(work) => {
                let closing = Closing { answer, before };
                let holds = Holds::Fids([Some(number), None]);
                self.park(tag, holds, Work::Close(work, closing), fx);
                Ok(())
            }
        }
    }

    /// Gives up everything, without answers.
    pub(super) fn reset(&mut self, fx: &mut Effects<T::Node>) {
        for ticket in self.requests.take_all() {
            fx.commands.push(Command::Drop(ticket));
        }
        for (_, fid) in std::mem::take(&mut self.fids) {
            if let Answer::Later(work) = self.close(fid) {
                let closing = Closing { answer: Plain::Clunk, before: Ok(()) };
                let ticket = self.requests.ticket();
                fx.commands.push(Command::Start(ticket, Job::new(Work::Close(work, closing))));
            }
        }
    }

    /// Closes what is open on the fid, and only then removes it if that was asked for.
    fn close(&self, fid: Fid<T::Node>) -> Answer<()> {
        let Some(Opened { what, remove, .. }) = fid.open else { return Answer::Now(Ok(())) };
        let closed = match what {
            What::Dir(_) => Answer::Now(Ok(())),
            What::File(mut open, _) => open.close(),
        };
        if !remove {
            return closed;
        }
        let (tree, node, who) = (Arc::clone(&self.tree), fid.node, fid.who);
        match closed {
            Answer::Now(closed) => match tree.remove(&node, &who.user) {
                Answer::Now(removed) => Answer::Now(closed.and(removed)),
                Answer::Later(work) => Answer::later(async move { closed.and(work.await) }),
            },
            Answer::Later(work) => Answer::later(async move {
                let closed = work.await;
                let work = match tree.remove(&node, &who.user) {
                    Answer::Now(removed) => return closed.and(removed),
                    Answer::Later(work) => work,
                };
                closed.and(work.await)
            }),
        }
    }
}
