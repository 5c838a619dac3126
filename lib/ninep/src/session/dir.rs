//! Reading directories: stat records in 9P2000 (read(5)), entries with cookies in 9P2000.L.
//!
//! A directory is listed anew when it is read from the start, and stays as it was until then, so
//! that nothing is seen twice or missed because of a change between two reads.

use crate::error::{Error, Result};
use crate::stat::{Kind, Stat};
use crate::tree::Tree;
use crate::wire::{Data, Entry, Qid, Rmsg};

use super::fid::{Fid, Listing, What};
use super::{Effects, Session};

/// `d_type` of readdir(3).
const DT_DIR: u8 = 4;
const DT_REG: u8 = 8;

/// Treaddir's first two entries are `.` and `..`.
const DOTS: usize = 2;

impl<T: Tree> Session<T> {
    /// Whole records only; an offset is the start or where the last read ended.
    pub(super) fn read_dir(
        &mut self,
        tag: u16,
        number: u32,
        offset: u64,
        most: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let mut data = std::mem::take(&mut self.listing);
        data.clear();
        let listed = self.listing(number, offset == 0).and_then(|(_, listing)| {
            if offset == 0 {
                (listing.next, listing.offset) = (0, 0);
            }
            if offset != listing.offset {
                return Err(Error::BadOffset);
            }
            while let Some(stat) = listing.stats.get(listing.next) {
                let before = data.len();
                stat.record().encode(&mut data);
                if data.len() > most as usize {
                    data.truncate(before);
                    if before == 0 {
                        return Err(Error::SmallCount);
                    }
                    break;
                }
                listing.next += 1;
            }
            listing.offset += data.len() as u64;
            Ok(())
        });
        if listed.is_ok() {
            self.reply(tag, &Rmsg::Read { data: Data(&data) }, fx);
        }
        self.listing = data;
        listed
    }

    /// Whole entries only; an entry's cookie says where the next one is.
    pub(super) fn readdir(
        &mut self,
        tag: u16,
        number: u32,
        offset: u64,
        count: u32,
        fx: &mut Effects<T::Node>,
    ) -> Result<()> {
        let most = self.data_max(count) as usize;
        let mut data = std::mem::take(&mut self.listing);
        data.clear();
        let first = usize::try_from(offset).unwrap_or(usize::MAX);
        let listed = self.listing(number, offset == 0).and_then(|(dots, listing)| {
            for at in first..listing.stats.len() + DOTS {
                let Some(entry) = entry(&listing.stats, &dots, at) else { break };
                if data.len() + entry.size() > most {
                    let none = data.is_empty();
                    return if none { Err(Error::SmallCount) } else { Ok(()) };
                }
                entry.encode(&mut data);
            }
            Ok(())
        });
        if listed.is_ok() {
            self.reply(tag, &Rmsg::Readdir { data: Data(&data) }, fx);
        }
        self.listing = data;
        listed
    }

    /// The listing of the directory open on a fid, and the qids of `.` and `..`.
    fn listing(&mut self, number: u32, anew: bool) -> Result<([Qid; DOTS], &mut Listing)> {
        let tree = &self.tree;
        let fid = self.fids.get_mut(&number).ok_or(Error::UnknownFid)?;
        let above = if fid.is_root() { fid.qid } else { tree.stat(&tree.parent(&fid.node))?.qid() };
        let Fid { node, qid, open, .. } = fid;
        let Some(opened) = open.as_mut().filter(|opened| opened.read) else {
            return Err(Error::BadUse);
        };
        match &mut opened.what {
            What::File(..) => Err(Error::NotDir),
            What::Dir(listing) => {
                if anew {
                    listing.stats = tree.entries(node)?;
                }
                Ok(([*qid, above], listing))
            }
        }
    }
}

fn entry<'a>(stats: &'a [Stat], dots: &[Qid; DOTS], at: usize) -> Option<Entry<'a>> {
    let offset = at as u64 + 1;
    if let Some(&qid) = dots.get(at) {
        let name: &[u8] = if at == 0 { b"." } else { b".." };
        return Some(Entry { qid, offset, kind: DT_DIR, name });
    }
    let stat = stats.get(at - DOTS)?;
    let kind = match stat.kind {
        Kind::Dir => DT_DIR,
        Kind::File | Kind::Append | Kind::Exclusive => DT_REG,
    };
    Some(Entry { qid: stat.qid(), offset, kind, name: &stat.name })
}
