//! Topen and Tlopen (open(5)).

use crate::error::{Error, Result};
use crate::stat::Kind;
use crate::tree::{Answer, How, Open, Tree};
use crate::wire::{Rmsg, lo, om};

use super::fid::{Opened, Stream, What};
use super::job::{OpenAnswer, Opening, Work};
use super::request::Holds;
use super::{Effects, Session};

/// An open mode, whichever dialect it came in.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) how: How,
    /// It is to be executed: another right than reading.
    pub(super) execute: bool,
    /// It is to be removed when it is closed.
    pub(super) remove: bool,
    /// It must be a directory.
    pub(super) dir: bool,
}

impl<T: Tree> Session<T> {
    pub(super) fn open_p9(
        &mut self,
        tag: u16,
        fid: u32,
        mode: u8,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        self.open(tag, fid, None, mode_p9(mode)?, OpenAnswer::Open, fx)
    }

    pub(super) fn open_linux(
        &mut self,
        tag: u16,
        fid: u32,
        flags: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        self.open(tag, fid, None, mode_linux(flags)?, OpenAnswer::Lopen, fx)
    }

    /// Opens the file of the fid, or `file` in the directory of the fid, which stands for it once
    /// it is open.
    pub(super) fn open(
        &mut self,
        tag: u16,
        number: u32,
        file: Option<T::Node>,
        mode: Mode,
        answer: OpenAnswer,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let fid = self.fid(number)?;
        if fid.open.is_some() {
            return Err(Error::BadUse);
        }
        let stat = self.tree.stat(file.as_ref().unwrap_or(&fid.node))?;
        let is_dir = stat.kind == Kind::Dir;
        if mode.dir && !is_dir {
            return Err(Error::NotDir);
        }
        Self::allow_open(fid.user(), &stat, mode.how, mode.execute)?;
        if mode.remove {
            self.allow_leave(fid)?;
        }
        let Mode { how, remove, .. } = mode;
        let opening = Opening { fid: number, how, remove, qid: stat.qid(), file, answer };
        if is_dir {
            return self.opened_as(tag, Opened { remove, ..Opened::dir() }, opening, fx);
        }
        let work = self.tree.open(opening.file.as_ref().unwrap_or(&fid.node), how, fid.user());
        self.settle_open(tag, work, opening, fx)
    }

    pub(super) fn settle_open(
        &mut self,
        tag: u16,
        work: Answer<Box<dyn Open>>,
        opening: Opening<T::Node>,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        match work {
            Answer::Now(open) => self.opened(tag, open?, opening, fx),
            Answer::Later(work) => {
                let holds = Holds::Fids([Some(opening.fid), None]);
                self.park(tag, holds, Work::Open(work, opening), fx);
                Ok(())
            }
        }
    }

    pub(super) fn opened(
        &mut self,
        tag: u16,
        open: Box<dyn Open>,
        mut opening: Opening<T::Node>,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let Opening { how, remove, .. } = opening;
        if how.truncate
            && let Ok(fid) = self.fid(opening.fid)
        {
            // Emptying it made it another version.
            let stat = self.tree.stat(opening.file.as_ref().unwrap_or(&fid.node));
            opening.qid = stat.map_or(opening.qid, |stat| stat.qid());
        }
        let stream = open.stream().then(Stream::default);
        let (read, write) = (how.read, how.write);
        let opened = Opened { what: What::File(open, stream), read, write, remove };
        self.opened_as(tag, opened, opening, fx)
    }

    pub(super) fn opened_as(
        &mut self,
        tag: u16,
        opened: Opened,
        opening: Opening<T::Node>,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let fid = self.fids.get_mut(&opening.fid).ok_or(Error::UnknownFid)?;
        fid.open = Some(opened);
        if let Some(file) = opening.file {
            (fid.node, fid.qid) = (file, opening.qid);
        }
        // The client takes msize less a header when the unit is 0.
        let (qid, iounit) = (opening.qid, 0);
        let message = match opening.answer {
            OpenAnswer::Open => Rmsg::Open { qid, iounit },
            OpenAnswer::Lopen => Rmsg::Lopen { qid, iounit },
            OpenAnswer::Create => Rmsg::Create { qid, iounit },
            OpenAnswer::Lcreate => Rmsg::Lcreate { qid, iounit },
        };
        self.reply(tag, &message, fx);
        Ok(())
    }
}

/// 9P2000's mode byte.
pub(super) fn mode_p9(mode: u8) -> Result<Mode> {
    let known = om::EXEC | om::TRUNC | om::CEXEC | om::RCLOSE;
    if mode & !known != 0 {
        return Err(Error::BadMode);
    }
    let access = mode & om::EXEC;
    let how = How {
        read: matches!(access, om::READ | om::RDWR | om::EXEC),
        write: matches!(access, om::WRITE | om::RDWR),
        truncate: mode & om::TRUNC != 0,
        append: false,
    };
    let (execute, remove) = (access == om::EXEC, mode & om::RCLOSE != 0);
    Ok(Mode { how, execute, remove, dir: false })
}

/// 9P2000.L's flags: those of open(2), of which those that matter only to the client are passed
/// over, and `O_CREAT` of a file that is there.
pub(super) fn mode_linux(flags: u32) -> Result<Mode> {
    let access = flags & lo::ACCESS;
    if access == lo::ACCESS {
        return Err(Error::BadMode);
    }
    let how = How {
        read: access != lo::WRITE,
        write: access != 0,
        truncate: flags & lo::TRUNC != 0,
        append: flags & lo::APPEND != 0,
    };
    Ok(Mode { how, execute: false, remove: false, dir: flags & lo::DIRECTORY != 0 })
}
