//! Following a log: its end first, then an empty line, then every line as it is written, across
//! rotations. The kernel says when there is something to look for, and only while somebody
//! follows.
//!
//! Law: a follower gets every line up to the last, also of an instance that goes meanwhile.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::notices::{Notice, Notices};
use crate::record;

/// Bytes of the log that come first.
const TAIL_BYTES: u64 = 256 * 1024;
/// Bytes in which the begin of a line is looked for; no line has more.
const LINE_BYTES_MAX: usize = 32 * 1024;
/// Comes behind what was there already; no line of a log is empty.
const MARK: &[u8] = b"\n";
/// Looks for the file after another; a rotation takes less, and one that never ends because its
/// shim died has left a gap that is to be stepped over.
const AFTER_TRIES: u32 = 1000;

/// A follower; clones share it.
#[derive(Clone)]
pub(crate) struct Tail(Arc<Mutex<State>>);

struct State {
    /// Where the instance has its directory for as long as it is there.
    path: PathBuf,
    /// The directory, wherever it is by now.
    dir: File,
    notice: Notice,
    /// The empty line was given.
    marked: bool,
    /// What is being read; none until the first line was written.
    file: Option<File>,
    offset: u64,
}

impl Tail {
    /// Follows the log in `dir` from its last lines on.
    pub(crate) fn open(notices: &Notices, dir: &Path) -> Result<Tail> {
        let notice = notices.about(dir).map_err(Error::io("watch", dir))?;
        let (path, dir) = (dir, File::open(dir).map_err(Error::io("open", dir))?);
        let mut state =
            State { path: path.to_owned(), dir, notice, marked: false, file: None, offset: 0 };
        state.begin().map_err(Error::io("read", &path.join(record::LOG)))?;
        Ok(Tail(Arc::new(Mutex::new(state))))
    }

    /// Waits for lines and gives as many as fit into `count` bytes; a line longer than that comes
    /// in pieces. An empty line comes once, behind what was there already. No bytes: the instance
    /// is gone. Giving the future up loses nothing.
    pub(crate) async fn read(&self, count: usize) -> io::Result<Bytes> {
        let mut state = self.0.lock().await;
        loop {
            // Looked at before the read: what is gone is not written to any more.
            let over = !state.is_there();
            let bytes = state.take(count, over)?;
            if !bytes.is_empty() || over {
                return Ok(bytes);
            }
            if !std::mem::replace(&mut state.marked, true) {
                return Ok(Bytes::from_static(MARK));
            }
            state.notice.changed().await;
        }
    }
}

impl State {
    /// Goes to the begin of a line in the last [`TAIL_BYTES`] of the log there is.
    fn begin(&mut self) -> io::Result<()> {
        let mut left = TAIL_BYTES;
        for (number, _) in record::log_files(&self.at())? {
            let Some(file) = self.open(number)? else { continue };
            let length = file.metadata()?.len();
            let start = length.saturating_sub(left);
            self.offset = if start > 0 { line(&file, start)? } else { 0 };
            self.file = Some(file);
            left = left.saturating_sub(length);
            if left == 0 {
                break;
            }
        }
        Ok(())
    }

    /// A path to the directory that holds wherever that is moved to.
    fn at(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd()))
    }

    /// Whether the instance has its directory still, and not only another one its name.
    fn is_there(&self) -> bool {
        let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        let both = (fs::metadata(&self.path), self.dir.metadata());
        matches!(&both, (Ok(named), Ok(own)) if same(named, own))
    }

    /// What is there now; empty at the end of everything. When all is `over`, half a line is one.
    fn take(&mut self, count: usize, over: bool) -> io::Result<Bytes> {
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
            let end = whole.unwrap_or(if read == count || rotated || over { read } else { 0 });
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
            0 => self.at().join(record::LOG),
            number => self.at().join(format!("{}.{number}", record::LOG)),
        };
        match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// The file with the highest number there is.
    fn oldest(&self) -> io::Result<Option<File>> {
        let files = record::log_files(&self.at())?;
        files.last().map_or(Ok(None), |(number, _)| self.open(*number))
    }
}

/// Where the first line begins at or behind `start`, which is not the file's begin.
fn line(file: &File, start: u64) -> io::Result<u64> {
    let mut buffer = vec![0; LINE_BYTES_MAX];
    // From the byte before, so that a line that begins right here is whole.
    let count = file.read_at(&mut buffer, start - 1)?;
    let end = buffer[..count].iter().position(|&b| b == b'\n');
    Ok(start + end.unwrap_or(0) as u64)
}

/// Which of the files it is by now, as the kernel says; none when it is none of them any more.
fn number_of(file: &File) -> Option<u32> {
    let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    record::log_number(path.file_name()?)
}

#[cfg(test)]
#[path = "tail_test.rs"]
mod tests;
