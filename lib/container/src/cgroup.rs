//! The cgroup of one container in every hierarchy: its processes, their end, its removal, and
//! whether the kernel killed for want of memory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::error::Error;
use crate::hierarchy::Machine;
use crate::plan::Limits;

/// How long a removal is tried. A process in an uninterruptible wait can outlive any kill.
pub const REMOVE_MAX: Duration = Duration::from_secs(5);

/// Pause between two attempts; version 1 tells nobody when a cgroup has become empty.
const RETRY: Duration = Duration::from_millis(2);

/// One cgroup, named by its path below every hierarchy's root.
#[derive(Debug, Clone)]
pub struct Cgroup {
    dirs: Vec<Dir>,
}

#[derive(Debug, Clone)]
struct Dir {
    path: PathBuf,
    unified: bool,
    controllers: Vec<String>,
}

impl Cgroup {
    /// The cgroup at `path`, which must be absolute; nothing is made.
    ///
    /// # Errors
    /// A path with `..` or relative; no hierarchy mounted.
    pub fn at(path: &str) -> Result<Cgroup, Error> {
        let below = plain(path)?;
        let machine = Machine::look()?;
        let dir = |one: &crate::hierarchy::Hierarchy| Dir {
            path: one.mount.join(&below),
            unified: one.unified,
            controllers: one.controllers.clone(),
        };
        Ok(Cgroup { dirs: machine.hierarchies.iter().map(dir).collect() })
    }

    /// The version 2 side of a machine that has both, made and opened for a process to be forked
    /// into: see [`Cgroup::join_beside`]. None where there is no such side or it cannot be made.
    pub fn beside(&self) -> Option<OwnedFd> {
        let dir = self.both().find(|dir| dir.unified)?;
        fs::create_dir_all(&dir.path).ok()?;
        File::open(&dir.path).ok().map(OwnedFd::from)
    }

    /// Puts the calling process into the version 2 side of a machine that has both, unless it was
    /// forked into it. There it is under no limit, all it forks follows, and `cgroup.kill` reaches
    /// them at one stroke. It fails without harm: the version 1 side is then all there is.
    pub(crate) fn join_beside(&self) {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
        for dir in self.both().filter(|dir| dir.unified) {
            let there = !own.is_empty() && dir.path.ends_with(own);
            if !there && fs::create_dir_all(&dir.path).is_ok() {
                let _ = fs::write(dir.path.join("cgroup.procs"), "0");
            }
        }
    }

    /// All directories of a machine with both versions; none of one with version 2 only.
    fn both(&self) -> impl Iterator<Item = &Dir> {
        let both = self.dirs.iter().any(|dir| !dir.unified);
        self.dirs.iter().filter(move |_| both)
    }

    /// The directories with version 1 controllers, where libcontainer puts processes.
    pub(crate) fn version_one(&self) -> impl Iterator<Item = &Path> {
        let one = |dir: &&Dir| !dir.unified && !dir.controllers.is_empty();
        self.dirs.iter().filter(one).map(|dir| dir.path.as_path())
    }

    /// Limits its processor time and its processes, where there is a controller for it; where
    /// there is none the warning of [`Limits::resources`] has said so.
    ///
    /// # Errors
    /// The kernel takes a limit not.
    pub(crate) fn limit(&self, limits: &Limits) -> Result<(), Error> {
        let unified = self.dirs.iter().all(|dir| dir.unified);
        for dir in &self.dirs {
            for (controller, name, text) in limits.files(unified) {
                let path = dir.path.join(name);
                // Which controllers a version 2 cgroup has, its files tell.
                let limited = match unified {
                    true => path.exists(),
                    false => dir.controllers.iter().any(|name| name == controller),
                };
                if limited {
                    fs::write(&path, text).map_err(Error::io("write", &path))?;
                }
            }
        }
        Ok(())
    }

    /// Lets the cgroup use no swap beyond its memory. False when the machine cannot.
    pub(crate) fn forbid_swap(&self, memory_bytes: u64) -> bool {
        let all = memory_bytes.to_string();
        self.dirs.iter().any(|dir| {
            let one = fs::write(dir.path.join("memory.memsw.limit_in_bytes"), &all);
            one.is_ok() || fs::write(dir.path.join("memory.swap.max"), "0").is_ok()
        })
    }

