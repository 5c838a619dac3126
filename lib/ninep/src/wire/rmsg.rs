//! What a server answers: every R-message of both dialects, a row each.

use super::body::{Body, messages};
use super::field::Field;
use super::show::Show;
use super::{
    Attr, Data, Dialect, HEADER_BYTES, Lock, Malformed, Qid, Qids, Record, StatFs, Wrapped, tag_of,
    type_of,
};

messages! {
    /// An answer. Names and data are borrowed from the frame.
    Rmsg "R" {
        7 Lerror { errno: u32 }
        9 Statfs { statfs: StatFs }
        13 Lopen { qid: Qid, iounit: u32 }
        15 Lcreate { qid: Qid, iounit: u32 }
        17 Symlink { qid: Qid }
        19 Mknod { qid: Qid }
        21 Rename { }
        23 Readlink { target: &'a [u8] }
        25 Getattr { attr: Attr }
        27 Setattr { }
        31 Xattrwalk { size: u64 }
        33 Xattrcreate { }
        41 Readdir { data: Data<'a> }
        51 Fsync { }
        53 Lock { status: u8 }
        55 Getlock { kind: u8, lock: Lock<'a> }
        71 Link { }
        73 Mkdir { qid: Qid }
        75 Renameat { }
        77 Unlinkat { }
        101 Version { msize: u32, version: &'a [u8] }
        103 Auth { aqid: Qid }
        105 Attach { qid: Qid }
        107 Error { ename: &'a [u8] }
        109 Flush { }
        111 Walk { qids: Qids }
        113 Open { qid: Qid, iounit: u32 }
        115 Create { qid: Qid, iounit: u32 }
        117 Read { data: Data<'a> }
        119 Write { count: u32 }
        121 Clunk { }
        123 Remove { }
        125 Stat { stat: Wrapped<Record<'a>> }
        127 Wstat { }
    }
}

impl<'a> Rmsg<'a> {
    /// The tag and the message of a whole frame.
    ///
    /// # Errors
    /// What is wrong with it; a T-message has a type that is not known here.
    pub fn decode(frame: &'a [u8], dialect: Dialect) -> Result<(u16, Self), Malformed> {
        let mut body = Body::new(frame.get(HEADER_BYTES..).ok_or(Malformed::Short)?);
        let message = Self::get(type_of(frame), &mut body, dialect)?;
        body.end()?;
        Ok((tag_of(frame), message))
    }
}
