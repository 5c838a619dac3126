//! Requests whose work takes time: how they are put aside, and how they go on.

use crate::error::Result;
use crate::tree::{Answer, Tree};

use super::job::{Done, Plain, Work};
use super::request::{Fids, Holds, Running};
use super::{Command, Effects, Job, Outcome, Session};

impl<T: Tree> Session<T> {
    /// Starts a job that the request `tag` waits for.
    pub(super) fn park(
        &mut self,
        tag: u16,
        holds: Holds,
        work: Work<T::Node>,
        fx: &mut Effects<T::Node>,
    ) {
        let running = Running { tag, holds, must_end: work.changes(), flushes: Vec::new() };
        let ticket = self.requests.start(running);
        fx.commands.push(Command::Start(ticket, Job::new(work)));
    }

    /// Goes on with a request whose job has ended.
    pub(super) fn go_on(
        &mut self,
        tag: u16,
        outcome: Outcome<T::Node>,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        match outcome.0 {
            Done::User(user, then) => self.attached(tag, user?, &then, fx),
            Done::Open(open, then) => self.opened(tag, open?, then, fx),
            Done::Create(made, then) => self.created(tag, made?, then, fx),
            Done::Read(data, then) => self.have_read(tag, &data?, then, fx),
            Done::Write(count, most) => self.have_written(tag, count?, most, fx),
            Done::Plain(done, then) => self.have_done(tag, done, then, fx),
            Done::Remove(removed, fid) => self.have_removed(tag, removed, fid, fx),
            Done::Close(closed, then) => {
                self.have_done(tag, then.before.and(closed), then.answer, fx)
            }
        }
    }

    pub(super) fn have_done(
        &mut self,
        tag: u16,
        done: Result<()>,
        answer: Plain,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        done?;
        self.reply(tag, &answer.message(), fx);
        Ok(())
    }

    /// Answers a request whose work gives no more than that it is done, now or later.
    pub(super) fn settle(
        &mut self,
        tag: u16,
        fids: Fids,
        work: Answer<()>,
        answer: Plain,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        match work {
            Answer::Now(done) => self.have_done(tag, done, answer, fx),
            Answer::Later(work) => {
                self.park(tag, Holds::Fids(fids), Work::Plain(work, answer), fx);
                Ok(())
            }
        }
    }
}
