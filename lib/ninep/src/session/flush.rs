//! Tflush: a request is given up, or answered first when it cannot be (flush(5)).

use crate::error::Error;
use crate::tree::Tree;
use crate::wire::Rmsg;

use super::fid::{Opened, What};
use super::request::Flush;
use super::{Command, Effects, Session};

impl<T: Tree> Session<T> {
    /// The cases: a tag that is unknown, answered already, or the flush's own is fine; a request
    /// that waits for its turn was never begun; one whose work only finds something out loses it;
    /// one whose work changes something is answered first, and its flushes then.
    ///
    /// Law: who is told that a request is flushed and has had no answer to it may take it as
    /// never done.
    pub(super) fn flush(&mut self, tag: u16, oldtag: u16, fx: &mut Effects<T::Node>) {
        match self.requests.flush(tag, oldtag) {
            Flush::Later(fids) => {
                fids.into_iter().flatten().for_each(|fid| self.interrupt(fid));
                return;
            }
            Flush::TagInUse => return self.refuse(tag, &Error::TagInUse, fx),
            Flush::Nothing => {}
            Flush::Drop(ticket) => fx.commands.push(Command::Drop(ticket)),
        }
        self.reply(tag, &Rmsg::Flush {}, fx);
    }

    /// The peer sends nothing more: nobody wants what it has asked for.
    pub fn interrupt_all(&mut self) {
        self.requests.changing().into_iter().for_each(|fid| self.interrupt(fid));
    }

    fn interrupt(&mut self, fid: u32) {
        let opened = self.fids.get_mut(&fid).and_then(|fid| fid.open.as_mut());
        if let Some(Opened { what: What::File(open, _), .. }) = opened {
            open.interrupt();
        }
    }

    /// Answers the flushes of a request that has been answered; those of one that goes on with
    /// more work wait on.
    pub(super) fn flushed(&mut self, tag: u16, flushes: Vec<u16>, fx: &mut Effects<T::Node>) {
        for flush in self.requests.flushed(tag, flushes) {
            self.reply(flush, &Rmsg::Flush {}, fx);
        }
    }
}
