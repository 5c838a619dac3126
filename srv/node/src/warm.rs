//! Has the kernel ready for a move between cgroups before one is made.
//!
//! The first process that is moved after a while waits for a grace period of the kernel's
//! (`percpu_down_write` of the lock behind `cgroup.procs`: about 8 ms), and moves that follow soon
//! do not. Where there is only cgroup version 2 a container's start makes such a move at its end;
//! a move of this process to where it is already, begun when the start is, lets the wait go on
//! beside all other work. Where there is version 1 a start makes none.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Begins the grace period, beside whatever comes next. What comes of it makes no difference but
/// in time.
pub(crate) fn begin() {
    if let Some(path) = procs() {
        tokio::task::spawn_blocking(move || fs::write(path, "0"));
    }
}

/// The `cgroup.procs` of the cgroup this process is in, where there is only version 2.
fn procs() -> Option<&'static PathBuf> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || candidate(&fs::read_to_string("/proc/self/cgroup").ok()?);
    PATH.get_or_init(find).as_ref()
}

/// The file for a text of `/proc/self/cgroup`, if its one line is of version 2 (cgroups(7)).
fn candidate(own: &str) -> Option<PathBuf> {
    let below = own.strip_prefix("0::/")?.strip_suffix('\n').filter(|one| !one.contains('\n'))?;
    let path = PathBuf::from("/sys/fs/cgroup").join(below).join("cgroup.procs");
    path.exists().then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_machine_with_nothing_but_version_two_names_a_file() {
        assert_eq!(candidate("4:memory:/x\n"), None);
        assert_eq!(candidate("4:memory:/x\n0::/\n"), None);
        assert_eq!(candidate("0::/\n4:memory:/x\n"), None);
        assert_eq!(candidate("0::/there/is/no/such/group\n"), None);
    }
}
