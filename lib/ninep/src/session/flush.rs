//! Tflush: a request is given up, and the answer comes at once, always (flush(5)).

use crate::tree::Tree;
use crate::wire::Rmsg;

use super::request::{Flushed, Found};
use super::{Command, Effects, Session};

impl<T: Tree> Session<T> {
    /// Never an error. The cases: a tag that is unknown, answered already, or the flush's own is
    /// fine; a request that waits for its turn was never begun; one whose work runs loses it; one
    /// that cannot be taken back is answered first.
    pub(super) fn flush(&mut self, tag: u16, oldtag: u16, fx: &mut Effects<T::Node>) {
        match self.requests.take(oldtag) {
            Found::Nothing | Found::Waiting => {}
            Found::Running(ticket, running) => match running.flushed {
                Flushed::Dropped => fx.commands.push(Command::Drop(ticket)),
                Flushed::Answered(plain) => self.reply(oldtag, &plain.message(), fx),
            },
        }
        self.reply(tag, &Rmsg::Flush {}, fx);
    }
}
