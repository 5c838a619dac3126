//! The directory of an instance: what is written there durably, and what is read back.
//!
//! Law: what a client was told is on disk, and no shim is started, nor its file written, before
//! the intent is. What is made beside the intent needs no record: the kernel takes a namespace
//! and its link when the node that has them dies, the next node removes the links that no living
//! instance owns, addresses and ports are only in memory, and an image belongs to the store.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::clock::now_ms;
use crate::error::{Error, Result};
use crate::wire::Exit;

/// The spec as the client wrote it.
pub(crate) const SPEC: &str = "spec.json";
/// There when the instance shall run; empty.
pub(crate) const INTENT: &str = "intent";
/// What the shim gets to know.
pub(crate) const SHIM: &str = "shim.json";
/// The shim's word on how it ended.
pub(crate) const EXIT: &str = "exit";
/// The processes of shim and container.
pub(crate) const PID: &str = "pid";
/// The shim's control socket.
pub(crate) const SOCK: &str = "sock";
/// What the shim has to complain about.
pub(crate) const SHIM_LOG: &str = "shim.log";
/// The program's output.
pub(crate) const LOG: &str = "log";
/// `healthy` or `unhealthy`; for a node that comes later, so it need not survive the machine.
const HEALTH: &str = "health";
/// Begins the name of a directory on its way out; no instance can have such a name.
pub(crate) const REMOVING: &str = ".removing-";

/// Makes the directory of a new instance; one that is there is fine.
pub(crate) fn make(dir: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => Err(Error::io("make", dir)(why)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a file so that it is there whole or not at all. It need not outlive the machine: the
/// spec, which binds nobody before the intent, and `shim.json`, which no shim outlives.
pub(crate) fn write_loosely(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let new = dir.join(format!(".{name}.new"));
    fs::write(&new, bytes).and_then(|()| fs::rename(&new, &path)).map_err(|why| {
        let _ = fs::remove_file(&new);
        Error::io("write", &path)(why)
    })
}

/// Writes the intent, and makes durable what it stands on: the spec, and both names. The disk is
/// asked for all three at once, so that it can take them in one go; an intent that a power cut
/// leaves without its spec was never answered for.
pub(crate) fn write_intent(dir: &Path) -> Result<()> {
    let sync = |path: &Path| File::open(path)?.sync_all();
    let (spec, parent) = (dir.join(SPEC), dir.parent().unwrap_or(dir));
    let all = || {
        File::create(dir.join(INTENT))?;
        std::thread::scope(|scope| {
            let others = [scope.spawn(|| sync(&spec)), scope.spawn(|| sync(parent))];
            let own = sync(dir);
            let ended = others.map(|one| one.join().unwrap_or(Err(io::ErrorKind::Other.into())));
            ended.into_iter().chain([own]).collect::<io::Result<()>>()
        })
    };
    all().map_err(Error::io("write", &dir.join(INTENT)))
}

/// Takes back the intent of a start that was refused after all: no later node shall make it.
pub(crate) fn take_back(dir: &Path) {
    let path = dir.join(INTENT);
    match fs::remove_file(&path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => {
            tracing::warn!("remove {}: {why}", path.display());
        }
        Ok(()) | Err(_) => {}
    }
}

/// Writes a file so that it is there whole or not at all, and stays.
pub(crate) fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = dir.join(name);
    let new = dir.join(format!(".{name}.new"));
    let all = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    };
    all().map_err(|why| {
        // Whatever was half written is of no use; when it cannot be removed it does no harm.
        let _ = fs::remove_file(&new);
        Error::io("write", &path)(why)
    })
}

