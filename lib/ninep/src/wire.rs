//! The wire form: frames, messages both ways, stat records and directory entries.
//!
//! A message is `size[4] type[1] tag[2]` and a body; numbers are little endian; a name is its
//! `length[2]` and bytes, which need not be UTF-8 (intro(5) of Plan 9). Decoding borrows names and
//! data from the receive buffer and is strict: a body that ends early or late is refused, and a
//! count never makes room for more than has arrived. Encoding appends to one output buffer.

mod body;
mod entry;
mod field;
mod frame;
mod rmsg;
mod show;
mod tmsg;

#[cfg(test)]
mod oracle_test;
#[cfg(test)]
mod wire_test;

pub use entry::{Entry, Record, entries, records};
pub use field::{Attr, Data, Lock, Names, NewAttr, Qid, Qids, StatFs, Uid, Wrapped};
pub use frame::{frame_size, tag_of, type_of};
pub use rmsg::Rmsg;
pub use tmsg::Tmsg;

pub use rs9p::p92000::{dm, om};
pub use rs9p::{GetAttrMask, NOFID, NONUNAME, NOTAG, QIdType, SetAttrMask};

/// The smallest message: size, type and tag, in bytes.
pub const HEADER_BYTES: usize = 7;

/// What Rread, Rreaddir and Twrite need besides their data, with room to spare, in bytes
/// (`IOHDRSZ` of Plan 9's fcall.h).
pub const IO_HEADER_BYTES: u32 = rs9p::IOHDRSZ;

/// What Rread and Rreaddir have before their data: header and count, in bytes.
pub const READ_HEADER_BYTES: u32 = 11;

/// The most names in one Twalk (`MAXWELEM`, walk(5)).
pub const WALK_NAMES_MAX: usize = 16;

/// The flags of Tlopen and Tlcreate: Linux' generic `O_` values, whatever the machine.
pub mod lo {
    /// The two bits that say read (0), write (1) or both (2).
    pub const ACCESS: u32 = 0o3;
    /// Write only.
    pub const WRITE: u32 = 0o1;
    /// Read and write.
    pub const RDWR: u32 = 0o2;
    /// Create when missing.
    pub const CREATE: u32 = 0o100;
    /// Fail when it is there.
    pub const EXCL: u32 = 0o200;
    /// Truncate.
    pub const TRUNC: u32 = 0o1000;
    /// Write at the end.
    pub const APPEND: u32 = 0o2000;
    /// Only if it is a directory.
    pub const DIRECTORY: u32 = 0o200_000;
}

/// Tunlinkat's flag: it is a directory that goes (`AT_REMOVEDIR`).
pub const REMOVE_DIR: u32 = 0x200;

/// Which of the two protocols a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Plan 9's, with error texts and stat records.
    P9,
    /// Linux', with error numbers and attributes.
    Linux,
}

impl Dialect {
    /// The name in Tversion and Rversion.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P9 => rs9p::P92000,
            Self::Linux => rs9p::P92000L,
        }
    }
}

/// What Rversion says to a dialect nobody here speaks (version(5)).
pub const VERSION_UNKNOWN: &str = rs9p::VERSION_UNKNOWN;

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A size below the header's: the stream cannot be followed any more.
    #[error("message of {0} bytes: 7 is the least")]
    Small(u32),
    /// A size above the msize that was agreed on: the stream cannot be followed any more.
    #[error("message of {0} bytes: msize is {1}")]
    Large(u32, u32),
    /// The body ends before its fields do.
    #[error("message is too short for its fields")]
    Short,
    /// The body goes on after its fields.
    #[error("message has {0} bytes too many")]
    Trailing(usize),
    /// A type that the dialect does not have, or that only the other side may send.
    #[error("message type {0} is not known here")]
    Type(u8),
    /// A walk of more names than a walk may have.
    #[error("walk of {0} names: 16 are the most")]
    Names(u16),
}
