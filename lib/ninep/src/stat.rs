//! What is known of a file without opening it.

use std::borrow::Cow;

use bytes::Bytes;

use crate::wire::{NONUNAME, QIdType, Qid, Record, dm};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file that is read or written as a whole.
    File,
    /// A file that only grows: a write goes to its end whatever its offset.
    Append,
    /// A file that one may have open at a time. The tree refuses the second with `Error::InUse`;
    /// the session sees to it that the first is closed.
    Exclusive,
}

/// What is known of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Last element of its path; `/` for the root.
    pub name: Bytes,
    /// Its identity: qid.path. Never used for two files.
    pub path: u64,
    /// qid.version: changes whenever the content does.
    pub version: u32,
    /// The nine permission bits.
    pub mode: u32,
    /// What it is.
    pub kind: Kind,
    /// Bytes: 0 for a generated text and for a directory, the true number for a file that keeps
    /// what it is given. Linux clients hang on a file that is shorter than it says.
    pub length: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The owner's name, for 9P2000.
    pub owner: Cow<'static, str>,
    /// The group's name, for 9P2000.
    pub group: Cow<'static, str>,
    /// Last change: seconds since 1970.
    pub mtime: u32,
}

impl Stat {
    /// A file of root's, of length 0 and changed in 1970.
    #[must_use]
    pub fn new(kind: Kind, name: impl Into<Bytes>, path: u64, mode: u32) -> Self {
        Self {
            name: name.into(),
            path,
            version: 0,
            mode,
            kind,
            length: 0,
            uid: 0,
            gid: 0,
            owner: Cow::Borrowed("root"),
            group: Cow::Borrowed("root"),
            mtime: 0,
        }
    }

    /// The identity as messages carry it.
    #[must_use]
    pub fn qid(&self) -> Qid {
        let kind = match self.kind {
            Kind::Dir => QIdType::DIR,
            Kind::File => QIdType::FILE,
            Kind::Append => QIdType::APPEND,
            Kind::Exclusive => QIdType::EXCL,
        };
        Qid { kind: kind.bits(), version: self.version, path: self.path }
    }

    /// The 9P2000 record of it.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        let kind = match self.kind {
            Kind::Dir => dm::DIR,
            Kind::File => 0,
            Kind::Append => dm::APPEND,
            Kind::Exclusive => dm::EXCL,
        };
        Record {
            kind: 0,
            dev: 0,
            qid: self.qid(),
            mode: kind | self.mode & 0o777,
            atime: self.mtime,
            mtime: self.mtime,
            length: self.length,
            name: &self.name,
            uid: self.owner.as_bytes(),
            gid: self.group.as_bytes(),
            muid: self.owner.as_bytes(),
        }
    }
}

impl From<&Record<'_>> for Stat {
    /// What a server said of a file. The numbers of owner and group are not in it: they are
    /// `NONUNAME`.
    fn from(record: &Record<'_>) -> Self {
        let kind = match record.mode {
            mode if mode & dm::DIR != 0 => Kind::Dir,
            mode if mode & dm::EXCL != 0 => Kind::Exclusive,
            mode if mode & dm::APPEND != 0 => Kind::Append,
            _ => Kind::File,
        };
        let text = |bytes: &[u8]| Cow::Owned(String::from_utf8_lossy(bytes).into_owned());
        Self {
            name: Bytes::copy_from_slice(record.name),
            path: record.qid.path,
            version: record.qid.version,
            mode: record.mode & 0o777,
            kind,
            length: record.length,
            uid: NONUNAME,
            gid: NONUNAME,
            owner: text(record.uid),
            group: text(record.gid),
            mtime: record.mtime,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_all_but_the_numbers_of_owner_and_group() {
        for kind in [Kind::Dir, Kind::File, Kind::Append, Kind::Exclusive] {
            let mut stat = Stat::new(kind, "web", 7, 0o640);
            (stat.version, stat.length, stat.mtime) = (3, 40, 1_700_000_000);
            stat.group = Cow::Borrowed("deploy");
            let back = Stat::from(&stat.record());
            assert_eq!(back, Stat { uid: NONUNAME, gid: NONUNAME, ..stat });
        }
    }
}
