//! Whether a user may write to the tree: root, and the members of its group.

use nix::unistd::{Group, Uid, User, getgrouplist};
use std::ffi::CString;

/// Whether `uid` is root or in the group.
pub(crate) fn may_write(uid: u32, group: &str) -> bool {
    if uid == 0 {
        return true;
    }
    let Some(group) = Group::from_name(group).ok().flatten() else { return false };
    let Some(user) = User::from_uid(Uid::from_raw(uid)).ok().flatten() else { return false };
    let Ok(name) = CString::new(user.name) else { return false };
    getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group.gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_may_and_somebody_in_no_such_group_may_not() {
        assert!(may_write(0, "no-such-group"));
        assert!(!may_write(65_534, "no-such-group"));
        assert!(!may_write(65_534, "root"));
        // Who is nobody's number at all.
        assert!(!may_write(4_000_000_000, "root"));
    }
}
