//! Where things lie in the store's directory, how a file is replaced durably, and how much room
//! there is.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FlockOperation, StatVfs, flock, statvfs};
use rustix::io::Errno;

use crate::digest::Digest;
use crate::{Error, Result};

/// Bytes that are to stay free whatever is pulled.
pub(crate) const RESERVE_BYTES: u64 = 64 << 20;
/// Inodes that are to stay free whatever is pulled.
pub(crate) const RESERVE_INODES: u64 = 4096;
/// Names of directories being unpacked or thrown away; removed when the store is opened.
const SCRATCH: &str = "scratch-";

/// The store's directory.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
    scratch: AtomicU64,
    /// Holds the flock.
    lock: File,
}

impl Disk {
    /// Makes the directories, takes the lock and removes scratch directories of a dead process.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        private(dir)?;
        for part in ["blobs", "blobs/sha256", "ingest", "layers"] {
            private(&dir.join(part))?;
        }
        let dir = fs::canonicalize(dir).map_err(|e| io_error("open", dir, e))?;
        let path = dir.join("lock");
        let lock = File::options().create(true).append(true).mode(0o600).open(&path);
        let lock = lock.map_err(|e| io_error("open", &path, e))?;
        let closed = lock.set_permissions(Permissions::from_mode(0o600));
        closed.map_err(|e| io_error("close to others", &path, e))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Error::Busy { dir }),
            Err(e) => return Err(io_error("lock", &path, e.into())),
        }
        let disk = Self { dir, scratch: AtomicU64::new(0), lock };
        disk.sweep()?;
        Ok(disk)
    }

    fn sweep(&self) -> Result<()> {
        let path = self.dir.join("ingest");
        let fail = |e| io_error("read", &path, e);
        for entry in fs::read_dir(&path).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
                let path = entry.path();
                let kind = entry.file_type().map_err(|e| io_error("read", &path, e))?;
                let gone =
                    if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                gone.map_err(|e| io_error("remove", &path, e))?;
            }
        }
        Ok(())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn tags(&self) -> PathBuf {
        self.dir.join("tags")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.dir.join("blobs/sha256")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(crate) fn ingests(&self) -> PathBuf {
        self.dir.join("ingest")
    }

    pub(crate) fn ingest(&self, digest: &Digest) -> PathBuf {
        self.ingests().join(digest.hex())
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.dir.join("layers")
    }

    pub(crate) fn layer(&self, chain_id: &Digest) -> PathBuf {
        self.layers().join(chain_id.hex())
    }

    /// A name nobody uses, in the file system of the store; what is there when the guard is
    /// dropped is removed.
    pub(crate) fn scratch(&self) -> Scratch {
        let number = self.scratch.fetch_add(1, Ordering::Relaxed);
        Scratch(self.ingests().join(format!("{SCRATCH}{number}")))
    }

    /// The error of an operation on `path`; a full file system becomes [`Error::Room`].
    pub(crate) fn fail(&self, what: &str, path: &Path, source: io::Error) -> Error {
        self.full(&source).unwrap_or_else(|| io_error(what, path, source))
    }

    /// [`Error::Room`] or [`Error::Inodes`] when that is what `source` says.
    pub(crate) fn full(&self, source: &io::Error) -> Option<Error> {
        let full = [Errno::NOSPC, Errno::DQUOT].map(|e| Some(e.raw_os_error()));
        if !full.contains(&source.raw_os_error()) {
            return None;
        }
        let (free, inodes) = self.free().unwrap_or((0, 0));
        let dir = self.dir.clone();
        Some(match inodes {
            free if free < RESERVE_INODES => {
                Error::Inodes { dir, needs: free + RESERVE_INODES, free }
            }
            // How much more it would take is not known; more than there is, and what is to stay.
            _ => Error::Room { dir, needs: free.saturating_add(RESERVE_BYTES), free },
        })
    }

    /// Bytes and inodes free for us; `u64::MAX` inodes where there is no such limit (btrfs).
    pub(crate) fn free(&self) -> Result<(u64, u64)> {
        let found: StatVfs =
            statvfs(&self.dir).map_err(|e| io_error("stat", &self.dir, e.into()))?;
        let inodes = if found.f_files == 0 { u64::MAX } else { found.f_favail };
        Ok((found.f_bavail.saturating_mul(found.f_frsize), inodes))
    }

    /// Fails when there is less room than this.
    pub(crate) fn check_room(&self, bytes: u64, inodes: u64) -> Result<()> {
        let (free, free_inodes) = self.free()?;
        let dir = self.dir.clone();
        if bytes > free {
            return Err(Error::Room { dir, needs: bytes, free });
        }
        if inodes > free_inodes {
            return Err(Error::Inodes { dir, needs: inodes, free: free_inodes });
        }
        Ok(())
    }

    /// Replaces `path` so that after a loss of power it is the old or the new file, whole.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let scratch = self.scratch();
        let write = || {
            let mut file = File::create(&scratch.0)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            rename_durably(&scratch.0, path)
        };
        write().map_err(|e| self.fail("write", path, e))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Closing would do, but for a process that is just being forked by another thread and
        // has the descriptor too until it becomes another program.
        if let Err(e) = flock(&self.lock, FlockOperation::Unlock) {
            tracing::warn!("unlock {}: {e}", self.dir.display());
        }
    }
}

