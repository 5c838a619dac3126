//! The capabilities of a container: a short list, what the manifest adds and takes away.

use std::collections::BTreeSet;

use crate::error::Error;

/// All capabilities by their number (capability.h); the name is without `CAP_`.
const BY_NUMBER: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Docker's fourteen without MKNOD, NET_RAW, SETFCAP and AUDIT_WRITE.
const SHORT: [&str; 10] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// A set of capabilities by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps(BTreeSet<&'static str>);

impl Caps {
    /// The short list, less `drop`, plus `add`. Names are taken with or without `CAP_`, in any
    /// case; `ALL` stands for all of them.
    ///
    /// # Errors
    /// A name that is no capability.
    pub fn new(add: &[String], drop: &[String]) -> Result<Caps, Error> {
        let mut set = BTreeSet::from(SHORT);
        for name in drop {
            for cap in named(name)? {
                set.remove(cap);
            }
        }
        for name in add {
            set.extend(named(name)?);
        }
        Ok(Caps(set))
    }

    /// Whether `name` (without `CAP_`) is among them.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Takes away what the calling process does not have itself and so cannot give; `permitted` is
    /// its bit set. Returns the names taken.
    pub(crate) fn clamp(&mut self, permitted: u64) -> Vec<&'static str> {
        let missing: Vec<_> = BY_NUMBER
            .iter()
            .enumerate()
            .filter(|(number, cap)| permitted & (1 << number) == 0 && self.0.contains(*cap))
            .map(|(_, cap)| *cap)
            .collect();
        self.0.retain(|cap| !missing.contains(cap));
        missing
    }

    /// The names as the OCI runtime spec writes them.
    pub(crate) fn oci(&self) -> Vec<String> {
        self.0.iter().map(|cap| format!("CAP_{cap}")).collect()
    }
}

fn named(name: &str) -> Result<Vec<&'static str>, Error> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if bare == "ALL" {
        return Ok(BY_NUMBER.to_vec());
    }
    match BY_NUMBER.iter().find(|cap| **cap == bare) {
        Some(cap) => Ok(vec![cap]),
        None => Err(Error::Capability(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(add: &[&str], drop: &[&str], has: &[&str], lacks: &[&str]) {
        let owned = |list: &[&str]| list.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let caps = Caps::new(&owned(add), &owned(drop)).unwrap();
        for cap in has {
            assert!(caps.has(cap), "{cap} is missing");
        }
        for cap in lacks {
            assert!(!caps.has(cap), "{cap} is there");
        }
    }

    #[test]
    fn the_short_list_is_changed_by_add_and_drop() {
        check(&[], &[], &["CHOWN", "KILL"], &["NET_RAW", "MKNOD", "SYS_ADMIN"]);
        check(&["net_raw"], &[], &["NET_RAW", "CHOWN"], &["MKNOD"]);
        check(&["CAP_CHOWN"], &["ALL"], &["CHOWN"], &["KILL", "SETUID"]);
        check(&["ALL"], &[], &["SYS_ADMIN", "CHECKPOINT_RESTORE"], &[]);
        assert!(Caps::new(&["NOPE".to_owned()], &[]).is_err());
    }

    #[test]
    fn what_the_caller_lacks_is_taken_away_and_named() {
        let mut caps = Caps::new(&["SYS_RESOURCE".to_owned()], &[]).unwrap();
        assert_eq!(caps.clamp(!(1 << 24)), ["SYS_RESOURCE"]);
        assert!(!caps.has("SYS_RESOURCE") && caps.has("CHOWN"));
    }
}
