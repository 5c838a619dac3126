//! Whether a file inside an instance is there, regular, readable and not empty.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat};

/// openat2(2) asks to be called again when a name on the way was moved meanwhile.
const OPEN_TRIES_MAX: usize = 8;

/// Looks at `path` as a process with the root directory `root` would see it; links lead nowhere
/// outside. The error is the answer's text.
///
/// Only what turns out to be a regular file is opened for reading: opening a FIFO would wait for
/// its other end, and opening a device may do anything.
pub(crate) fn look(root: &Path, path: &str) -> Result<(), String> {
    let gone = |why: io::Error| {
        if why.kind() == io::ErrorKind::NotFound {
            "the instance does not run".to_owned()
        } else {
            format!("root of the instance: {why}")
        }
    };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let root = OpenOptions::new().read(true).custom_flags(flags.bits()).open(root).map_err(gone)?;
    let absent = |why: Errno| {
        if why == Errno::ENOENT || why == Errno::ENOTDIR {
            format!("{path} is not there")
        } else {
            format!("{path}: {}", why.desc())
        }
    };
    let place = find(&root, path).map_err(absent)?;
    let stat = fstat(&place).map_err(|why| format!("{path}: {}", why.desc()))?;
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    if kind == SFlag::S_IFDIR {
        return Err(format!("{path} is a directory, not a file"));
    }
    if kind != SFlag::S_IFREG {
        return Err(format!("{path} is not a regular file"));
    }
    // The size is not asked: files of /proc and the like say 0 and have content.
    let mut byte = [0];
    let same = format!("/proc/self/fd/{}", place.as_raw_fd());
    let read = File::open(same).and_then(|mut file| file.read(&mut byte));
    match read {
        Ok(0) => Err(format!("{path} is empty")),
        Ok(_) => Ok(()),
        Err(why) => Err(format!("{path} cannot be read: {why}")),
    }
}

fn find(root: &File, path: &str) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let mut found = Err(Errno::EAGAIN);
    for _ in 0..OPEN_TRIES_MAX {
        found = openat2(root, path, how);
        if !matches!(found, Err(Errno::EAGAIN | Errno::EINTR)) {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    /// Looks at `path` in a tree with something of every kind.
    fn check(path: &str, answer: Result<(), &str>) {
        let directory = tempfile::tempdir().unwrap();
        let (host, root) = (directory.path(), directory.path().join("root"));
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(host.join("secret"), "of the host").unwrap();
        std::fs::write(root.join("ready"), "yes").unwrap();
        std::fs::write(root.join("empty"), "").unwrap();
        symlink("/ready", root.join("etc/absolute")).unwrap();
        symlink("../../../secret", root.join("etc/out")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/proc/self/exe", root.join("magic")).unwrap();
        mkfifo(&root.join("fifo"), Mode::S_IRWXU).unwrap();
        std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        assert_eq!(look(&root, path), answer.map_err(str::to_owned), "{path}");
    }

    #[test]
    fn a_regular_file_with_content_is_healthy() {
        check("/ready", Ok(()));
        check("/etc/../ready", Ok(()));
        check("/etc/absolute", Ok(()));
    }

    #[test]
    fn what_is_missing_empty_or_no_file_is_said_in_words() {
        check("/nowhere", Err("/nowhere is not there"));
        check("/ready/below", Err("/ready/below is not there"));
        check("/empty", Err("/empty is empty"));
        check("/etc", Err("/etc is a directory, not a file"));
        check("/socket", Err("/socket is not a regular file"));
        check("/loop", Err("/loop: Too many symbolic links encountered"));
    }

    #[test]
    fn a_fifo_is_answered_at_once_and_never_opened() {
        check("/fifo", Err("/fifo is not a regular file"));
    }

    #[test]
    fn no_link_leads_out_of_the_instance() {
        check("/../secret", Err("/../secret is not there"));
        check("/etc/out", Err("/etc/out is not there"));
        check("/magic", Err("/magic is not there"));
    }

    #[test]
    fn a_file_of_proc_has_content_though_its_size_is_0() {
        assert_eq!(look(Path::new("/"), "/proc/version"), Ok(()));
    }

    #[test]
    fn an_instance_without_a_root_does_not_run() {
        let text = look(Path::new("/proc/0/root"), "/ready").unwrap_err();
        assert_eq!(text, "the instance does not run");
    }
}
