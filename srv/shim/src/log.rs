//! The log of an instance: bounded files, and a program that never waits for a full disk.

use std::fs::{File, OpenOptions, rename};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::clock::{STAMP_LEN, stamp};

/// Text of a line beyond this goes on in a further line, in bytes.
pub(crate) const LINE_MAX: usize = 16 << 10;

/// What is gathered before it is written, in bytes.
const GATHER_MAX: usize = 64 << 10;

/// The least size of a log file, in bytes.
const SIZE_MIN: u64 = 4 << 10;

/// Log files beyond this are not kept, whatever is asked for.
const FILES_MAX: u32 = 1000;

/// Which output a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Source {
    fn word(self) -> &'static str {
        match self {
            Source::Stdout => "stdout",
            Source::Stderr => "stderr",
        }
    }
}

/// The open log.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    file: Option<File>,
    size: u64,
    size_max: u64,
    files: u32,
    out: Vec<u8>,
    out_lines: u64,
    dropped: u64,
}

impl Log {
    /// Opens or makes the log at `path`. That it cannot be opened now is no reason not to run:
    /// lines are dropped and counted until it can.
    pub(crate) fn open(path: &Path, size_max: u64, files: u32) -> Log {
        let mut log = Log {
            path: path.to_owned(),
            file: None,
            size: 0,
            size_max: size_max.max(SIZE_MIN),
            files: files.clamp(1, FILES_MAX),
            out: Vec::new(),
            out_lines: 0,
            dropped: 0,
        };
        let _ = log.reopen();
        log
    }

    /// Adds a line; it is written at the next [`Log::flush`] at the latest.
    pub(crate) fn line(&mut self, unix_ms: u64, source: Source, text: &[u8]) {
        self.add(&stamp(unix_ms), source, text);
    }

    fn add(&mut self, stamp: &str, source: Source, text: &[u8]) {
        self.out.extend_from_slice(stamp.as_bytes());
        self.out.push(b' ');
        self.out.extend_from_slice(source.word().as_bytes());
        self.out.push(b' ');
        self.out.extend_from_slice(text);
        self.out.push(b'\n');
        self.out_lines += 1;
        let full = usize::try_from(self.size_max / 2).unwrap_or(GATHER_MAX).min(GATHER_MAX);
        if self.out.len() >= full {
            self.flush();
        }
    }

    /// Writes what has been gathered, or drops and counts it.
    pub(crate) fn flush(&mut self) {
        if self.out.is_empty() {
            return;
        }
        if self.dropped > 0 {
            let text = format!("log: {} lines were dropped: the disk took no more", self.dropped);
            let notice = [&self.out[..STAMP_LEN], b" stderr ", text.as_bytes(), b"\n"].concat();
            if self.write(&notice).is_ok() {
                self.dropped = 0;
            }
        }
        let out = std::mem::take(&mut self.out);
        // Once the notice did not fit, a shorter line that does would stand in the wrong place.
        if self.dropped > 0 || self.write(&out).is_err() {
            self.dropped += self.out_lines;
        }
        self.out = out;
        self.out.clear();
        self.out_lines = 0;
    }

    /// All of `bytes` or nothing.
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let more = bytes.len() as u64;
        if self.file.is_none() {
            self.reopen()?;
        }
        if self.size > 0 && self.size + more > self.size_max {
            self.rotate()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        if let Err(why) = file.write_all(bytes) {
            let _ = file.set_len(self.size);
            return Err(why);
        }
        self.size += more;
        Ok(())
    }

    fn rotate(&mut self) -> std::io::Result<()> {
        for number in (1..self.files.saturating_sub(1)).rev() {
            let _ = rename(self.numbered(number), self.numbered(number + 1));
        }
        if self.files > 1 {
            rename(&self.path, self.numbered(1))?;
        } else {
            std::fs::remove_file(&self.path)?;
        }
        self.file = None;
        self.reopen()
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    fn reopen(&mut self) -> std::io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }
}

/// Cuts one output into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    source: Source,
    rest: Vec<u8>,
    /// The last line ended at the limit: an end of line right behind it belongs to it.
    cut: bool,
}

