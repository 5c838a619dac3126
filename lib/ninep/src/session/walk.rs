//! Twalk (walk(5)).

use crate::error::{Error, Result};
use crate::tree::Tree;
use crate::user::Access;
use crate::wire::{Dialect, Names, QIdType, Qid, Qids, Rmsg};

use super::fid::{Fid, Identity};
use super::rights::walkable;
use super::{Effects, Session};

impl<T: Tree> Session<T> {
    /// Makes `newfid` stand for what `names` lead to from `fid`. When a name after the first
    /// fails, the qids up to it are the answer and `newfid` is not made.
    pub(super) fn walk(
        &mut self,
        tag: u16,
        fid: u32,
        newfid: u32,
        names: &Names<'_>,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let from = self.fid(fid)?;
        // Linux walks from directories it has open; the protocol's page forbids it.
        let open = from.open.is_some();
        if open && (newfid == fid || self.agreed == Some(Dialect::P9)) {
            return Err(Error::BadUse);
        }
        if newfid != fid {
            self.free_fid(newfid)?;
        }
        let who = from.who.clone();
        let mut at = (from.node.clone(), from.qid);
        let mut qids = Qids::default();
        for name in names.as_slice() {
            match self.step(&at, name, &who) {
                Ok(next) => at = next,
                Err(error) if qids.as_slice().is_empty() => return Err(error),
                Err(_) => break,
            }
            qids.push(at.1);
        }
        if qids.as_slice().len() == names.as_slice().len() {
            let (node, qid) = at;
            self.fids.insert(newfid, Fid { node, qid, who, open: None });
        }
        self.reply(tag, &Rmsg::Walk { qids }, fx);
        Ok(())
    }

    fn step(
        &self,
        (at, qid): &(T::Node, Qid),
        name: &[u8],
        who: &Identity,
    ) -> Result<(T::Node, Qid)> {
        if qid.kind & QIdType::DIR.bits() == 0 {
            return Err(Error::NotDir);
        }
        if who.user.uid != 0 {
            Self::allow(&who.user, &self.tree.stat(at)?, Access::Execute)?;
        }
        let next = if name == b".." {
            // Nobody leaves the subtree they attached to.
            if qid.path == who.root { at.clone() } else { self.tree.parent(at) }
        } else if name == b"." && self.agreed == Some(Dialect::Linux) {
            // Treaddir gives it, so diod's programs walk to it; 9P2000 has no such name.
            at.clone()
        } else if walkable(name) {
            self.tree.walk(at, name)?
        } else {
            return Err(Error::NotFound);
        };
        let qid = self.tree.stat(&next)?.qid();
        Ok((next, qid))
    }
}
