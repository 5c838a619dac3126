//! Removing and renaming.

use crate::error::{Error, Result};
use crate::stat::Kind;
use crate::tree::{Answer, Tree};
use crate::wire::REMOVE_DIR;

use super::job::{Plain, Work};
use super::request::Holds;
use super::rights::nameable;
use super::{Effects, Session};

impl<T: Tree> Session<T> {
    /// Removes the file and gives up the fid, the latter also when the former fails (remove(5)).
    pub(super) fn remove(
        &mut self,
        tag: u16,
        number: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let fid = self.fid(number)?;
        let work = match self.allow_leave(fid) {
            Ok(()) => self.tree.remove(&fid.node, fid.user()),
            Err(error) => Answer::Now(Err(error)),
        };
        match work {
            Answer::Now(removed) => self.have_removed(tag, removed, number, fx),
            Answer::Later(work) => {
                self.park(tag, Holds::Fids([Some(number), None]), Work::Remove(work, number), fx);
                Ok(())
            }
        }
    }

    pub(super) fn have_removed(
        &mut self,
        tag: u16,
        removed: Result<()>,
        number: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        // What is gone need not be removed once more when it is closed.
        if removed.is_ok()
            && let Some(opened) = self.fids.get_mut(&number).and_then(|fid| fid.open.as_mut())
        {
            opened.remove = false;
        }
        self.give_up(tag, number, removed, Plain::Remove, fx)
    }

    /// Removes a name from a directory; the flag says that a directory is meant.
    pub(super) fn unlinkat(
        &mut self,
        tag: u16,
        number: u32,
        name: &[u8],
        flags: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        nameable(name)?;
        let fid = self.fid(number)?;
        self.allow_change(fid.user(), &fid.node)?;
        let node = self.tree.walk(&fid.node, name)?;
        let is_dir = self.tree.stat(&node)?.kind == Kind::Dir;
        match (is_dir, flags & REMOVE_DIR != 0) {
            (true, false) => return Err(Error::IsDir),
            (false, true) => return Err(Error::NotDir),
            (true, true) | (false, false) => {}
        }
        let work = self.tree.remove(&node, fid.user());
        self.settle(tag, [Some(number), None], work, Plain::Unlinkat, fx)
    }

    /// Moves the file of a fid into a directory.
    pub(super) fn rename(
        &mut self,
        tag: u16,
        number: u32,
        dir: u32,
        name: &[u8],
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        nameable(name)?;
        let (fid, to) = (self.fid(number)?, self.fid(dir)?);
        self.allow_leave(fid)?;
        self.allow_change(fid.user(), &to.node)?;
        let work = self.tree.rename(&fid.node, &to.node, name, fid.user());
        self.settle(tag, [Some(number), Some(dir)], work, Plain::Rename, fx)
    }

    /// Moves a name of a directory to a name of another, or of the same.
    pub(super) fn renameat(
        &mut self,
        tag: u16,
        (from, old): (u32, &[u8]),
        (to, new): (u32, &[u8]),
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        nameable(old)?;
        nameable(new)?;
        let (source, target) = (self.fid(from)?, self.fid(to)?);
        self.allow_change(source.user(), &source.node)?;
        self.allow_change(source.user(), &target.node)?;
        let node = self.tree.walk(&source.node, old)?;
        let work = self.tree.rename(&node, &target.node, new, source.user());
        self.settle(tag, [Some(from), Some(to)], work, Plain::Renameat, fx)
    }
}
