//! What a file is like, and changing that: stat(5) in 9P2000, attributes in 9P2000.L.

use crate::error::{Error, Result};
use crate::stat::{Kind, Stat};
use crate::tree::Tree;
use crate::user::{Access, User};
use crate::wire::{Attr, GetAttrMask, Lock, NewAttr, Record, Rmsg, SetAttrMask, StatFs, Wrapped};

use super::fid::What;
use super::job::Plain;
use super::rights::{NAME_BYTES_MAX, nameable};
use super::{Effects, Session};

/// `S_IFDIR` and `S_IFREG` of stat(2).
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;

/// The magic number that says FUSE. GNU `tail -f` takes 9p for a local file system and waits for
/// inotify, which sees nothing of what a server does; a file system it knows as remote it polls.
const FUSE_MAGIC: u32 = 0x6573_5546;

/// `st_blksize`, in bytes; what a program's buffer should be.
const BLOCK_BYTES: u32 = 4096;

impl<T: Tree> Session<T> {
    pub(super) fn stat(&self, tag: u16, fid: u32, fx: &mut Effects<T::Node>) -> Result<()> {
        let stat = self.tree.stat(&self.fid(fid)?.node)?;
        self.reply(tag, &Rmsg::Stat { stat: Wrapped(stat.record()) }, fx);
        Ok(())
    }

    pub(super) fn getattr(&self, tag: u16, fid: u32, fx: &mut Effects<T::Node>) -> Result<()> {
        let stat = self.tree.stat(&self.fid(fid)?.node)?;
        self.reply(tag, &Rmsg::Getattr { attr: attr(&stat) }, fx);
        Ok(())
    }

    /// Changes what the record does not leave alone: all of it or nothing. A record that leaves
    /// everything alone asks for what was written to be safe (stat(5)), which it is.
    pub(super) fn wstat(
        &mut self,
        tag: u16,
        number: u32,
        new: &Record<'_>,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let fid = self.fid(number)?;
        let stat = self.tree.stat(&fid.node)?;
        let now = stat.record();
        let untouched = Record::UNTOUCHED;
        let same = |new: &[u8], now: &[u8]| new.is_empty() || new == now;
        let mode = new.mode == untouched.mode || new.mode == now.mode;
        if !mode || !same(new.uid, now.uid) || !same(new.gid, now.gid) {
            return Err(Error::PermissionDenied);
        }
        if new.mtime != untouched.mtime || new.atime != untouched.atime {
            allow_times(fid.user(), &stat)?;
        }
        let rename = !same(new.name, now.name);
        let size = Some(new.length).filter(|&l| l != untouched.length && l != now.length);
        match (rename, size) {
            (true, Some(_)) => Err(Error::invalid("rename and truncate one after the other")),
            (true, None) => {
                nameable(new.name)?;
                self.allow_leave(fid)?;
                let dir = self.tree.parent(&fid.node);
                let work = self.tree.rename(&fid.node, &dir, new.name, fid.user());
                self.settle(tag, [Some(number), None], work, Plain::Wstat, fx)
            }
            (false, Some(size)) => self.truncate(tag, number, size, Plain::Wstat, fx),
            (false, None) => self.have_done(tag, Ok(()), Plain::Wstat, fx),
        }
    }

    /// Times are accepted and not kept: what changes a file here is a deploy. Modes and owners
    /// are the tree's; asking for what they are is fine.
    pub(super) fn setattr(
        &mut self,
        tag: u16,
        number: u32,
        new: &NewAttr,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let fid = self.fid(number)?;
        let stat = self.tree.stat(&fid.node)?;
        let wants = |bits: SetAttrMask| new.valid & bits.bits() != 0;
        if wants(SetAttrMask::MODE) && new.mode & 0o7777 != stat.mode & 0o777
            || wants(SetAttrMask::UID) && new.uid != stat.uid
            || wants(SetAttrMask::GID) && new.gid != stat.gid
        {
            return Err(Error::PermissionDenied);
        }
        let open_to_write = fid.open.as_ref().is_some_and(|opened| opened.write);
        if wants(SetAttrMask::ATIME | SetAttrMask::MTIME) && !open_to_write {
            allow_times(fid.user(), &stat)?;
        }
        if wants(SetAttrMask::SIZE) {
            self.truncate(tag, number, new.size, Plain::Setattr, fx)
        } else {
            self.have_done(tag, Ok(()), Plain::Setattr, fx)
        }
    }