impl Lines {
    /// The lines of one output.
    pub(crate) fn new(source: Source) -> Lines {
        Lines { source, rest: Vec::new(), cut: false }
    }

    /// Takes bytes as they came, and writes every whole line of them.
    pub(crate) fn take(&mut self, mut bytes: &[u8], unix_ms: u64, log: &mut Log) {
        let stamp = stamp(unix_ms);
        while !bytes.is_empty() {
            if std::mem::take(&mut self.cut) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let room = LINE_MAX - self.rest.len();
            let window = &bytes[..room.min(bytes.len())];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    self.end(&window[..end], &stamp, log);
                    bytes = &bytes[end + 1..];
                }
                None if window.len() == room => {
                    self.end(window, &stamp, log);
                    self.cut = true;
                    bytes = &bytes[room..];
                }
                None => {
                    self.rest.extend_from_slice(window);
                    bytes = &[];
                }
            }
        }
        log.flush();
    }

    /// The output has ended: what has no end of line is a line too.
    pub(crate) fn finish(&mut self, unix_ms: u64, log: &mut Log) {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            log.line(unix_ms, self.source, &rest);
        }
        log.flush();
    }

    fn end(&mut self, tail: &[u8], stamp: &str, log: &mut Log) {
        if self.rest.is_empty() {
            log.add(stamp, self.source, tail);
        } else {
            self.rest.extend_from_slice(tail);
            log.add(stamp, self.source, &self.rest);
            self.rest.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn texts(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| line[STAMP_LEN + 1..].to_owned()).collect()
    }

    fn check(chunks: &[&str], expected: &[&str]) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(&path, 1 << 20, 2);
        let mut lines = Lines::new(Source::Stdout);
        for chunk in chunks {
            lines.take(chunk.as_bytes(), 1_795_178_045_123, &mut log);
        }
        lines.finish(1_795_178_045_123, &mut log);
        assert_eq!(texts(&path), expected);
    }

    #[test]
    fn output_is_cut_at_line_ends_and_at_the_limit() {
        let long = "x".repeat(LINE_MAX);
        check(&["a\nb\n"], &["stdout a", "stdout b"]);
        check(&["a", "b\n", "", "\n"], &["stdout ab", "stdout "]);
        check(&["no end"], &["stdout no end"]);
        check(&[&format!("{long}\ny\n")], &[&format!("stdout {long}"), "stdout y"]);
        check(&[&long, "\n", "y\n"], &[&format!("stdout {long}"), "stdout y"]);
        check(&["xx", &long[2..], "z\n"], &[&format!("stdout {long}"), "stdout z"]);
    }

    #[test]
    fn files_are_rotated_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(&path, SIZE_MIN, 3);
        for number in 0..400 {
            log.line(0, Source::Stderr, format!("{number:060}").as_bytes());
            log.flush();
        }
        let mut names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["log", "log.1", "log.2"]);
        let kept: Vec<String> = ["log.2", "log.1", "log"]
            .iter()
            .flat_map(|name| texts(&dir.path().join(name)))
            .collect();
        assert_eq!(kept.last().unwrap(), &format!("stderr {:060}", 399));
        let first: usize = kept[0]["stderr ".len()..].parse().unwrap();
        assert_eq!(kept.len(), 400 - first, "a line is missing");
        for name in ["log", "log.1", "log.2"] {
            assert!(fs::metadata(dir.path().join(name)).unwrap().len() <= SIZE_MIN);
        }
    }

    #[test]
    fn a_disk_that_takes_nothing_is_counted_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut log = Log::open(&path, 1 << 20, 2);
        log.line(0, Source::Stdout, b"before");
        log.flush();
        // The kernel's file that is always full.
        log.file = Some(OpenOptions::new().append(true).open("/dev/full").unwrap());
        for _ in 0..3 {
            log.line(0, Source::Stdout, b"lost");
            log.flush();
        }
        log.file = None;
        log.line(0, Source::Stdout, b"after");
        log.flush();
        let notice = "stderr log: 3 lines were dropped: the disk took no more";
        assert_eq!(texts(&path), ["stdout before", notice, "stdout after"]);
    }
}
