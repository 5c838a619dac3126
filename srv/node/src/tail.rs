//! Following a log: its end first, then every line as it is written, across rotations. The
//! kernel says when there is something to look for, and only while somebody follows.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::record;

/// Bytes of the log that come first.
const TAIL_BYTES: u64 = 64 * 1024;
/// Bytes for the kernel's notices; one that does not fit is one of many that say the same.
const NOTICE_BYTES: usize = 4096;
/// Rotated files looked for; more than anybody keeps.
const FILES_MAX: u32 = 1000;

/// A follower; clones share it.
#[derive(Clone)]
pub(crate) struct Tail(Arc<Mutex<State>>);

struct State {
    dir: PathBuf,
    notices: EventStream<[u8; NOTICE_BYTES]>,
    /// What is being read; none until the first line was written.
    file: Option<File>,
    offset: u64,
}

impl Tail {
    /// Follows the log in `dir` from its last lines on.
    pub(crate) fn open(dir: &Path) -> Result<Tail> {
        let mask = WatchMask::MODIFY
            | WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF;
        let watch = || {
            let inotify = Inotify::init()?;
            inotify.watches().add(dir, mask)?;
            inotify.into_event_stream([0; NOTICE_BYTES])
        };
        let notices = watch().map_err(Error::io("watch", dir))?;
        let mut state = State { dir: dir.to_owned(), notices, file: None, offset: 0 };
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
            match state.notices.next().await {
                Some(Ok(_)) => {}
                Some(Err(why)) => return Err(why),
                None => return Ok(Bytes::new()),
            }
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
            let Some(file) = &self.file else {
                // Several may have come since: the oldest is the first.
                self.file = self.oldest()?;
                if self.file.is_none() {
                    return Ok(Bytes::new());
                }
                continue;
            };
            let number = self.number_of(file)?;
            let mut buffer = vec![0; count];
            let read = file.read_at(&mut buffer, self.offset)?;
            buffer.truncate(read);
            let whole = buffer.iter().rposition(|&b| b == b'\n').map(|at| at + 1);
            let rotated = number != Some(0);
            // Half a line of a file that still grows is waited for.
            let end = whole.unwrap_or(if read == count || rotated { read } else { 0 });
            if end > 0 {
                buffer.truncate(end);
                self.offset += end as u64;
                return Ok(buffer.into());
            }
            if !rotated {
                return Ok(Bytes::new());
            }
            // It was rotated before it was read to its end just now: nothing more comes.
            let next = match number {
                Some(number) => self.open(number - 1)?,
                None => self.oldest()?,
            };
            (self.file, self.offset) = (next, 0);
            if self.file.is_none() {
                return Ok(Bytes::new());
            }
        }
    }

    /// `log`, `log.1` and so on; none when there is no such file.
    fn open(&self, number: u32) -> io::Result<Option<File>> {
        match File::open(self.path(number)) {
            Ok(file) => Ok(Some(file)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(why) => Err(why),
        }
    }

    fn path(&self, number: u32) -> PathBuf {
        match number {
            0 => self.dir.join(record::LOG),
            number => self.dir.join(format!("{}.{number}", record::LOG)),
        }
    }

    fn oldest(&self) -> io::Result<Option<File>> {
        let last = (0..FILES_MAX).take_while(|&number| self.path(number).exists()).last();
        self.open(last.unwrap_or(0))
    }

    /// Which of the files it is by now; none when it is none of them any more.
    fn number_of(&self, file: &File) -> io::Result<Option<u32>> {
        let ours = file.metadata()?;
        let same = |path: PathBuf| {
            fs::metadata(path).map(|other| (other.ino(), other.dev()) == (ours.ino(), ours.dev()))
        };
        for number in 0..FILES_MAX {
            match same(self.path(number)) {
                Ok(true) => return Ok(Some(number)),
                Ok(false) => {}
                // Between the two steps of a rotation there is no current one.
                Err(_) if number == 0 => {}
                Err(_) => break,
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
#[path = "tail_test.rs"]
mod tests;
