//! The way of a process into its container's cgroup without waiting.
//!
//! A number written to `cgroup.procs` takes a lock on all forks of the machine
//! (`cgroup_threadgroup_rwsem`), and whoever takes it first after a while waits for a grace period
//! of the kernel's: 7 ms and more, most of a start. Two ways do without (Linux 5.7,
//! `kernel/cgroup/cgroup.c`): a process can be forked into a cgroup of version 2, and a thread can
//! move itself in version 1, by a `0` in `tasks`. libcontainer knows neither. So its caller goes
//! first, and what is forked is there already; then libcontainer's own moves need not be done, and
//! in the caller's mount namespace they are not: there `cgroup.procs` is `/dev/null`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use crate::cgroup::Cgroup;

/// What a version 1 `cpuset` must say before it takes a process.
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

/// The version 1 cgroups the calling process went into.
#[derive(Debug)]
pub(crate) struct Entered {
    dirs: Vec<PathBuf>,
}

impl Entered {
    /// Puts the caller, a process of one thread, into the version 1 side of `cgroup`. Where it
    /// cannot go libcontainer will move what it forks, and say what is wrong.
    pub(crate) fn into(cgroup: &Cgroup) -> Entered {
        let mut dirs: Vec<PathBuf> = cgroup.version_one().map(Path::to_owned).collect();
        if dirs.is_empty() || unshare(CloneFlags::CLONE_NEWNS).is_err() {
            return Entered { dirs: Vec::new() };
        }
        dirs.retain(|dir| enter(dir).is_ok());
        for dir in &dirs {
            let none = None::<&str>;
            let at = dir.join("cgroup.procs");
            // Not hidden it is only slow.
            let _ = mount(Some("/dev/null"), &at, none, MsFlags::MS_BIND, none);
        }
        Entered { dirs }
    }

    /// Takes the caller out again, before there are limits on what is in: it is none of the
    /// container's processes.
    pub(crate) fn leave(self) {
        for parent in self.dirs.iter().filter_map(|dir| dir.parent()) {
            // Who stays counts as one of them for the moment it has yet to live.
            let _ = fs::write(parent.join("tasks"), "0");
        }
    }
}

fn enter(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for name in CPUSET {
        if dir.join(name).exists() {
            inherit(dir, name)?;
        }
    }
    fs::write(dir.join("tasks"), "0")
}

/// What the file `name` of a cgroup says; an empty one gets what the one above says.
fn inherit(dir: &Path, name: &str) -> io::Result<String> {
    let path = dir.join(name);
    let own = fs::read_to_string(&path)?;
    if !own.trim().is_empty() {
        return Ok(own);
    }
    let above = inherit(dir.parent().ok_or(io::ErrorKind::NotFound)?, name)?;
    fs::write(&path, &above)?;
    Ok(above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_set_gets_what_is_above_and_a_full_one_keeps_its_own() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        for (dir, text) in [(root.path(), "0-3\n"), (&root.path().join("a"), "\n"), (&deep, "\n")] {
            fs::write(dir.join("cpuset.cpus"), text).unwrap();
        }
        assert_eq!(inherit(&deep, "cpuset.cpus").unwrap(), "0-3\n");
        assert_eq!(fs::read_to_string(root.path().join("a/cpuset.cpus")).unwrap(), "0-3\n");
        fs::write(deep.join("cpuset.cpus"), "1\n").unwrap();
        assert_eq!(inherit(&deep, "cpuset.cpus").unwrap(), "1\n");
        assert!(inherit(&deep, "cpuset.mems").is_err());
    }
}
