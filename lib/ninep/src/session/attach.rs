//! Tversion and Tattach: which dialect, who, where.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::tree::{Answer, Tree};
use crate::user::User;
use crate::wire::{Dialect, NOFID, NONUNAME, Rmsg, VERSION_UNKNOWN};

use super::fid::{Fid, Identity};
use super::job::{Attaching, Work};
use super::request::Holds;
use super::{Effects, MSIZE_MIN, Session};

impl<T: Tree> Session<T> {
    /// Begins a new session on the connection: whatever was there is given up, without answers.
    pub(super) fn version(
        &mut self,
        tag: u16,
        msize: u32,
        version: &[u8],
        fx: &mut Effects<T::Node>,
    ) {
        self.reset(fx);
        (self.agreed, self.msize) = (None, MSIZE_MIN);
        let wanted = dialect(version);
        if let Some(wanted) = wanted {
            if msize < MSIZE_MIN {
                return self.refuse_in(wanted, tag, &Error::SmallMsize(msize, MSIZE_MIN), fx);
            }
            self.msize = msize.min(self.bounds.msize_max.max(MSIZE_MIN));
            self.agreed = Some(wanted);
        }
        let version = wanted.map_or(VERSION_UNKNOWN, Dialect::name).as_bytes();
        let msize = self.msize.min(msize);
        self.reply(tag, &Rmsg::Version { msize, version }, fx);
    }

    /// Makes `fid` stand for the root as the peer sees it. Several are fine, each with a user of
    /// its own: Linux sends one for each of its users.
    ///
    /// The peer is who the kernel says it is, whatever name it claims. Only root may speak for
    /// another user, by number.
    pub(super) fn attach(
        &mut self,
        tag: u16,
        fid: u32,
        afid: u32,
        aname: &[u8],
        uid: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        self.free_fid(fid)?;
        if afid != NOFID {
            return Err(Error::UnknownFid);
        }
        let attaching = Attaching { fid, aname: aname.to_vec() };
        if self.peer.uid != 0 || matches!(uid, 0 | NONUNAME) {
            let user = self.peer.clone();
            return self.attached(tag, user, &attaching, fx);
        }
        match (self.who)(uid) {
            Answer::Now(user) => self.attached(tag, user?, &attaching, fx),
            Answer::Later(work) => {
                let holds = Holds::Fids([Some(fid), None]);
                self.park(tag, holds, Work::User(work, attaching), fx);
                Ok(())
            }
        }
    }

    pub(super) fn attached(
        &mut self,
        tag: u16,
        mut user: User,
        attaching: &Attaching,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        user.connection = self.peer.connection;
        let node = self.tree.attach(&user, &attaching.aname)?;
        let qid = self.tree.stat(&node)?.qid();
        let who = Arc::new(Identity { user, root: qid.path });
        self.fids.insert(attaching.fid, Fid { node, qid, who, open: None });
        self.reply(tag, &Rmsg::Attach { qid }, fx);
        Ok(())
    }
}

/// The dialect a client means: `9P2000.L` by its name, `9P2000` also with an extension nobody
/// here knows (version(5): the part before the first period counts).
fn dialect(version: &[u8]) -> Option<Dialect> {
    let plain = Dialect::P9.name().as_bytes();
    if version == Dialect::Linux.name().as_bytes() {
        Some(Dialect::Linux)
    } else {
        match version.strip_prefix(plain) {
            Some([] | [b'.', ..]) => Some(Dialect::P9),
            Some(_) | None => None,
        }
    }
}
