//! Has the kernel ready for a move between cgroups before one is made.
//!
//! The first process that is moved after a while waits for a grace period of the kernel's
//! (`percpu_down_write` of the lock behind `cgroup.procs`: about 8 ms), and moves that follow soon
//! do not. A container's start makes such a move at its end; a move of this process to where it
//! is already, begun when the start is, lets the wait go on beside all other work.

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

/// The `cgroup.procs` of the cgroup this process is in, in a hierarchy that is mounted.
fn procs() -> Option<&'static PathBuf> {
    static PATH: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        own.lines().find_map(candidate).filter(|path| path.exists())
    };
    PATH.get_or_init(find).as_ref()
}

/// The file for a line of `/proc/self/cgroup`, if it is of the unified hierarchy (cgroups(7)).
fn candidate(line: &str) -> Option<PathBuf> {
    let below = line.strip_prefix("0::/")?;
    let roots = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
    let files = roots.map(|root| PathBuf::from(root).join(below).join("cgroup.procs"));
    files.into_iter().find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unified_hierarchy_s_line_names_a_file() {
        assert_eq!(candidate("4:memory:/x"), None);
        assert_eq!(candidate("0::/there/is/no/such/group"), None);
    }

    #[tokio::test]
    async fn this_process_stays_in_the_cgroup_it_is_in() {
        let before = fs::read_to_string("/proc/self/cgroup").unwrap();
        let path = procs().expect("this machine has the unified hierarchy");
        tokio::task::spawn_blocking(move || fs::write(path, "0")).await.unwrap().unwrap();
        assert_eq!(fs::read_to_string("/proc/self/cgroup").unwrap(), before);
    }
}
