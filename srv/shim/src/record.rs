//! Files that must be true after a power cut, and who a process number meant.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{Error, complain};

/// Name of the file that says how the instance ended.
pub(crate) const EXIT: &str = "exit";

/// Name of the file that says which processes it has.
pub(crate) const PID: &str = "pid";

/// A process that cannot be mistaken for a later one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks after boot (proc_pid_stat(5), field 22).
    pub(crate) start: u64,
}

/// The `pid` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pids {
    pub(crate) boot_id: String,
    pub(crate) shim: Process,
    pub(crate) init: Option<Process>,
}

impl Process {
    /// The process that has this number now.
    pub(crate) fn now(pid: i32) -> Option<Process> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Process { pid, start: start_of(&text)? })
    }
}

impl Pids {
    /// This shim and, when it has one, its container's first process.
    pub(crate) fn of(init: Option<i32>) -> Option<Pids> {
        let shim = Process::now(std::process::id().cast_signed())?;
        Some(Pids { boot_id: boot_id(), shim, init: init.and_then(Process::now) })
    }

    /// Writes the file; it matters only beside processes that live, so a failure is no reason to
    /// end one, and it need not outlive the machine: in another boot it means nothing.
    pub(crate) fn write(&self) {
        let bytes = serde_json::to_vec(self).map_err(std::io::Error::from);
        let written = bytes.and_then(|bytes| replace(Path::new(PID), &bytes));
        if let Err(why) = written {
            complain(format_args!("write pid: {why}"));
        }
    }

    /// Kills the shim the file in the current directory speaks of, if it is still that one.
    pub(crate) fn kill_shim() {
        let Ok(bytes) = fs::read(PID) else { return };
        let Ok(pids) = serde_json::from_slice::<Pids>(&bytes) else { return };
        let same = Process::now(pids.shim.pid) == Some(pids.shim);
        if same && pids.boot_id == boot_id() {
            let _ = kill(Pid::from_raw(pids.shim.pid), Signal::SIGKILL);
        }
    }
}

/// The name of this boot; a process number of another boot means nothing.
fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// The name in field 2 may hold blanks and brackets; the rest begins after the last bracket.
fn start_of(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// Room for an exit file in bytes, with a reason of the usual length.
const EXIT_ROOM: [u8; 4096] = [0; 4096];

/// Takes the disk's room for the `exit` file of the current directory, so that a disk that fills
/// up meanwhile, perhaps by the container's own doing, does not make its end unknown.
///
/// # Errors
/// The disk's.
pub(crate) fn reserve() -> Result<(), Error> {
    let path = Path::new(EXIT).with_extension("tmp");
    fs::write(&path, EXIT_ROOM).map_err(Error::io("write", path))
}

/// Writes a file so that it is there whole or not at all, and stays. What its first name has of
/// room is used: see [`reserve`].
///
/// # Errors
/// The disk's.
pub(crate) fn durable(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("tmp");
    // Not truncated first: that would give the room away.
    let mut file = File::options().write(true).create(true).truncate(false).open(&new)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("tmp");
    fs::write(&new, bytes)?;
    fs::rename(&new, path)
}

/// Takes `DIR` for this process and its forks until the last of them ends or executes.
///
/// # Errors
/// Another holds it.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    let file = File::open(dir).map_err(Error::io("open", dir))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Busy(dir.to_owned())),
        Err(fs::TryLockError::Error(why)) => Err(Error::io("lock", dir)(why)),
    }
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_read_behind_any_name() {
        let tail = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 0 0";
        assert_eq!(start_of(&format!("7 (x) {tail}")), Some(4711));
        assert_eq!(start_of(&format!("7 (a) b) (c) {tail}")), Some(4711));
        assert_eq!(start_of("7 (x) S 1"), None);
        assert_eq!(start_of(""), None);
        let own = Process::now(std::process::id().cast_signed()).unwrap();
        assert!(own.start > 0);
    }

    #[test]
    fn a_durable_file_replaces_the_old_one_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exit");
        durable(&path, b"one").unwrap();
        fs::write(path.with_extension("tmp"), "longer than what comes").unwrap();
        durable(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_has_one_shim() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        assert!(matches!(lock(dir.path()), Err(Error::Busy(_))));
        drop(held);
        assert!(lock(dir.path()).is_ok());
    }
}
