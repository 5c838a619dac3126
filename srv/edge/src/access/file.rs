//! A file of lines that several processes write to, that is rotated by them or by others, and
//! that may be on a full disk.
//!
//! Law: whoever writes holds the lock and has seen that the path still leads to the file, so that
//! lines are whole, two processes rotate once, and a file that others have moved or removed is
//! left for a new one without a word from them. The lock is another file, which nobody else can
//! open: whoever may read lines could hold them up otherwise.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// How often in a row the file may turn out to be another one: each time somebody has rotated.
const TRIES_MAX: u32 = 8;
/// Who may read it: whoever may read it sees what users ask for.
const MODE: u32 = 0o640;
/// Who may open the lock.
const LOCK_MODE: u32 = 0o600;

/// When the next file is begun, and what is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    /// Bytes of one file.
    pub(super) bytes_max: u64,
    /// Files, the one that is written among them.
    pub(super) files: u32,
}

/// The file, whatever the path leads to now.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Option<Rotation>,
    open: Option<File>,
    /// Where the lock is.
    lock: PathBuf,
    locks: Option<File>,
}

impl LogFile {
    /// The file at `path`; without a rotation it grows for as long as nobody else rotates it.
    /// Who writes to it locks the file at `lock`.
    pub(super) fn new(path: PathBuf, rotation: Option<Rotation>, lock: PathBuf) -> Self {
        Self { path, rotation, open: None, lock, locks: None }
    }

    /// Opens or makes it.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        self.open = Some(open(&self.path)?);
        Ok(())
    }

    /// Writes whole lines at its end, or nothing.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        for _ in 0..TRIES_MAX {
            let file = match self.open.take() {
                Some(file) => file,
                None => open(&self.path)?,
            };
            if self.locks.is_none() {
                self.locks = lock_file(&self.lock).ok();
            }
            let locked = Locked::take(self.locks.as_ref());
            let found = file.metadata()?;
            if !leads_to(&self.path, &found) {
                continue;
            }
            let size = found.len();
            let more = lines.len() as u64;
            if let Some(rotation) =
                self.rotation.filter(|it| size > 0 && size + more > it.bytes_max)
            {
                rotate(&self.path, rotation.files)?;
                continue;
            }
            let written = (&file).write_all(lines);
            if written.is_err() && locked.0.is_some() && found.is_file() {
                // What was written of a line is taken back.
                let _ = file.set_len(size);
            }
            drop(locked);
            // One that could not be written to may be another one by the next time.
            self.open = written.is_ok().then_some(file);
            return written;
        }
        Err(io::Error::other("it is replaced again and again"))
    }
}

/// The lock while this lives; none where there are no locks.
struct Locked<'a>(Option<&'a File>);

impl<'a> Locked<'a> {
    fn take(file: Option<&'a File>) -> Self {
        Self(file.filter(|file| file.lock().is_ok()))
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            // It goes with the file at the latest.
            let _ = file.unlock();
        }
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(LOCK_MODE).open(path)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(MODE);
    // A pipe that nobody reads is an error, and not a wait.
    let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

fn leads_to(path: &Path, found: &fs::Metadata) -> bool {
    fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (found.dev(), found.ino()))
}

/// Makes room for a new file; the oldest goes.
fn rotate(path: &Path, files: u32) -> io::Result<()> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    for number in (1..files.saturating_sub(1)).rev() {
        match fs::rename(numbered(number), numbered(number + 1)) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
            Ok(()) | Err(_) => {}
        }
    }
    match files {
        ..=1 => fs::remove_file(path),
        _ => fs::rename(path, numbered(1)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    fn lock(locks: &tempfile::TempDir) -> PathBuf {
        locks.path().join("lock")
    }

    #[test]
    fn who_may_read_the_lines_cannot_hold_them_up() {
        let (dir, locks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = dir.path().join("log");
        let mut log = LogFile::new(path.clone(), None, lock(&locks));
        log.append(b"one\n").unwrap();
        let reader = File::open(&path).unwrap();
        reader.lock().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || tell.send(log.append(b"two\n")));
        let written = told.recv_timeout(std::time::Duration::from_secs(10));
        written.expect("nobody waits for a reader").unwrap();
        assert_eq!(read(&path), "one\ntwo\n");
        let mode = fs::metadata(lock(&locks)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, LOCK_MODE);
    }

    #[test]
    fn a_file_that_others_moved_or_removed_is_begun_anew() {
        let (dir, locks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, moved) = (dir.path().join("log"), dir.path().join("log-20261121"));
        let mut log = LogFile::new(path.clone(), None, lock(&locks));
        log.append(b"one\n").unwrap();
        fs::rename(&path, &moved).unwrap();
        log.append(b"two\n").unwrap();
        assert_eq!((read(&moved), read(&path)), ("one\n".into(), "two\n".into()));
        fs::remove_file(&path).unwrap();
        log.append(b"three\n").unwrap();
        assert_eq!(read(&path), "three\n");
        // As copytruncate does it.
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        log.append(b"four\n").unwrap();
        assert_eq!(read(&path), "four\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
    }

    #[test]
    fn several_writers_rotate_once_each_time_and_every_line_is_whole() {
        let (dir, locks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = dir.path().join("log");
        let rotation = Rotation { bytes_max: 64 << 10, files: 100 };
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let mut log = LogFile::new(path.clone(), Some(rotation), lock(&locks));
                scope.spawn(move || {
                    for number in 0..500 {
                        let lines = format!("{writer} {number:0100}\n").repeat(1 + number % 5);
                        log.append(lines.as_bytes()).unwrap();
                    }
                });
            }
        });
        let files: Vec<PathBuf> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let text: String = files.iter().map(|path| read(path)).collect();
        assert_eq!(text.lines().count(), 4 * 500 * 3);
        assert!(text.lines().all(|line| line.len() == 102), "a line is not whole");
        assert!(files.iter().all(|path| read(path).len() <= 64 << 10));
        // Each is full but for what did not fit, so none was rotated for nothing.
        assert_eq!(files.len(), text.len().div_ceil((64 << 10) - 515));
    }

    #[test]
    fn only_so_many_files_are_kept_and_the_newest_lines_are_among_them() {
        let (dir, locks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = dir.path().join("log");
        let mut log =
            LogFile::new(path.clone(), Some(Rotation { bytes_max: 50, files: 3 }), lock(&locks));
        for number in 0..100 {
            log.append(format!("{number:09}\n").as_bytes()).unwrap();
        }
        let names = ["log.2", "log.1", "log"];
        let kept: String = names.iter().map(|name| read(&dir.path().join(name))).collect();
        let wanted: String = (85..100).map(|number| format!("{number:09}\n")).collect();
        assert_eq!(kept, wanted);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_pipe_that_nobody_reads_and_a_directory_that_is_gone_are_errors_at_once() {
        let (dir, locks) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let pipe = dir.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut log = LogFile::new(pipe.clone(), None, lock(&locks));
        assert!(log.ready().is_err() && log.append(b"lost\n").is_err());
        let reader = File::options().read(true).write(true).open(&pipe).unwrap();
        log.append(b"heard\n").unwrap();
        let mut heard = [0; 6];
        io::Read::read_exact(&mut &reader, &mut heard).unwrap();
        assert_eq!(&heard, b"heard\n");
        assert!(
            LogFile::new(dir.path().join("gone/log"), None, lock(&locks))
                .append(b"lost\n")
                .is_err()
        );
    }
}
