//! Tcreate, Tlcreate and Tmkdir.

use crate::error::{Error, Result};
use crate::tree::{Answer, Created, How, NewFile, Tree};
use crate::wire::{Rmsg, dm, lo, om};

use super::fid::Opened;
use super::job::{Creating, OpenAnswer, Opening, Work};
use super::open::{Mode, mode_linux, mode_p9};
use super::request::Holds;
use super::rights::nameable;
use super::{Effects, Session};

impl<T: Tree> Session<T> {
    /// Makes a file or a directory, which `fid` then stands for, open. Permissions are those
    /// asked for as far as the directory has them too (open(5)).
    pub(super) fn create_p9(
        &mut self,
        tag: u16,
        fid: u32,
        name: &[u8],
        perm: u32,
        mode: u8,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let dir = perm & dm::DIR != 0;
        let opened = mode_p9(mode)?;
        if perm & !(dm::DIR | 0o777) != 0 || dir && mode & !om::CEXEC != om::READ {
            return Err(Error::BadMode);
        }
        nameable(name)?;
        let parent = self.unopened(fid)?;
        if self.tree.walk(&parent.node, name).is_ok() {
            return Err(Error::Exists);
        }
        let bits = self.tree.stat(&parent.node)?.mode;
        let mode =
            if dir { perm & (!0o777 | bits & 0o777) } else { perm & (!0o666 | bits & 0o666) };
        let new = NewFile { dir, mode: mode & 0o777, exclusive: true };
        self.create(tag, fid, name, new, opened, OpenAnswer::Create, fx)
    }

    /// Makes a file, or opens the one that is there unless it was to be a new one.
    pub(super) fn create_linux(
        &mut self,
        tag: u16,
        fid: u32,
        name: &[u8],
        flags: u32,
        mode: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let opened = mode_linux(flags)?;
        let exclusive = flags & lo::EXCL != 0;
        nameable(name)?;
        let parent = self.unopened(fid)?;
        match self.tree.walk(&parent.node, name) {
            Ok(_) if exclusive => Err(Error::Exists),
            Ok(file) => self.open(tag, fid, Some(file), opened, OpenAnswer::Lcreate, fx),
            Err(_) => {
                let new = NewFile { dir: false, mode: mode & 0o777, exclusive };
                self.create(tag, fid, name, new, opened, OpenAnswer::Lcreate, fx)
            }
        }
    }

    /// Makes a directory; no fid moves.
    pub(super) fn mkdir(
        &mut self,
        tag: u16,
        number: u32,
        name: &[u8],
        mode: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        nameable(name)?;
        let fid = self.fid(number)?;
        self.allow_change(fid.user(), &fid.node)?;
        if self.tree.walk(&fid.node, name).is_ok() {
            return Err(Error::Exists);
        }
        let new = NewFile { dir: true, mode: mode & 0o777, exclusive: true };
        let work = self.tree.create(&fid.node, name, new, How::default(), fid.user());
        self.settle_create(tag, number, work, Creating::Mkdir, fx)
    }

    #[expect(clippy::too_many_arguments, reason = "the message's fields, and the answer's kind")]
    fn create(
        &mut self,
        tag: u16,
        number: u32,
        name: &[u8],
        new: NewFile,
        mode: Mode,
        answer: OpenAnswer,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let fid = self.fid(number)?;
        self.allow_change(fid.user(), &fid.node)?;
        let Mode { how, remove, .. } = mode;
        let opening = Opening { fid: number, how, remove, qid: fid.qid, file: None, answer };
        let work = self.tree.create(&fid.node, name, new, how, fid.user());
        self.settle_create(tag, number, work, Creating::Open { opening, dir: new.dir }, fx)
    }

    fn settle_create(
        &mut self,
        tag: u16,
        fid: u32,
        work: Answer<Created<T::Node>>,
        creating: Creating<T::Node>,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        match work {
            Answer::Now(made) => self.created(tag, made?, creating, fx),
            Answer::Later(work) => {
                let holds = Holds::Fids([Some(fid), None]);
                self.park(tag, holds, Work::Create(work, creating), fx);
                Ok(())
            }
        }
    }

    pub(super) fn created(
        &mut self,
        tag: u16,
        (node, open): Created<T::Node>,
        creating: Creating<T::Node>,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let qid = self.tree.stat(&node)?.qid();
        let (opening, dir) = match creating {
            Creating::Mkdir => {
                self.reply(tag, &Rmsg::Mkdir { qid }, fx);
                return Ok(());
            }
            Creating::Open { opening, dir } => {
                (Opening { qid, file: Some(node.clone()), ..opening }, dir)
            }
        };
        match open {
            Some(open) => self.opened(tag, open, opening, fx),
            None if dir => self.opened_as(tag, Opened::dir(), opening, fx),
            None => {
                let user = self.fid(opening.fid)?.user();
                let work = self.tree.open(&node, opening.how, user);
                self.settle_open(tag, work, opening, fx)
            }
        }
    }

    fn unopened(&self, fid: u32) -> Result<&super::fid::Fid<T::Node>> {
        let fid = self.fid(fid)?;
        if fid.open.is_some() {
            Err(Error::BadUse)
        } else if !fid.is_dir() {
            Err(Error::NotDir)
        } else {
            Ok(fid)
        }
    }
}
