//! What directories are made of: 9P2000's stat records and 9P2000.L's entries.

use super::body::Body;
use super::field::Field;
use super::{Dialect, Malformed, Qid};

/// A 9P2000 stat record (stat(5)): in Rstat, in Twstat, and end to end in a directory's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// For kernel use.
    pub kind: u16,
    /// For kernel use.
    pub dev: u32,
    /// The file's identity.
    pub qid: Qid,
    /// Permissions and `dm` bits.
    pub mode: u32,
    /// Last read: seconds since 1970.
    pub atime: u32,
    /// Last change: seconds since 1970.
    pub mtime: u32,
    /// Bytes.
    pub length: u64,
    /// The last element of the path.
    pub name: &'a [u8],
    /// Owner.
    pub uid: &'a [u8],
    /// Group.
    pub gid: &'a [u8],
    /// Who changed it last.
    pub muid: &'a [u8],
}

impl Record<'_> {
    /// The record that asks Twstat to change nothing.
    pub const UNTOUCHED: Record<'static> = Record {
        kind: u16::MAX,
        dev: u32::MAX,
        qid: Qid { kind: u8::MAX, version: u32::MAX, path: u64::MAX },
        mode: u32::MAX,
        atime: u32::MAX,
        mtime: u32::MAX,
        length: u64::MAX,
        name: b"",
        uid: b"",
        gid: b"",
        muid: b"",
    };

    /// Appends the record to a directory's data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.put(out, Dialect::P9);
    }
}

impl<'a> Field<'a> for Record<'a> {
    fn get(body: &mut Body<'a>, d: Dialect) -> Result<Self, Malformed> {
        let size = u16::get(body, d)?;
        let mut body = Body::new(body.take(size.into())?);
        let record = Self {
            kind: Field::get(&mut body, d)?,
            dev: Field::get(&mut body, d)?,
            qid: Field::get(&mut body, d)?,
            mode: Field::get(&mut body, d)?,
            atime: Field::get(&mut body, d)?,
            mtime: Field::get(&mut body, d)?,
            length: Field::get(&mut body, d)?,
            name: Field::get(&mut body, d)?,
            uid: Field::get(&mut body, d)?,
            gid: Field::get(&mut body, d)?,
            muid: Field::get(&mut body, d)?,
        };
        body.end()?;
        Ok(record)
    }

    fn put(&self, out: &mut Vec<u8>, d: Dialect) {
        let start = out.len();
        out.extend_from_slice(&[0, 0]);
        self.kind.put(out, d);
        self.dev.put(out, d);
        self.qid.put(out, d);
        self.mode.put(out, d);
        self.atime.put(out, d);
        self.mtime.put(out, d);
        self.length.put(out, d);
        for name in [self.name, self.uid, self.gid, self.muid] {
            name.put(out, d);
        }
        let size = u16::try_from(out.len() - start - 2).unwrap_or(u16::MAX);
        out[start..start + 2].copy_from_slice(&size.to_le_bytes());
    }
}

/// An entry of 9P2000.L's Rreaddir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The file's identity.
    pub qid: Qid,
    /// Where the next Treaddir goes on.
    pub offset: u64,
    /// `d_type` of readdir(3): 4 a directory, 8 a file.
    pub kind: u8,
    /// The name.
    pub name: &'a [u8],
}

impl Entry<'_> {
    /// The entry's size on the wire, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        24 + self.name.len()
    }

    /// Appends the entry to a directory's data.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.put(out, Dialect::Linux);
    }
}

impl<'a> Field<'a> for Entry<'a> {
    fn get(body: &mut Body<'a>, d: Dialect) -> Result<Self, Malformed> {
        Ok(Self {
            qid: Field::get(body, d)?,
            offset: Field::get(body, d)?,
            kind: Field::get(body, d)?,
            name: Field::get(body, d)?,
        })
    }

    fn put(&self, out: &mut Vec<u8>, d: Dialect) {
        self.qid.put(out, d);
        self.offset.put(out, d);
        self.kind.put(out, d);
        self.name.put(out, d);
    }
}

/// The stat records in what a read of a 9P2000 directory gave; ends at the first bad one, which
/// it yields.
pub fn records(data: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Malformed>> {
    each(data, Dialect::P9)
}

/// The entries in what Rreaddir gave; ends at the first bad one, which it yields.
pub fn entries(data: &[u8]) -> impl Iterator<Item = Result<Entry<'_>, Malformed>> {
    each(data, Dialect::Linux)
}

fn each<'a, T: Field<'a>>(
    data: &'a [u8],
    dialect: Dialect,
) -> impl Iterator<Item = Result<T, Malformed>> {
    let mut body = Body::new(data);
    std::iter::from_fn(move || {
        if body.left().is_empty() {
            return None;
        }
        let next = T::get(&mut body, dialect);
        if next.is_err() {
            body = Body::new(&[]);
        }
        Some(next)
    })
}
