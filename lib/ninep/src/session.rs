//! What one connection may do: a machine without sockets and without a clock.
//!
//! Messages go in, answers and commands come out (`Effects`). What a tree answers `Later` becomes
//! a job that the caller runs and whose outcome it brings back.
//!
//! Order is kept where it matters: a request that takes time holds its fids, and a later request
//! for one of them waits for its turn, so that walk, open, read and clunk may be sent back to
//! back. Tflush, Tversion and requests for other fids go on. Reads of *wait* files hold nothing.

mod attach;
mod attr;
mod change;
mod close;
mod create;
mod dir;
mod fid;
mod flush;
mod io;
mod job;
mod later;
mod open;
mod request;
mod rights;
#[cfg(test)]
mod test;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::tree::{Answer, Tree};
use crate::user::User;
use crate::wire::{Dialect, NOFID, READ_HEADER_BYTES, Rmsg, Tmsg, tag_of, type_of};

use fid::{Fid, Opened};
pub use job::{Job, Outcome};
use request::{Requests, Running};

/// The smallest msize agreed on, in bytes: what plan9port's programs ask for.
pub const MSIZE_MIN: u32 = 8 * 1024;

/// The largest msize agreed on unless a server says otherwise, in bytes: 128 KiB of data and
/// the header Linux reckons with.
pub const MSIZE_MAX: u32 = 128 * 1024 + crate::wire::IO_HEADER_BYTES;

/// The longest error text sent, in bytes: a text is a line, not a report.
const ENAME_BYTES_MAX: usize = 1024;

/// How much one connection is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The largest message agreed on, in bytes.
    pub msize_max: u32,
    /// Fids.
    pub fids_max: usize,
    /// Requests without an answer yet.
    pub requests_max: usize,
    /// Bytes of requests that wait for their turn.
    pub waiting_bytes_max: usize,
}

impl Default for Bounds {
    /// Linux takes a fid for each file and directory it remembers, so that what walks a whole
    /// tree of some hundred services has some thousand; a user may have many connections, each
    /// with as many. A thousand blocked readers on one mount are to be expected of nobody, four
    /// times as many are refused.
    fn default() -> Self {
        Self {
            msize_max: MSIZE_MAX,
            fids_max: 4_096,
            requests_max: 4_096,
            waiting_bytes_max: 4 << 20,
        }
    }
}

/// Finds the user of a uid that root speaks for. The peer has been believed by then.
pub type Who = Arc<dyn Fn(u32) -> Answer<User> + Send + Sync>;

/// Names a job within its session.
pub type Ticket = u64;

/// What the caller is to do.
pub enum Command<N> {
    /// Run the job and bring its outcome to `Session::complete`.
    Start(Ticket, Job<N>),
    /// Drop the job: nobody wants its outcome.
    Drop(Ticket),
}

/// What comes of a message or an outcome.
pub struct Effects<N> {
    /// Whole messages for the peer, one after the other.
    pub replies: Vec<u8>,
    /// What is to be done, in order.
    pub commands: Vec<Command<N>>,
    /// Something was written that nobody else is to see, or went to nobody knows where: the caller
    /// wipes the message.
    pub wipe: bool,
}

impl<N> Default for Effects<N> {
    fn default() -> Self {
        Self { replies: Vec::new(), commands: Vec::new(), wipe: false }
    }
}

/// One connection's state.
pub struct Session<T: Tree> {
    tree: Arc<T>,
    peer: User,
    who: Who,
    bounds: Bounds,
    agreed: Option<Dialect>,
    msize: u32,
    fids: HashMap<u32, Fid<T::Node>>,
    requests: Requests,
    /// The data of a directory read while it is put together; kept for its room.
    listing: Vec<u8>,
}

impl<T: Tree> Session<T> {
    /// A session of `peer`, before Tversion.
    pub fn new(tree: Arc<T>, peer: User, who: Who, bounds: Bounds) -> Self {
        Self {
            tree,
            peer,
            who,
            bounds,
            agreed: None,
            msize: MSIZE_MIN,
            fids: HashMap::new(),
            requests: Requests::default(),
            listing: Vec::new(),
        }
    }