    /// How many processes of it the kernel killed for want of memory. Ask before the removal.
    pub fn oom_kills(&self) -> u64 {
        let counts = self.dirs.iter().map(|dir| {
            let name = if dir.unified { "memory.events" } else { "memory.oom_control" };
            let text = fs::read_to_string(dir.path.join(name)).unwrap_or_default();
            let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
            count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
        });
        counts.max().unwrap_or(0)
    }

    /// Sends KILL to every process in it, frozen meanwhile so that none forks away; returns how
    /// many there were. The caller itself is spared.
    pub fn kill(&self) -> usize {
        let mut pids = BTreeSet::new();
        for dir in self.dirs.iter().filter(|dir| dir.path.exists()) {
            // Only version 2 since 5.14 has this file.
            let _ = fs::write(dir.path.join("cgroup.kill"), "1");
            dir.freeze(true);
            collect(&dir.path, &mut pids);
        }
        for pid in pids.iter().filter(|pid| **pid != getpid().as_raw()) {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        for dir in self.dirs.iter().filter(|dir| dir.path.exists()) {
            dir.freeze(false);
        }
        pids.len()
    }

    /// Kills what is in it and removes it from every hierarchy, children first.
    ///
    /// # Errors
    /// It is still there after `within`.
    pub fn remove(&self, within: Duration) -> Result<(), Error> {
        let end = Instant::now() + within;
        loop {
            let mut busy = None;
            for dir in &self.dirs {
                if let Err(why) = remove_tree(&dir.path) {
                    busy = Some((dir.path.clone(), why));
                }
            }
            let Some((path, why)) = busy else { return Ok(()) };
            if Instant::now() >= end {
                return Err(Error::CgroupBusy { path, within_ms: within.as_millis(), why });
            }
            self.kill();
            std::thread::sleep(RETRY);
        }
    }

    /// Whether it exists in any hierarchy.
    pub fn exists(&self) -> bool {
        self.dirs.iter().any(|dir| dir.path.exists())
    }
}

impl Dir {
    fn freeze(&self, on: bool) {
        if self.controllers.iter().any(|name| name == "freezer") {
            let state = if on { "FROZEN" } else { "THAWED" };
            let _ = fs::write(self.path.join("freezer.state"), state);
        }
    }
}

/// Removes every cgroup directly below `parent` whose name is not in `keep`, and `parent` itself
/// when nothing is to be kept. Returns the names removed, and what could not be.
///
/// # Errors
/// As [`Cgroup::at`].
pub fn sweep(parent: &str, keep: &[String]) -> Result<(Vec<String>, Vec<Error>), Error> {
    let all = Cgroup::at(parent)?;
    let mut names = BTreeSet::new();
    for dir in &all.dirs {
        for entry in fs::read_dir(&dir.path).into_iter().flatten().flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if let (true, Ok(name)) = (is_dir, entry.file_name().into_string()) {
                names.insert(name);
            }
        }
    }
    let (mut removed, mut failed) = (Vec::new(), Vec::new());
    for name in names.into_iter().filter(|name| !keep.contains(name)) {
        match Cgroup::at(&format!("{parent}/{name}"))?.remove(REMOVE_MAX) {
            Ok(()) => removed.push(name),
            Err(error) => failed.push(error),
        }
    }
    if keep.is_empty()
        && let Err(error) = all.remove(REMOVE_MAX)
    {
        failed.push(error);
    }
    Ok((removed, failed))
}

/// `path` without its first slash, when it is absolute, not the root and has no `..`.
fn plain(path: &str) -> Result<PathBuf, Error> {
    let mut parts = Path::new(path).components();
    let absolute = parts.next() == Some(Component::RootDir);
    let below: PathBuf = parts.as_path().to_owned();
    let normal = below.components().all(|part| matches!(part, Component::Normal(_)));
    if absolute && normal && !below.as_os_str().is_empty() {
        Ok(below)
    } else {
        Err(Error::CgroupPath(path.to_owned()))
    }
}

fn collect(dir: &Path, pids: &mut BTreeSet<i32>) {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process outside our process-number namespace.
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), pids);
        }
    }
}

fn remove_tree(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir(dir) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(()) => return Ok(()),
        Err(_) => {}
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<&str>) {
        assert_eq!(plain(path).ok(), expected.map(PathBuf::from), "{path}");
    }

    #[test]
    fn a_cgroup_path_is_absolute_and_plain() {
        check("/deploy-1a/web-0", Some("deploy-1a/web-0"));
        check("/deploy-1a", Some("deploy-1a"));
        check("/", None);
        check("", None);
        check("deploy", None);
        check("/deploy/../..", None);
        check("/../x", None);
    }
}
