//! Processes of an earlier node: a number is believed only with its start time and boot.

use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::record;
use crate::wire::{Pids, Process};

/// The name of this boot; numbers of another boot mean nothing.
fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// The processes an instance's directory names; those that do not live any more are left out.
pub(crate) fn living(dir: &Path) -> Option<Living> {
    let text = fs::read(dir.join(record::PID)).ok()?;
    let pids: Pids = serde_json::from_slice(&text).ok()?;
    if pids.boot_id != boot_id() {
        return Some(Living { shim: None, init: None, since_ms: None });
    }
    let lives =
        |process: &Process| (start_of(process.pid) == Some(process.start)).then_some(process.pid);
    let init = pids.init.as_ref().and_then(lives);
    Some(Living { shim: lives(&pids.shim), init, since_ms: init.and_then(|_| written_ms(dir)) })
}

/// The shim of the instance in `dir` and what it made, when that shim lives: by the `pid` file,
/// and where there is none that can be read, by looking for it.
pub(crate) fn shim(dir: &Path) -> Option<Living> {
    match living(dir) {
        Some(living) => living.shim.is_some().then_some(living),
        // None was ever started where nothing was told to one.
        None if !dir.join(record::SHIM).exists() => None,
        None => shim_in(dir).map(|pid| Living { shim: Some(pid), init: None, since_ms: None }),
    }
}

fn written_ms(dir: &Path) -> Option<u64> {
    let at = fs::metadata(dir.join(record::PID)).and_then(|found| found.modified()).ok()?;
    u64::try_from(at.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// What a `pid` file is still worth.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Living {
    /// The shim, when it lives.
    pub(crate) shim: Option<i32>,
    /// The container's first process, when it lives.
    pub(crate) init: Option<i32>,
    /// Unix time in milliseconds of the file, which is written as soon as that process is made.
    pub(crate) since_ms: Option<u64>,
}

/// The start time of a process that runs: field 22 of proc_pid_stat(5). One that has ended and
/// was not waited for has none.
fn start_of(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may hold blanks and brackets; the rest begins after the last bracket.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A shim that works in `dir`, looked for among all processes: one that was spawned a moment
/// before its node died has not yet written its number.
fn shim_in(dir: &Path) -> Option<i32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        if fs::read_link(entry.path().join("cwd")).ok()? != dir {
            return None;
        }
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        (words.split(|&b| b == 0).nth(1)? == b"shim").then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(boot_id: &str, pid: u32, start: u64, expected: Option<i32>) {
        let dir = tempfile::tempdir().unwrap();
        let text = serde_json::json!({
            "boot_id": boot_id, "shim": {"pid": pid, "start": start}, "init": null
        });
        fs::write(dir.path().join(record::PID), text.to_string()).unwrap();
        let since_ms = None;
        assert_eq!(living(dir.path()), Some(Living { shim: expected, init: None, since_ms }));
    }

    #[test]
    fn a_number_is_believed_only_with_its_start_time_and_boot() {
        let me = std::process::id();
        let start = start_of(me.cast_signed()).unwrap();
        check(&boot_id(), me, start, Some(me.cast_signed()));
        check(&boot_id(), me, start + 1, None);
        check("another", me, start, None);
        assert_eq!(living(Path::new("/nonexistent")), None);
    }

    #[test]
    fn a_process_that_was_not_waited_for_does_not_live() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = child.id().cast_signed();
        let ended = || {
            nix::sys::wait::waitid(
                nix::sys::wait::Id::Pid(nix::unistd::Pid::from_raw(pid)),
                nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT,
            )
        };
        ended().unwrap();
        assert_eq!(start_of(pid), None);
        child.wait().unwrap();
    }

    #[test]
    fn a_shim_is_found_by_the_directory_it_works_in() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        assert_eq!(shim_in(&dir), None);
        // `sh -s` waits for its input; its second word is not the shim's, the other's is.
        let spawn = |word: &str| {
            let mut command = std::process::Command::new("/bin/cat");
            command.args([word, "-"]).current_dir(&dir);
            let child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
            // The kernel lets a parent go on a moment before its child's words can be read.
            while fs::read(format!("/proc/{}/cmdline", child.id())).unwrap().is_empty() {
                std::thread::yield_now();
            }
            child
        };
        fs::write(dir.join("shim"), "").unwrap();
        fs::write(dir.join("other"), "").unwrap();
        let mut other = spawn("other");
        assert_eq!(shim_in(&dir), None);
        let mut shim = spawn("shim");
        assert_eq!(shim_in(&dir), Some(shim.id().cast_signed()));
        for child in [&mut other, &mut shim] {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}