/// Makes a directory for this user alone; one that is there already is closed to others. A layer
/// may hold programs that run as root for whoever starts them, so no other user of the machine
/// may get at them.
fn private(dir: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| io_error("make", dir, e))?;
    let closed = File::open(dir).and_then(|d| d.set_permissions(Permissions::from_mode(0o700)));
    closed.map_err(|e| io_error("close to others", dir, e))
}

/// Renames and syncs the directory the new name is in.
pub(crate) fn rename_durably(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// An [`Error::Io`] about a path.
pub(crate) fn io_error(what: &str, path: &Path, source: io::Error) -> Error {
    Error::Io { what: format!("{what} {}", path.display()), source }
}

/// A path that is empty again when this is dropped, unless it was renamed away.
#[derive(Debug)]
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // A directory is told apart first: removing must never follow a link out of the store.
        let gone = match fs::symlink_metadata(&self.0) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&self.0),
            Ok(_) => fs::remove_file(&self.0),
            Err(_) => Ok(()),
        };
        if let Err(e) = gone {
            // The next open tries again.
            tracing::warn!("remove {}: {e}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_open_once_and_free_again_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let first = Disk::open(dir.path()).unwrap();
        assert!(matches!(Disk::open(dir.path()), Err(Error::Busy { .. })));
        drop(first);
        Disk::open(dir.path()).unwrap();
    }

    #[test]
    fn no_other_user_gets_at_a_layer_not_even_in_a_store_that_was_open_to_all() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("images");
        fs::create_dir_all(store.join("layers")).unwrap();
        fs::write(store.join("lock"), "").unwrap();
        for (name, mode) in [("", 0o755), ("layers", 0o755), ("lock", 0o644)] {
            fs::set_permissions(store.join(name), Permissions::from_mode(mode)).unwrap();
        }
        let _disk = Disk::open(&store).unwrap();
        let mode =
            |name: &str| fs::metadata(store.join(name)).unwrap().permissions().mode() & 0o7777;
        for name in ["", "layers", "blobs", "ingest"] {
            assert_eq!(mode(name), 0o700, "{name}");
        }
        assert_eq!(mode("lock"), 0o600);
    }

    #[test]
    fn opening_removes_what_a_dead_process_left_half_unpacked_but_no_download() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let download = disk.ingest(&Digest::of(b"x"));
        fs::create_dir_all(disk.ingests().join("scratch-7/fs/a")).unwrap();
        fs::write(disk.ingests().join("scratch-8"), "half").unwrap();
        fs::write(&download, "half").unwrap();
        drop(disk);
        let disk = Disk::open(dir.path()).unwrap();
        let left: Vec<_> = fs::read_dir(disk.ingests()).unwrap().collect();
        assert_eq!(left.len(), 1);
        assert!(download.exists());
    }

    #[test]
    fn room_is_refused_with_both_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        disk.check_room(1, 1).unwrap();
        let text = disk.check_room(u64::MAX, 1).unwrap_err().to_string();
        assert!(text.starts_with("no room: needs 18446744073710 MB, "), "{text}");
        assert!(text.contains(" MB free on /"), "{text}");
    }
}