    /// The dialect agreed on, if one is.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.agreed
    }

    /// The largest message there may be, in bytes.
    #[must_use]
    pub fn msize(&self) -> u32 {
        self.msize
    }

    /// A whole frame has arrived; its size has been checked.
    pub fn message(&mut self, frame: &[u8], fx: &mut Effects<T::Node>) {
        let tag = tag_of(frame);
        let version = type_of(frame) == 100;
        let Some(dialect) = self.agreed.or(version.then_some(Dialect::P9)) else {
            return self.refuse(tag, &Error::NoVersion, fx);
        };
        match Tmsg::decode(frame, dialect) {
            Ok((_, Tmsg::Version { msize, version })) => self.version(tag, msize, version, fx),
            Ok((_, Tmsg::Flush { oldtag })) => self.flush(tag, oldtag, fx),
            Ok((_, message)) => self.arrived(tag, &message, frame, fx),
            Err(error) => self.refuse(tag, &error.into(), fx),
        }
    }

    /// A job has ended.
    pub fn complete(
        &mut self,
        ticket: Ticket,
        outcome: Outcome<T::Node>,
        fx: &mut Effects<T::Node>,
    ) {
        let Some(Running { tag, flushes, .. }) = self.requests.ended(ticket) else {
            if let Some(job) = outcome.leave() {
                fx.commands.push(Command::Start(self.requests.ticket(), job));
            }
            return;
        };
        if let Err(error) = self.go_on(tag, outcome, fx) {
            self.refuse(tag, &error, fx);
        }
        self.flushed(tag, flushes, fx);
    }

    /// Performs one request that has waited and whose turn has come; false when there is none.
    /// To be called after every message and every outcome until it is. One at a time, for many
    /// short requests can have long answers.
    pub fn turn(&mut self, fx: &mut Effects<T::Node>) -> bool {
        let Some(frame) = self.requests.next_free() else { return false };
        match Tmsg::decode(&frame, self.agreed.unwrap_or(Dialect::P9)) {
            Ok((tag, message)) => self.perform(tag, &message, fx),
            Err(error) => self.refuse(tag_of(&frame), &error.into(), fx),
        }
        true
    }

    /// The connection is lost: what is open is closed. The caller drops every job but those that
    /// must end, and sees to what their outcomes leave.
    pub fn end(&mut self, fx: &mut Effects<T::Node>) {
        self.reset(fx);
    }

    fn arrived(&mut self, tag: u16, message: &Tmsg<'_>, frame: &[u8], fx: &mut Effects<T::Node>) {
        if self.requests.is_empty() {
            return self.perform(tag, message, fx);
        }
        match self.requests.admit(tag, message, frame, &self.bounds) {
            Ok(true) => return self.perform(tag, message, fx),
            Ok(false) => {}
            Err(error) => self.refuse(tag, &error, fx),
        }
        // What waits is a copy, and of which file it is shows only then.
        fx.wipe |= matches!(message, Tmsg::Write { .. });
    }

    /// Whether a message has data in it that is not to be shown: written to a sealed file, or to
    /// nobody knows what.
    pub fn hides(&self, frame: &[u8]) -> bool {
        match Tmsg::decode(frame, self.agreed.unwrap_or(Dialect::P9)) {
            Ok((_, Tmsg::Write { fid, .. })) => {
                let open = self.fids.get(&fid).and_then(|fid| fid.open.as_ref());
                open.is_none_or(Opened::sealed)
            }
            Ok(_) | Err(_) => false,
        }
    }

    fn perform(&mut self, tag: u16, message: &Tmsg<'_>, fx: &mut Effects<T::Node>) {
        if let Err(error) = self.ask(tag, message, fx) {
            fx.wipe |= matches!(message, Tmsg::Write { .. });
            self.refuse(tag, &error, fx);
        }
    }

    fn ask(&mut self, tag: u16, message: &Tmsg<'_>, fx: &mut Effects<T::Node>) -> Result<()> {
        match *message {
            Tmsg::Version { .. } | Tmsg::Flush { .. } => Ok(()),
            Tmsg::Auth { .. } => Err(Error::NoAuth),
            Tmsg::Attach { fid, afid, aname, n_uname, .. } => {
                self.attach(tag, fid, afid, aname, n_uname.0, fx)
            }
            Tmsg::Walk { fid, newfid, names } => self.walk(tag, fid, newfid, &names, fx),
            Tmsg::Open { fid, mode } => self.open_p9(tag, fid, mode, fx),
            Tmsg::Lopen { fid, flags } => self.open_linux(tag, fid, flags, fx),
            Tmsg::Create { fid, name, perm, mode } => {
                self.create_p9(tag, fid, name, perm, mode, fx)
            }
            Tmsg::Lcreate { fid, name, flags, mode, .. } => {
                self.create_linux(tag, fid, name, flags, mode, fx)
            }
            Tmsg::Mkdir { dfid, name, mode, .. } => self.mkdir(tag, dfid, name, mode, fx),
            Tmsg::Read { fid, offset, count } => self.read(tag, fid, offset, count, fx),
            Tmsg::Write { fid, offset, data } => self.write(tag, fid, offset, data.0, fx),
            Tmsg::Readdir { fid, offset, count } => self.readdir(tag, fid, offset, count, fx),
            Tmsg::Clunk { fid } => self.clunk(tag, fid, fx),
            Tmsg::Remove { fid } => self.remove(tag, fid, fx),
            Tmsg::Unlinkat { dirfid, name, flags } => self.unlinkat(tag, dirfid, name, flags, fx),
            Tmsg::Rename { fid, dfid, name } => self.rename(tag, fid, dfid, name, fx),
            Tmsg::Renameat { olddirfid, oldname, newdirfid, newname } => {
                self.renameat(tag, (olddirfid, oldname), (newdirfid, newname), fx)
            }
            Tmsg::Stat { fid } => self.stat(tag, fid, fx),
            Tmsg::Getattr { fid, .. } => self.getattr(tag, fid, fx),
            Tmsg::Wstat { fid, stat } => self.wstat(tag, fid, &stat.0, fx),
            Tmsg::Setattr { fid, attr } => self.setattr(tag, fid, &attr, fx),
            Tmsg::Statfs { fid } => self.statfs(tag, fid, fx),
            Tmsg::Fsync { fid, .. } => self.fsync(tag, fid, fx),
            Tmsg::Lock { fid, .. } => self.lock(tag, fid, fx),
            Tmsg::Getlock { fid, lock, .. } => self.getlock(tag, fid, lock, fx),
            // A client that asks for an attribute of a file that is not there hears that first.
            Tmsg::Xattrwalk { fid, .. } | Tmsg::Xattrcreate { fid, .. } => {
                self.fid(fid).and(Err(Error::NotSupported))
            }
            Tmsg::Symlink { .. }
            | Tmsg::Mknod { .. }
            | Tmsg::Readlink { .. }
            | Tmsg::Link { .. } => Err(Error::NotSupported),
        }
    }

    /// The fid, which must be there.
    fn fid(&self, fid: u32) -> Result<&Fid<T::Node>> {
        self.fids.get(&fid).ok_or(Error::UnknownFid)
    }

    /// Refuses a fid that cannot be made now.
    fn free_fid(&self, fid: u32) -> Result<()> {
        if fid == NOFID {
            Err(Error::UnknownFid)
        } else if self.fids.contains_key(&fid) {
            Err(Error::FidInUse)
        } else if self.fids.len() >= self.bounds.fids_max {
            Err(Error::TooMany("too many fids on this connection"))
        } else {
            Ok(())
        }
    }

    /// The most data one read may be answered with, in bytes.
    fn data_max(&self, count: u32) -> u32 {
        count.min(self.msize - READ_HEADER_BYTES)
    }

    /// Answers, unless the answer is larger than the peer can take: then that is said.
    fn reply(&self, tag: u16, message: &Rmsg<'_>, fx: &mut Effects<T::Node>) {
        let start = fx.replies.len();
        message.encode(tag, self.agreed.unwrap_or(Dialect::P9), &mut fx.replies);
        if fx.replies.len() - start > self.msize as usize {
            fx.replies.truncate(start);
            self.refuse(tag, &Error::TooLarge, fx);
        }
    }

    fn refuse(&self, tag: u16, error: &Error, fx: &mut Effects<T::Node>) {
        self.refuse_in(self.agreed.unwrap_or(Dialect::P9), tag, error, fx);
    }

    fn refuse_in(&self, dialect: Dialect, tag: u16, error: &Error, fx: &mut Effects<T::Node>) {
        match dialect {
            Dialect::P9 => {
                let text = error.to_string();
                let ename = &text.as_bytes()[..text.floor_char_boundary(ENAME_BYTES_MAX)];
                Rmsg::Error { ename }.encode(tag, dialect, &mut fx.replies);
            }
            Dialect::Linux => {
                let errno = error.errno();
                Rmsg::Lerror { errno }.encode(tag, dialect, &mut fx.replies);
            }
        }
    }
}
