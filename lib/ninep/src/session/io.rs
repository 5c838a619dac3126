//! Tread and Twrite of files, and the delimiter that lets Linux see an event when it happens.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::tree::{Answer, Tree};
use crate::wire::{Data, Dialect, Rmsg};

use super::fid::{Opened, What};
use super::job::{Reading, Work};
use super::request::Holds;
use super::{Effects, Session};

impl<T: Tree> Session<T> {
    pub(super) fn read(
        &mut self,
        tag: u16,
        number: u32,
        offset: u64,
        count: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let most = self.data_max(count);
        let linux = self.agreed == Some(Dialect::Linux);
        let (open, stream) = match self.opened_for(number, |opened| opened.read)? {
            What::Dir(_) if linux => return Err(Error::IsDir),
            What::Dir(_) => return self.read_dir(tag, number, offset, most, fx),
            What::File(open, stream) => (open, stream),
        };
        if let Some(stream) = stream
            && stream.delimit_at.take() == Some(offset)
        {
            self.reply(tag, &Rmsg::Read { data: Data(&[]) }, fx);
            return Ok(());
        }
        let waits = stream.is_some();
        let reading = Reading { fid: number, offset, count };
        match open.read(offset, most) {
            Answer::Now(data) => self.have_read(tag, &data?, reading, fx),
            Answer::Later(work) => {
                let holds =
                    if waits { Holds::Stream(number) } else { Holds::Fids([Some(number), None]) };
                self.park(tag, holds, Work::Read(work, reading), fx);
                Ok(())
            }
        }
    }

    /// Answers a read.
    ///
    /// Linux asks again until its reader's buffer is full or nothing comes, so a reader of a
    /// *wait* file would see nothing, ever. Therefore on 9P2000.L, after a reply that is short
    /// and not empty, the next read at the offset after it is answered with nothing at once, and
    /// only the one after that waits. On 9P2000 that would be the end of the file.
    pub(super) fn have_read(
        &mut self,
        tag: u16,
        data: &Bytes,
        Reading { fid, offset, count }: Reading,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let most = self.data_max(count) as usize;
        let data = &data[..data.len().min(most)];
        if self.agreed == Some(Dialect::Linux)
            && let Ok(What::File(_, Some(stream))) = self.opened_for(fid, |_| true)
        {
            let short = !data.is_empty() && data.len() < count as usize;
            stream.delimit_at = short.then_some(offset + data.len() as u64);
        }
        self.reply(tag, &Rmsg::Read { data: Data(data) }, fx);
        Ok(())
    }

    pub(super) fn write(
        &mut self,
        tag: u16,
        number: u32,
        offset: u64,
        data: &[u8],
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let most = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let What::File(open, _) = self.opened_for(number, |opened| opened.write)? else {
            return Err(Error::IsDir);
        };
        fx.wipe |= open.sealed();
        match open.write(offset, data) {
            Answer::Now(count) => self.have_written(tag, count?, most, fx),
            Answer::Later(work) => {
                self.park(tag, Holds::Fids([Some(number), None]), Work::Write(work, most), fx);
                Ok(())
            }
        }
    }

    pub(super) fn have_written(
        &mut self,
        tag: u16,
        count: u32,
        most: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        self.reply(tag, &Rmsg::Write { count: count.min(most) }, fx);
        Ok(())
    }

    /// What is open on the fid, if it is open for what is asked.
    pub(super) fn opened_for(
        &mut self,
        fid: u32,
        wanted: impl Fn(&Opened) -> bool,
    ) -> Result<&mut What> {
        let fid = self.fids.get_mut(&fid).ok_or(Error::UnknownFid)?;
        match &mut fid.open {
            Some(opened) if wanted(opened) => Ok(&mut opened.what),
            Some(_) | None => Err(Error::BadUse),
        }
    }
}
