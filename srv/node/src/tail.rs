//! Following a log: its end first, then every line as it is written, across rotations. The
//! kernel says when there is something to look for, and only while somebody follows.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::notices::{Notice, Notices};
use crate::record;

/// Bytes of the log that come first.
const TAIL_BYTES: u64 = 64 * 1024;
/// Looks for the file after another; a rotation takes less, and one that never ends because its
/// shim died has left a gap that is to be stepped over.
const AFTER_TRIES: u32 = 1000;

/// A follower; clones share it.
#[derive(Clone)]
pub(crate) struct Tail(Arc<Mutex<State>>);

struct State {
    dir: PathBuf,
    notice: Notice,
    /// What is being read; none until the first line was written.
    file: Option<File>,
    offset: u64,
}

impl Tail {
    /// Follows the log in `dir` from its last lines on.
    pub(crate) fn open(notices: &Notices, dir: &Path) -> Result<Tail> {
        let notice = notices.about(dir).map_err(Error::io("watch", dir))?;
        let mut state = State { dir: dir.to_owned(), notice, file: None, offset: 0 };
        state.begin().map_err(Error::io("read", &dir.join(record::LOG)))?;
        Ok(Tail(Arc::new(Mutex::new(state))))
    }

    /// Waits for lines and gives as many as fit into `count` bytes; a line longer than that comes
    /// in pieces. No bytes: the instance is gone. Giving the future up loses nothing.
    pub(crate) async fn read(&self, count: usize) -> io::Result<Bytes> {
        let mut state = self.0.lock().await;
        loop {
            let bytes = state.take(count)?;
            if !bytes.is_empty() || !state.dir.exists() {
                return Ok(bytes);
            }
            state.notice.changed().await;
        }
    }
}

impl State {
    /// Goes to the begin of a line in the last [`TAIL_BYTES`] of the log there is.
    fn begin(&mut self) -> io::Result<()> {
        let Some(file) = self.open(0)? else { return Ok(()) };
        let length = file.metadata()?.len();
        if let Some(start) = length.checked_sub(TAIL_BYTES).filter(|&start| start > 0) {
            let mut buffer = vec![0; TAIL_BYTES as usize];
            // From the byte before, so that a line that begins right here is whole.
            let count = file.read_at(&mut buffer, start - 1)?;
            let line = buffer[..count].iter().position(|&b| b == b'\n');
            self.offset = start + line.unwrap_or(0) as u64;
        }
        self.file = Some(file);
        Ok(())
    }

    /// What is there now; empty at the end of everything.
    fn take(&mut self, count: usize) -> io::Result<Bytes> {
        loop {
            if self.file.is_none() {
                // Several may have come since: the oldest is the first.
                self.file = self.oldest()?;
            }
            let Some(file) = &self.file else { return Ok(Bytes::new()) };
            // Looked at before the read: what was rotated before it is not written to after it.
            let rotated = number_of(file) != Some(0);
            let mut buffer = vec![0; count];
            let read = file.read_at(&mut buffer, self.offset)?;
            buffer.truncate(read);
            let whole = buffer.iter().rposition(|&b| b == b'\n').map(|at| at + 1);
            // Half a line of a file that still grows is waited for.
            let end = whole.unwrap_or(if read == count || rotated { read } else { 0 });
            if end > 0 {
                buffer.truncate(end);
                self.offset += end as u64;
                return Ok(buffer.into());
            }
            match if rotated { self.after(file)? } else { None } {
                Some(next) => (self.file, self.offset) = (Some(next), 0),
                None => return Ok(Bytes::new()),
            }
        }
    }

    /// The file that came after a rotated one; none when it is not there yet.
    ///
    /// A rotation gives every file its next number, the oldest first, while this looks: only two
    /// neighbours, between whose looks nothing moved, are certainly one after the other.
    fn after(&self, file: &File) -> io::Result<Option<File>> {
        for more in (0..AFTER_TRIES).rev() {
            let Some(number) = number_of(file) else { return self.oldest() };
            let mut below = (0..number).rev().map(|number| self.open(number));
            let Some(next) = below.find_map(Result::transpose).transpose()? else {
                return Ok(None);
            };
            let still = number_of(&next).map(|next| next + 1) == Some(number);
            if still && number_of(file) == Some(number) || more == 0 {
                return Ok(Some(next));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    /// `log`, `log.1` and so on; none when there is no such file.
    fn open(&self, number: u32) -> io::Result<Option<File>> {
        let path = match number {
            0 => self.dir.join(record::LOG),
            number => self.dir.join(format!("{}.{number}", record::LOG)),
        };
        match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// The file with the highest number there is.
    fn oldest(&self) -> io::Result<Option<File>> {
        let names = match fs::read_dir(&self.dir) {
            Ok(names) => names,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(why),
        };
        let numbers = names.flatten().filter_map(|entry| number(&entry.file_name()));
        numbers.max().map_or(Ok(None), |number| self.open(number))
    }
}

/// Which of the files it is by now, as the kernel says; none when it is none of them any more.
fn number_of(file: &File) -> Option<u32> {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    number(path.file_name()?)
}

/// 0 for `log`, 3 for `log.3`. The kernel's `log.3 (deleted)` is no number.
fn number(name: &OsStr) -> Option<u32> {
    match name.to_str()?.strip_prefix(record::LOG)? {
        "" => Some(0),
        rest => rest.strip_prefix('.')?.parse().ok(),
    }
}

#[cfg(test)]
#[path = "tail_test.rs"]
mod tests;
