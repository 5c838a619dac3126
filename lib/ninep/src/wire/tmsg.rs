//! What a client asks: every T-message of both dialects, a row each.

use super::body::{Body, messages};
use super::field::Field;
use super::show::Show;
use super::{
    Data, Dialect, HEADER_BYTES, Lock, Malformed, Names, NewAttr, Record, Uid, Wrapped, tag_of,
    type_of,
};

messages! {
    /// A request. Names and data are borrowed from the frame.
    Tmsg "T" {
        8 Statfs { fid: u32 }
        12 Lopen { fid: u32, flags: u32 }
        14 Lcreate { fid: u32, name: &'a [u8], flags: u32, mode: u32, gid: u32 }
        16 Symlink { fid: u32, name: &'a [u8], target: &'a [u8], gid: u32 }
        18 Mknod { dfid: u32, name: &'a [u8], mode: u32, major: u32, minor: u32, gid: u32 }
        20 Rename { fid: u32, dfid: u32, name: &'a [u8] }
        22 Readlink { fid: u32 }
        24 Getattr { fid: u32, mask: u64 }
        26 Setattr { fid: u32, attr: NewAttr }
        30 Xattrwalk { fid: u32, newfid: u32, name: &'a [u8] }
        32 Xattrcreate { fid: u32, name: &'a [u8], size: u64, flags: u32 }
        40 Readdir { fid: u32, offset: u64, count: u32 }
        50 Fsync { fid: u32, datasync: u32 }
        52 Lock { fid: u32, kind: u8, flags: u32, lock: Lock<'a> }
        54 Getlock { fid: u32, kind: u8, lock: Lock<'a> }
        70 Link { dfid: u32, fid: u32, name: &'a [u8] }
        72 Mkdir { dfid: u32, name: &'a [u8], mode: u32, gid: u32 }
        74 Renameat { olddirfid: u32, oldname: &'a [u8], newdirfid: u32, newname: &'a [u8] }
        76 Unlinkat { dirfid: u32, name: &'a [u8], flags: u32 }
        100 Version { msize: u32, version: &'a [u8] }
        102 Auth { afid: u32, uname: &'a [u8], aname: &'a [u8], n_uname: Uid }
        104 Attach { fid: u32, afid: u32, uname: &'a [u8], aname: &'a [u8], n_uname: Uid }
        108 Flush { oldtag: u16 }
        110 Walk { fid: u32, newfid: u32, names: Names<'a> }
        112 Open { fid: u32, mode: u8 }
        114 Create { fid: u32, name: &'a [u8], perm: u32, mode: u8 }
        116 Read { fid: u32, offset: u64, count: u32 }
        118 Write { fid: u32, offset: u64, data: Data<'a> }
        120 Clunk { fid: u32 }
        122 Remove { fid: u32 }
        124 Stat { fid: u32 }
        126 Wstat { fid: u32, stat: Wrapped<Record<'a>> }
    }
}

impl<'a> Tmsg<'a> {
    /// The tag and the message of a whole frame.
    ///
    /// # Errors
    /// What is wrong with it. An R-message is refused by its number before anything of its body
    /// is looked at; so is a message that the dialect does not have.
    pub fn decode(frame: &'a [u8], dialect: Dialect) -> Result<(u16, Self), Malformed> {
        let number = type_of(frame);
        if !spoken(number, dialect) {
            return Err(Malformed::Type(number));
        }
        let mut body = Body::new(frame.get(HEADER_BYTES..).ok_or(Malformed::Short)?);
        let message = Self::get(number, &mut body, dialect)?;
        body.end()?;
        Ok((tag_of(frame), message))
    }

    /// The fids the message is about, the one it makes included. Two messages that have none in
    /// common may overtake each other.
    #[must_use]
    pub fn fids(&self) -> [Option<u32>; 2] {
        match *self {
            Self::Version { .. } | Self::Flush { .. } | Self::Auth { .. } => [None, None],
            Self::Rename { fid, dfid, .. } | Self::Link { fid, dfid, .. } => {
                [Some(fid), Some(dfid)]
            }
            Self::Xattrwalk { fid, newfid, .. } | Self::Walk { fid, newfid, .. } => {
                [Some(fid), Some(newfid)]
            }
            Self::Renameat { olddirfid, newdirfid, .. } => [Some(olddirfid), Some(newdirfid)],
            Self::Mkdir { dfid: fid, .. }
            | Self::Mknod { dfid: fid, .. }
            | Self::Unlinkat { dirfid: fid, .. }
            | Self::Statfs { fid }
            | Self::Lopen { fid, .. }
            | Self::Lcreate { fid, .. }
            | Self::Symlink { fid, .. }
            | Self::Readlink { fid }
            | Self::Getattr { fid, .. }
            | Self::Setattr { fid, .. }
            | Self::Xattrcreate { fid, .. }
            | Self::Readdir { fid, .. }
            | Self::Fsync { fid, .. }
            | Self::Lock { fid, .. }
            | Self::Getlock { fid, .. }
            | Self::Attach { fid, .. }
            | Self::Open { fid, .. }
            | Self::Create { fid, .. }
            | Self::Read { fid, .. }
            | Self::Write { fid, .. }
            | Self::Clunk { fid }
            | Self::Remove { fid }
            | Self::Stat { fid }
            | Self::Wstat { fid, .. } => [Some(fid), None],
        }
    }
}

/// Whether a request of this number belongs to the dialect. Numbers below 100 are Linux' own;
/// Linux replaced open, create, stat and wstat. T-messages are even.
fn spoken(number: u8, dialect: Dialect) -> bool {
    number.is_multiple_of(2)
        && match dialect {
            Dialect::P9 => number >= 100,
            Dialect::Linux => !matches!(number, 112 | 114 | 124 | 126),
        }
}
