//! The last lines told, and a cursor for each who reads them: a slow reader loses the oldest
//! lines and is told how many (`lost 7`, the one line without a number), and never holds anybody
//! up.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use crate::clock::now_ms;

/// Lines kept for readers that lag.
const LINES_MAX: usize = 4096;

/// The lines; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    lines: Arc<Mutex<Lines>>,
    next: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Lines {
    kept: VecDeque<String>,
    /// The number the next line gets.
    next: u64,
    max: usize,
}

impl Lines {
    fn first(&self) -> u64 {
        self.next - self.kept.len() as u64
    }
}

impl Ring {
    /// An empty ring; the first line has the number 1.
    pub(crate) fn new() -> Ring {
        Ring::with_room(LINES_MAX)
    }

    fn with_room(max: usize) -> Ring {
        let lines = Lines { kept: VecDeque::new(), next: 1, max };
        Ring { lines: Arc::new(Mutex::new(lines)), next: Arc::new(watch::Sender::new(1)) }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        // Every change is whole before the lock is given back, so a panic elsewhere hurts nothing.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line and wakes its readers: `<number> <unix ms> <what>`.
    pub(crate) fn push(&self, what: &str) {
        let mut lines = self.lines();
        let line = format!("{} {} {what}\n", lines.next, now_ms());
        if lines.kept.len() == lines.max {
            lines.kept.pop_front();
        }
        lines.kept.push_back(line);
        lines.next += 1;
        self.next.send_replace(lines.next);
    }

    /// The number the next line will have; grows with every line.
    pub(crate) fn next(&self) -> u64 {
        self.lines().next
    }

    /// A reader of what is told from now on.
    pub(crate) fn reader(&self) -> Reader {
        let cursor = Cursor { next: self.lines().next, rest: Bytes::new() };
        Reader { ring: self.clone(), cursor: Arc::new(Mutex::new(cursor)) }
    }
}

/// A cursor; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    ring: Ring,
    cursor: Arc<Mutex<Cursor>>,
}

#[derive(Debug)]
struct Cursor {
    next: u64,
    /// What did not fit into the last read of a line longer than that read.
    rest: Bytes,
}

impl Reader {
    /// Waits for lines and gives as many as fit into `count` bytes. Giving the future up loses
    /// nothing: the cursor moves only when it ends.
    pub(crate) async fn read(&self, count: usize) -> Bytes {
        let mut next = self.ring.next.subscribe();
        loop {
            if let Some(bytes) = self.take(count) {
                return bytes;
            }
            let from = self.cursor().next;
            // The sender lives as long as this reader, so this cannot fail.
            let _ = next.wait_for(|next| *next > from).await;
        }
    }

    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is there now, if anything.
    fn take(&self, count: usize) -> Option<Bytes> {
        let mut cursor = self.cursor();
        if cursor.rest.is_empty() {
            let lines = self.ring.lines();
            let mut text = BytesMut::new();
            let first = lines.first();
            if cursor.next < first {
                let lost = first - cursor.next;
                text.extend_from_slice(format!("lost {lost}\n").as_bytes());
                cursor.next = first;
            }
            let at = usize::try_from(cursor.next - first).unwrap_or(usize::MAX);
            for line in lines.kept.iter().skip(at) {
                if !text.is_empty() && text.len() + line.len() > count {
                    break;
                }
                text.extend_from_slice(line.as_bytes());
                cursor.next += 1;
            }
            cursor.rest = text.freeze();
        }
        let fits = count.min(cursor.rest.len());
        (fits > 0).then(|| cursor.rest.split_to(fits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and texts of the lines, without their times.
    fn told(bytes: &[u8]) -> String {
        let line = |line: &str| {
            if line.starts_with("lost ") {
                return line.to_owned();
            }
            let mut words = line.splitn(3, ' ');
            let number = words.next().unwrap();
            format!("{number} {}", words.nth(1).unwrap())
        };
        str::from_utf8(bytes).unwrap().lines().map(line).collect::<Vec<_>>().join("|")
    }

    async fn check(ring: &Ring, reader: &Reader, pushes: &[&str], count: usize, expected: &str) {
        for what in pushes {
            ring.push(what);
        }
        assert_eq!(told(&reader.read(count).await), expected);
    }

    #[tokio::test]
    async fn a_reader_gets_every_line_from_its_open_on_and_is_told_what_it_lost() {
        let ring = Ring::with_room(3);
        ring.push("before");
        let reader = ring.reader();
        check(&ring, &reader, &["a x", "b x"], 8192, "2 a x|3 b x").await;
        check(&ring, &reader, &["c", "d", "e", "f", "g"], 8192, "lost 2|6 e|7 f|8 g").await;
        check(&ring, &reader, &["h", "i"], 20, "9 h").await;
        check(&ring, &reader, &[], 20, "10 i").await;
    }

    #[tokio::test]
    async fn a_line_longer_than_a_read_comes_in_pieces() {
        let ring = Ring::new();
        let reader = ring.reader();
        ring.push(&"x".repeat(100));
        let mut whole = Vec::new();
        while !whole.ends_with(b"\n") {
            let piece = reader.read(16).await;
            assert!(piece.len() <= 16);
            whole.extend_from_slice(&piece);
        }
        assert!(told(&whole).ends_with(&"x".repeat(100)));
    }

    #[tokio::test]
    async fn a_read_at_the_end_waits_and_giving_it_up_loses_nothing() {
        let ring = Ring::new();
        let reader = ring.reader();
        {
            let mut read = std::pin::pin!(reader.read(100));
            assert!(futures_util::poll!(read.as_mut()).is_pending());
            ring.push("a");
        }
        assert_eq!(told(&reader.read(100).await), "1 a");
    }
}
