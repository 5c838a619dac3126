//! The fields that messages are made of, each with its wire form.

use super::body::Body;
use super::{Dialect, Malformed, NONUNAME, WALK_NAMES_MAX};

/// A value with a wire form. The dialect matters to one of them only (`Uid`).
pub(super) trait Field<'a>: Sized {
    fn get(body: &mut Body<'a>, dialect: Dialect) -> Result<Self, Malformed>;
    fn put(&self, out: &mut Vec<u8>, dialect: Dialect);
}

macro_rules! numbers {
    ($($type:ty)*) => { $(
        impl<'a> Field<'a> for $type {
            fn get(body: &mut Body<'a>, _: Dialect) -> Result<Self, Malformed> {
                Ok(Self::from_le_bytes(body.array()?))
            }
            fn put(&self, out: &mut Vec<u8>, _: Dialect) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    )* };
}
numbers!(u8 u16 u32 u64);

/// Makes a struct whose wire form is that of its fields, in order.
macro_rules! structs {
    ($( $(#[$meta:meta])* $name:ident $(<$life:lifetime>)?
        { $( $(#[$doc:meta])* $field:ident : $type:ty ),* $(,)? } )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name $(<$life>)? { $( $(#[$doc])* pub $field: $type ),* }

        impl<'a> Field<'a> for $name $(<$life>)? {
            fn get(body: &mut Body<'a>, dialect: Dialect) -> Result<Self, Malformed> {
                Ok(Self { $( $field: Field::get(body, dialect)? ),* })
            }
            fn put(&self, out: &mut Vec<u8>, dialect: Dialect) {
                $( self.$field.put(out, dialect); )*
            }
        }
    )* };
}

structs! {
    /// The server's identity of a file (intro(5)): two files are the same if their paths are.
    Qid {
        /// Type bits, `QIdType` of `wire`.
        kind: u8,
        /// Changes whenever the content does.
        version: u32,
        /// Never used for two files.
        path: u64,
    }
    /// What Tgetattr gives, in Linux' `struct stat` terms.
    Attr {
        /// Which of the fields are true: `GetAttrMask` bits.
        valid: u64,
        /// The file's identity.
        qid: Qid,
        /// Type and permission bits, as in st_mode.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Links.
        nlink: u64,
        /// Device number, of devices.
        rdev: u64,
        /// Length in bytes.
        size: u64,
        /// Preferred I/O size in bytes.
        blksize: u64,
        /// Blocks of 512 bytes.
        blocks: u64,
        /// Last read: seconds since 1970.
        atime_sec: u64,
        /// And nanoseconds.
        atime_nsec: u64,
        /// Last change of the content: seconds since 1970.
        mtime_sec: u64,
        /// And nanoseconds.
        mtime_nsec: u64,
        /// Last change of anything: seconds since 1970.
        ctime_sec: u64,
        /// And nanoseconds.
        ctime_nsec: u64,
        /// Reserved by the protocol.
        btime_sec: u64,
        /// Reserved by the protocol.
        btime_nsec: u64,
        /// Reserved by the protocol.
        generation: u64,
        /// Reserved by the protocol.
        data_version: u64,
    }
    /// What Tsetattr wants changed.
    NewAttr {
        /// Which of the fields count: `SetAttrMask` bits.
        valid: u32,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Length in bytes.
        size: u64,
        /// Last read: seconds since 1970.
        atime_sec: u64,
        /// And nanoseconds.
        atime_nsec: u64,
        /// Last change: seconds since 1970.
        mtime_sec: u64,
        /// And nanoseconds.
        mtime_nsec: u64,
    }
    /// What Tstatfs gives, as statfs(2).
    StatFs {
        /// The file system's magic number.
        kind: u32,
        /// Block size in bytes.
        bsize: u32,
        /// Blocks there are.
        blocks: u64,
        /// Blocks free.
        bfree: u64,
        /// Blocks free for users.
        bavail: u64,
        /// Files there can be.
        files: u64,
        /// Files that can still be made.
        ffree: u64,
        /// Identity of the file system.
        fsid: u64,
        /// Longest name in bytes.
        namelen: u32,
    }
    /// The range and the owner of a POSIX lock, as in Tlock and Tgetlock.
    Lock<'a> {
        /// First byte.
        start: u64,
        /// Bytes; 0 is to the end.
        length: u64,
        /// The process that asks.
        proc_id: u32,
        /// The machine that asks.
        client_id: &'a [u8],
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn get(body: &mut Body<'a>, dialect: Dialect) -> Result<Self, Malformed> {
        let count = u16::get(body, dialect)?;
        body.take(count.into())
    }

    fn put(&self, out: &mut Vec<u8>, dialect: Dialect) {
        let count = u16::try_from(self.len()).unwrap_or(u16::MAX);
        count.put(out, dialect);
        out.extend_from_slice(&self[..count.into()]);
    }
}

/// Bytes of a file, with a 32-bit count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data<'a>(pub &'a [u8]);

impl<'a> Field<'a> for Data<'a> {
    fn get(body: &mut Body<'a>, dialect: Dialect) -> Result<Self, Malformed> {
        let count = u32::get(body, dialect)?;
        body.take(usize::try_from(count).map_err(|_| Malformed::Short)?).map(Self)
    }

    fn put(&self, out: &mut Vec<u8>, dialect: Dialect) {
        let count = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        count.put(out, dialect);
        out.extend_from_slice(self.0);
    }
}

/// A numeric user, which only 9P2000.L sends; `NONUNAME` where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uid(pub u32);

impl<'a> Field<'a> for Uid {
    fn get(body: &mut Body<'a>, dialect: Dialect) -> Result<Self, Malformed> {
        match dialect {
            Dialect::P9 => Ok(Self(NONUNAME)),
            Dialect::Linux => u32::get(body, dialect).map(Self),
        }
    }

    fn put(&self, out: &mut Vec<u8>, dialect: Dialect) {
        match dialect {
            Dialect::P9 => {}
            Dialect::Linux => self.0.put(out, dialect),
        }
    }
}

/// A value with its size in front (Rstat and Twstat say a record's size twice, stat(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapped<T>(pub T);

impl<'a, T: Field<'a>> Field<'a> for Wrapped<T> {
    fn get(body: &mut Body<'a>, dialect: Dialect) -> Result<Self, Malformed> {
        let count = u16::get(body, dialect)?;
        let mut inner = Body::new(body.take(count.into())?);
        let value = T::get(&mut inner, dialect)?;
        inner.end()?;
        Ok(Self(value))
    }

    fn put(&self, out: &mut Vec<u8>, dialect: Dialect) {
        let start = out.len();
        out.extend_from_slice(&[0, 0]);
        self.0.put(out, dialect);
        let count = u16::try_from(out.len() - start - 2).unwrap_or(u16::MAX);
        out[start..start + 2].copy_from_slice(&count.to_le_bytes());
    }
}

/// A list of at most sixteen values with a 16-bit count: what a walk asks and what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Few<T> {
    count: usize,
    list: [T; WALK_NAMES_MAX],
}

/// The names of a Twalk.
pub type Names<'a> = Few<&'a [u8]>;

/// The qids of an Rwalk.
pub type Qids = Few<Qid>;

impl<T: Copy + Default> Few<T> {
    /// The list of `values`; none when they are more than sixteen.
    #[must_use]
    pub fn new(values: &[T]) -> Option<Self> {
        let mut few = Self::default();
        values.iter().all(|&value| few.push(value)).then_some(few)
    }

    /// Adds a value; false, and nothing added, when there are sixteen already.
    pub fn push(&mut self, value: T) -> bool {
        let free = self.list.get_mut(self.count);
        self.count += usize::from(free.is_some());
        free.map(|place| *place = value).is_some()
    }

    /// The values.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.list[..self.count]
    }
}

impl<'a, T: Field<'a> + Copy + Default> Field<'a> for Few<T> {
    fn get(body: &mut Body<'a>, dialect: Dialect) -> Result<Self, Malformed> {
        let count = u16::get(body, dialect)?;
        if usize::from(count) > WALK_NAMES_MAX {
            return Err(Malformed::Names(count));
        }
        let mut few = Self::default();
        for _ in 0..count {
            few.push(T::get(body, dialect)?);
        }
        Ok(few)
    }

    fn put(&self, out: &mut Vec<u8>, dialect: Dialect) {
        (self.count as u16).put(out, dialect);
        for value in self.as_slice() {
            value.put(out, dialect);
        }
    }
}
