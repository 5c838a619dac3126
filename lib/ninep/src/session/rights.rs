//! What the mode bits allow, asked in one place.

use crate::error::{Error, Result};
use crate::stat::{Kind, Stat};
use crate::tree::{How, Tree};
use crate::user::{Access, User};

use super::Session;
use super::fid::Fid;

/// The longest name of a file made here, in bytes (`NAME_MAX` of Linux).
pub(super) const NAME_BYTES_MAX: usize = 255;

impl<T: Tree> Session<T> {
    /// Refuses what the user may not do to the file.
    pub(super) fn allow(user: &User, stat: &Stat, access: Access) -> Result<()> {
        if user.may(stat, access) { Ok(()) } else { Err(Error::PermissionDenied) }
    }

    /// Refuses an open that the mode bits do not allow, or that no directory allows.
    pub(super) fn allow_open(user: &User, stat: &Stat, how: How, execute: bool) -> Result<()> {
        let writes = how.write || how.truncate;
        if stat.kind == Kind::Dir && writes {
            return Err(Error::IsDir);
        }
        if how.read && !execute {
            Self::allow(user, stat, Access::Read)?;
        }
        if execute {
            Self::allow(user, stat, Access::Execute)?;
        }
        if writes {
            Self::allow(user, stat, Access::Write)?;
        }
        Ok(())
    }

    /// Refuses to change what is in a directory; gives its stat.
    pub(super) fn allow_change(&self, user: &User, dir: &T::Node) -> Result<Stat> {
        let stat = self.tree.stat(dir)?;
        if stat.kind != Kind::Dir {
            return Err(Error::NotDir);
        }
        Self::allow(user, &stat, Access::Write)?;
        Self::allow(user, &stat, Access::Execute)?;
        Ok(stat)
    }

    /// Refuses to take the file of a fid out of its directory.
    pub(super) fn allow_leave(&self, fid: &Fid<T::Node>) -> Result<()> {
        if fid.is_root() {
            return Err(Error::IsRoot);
        }
        self.allow_change(fid.user(), &self.tree.parent(&fid.node)).map(drop)
    }
}

/// Refuses a name that no file can be given.
pub(super) fn nameable(name: &[u8]) -> Result<()> {
    let long = name.len() > NAME_BYTES_MAX;
    if long || !walkable(name) || name == b".." || name.contains(&0) {
        Err(Error::BadName)
    } else {
        Ok(())
    }
}

/// Whether a tree can be asked for the name: `..` aside it is one step down.
pub(super) fn walkable(name: &[u8]) -> bool {
    !name.is_empty() && name != b"." && !name.contains(&b'/')
}