/// How the instance ended, when it has. An empty file is none: a full disk can leave one.
pub(crate) fn exit(dir: &Path) -> Result<Option<Exit>> {
    let path = dir.join(EXIT);
    match fs::read(&path) {
        Ok(bytes) if bytes.is_empty() => Ok(None),
        Ok(bytes) => {
            let exit = serde_json::from_slice(&bytes).map_err(io::Error::from);
            exit.map(Some).map_err(Error::io("read", &path))
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(Error::io("read", &path)(why)),
    }
}

/// Writes how an instance ended that no shim was ever started for.
///
/// When that cannot be written the intent is taken back, which needs no room on the disk: a later
/// node must not start what was said to have ended.
pub(crate) fn write_exit(dir: &Path, exit: &Exit) -> Result<()> {
    let bytes = serde_json::to_vec(exit).map_err(io::Error::from);
    let written = bytes
        .map_err(Error::io("write", &dir.join(EXIT)))
        .and_then(|bytes| write(dir, EXIT, &bytes));
    if written.is_err() {
        take_back(dir);
    }
    written
}

/// The exit of an instance that was stopped before it ran: as if its program had heeded TERM.
pub(crate) fn never_ran() -> Exit {
    Exit {
        code: 143,
        signal: None,
        oom: false,
        reason: Some("stopped before it was started".to_owned()),
        finished_ms: now_ms(),
        failed: false,
        permanent: false,
    }
}

/// The exit of an instance whose end nobody saw: it was killed with its shim.
pub(crate) fn died(reason: String) -> Exit {
    Exit { code: 137, signal: Some("KILL".to_owned()), reason: Some(reason), ..never_ran() }
}

/// The exit of an instance that could not be started.
pub(crate) fn failed(reason: String, permanent: bool) -> Exit {
    Exit {
        code: 125,
        signal: None,
        oom: false,
        reason: Some(reason),
        finished_ms: now_ms(),
        failed: true,
        permanent,
    }
}

/// Keeps what the probes say.
pub(crate) fn mark(dir: &Path, healthy: bool) -> Result<()> {
    let path = dir.join(HEALTH);
    let word = if healthy { "healthy\n" } else { "unhealthy\n" };
    fs::write(&path, word).map_err(Error::io("write", &path))
}

/// What the probes said last.
pub(crate) fn marked(dir: &Path) -> Option<bool> {
    match fs::read_to_string(dir.join(HEALTH)).ok()?.trim() {
        "healthy" => Some(true),
        "unhealthy" => Some(false),
        _ => None,
    }
}

/// The files of the log in a directory by their numbers, the newest first.
pub(crate) fn log_files(dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries.flatten(),
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(why),
    };
    let numbered =
        entries.filter_map(|entry| Some((log_number(&entry.file_name())?, entry.path())));
    let mut files: Vec<(u32, PathBuf)> = numbered.collect();
    files.sort_unstable();
    Ok(files)
}

/// 0 for `log`, 3 for `log.3`. The kernel's `log.3 (deleted)` is no number.
pub(crate) fn log_number(name: &OsStr) -> Option<u32> {
    match name.to_str()?.strip_prefix(LOG)? {
        "" => Some(0),
        rest => rest.strip_prefix('.')?.parse().ok(),
    }
}

/// Removes a directory that no instance has; what cannot be removed now is tried again by the
/// next node, so it is only told.
pub(crate) fn remove_tree(dir: &Path) {
    let gone = match fs::symlink_metadata(dir) {
        Ok(found) if !found.is_dir() => fs::remove_file(dir),
        Ok(_) | Err(_) => fs::remove_dir_all(dir),
    };
    if let Err(why) = gone {
        tracing::warn!("remove {}: {why}", dir.display());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(exit(dir.path()).unwrap(), None);
        for one in [never_ran(), failed("no image".into(), true)] {
            write_exit(dir.path(), &one).unwrap();
            assert_eq!(exit(dir.path()).unwrap(), Some(one));
        }
        let names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [EXIT]);
    }

    #[test]
    fn an_empty_exit_is_none_and_a_broken_one_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(EXIT), "").unwrap();
        assert_eq!(exit(dir.path()).unwrap(), None);
        fs::write(dir.path().join(EXIT), "{").unwrap();
        assert!(exit(dir.path()).is_err());
    }

    #[test]
    fn an_exit_that_cannot_be_written_takes_the_intent_back() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(INTENT), "").unwrap();
        // A directory in the place of the new file is refused to root as well.
        fs::create_dir(dir.path().join(".exit.new")).unwrap();
        let text = write_exit(dir.path(), &never_ran()).unwrap_err().to_string();
        assert!(text.starts_with("write ") && text.contains("/exit: "), "{text}");
        assert!(!dir.path().join(INTENT).exists());
    }

    #[test]
    fn a_mark_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(marked(dir.path()), None);
        for healthy in [true, false] {
            mark(dir.path(), healthy).unwrap();
            assert_eq!(marked(dir.path()), Some(healthy));
        }
    }
}
