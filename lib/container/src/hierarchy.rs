//! The cgroup file systems of this machine: version 1, version 2, or both side by side.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The version 1 controllers a mount may carry; its other options are no controllers.
const CONTROLLERS: [&str; 13] = [
    "blkio",
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "freezer",
    "hugetlb",
    "memory",
    "net_cls",
    "net_prio",
    "perf_event",
    "pids",
    "rdma",
];

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) mount: PathBuf,
    /// Version 1: its controllers. Version 2: none here, they are asked for when needed.
    pub(crate) controllers: Vec<String>,
    /// Version 2.
    pub(crate) unified: bool,
}

/// All hierarchies of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) hierarchies: Vec<Hierarchy>,
}

impl Machine {
    /// Looks at what is mounted.
    pub(crate) fn look() -> Result<Machine, Error> {
        const MOUNTS: &str = "/proc/self/mountinfo";
        let text = fs::read_to_string(MOUNTS).map_err(Error::io("read", MOUNTS))?;
        let machine = Machine { hierarchies: parse(&text) };
        if machine.hierarchies.is_empty() { Err(Error::NoCgroups) } else { Ok(machine) }
    }

    /// Only version 2 is there, so its controllers are the ones that count.
    pub(crate) fn is_unified(&self) -> bool {
        self.hierarchies.iter().all(|hierarchy| hierarchy.unified)
    }

    /// The controllers limits can be set with. Beside version 1 hierarchies those of version 2 do
    /// not count: libcontainer leaves them alone then.
    pub(crate) fn controllers(&self) -> BTreeSet<String> {
        if !self.is_unified() {
            return self.hierarchies.iter().flat_map(|one| one.controllers.clone()).collect();
        }
        let read = |one: &Hierarchy| fs::read_to_string(one.mount.join("cgroup.controllers"));
        let texts = self.hierarchies.iter().filter_map(|one| read(one).ok());
        texts
            .flat_map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }
}

/// The cgroup mounts of a `mountinfo` text (proc_pid_mountinfo(5)), each hierarchy once.
fn parse(mountinfo: &str) -> Vec<Hierarchy> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        let ([_, _, device, _, mount, ..], [kind, _, options]) = (&left[..], &right[..]) else {
            continue;
        };
        let unified = match *kind {
            "cgroup" => false,
            "cgroup2" => true,
            _ => continue,
        };
        if !Path::new(mount).starts_with("/sys/fs/cgroup") || !seen.insert(device.to_owned()) {
            continue;
        }
        let controllers = options.split(',').filter(|name| CONTROLLERS.contains(name));
        found.push(Hierarchy {
            mount: PathBuf::from(mount),
            controllers: controllers.map(str::to_owned).collect(),
            unified,
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mountinfo: &str, expected: &[(&str, &[&str], bool)], unified: bool) {
        let machine = Machine { hierarchies: parse(mountinfo) };
        let got: Vec<_> = machine
            .hierarchies
            .iter()
            .map(|one| {
                let controllers: Vec<&str> = one.controllers.iter().map(String::as_str).collect();
                (one.mount.to_str().unwrap(), controllers, one.unified)
            })
            .collect();
        let expected: Vec<_> =
            expected.iter().map(|(mount, list, two)| (*mount, list.to_vec(), *two)).collect();
        assert_eq!(got, expected);
        assert_eq!(machine.is_unified(), unified);
    }

    #[test]
    fn version_one_two_and_both_are_told_apart() {
        check(
            "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n\
             31 25 0:27 / /proc rw - proc proc rw\n",
            &[("/sys/fs/cgroup", &[], true)],
            true,
        );
        check(
            "1 0 0:1 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
             2 1 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
             3 1 0:2 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             4 1 0:3 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
             5 1 0:4 / /mnt/cg rw - cgroup cgroup rw,memory\n\
             6 1 0:5 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            &[
                ("/sys/fs/cgroup/cpu", &["cpu", "cpuacct"], false),
                ("/sys/fs/cgroup/systemd", &[], false),
                ("/sys/fs/cgroup/unified", &[], true),
            ],
            false,
        );
    }
}
