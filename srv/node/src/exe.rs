//! This program, sealed: shims are executed from a copy in memory that nobody can write to, and
//! that survives an upgrade of the file (a container that reaches its shim's executable could
//! otherwise overwrite the host's, CVE-2019-5736).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use tokio::process::Child;
use tokio::time::timeout;

use crate::error::{Error, Result};
use crate::record;

/// Where a shim finds its network namespace.
pub(crate) const NETNS_FD: i32 = 3;
/// Where it finds the memory file of its instance's secrets.
pub(crate) const SECRETS_FD: i32 = 4;
/// How long a reap or a sweep may take: it kills and waits for a whole cgroup.
const REAP_TIME_MAX: Duration = Duration::from_secs(30);

/// How often a copy may be found busy: whoever looks through memory, as for pages to move, has one
/// in hand for a moment. The kernel itself waits for a part of a second each time (memfd_create(2),
/// `F_SEAL_WRITE` in fcntl(2)).
const SEAL_TRIES: usize = 20;

/// The sealed copy.
#[derive(Debug)]
pub(crate) struct Exe {
    copy: File,
}

impl Exe {
    /// Copies the program that runs now.
    pub(crate) fn seal() -> Result<Exe> {
        let path = Path::new("/proc/self/exe");
        let all = || -> io::Result<File> {
            let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
            let mut copy = File::from(memfd_create(c"deployfs", flags)?);
            io::copy(&mut File::open(path)?, &mut copy)?;
            let seals = SealFlag::F_SEAL_SEAL
                | SealFlag::F_SEAL_SHRINK
                | SealFlag::F_SEAL_GROW
                | SealFlag::F_SEAL_WRITE;
            for more in (0..SEAL_TRIES).rev() {
                match fcntl(&copy, FcntlArg::F_ADD_SEALS(seals)) {
                    Err(Errno::EBUSY) if more > 0 => {}
                    sealed => return sealed.map(|_| copy).map_err(io::Error::from),
                }
            }
            Err(Errno::EBUSY.into())
        };
        Ok(Exe { copy: all().map_err(Error::io("copy", path))? })
    }

    /// `deployfs shim` with nothing inherited but what is asked for: descriptors made here are
    /// all closed by the exec. The path goes through this process, because the number may be
    /// another descriptor's in the child by the time it executes.
    fn command(&self) -> Command {
        let (pid, fd) = (std::process::id(), self.copy.as_raw_fd());
        let mut command = Command::new(format!("/proc/{pid}/fd/{fd}"));
        command.arg0("deployfs").arg("shim").env_clear().stdin(Stdio::null());
        command
    }

    /// Starts the shim of the instance in `dir`; its namespace becomes [`NETNS_FD`], its secrets
    /// [`SECRETS_FD`].
    pub(crate) fn spawn(
        &self,
        dir: &Path,
        netns: Option<OwnedFd>,
        secrets: Option<OwnedFd>,
    ) -> Result<Child> {
        let path = dir.join(record::SHIM_LOG);
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(Error::io("open", &path))?;
        let again = log.try_clone().map_err(Error::io("open", &path))?;
        let mut command = self.command();
        command.arg(dir).current_dir(dir).stdout(log).stderr(again);
        let given = [(netns, NETNS_FD), (secrets, SECRETS_FD)].into_iter();
        let map = |(fd, child_fd): (Option<OwnedFd>, i32)| {
            fd.map(|parent_fd| FdMapping { parent_fd, child_fd })
        };
        let mapped = command.fd_mappings(given.filter_map(map).collect());
        mapped.map_err(|why| Error::io("start the shim in", dir)(io::Error::other(why)))?;
        let child = tokio::process::Command::from(command).spawn();
        child.map_err(Error::io("start the shim in", dir))
    }

    /// Cleans up after the shim in `dir`, which is dead or must be: afterwards no process, mount
    /// or cgroup of the instance is left and `exit` is there.
    pub(crate) async fn reap(&self, dir: &Path) -> Result<()> {
        self.clean(&[Path::new("--reap"), dir], dir).await
    }

    /// Removes every cgroup below `parent` that is none of `keep`'s.
    pub(crate) async fn sweep(&self, parent: &str, keep: &[String]) -> Result<()> {
        let mut words = vec![Path::new("--sweep"), Path::new(parent)];
        words.extend(keep.iter().map(Path::new));
        self.clean(&words, Path::new(parent)).await
    }

    async fn clean(&self, words: &[&Path], subject: &Path) -> Result<()> {
        let mut command = self.command();
        command.args(words).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        let output = command.kill_on_drop(true).output();
        let failed = |why: String| Error::Shim { id: subject.display().to_string(), why };
        let output = match timeout(REAP_TIME_MAX, output).await {
            Ok(output) => output.map_err(Error::io("clean up after", subject))?,
            Err(_) => return Err(failed(format!("no end after {} s", REAP_TIME_MAX.as_secs()))),
        };
        if output.status.success() {
            return Ok(());
        }
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

/// The last line a shim wrote before it died, for a message.
pub(crate) fn last_words(dir: &Path) -> Option<String> {
    let path: PathBuf = dir.join(record::SHIM_LOG);
    let text = std::fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().rev().find(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_copy_is_this_program_and_nobody_can_write_to_it() {
        let exe = Exe::seal().unwrap();
        let path = format!("/proc/self/fd/{}", exe.copy.as_raw_fd());
        assert!(std::fs::read(&path).unwrap() == std::fs::read("/proc/self/exe").unwrap());
        let written = File::options().write(true).open(&path).and_then(|mut file| file.write(b"x"));
        assert!(written.is_err());
    }
}
