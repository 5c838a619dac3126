//! The logs of instances that are gone: kept until a client removes them, which knows whose they
//! are and how many are wanted. Each has a directory of its instance's name, with the log in it.
//!
//! Law: an instance's directory goes in one rename, with its log to the kept ones or, when it has
//! written nothing, on its way out; whatever is left undone then the next node does.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ninep::{Answer, Error as Refusal, Open};
use tokio::task::spawn_blocking;

use crate::error::{Error, Result};
use crate::id::Id;
use crate::record::{self, REMOVING};

/// Bytes given by one read at most.
const READ_MAX: usize = 1 << 20;

/// Takes the directory of an instance away, all but its log, which comes to be in `logs`; gives
/// the bytes of that. From the rename on the instance does not exist, whatever happens.
pub(crate) fn erase(dir: &Path, logs: &Path) -> Result<u64> {
    let bytes = bytes(dir);
    let name = dir.file_name().unwrap_or_default();
    if bytes == 0 {
        return leave(dir, dir).map(|()| 0);
    }
    let kept = logs.join(name);
    // A name is one run; of one that was used twice all the same the later log is kept.
    leave(&kept, dir)?;
    match fs::rename(dir, &kept) {
        Ok(()) => clear(&kept),
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(why) => return Err(Error::io("remove", dir)(why)),
    }
    Ok(bytes)
}

/// Removes the log of an instance that is gone; one that is not there is fine.
pub(crate) fn remove(kept: &Path) -> Result<()> {
    leave(kept, kept)
}

/// Removes a directory by way of a name that nobody looks for, beside `beside`.
fn leave(dir: &Path, beside: &Path) -> Result<()> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let away = beside.with_file_name(format!("{REMOVING}{name}"));
    match fs::rename(dir, &away) {
        Ok(()) => {
            record::remove_tree(&away);
            Ok(())
        }
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(Error::io("remove", dir)(why)),
    }
}

/// Does what an earlier node left undone.
pub(crate) fn sweep(logs: &Path) -> Result<()> {
    for entry in fs::read_dir(logs).map_err(Error::io("read", logs))? {
        let path = entry.map_err(Error::io("read", logs))?.path();
        let leaving = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(REMOVING) || bytes(&path) == 0);
        if leaving {
            record::remove_tree(&path);
        } else {
            clear(&path);
        }
    }
    Ok(())
}

/// Removes everything but the log.
fn clear(kept: &Path) {
    let Ok(entries) = fs::read_dir(kept) else { return };
    for entry in entries.flatten() {
        if record::log_number(&entry.file_name()).is_none() {
            record::remove_tree(&entry.path());
        }
    }
}

/// Bytes of the log in a directory.
fn bytes(dir: &Path) -> u64 {
    let files = record::log_files(dir).unwrap_or_default();
    files.iter().filter_map(|(_, path)| fs::metadata(path).ok()).map(|found| found.len()).sum()
}

/// What is known of a kept log without opening it.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Bytes, of all its files.
    pub(crate) bytes: u64,
    /// When it came to be kept, in Unix seconds.
    pub(crate) since: i64,
    /// What its directory is to the disk.
    pub(crate) found: fs::Metadata,
}

/// The kept log in that directory, if there is one.
pub(crate) fn look(kept: &Path) -> Option<Kept> {
    let found = fs::metadata(kept).ok().filter(fs::Metadata::is_dir)?;
    // The rest of the instance was taken out of the directory then.
    Some(Kept { bytes: bytes(kept), since: found.mtime(), found })
}

/// The names of all.
pub(crate) fn ids(logs: &Path) -> Vec<Id> {
    let entries = fs::read_dir(logs).into_iter().flatten().flatten();
    let mut ids: Vec<Id> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    ids
}

/// A kept log as it is read: its files one after the other, the oldest first.
pub(crate) struct KeptFile(Arc<Vec<(File, u64)>>);

impl KeptFile {
    /// Opens the log in that directory.
    pub(crate) fn open(kept: &Path) -> Result<KeptFile> {
        let all = || -> io::Result<Vec<(File, u64)>> {
            let mut files = Vec::new();
            for (_, path) in record::log_files(kept)?.into_iter().rev() {
                let file = File::open(path)?;
                let length = file.metadata()?.len();
                files.push((file, length));
            }
            Ok(files)
        };
        all().map(|files| KeptFile(Arc::new(files))).map_err(Error::io("read", kept))
    }
}

impl Open for KeptFile {
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let files = Arc::clone(&self.0);
        Answer::later(async move {
            let read = spawn_blocking(move || read(&files, offset, count as usize));
            match read.await {
                Ok(Ok(bytes)) => Ok(bytes),
                Ok(Err(why)) => {
                    let error = Error::io("read", &PathBuf::from(record::LOG))(why);
                    Err(Refusal::with(error.errno() as u32, error.refusal()))
                }
                Err(_) => Err(Refusal::Interrupted),
            }
        })
    }
}

/// What the files have at that place of the whole.
fn read(files: &[(File, u64)], mut offset: u64, count: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; count.min(READ_MAX)];
    let mut filled = 0;
    for (file, length) in files {
        while offset < *length && filled < buffer.len() {
            let read = file.read_at(&mut buffer[filled..], offset)?;
            if read == 0 {
                // Somebody cut it.
                break;
            }
            (filled, offset) = (filled + read, offset + read as u64);
        }
        offset = offset.saturating_sub(*length);
    }
    buffer.truncate(filled);
    Ok(buffer.into())
}

#[cfg(test)]
#[path = "kept_test.rs"]
mod tests;
