//! What the demonstration needs of the machine, said in one line when it is not there.

use std::path::Path;

/// Looks for what is needed.
///
/// # Errors
/// The first thing that is missing, and what to do.
pub(crate) fn check() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("containers need root: run `sudo cargo demo`, or as root".to_string());
    }
    let filesystems = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !filesystems.lines().any(|line| line.ends_with("\toverlay")) {
        return Err("this kernel has no overlayfs: try `modprobe overlay`".to_string());
    }
    if !Path::new("/sys/fs/cgroup").is_dir() {
        return Err("no cgroups at /sys/fs/cgroup: mount them first".to_string());
    }
    Ok(())
}
