//! Who the program runs as: `uid[:gid]` or names, looked up in the image's own files.

use crate::error::Error;
use crate::root::Root;

/// Ids from here on wrapped to 0 in runtimes that read them into signed numbers
/// (CVE-2024-40635).
const ID_END: u32 = 1 << 31;

/// As much of `/etc/passwd` and `/etc/group` as is read, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// More supplementary groups than this are refused.
const GROUPS_MAX: usize = 1024;

/// A user as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups: those that list the user, unless the group was given.
    pub(crate) groups: Vec<u32>,
    /// Home directory.
    pub(crate) home: String,
}

/// Looks `text` up; an empty one is root.
pub(crate) fn look_up(root: &Root, text: &str) -> Result<User, Error> {
    let passwd = root.read("/etc/passwd", FILE_MAX)?.unwrap_or_default();
    let group = root.read("/etc/group", FILE_MAX)?.unwrap_or_default();
    find(text, &passwd, &group).map_err(|why| Error::User { user: text.to_owned(), why })
}

fn find(text: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (user, wanted_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    // Digits are an id first, as in Docker; a line of that id gives group and home.
    let uid = id(user)?;
    let entry = passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, line_uid, line_gid, _, home, ..] = fields[..] else { return None };
        let hit = match uid {
            Some(uid) => line_uid.parse() == Ok(uid),
            None => name == user,
        };
        hit.then_some((name, line_uid, line_gid, home))
    });
    let mut found = match (entry, uid) {
        (Some((_, line_uid, line_gid, home)), _) => User {
            uid: id(line_uid)?.ok_or("its line in /etc/passwd has no number")?,
            gid: id(line_gid)?.ok_or("its line in /etc/passwd has no group number")?,
            groups: Vec::new(),
            home: home.to_owned(),
        },
        (None, Some(uid)) => User { uid, gid: 0, groups: Vec::new(), home: "/".to_owned() },
        (None, None) => return Err("not found in the image's /etc/passwd".to_owned()),
    };
    if found.home.is_empty() {
        found.home = "/".to_owned();
    }
    match wanted_group {
        Some(wanted) if !wanted.is_empty() => found.gid = group_id(wanted, group)?,
        Some(_) | None => {
            if let Some((name, ..)) = entry {
                found.groups = memberships(name, group)?;
            }
        }
    }
    Ok(found)
}

fn group_id(wanted: &str, group: &str) -> Result<u32, String> {
    if let Some(gid) = id(wanted)? {
        return Ok(gid);
    }
    let line = group.lines().find(|line| line.split(':').next() == Some(wanted));
    let number = line.and_then(|line| line.split(':').nth(2));
    match number {
        Some(number) => id(number)?.ok_or_else(|| format!("group {wanted:?} has no number")),
        None => Err(format!("group {wanted:?} not found in the image's /etc/group")),
    }
}

fn memberships(name: &str, group: &str) -> Result<Vec<u32>, String> {
    let mut groups = Vec::new();
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members, ..] = fields[..] else { continue };
        if members.split(',').any(|member| member == name) {
            groups.extend(id(gid)?);
        }
    }
    if groups.len() > GROUPS_MAX {
        return Err(format!("is in more than {GROUPS_MAX} groups"));
    }
    Ok(groups)
}

/// A number below 2^31; none when `text` is not all digits.
fn id(text: &str) -> Result<Option<u32>, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(number) if number < ID_END => Ok(Some(number)),
        Ok(_) | Err(_) => Err(format!("id {text} is not below {ID_END}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/srv/web:/bin/sh\n\
                          bad line\nhuge:x:4294967295:0::/:/bin/sh\nbare:x:7:8:::\n";
    const GROUP: &str =
        "root:x:0:\nstaff:x:50:alice,web\naudio:x:63:web\nwebs:x:1001:\nx:x:2147483648:\n";

    fn check(text: &str, expected: Result<(u32, u32, &[u32], &str), &str>) {
        let got = find(text, PASSWD, GROUP);
        match expected {
            Ok((uid, gid, groups, home)) => {
                let user = User { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
                assert_eq!(got, Ok(user), "{text:?}");
            }
            Err(part) => {
                let why = got.unwrap_err();
                assert!(why.contains(part), "{text:?}: {why}");
            }
        }
    }

    #[test]
    fn users_are_found_by_number_and_by_name() {
        check("", Ok((0, 0, &[], "/root")));
        check("root", Ok((0, 0, &[], "/root")));
        check("web", Ok((1000, 1001, &[50, 63], "/srv/web")));
        check("1000", Ok((1000, 1001, &[50, 63], "/srv/web")));
        check("web:50", Ok((1000, 50, &[], "/srv/web")));
        check("web:staff", Ok((1000, 50, &[], "/srv/web")));
        check("web:", Ok((1000, 1001, &[50, 63], "/srv/web")));
        check(":50", Ok((0, 50, &[], "/root")));
        check("4000", Ok((4000, 0, &[], "/")));
        check("bare", Ok((7, 8, &[], "/")));
    }

    #[test]
    fn users_that_cannot_be_are_refused() {
        check("nobody", Err("not found in the image's /etc/passwd"));
        check("web:wheel", Err("not found in the image's /etc/group"));
        check("2147483648", Err("not below"));
        check("99999999999999999999", Err("not below"));
        check("1000:4294967295", Err("not below"));
        check("huge", Err("not below"));
        check("web:x", Err("not below"));
        check("-1", Err("not found"));
    }
}