    fn truncate(
        &mut self,
        tag: u16,
        number: u32,
        length: u64,
        answer: Plain,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        if self.fid(number)?.is_dir() {
            return Err(Error::IsDir);
        }
        if let Ok(What::File(open, _)) = self.opened_for(number, |opened| opened.write) {
            let done = open.truncate(length);
            return self.have_done(tag, done, answer, fx);
        }
        let fid = self.fid(number)?;
        Self::allow(fid.user(), &self.tree.stat(&fid.node)?, Access::Write)?;
        let work = self.tree.truncate(&fid.node, length, fid.user());
        self.settle(tag, [Some(number), None], work, answer, fx)
    }

    pub(super) fn statfs(&self, tag: u16, fid: u32, fx: &mut Effects<T::Node>) -> Result<()> {
        self.fid(fid)?;
        let namelen = NAME_BYTES_MAX as u32;
        let statfs = StatFs { kind: FUSE_MAGIC, bsize: BLOCK_BYTES, namelen, ..StatFs::default() };
        self.reply(tag, &Rmsg::Statfs { statfs }, fx);
        Ok(())
    }

    /// What was written has been written.
    pub(super) fn fsync(&self, tag: u16, fid: u32, fx: &mut Effects<T::Node>) -> Result<()> {
        self.fid(fid)?;
        self.reply(tag, &Rmsg::Fsync {}, fx);
        Ok(())
    }

    /// Locks of Linux programs are between programs of that machine, which Linux sees to itself;
    /// what is locked against everybody is a file of exclusive use.
    pub(super) fn lock(&mut self, tag: u16, fid: u32, fx: &mut Effects<T::Node>) -> Result<()> {
        self.opened_for(fid, |_| true)?;
        let status = rs9p::LockStatus::SUCCESS.bits();
        self.reply(tag, &Rmsg::Lock { status }, fx);
        Ok(())
    }

    pub(super) fn getlock(
        &mut self,
        tag: u16,
        fid: u32,
        lock: Lock<'_>,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        self.opened_for(fid, |_| true)?;
        let kind = rs9p::LockType::UNLOCK.bits();
        self.reply(tag, &Rmsg::Getlock { kind, lock }, fx);
        Ok(())
    }
}

/// Refuses times from somebody who neither owns the file nor may write it (utimensat(2)).
fn allow_times(user: &User, stat: &Stat) -> Result<()> {
    let may = user.uid == stat.uid || user.may(stat, Access::Write);
    if may { Ok(()) } else { Err(Error::PermissionDenied) }
}

fn attr(stat: &Stat) -> Attr {
    let (kind, nlink) = match stat.kind {
        Kind::Dir => (S_IFDIR, 2),
        Kind::File | Kind::Append | Kind::Exclusive => (S_IFREG, 1),
    };
    let seconds = u64::from(stat.mtime);
    Attr {
        valid: GetAttrMask::BASIC.bits(),
        qid: stat.qid(),
        mode: kind | stat.mode & 0o777,
        uid: stat.uid,
        gid: stat.gid,
        nlink,
        size: stat.length,
        blksize: BLOCK_BYTES.into(),
        blocks: stat.length.div_ceil(512),
        atime_sec: seconds,
        mtime_sec: seconds,
        ctime_sec: seconds,
        ..Attr::default()
    }
}
