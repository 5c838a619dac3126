//! A text that only grows, kept in memory within a bound, with readers that follow it: what is
//! behind `events`, `watch` and `log`.
//!
//! When the text passes its bound the older half goes and the *generation* moves on: the file is
//! then another one (a new qid.path), because a reader of a growing file must never see it shrink.

use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Bytes a growing text holds before its older half goes.
pub const BYTES_MAX: usize = 1 << 20;

/// The text and those who wait for more of it.
#[derive(Debug)]
pub struct Grow {
    inner: Mutex<Inner>,
    end: watch::Sender<u64>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    text: Vec<u8>,
    /// Where `text` begins, counted from the first byte ever.
    base: u64,
    generation: u32,
    /// Nothing more comes.
    ended: bool,
}

/// What a reader of the file gets at an offset.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// These bytes; none at the end.
    Bytes(Vec<u8>),
    /// The file this reader opened has been replaced by a newer one.
    Rotated,
}

impl Default for Grow {
    fn default() -> Self {
        Grow::with_bound(BYTES_MAX)
    }
}

impl Grow {
    /// An empty text that holds at most that many bytes.
    #[must_use]
    pub fn with_bound(bytes_max: usize) -> Grow {
        Grow { inner: Mutex::default(), end: watch::Sender::new(0), bytes_max }
    }

    /// Adds lines; `lines` ends with a newline. Readers that wait are woken.
    pub fn push(&self, lines: &str) {
        self.push_within(lines, self.bytes_max);
    }

    /// The same with a lower bound: one of many texts may not be as long as a few.
    pub fn push_within(&self, lines: &str, bytes_max: usize) {
        let mut inner = self.lock();
        inner.text.extend_from_slice(lines.as_bytes());
        while inner.text.len() > bytes_max.min(self.bytes_max) && inner.halve() {}
        let end = inner.end();
        drop(inner);
        self.end.send_replace(end);
    }

    /// Nothing more comes: readers that wait get what is left, and then the end.
    pub fn end(&self) {
        self.lock().ended = true;
        self.end.send_modify(|_| ());
    }

    /// Bytes of the file as it is now, and which file it is.
    pub fn length(&self) -> (u64, u32) {
        let inner = self.lock();
        (inner.text.len() as u64, inner.generation)
    }

    /// All that is held.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().text).into_owned()
    }

    /// Where the next line will begin: a cursor for [`Grow::next`].
    pub fn now(&self) -> u64 {
        self.lock().end()
    }

    /// A plain read of the file of that generation.
    pub fn read(&self, generation: u32, offset: u64, count: usize) -> Read {
        let inner = self.lock();
        if inner.generation != generation {
            return Read::Rotated;
        }
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(inner.text.len());
        let to = from.saturating_add(count).min(inner.text.len());
        Read::Bytes(inner.text.get(from..to).unwrap_or_default().to_vec())
    }

    /// Waits until there is something after the cursor, gives it and moves the cursor; nothing
    /// when nothing more comes. A reader that was slower than the bound gets a line that says so,
    /// and goes on at the oldest line.
    pub async fn next(&self, cursor: &mut u64, count: usize) -> Vec<u8> {
        let mut end = self.end.subscribe();
        loop {
            // The subscription is marked as seen before the look, so a push in between wakes it.
            end.borrow_and_update();
            let ended = self.lock().ended;
            let found = self.after(cursor, count);
            if !found.is_empty() || ended || end.changed().await.is_err() {
                return found;
            }
        }
    }

    fn after(&self, cursor: &mut u64, count: usize) -> Vec<u8> {
        let inner = self.lock();
        if *cursor < inner.base {
            let lost = inner.base - *cursor;
            *cursor = inner.base;
            return format!("lost {lost} bytes: this reader was too slow\n").into_bytes();
        }
        let from = usize::try_from(*cursor - inner.base).unwrap_or(usize::MAX);
        let rest = inner.text.get(from..).unwrap_or_default();
        let cut = &rest[..rest.len().min(count)];
        // Whole lines when at least one fits: a reader of lines is never shown half of one.
        let whole = cut.iter().rposition(|b| *b == b'\n').map_or(cut.len(), |at| at + 1);
        *cursor += whole as u64;
        cut[..whole].to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here can panic half way through a change, so a poisoned lock is still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn end(&self) -> u64 {
        self.base + self.text.len() as u64
    }

    /// Whether anything went.
    fn halve(&mut self) -> bool {
        let half = self.text.len() / 2;
        let line = self.text[half..].iter().position(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.text.drain(..half + line);
        self.text.shrink_to_fit();
        self.base += (half + line) as u64;
        self.generation += 1;
        half + line > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_at_the_end_gives_nothing_and_later_the_rest() {
        let grow = Grow::default();
        grow.push("one\n");
        assert_eq!(grow.read(0, 0, 100), Read::Bytes(b"one\n".to_vec()));
        assert_eq!(grow.read(0, 4, 100), Read::Bytes(Vec::new()));
        grow.push("two\n");
        assert_eq!(grow.read(0, 4, 2), Read::Bytes(b"tw".to_vec()));
        assert_eq!(grow.length(), (8, 0));
    }

    #[test]
    fn past_its_bound_it_is_another_file_and_begins_with_a_whole_line() {
        let grow = Grow::with_bound(64);
        for n in 0..12 {
            grow.push(&format!("line {n:02}\n"));
        }
        let (length, generation) = grow.length();
        assert!(length <= 64 && generation == 1, "{length} {generation}");
        assert_eq!(grow.read(0, 0, 100), Read::Rotated);
        let Read::Bytes(text) = grow.read(1, 0, 100) else { panic!("rotated again") };
        assert!(text.starts_with(b"line 0"), "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn one_of_many_is_held_to_a_lower_bound_however_long_it_was() {
        let grow = Grow::with_bound(256);
        (0..20).for_each(|n| grow.push(&format!("line {n:02}\n")));
        grow.push_within("last one\n", 32);
        assert!(grow.length().0 <= 32, "{:?}", grow.length());
        assert!(grow.text().ends_with("last one\n"), "{}", grow.text());
        grow.push_within("one that is longer than all may be together\n", 8);
        assert_eq!(grow.length().0, 0);
    }

    #[tokio::test]
    async fn a_waiting_reader_gets_each_line_and_starts_at_now() {
        let grow = Grow::default();
        grow.push("before\n");
        let mut cursor = grow.now();
        let (got, ()) = tokio::join!(grow.next(&mut cursor, 100), async { grow.push("after\n") });
        assert_eq!(got, b"after\n");
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_much_it_lost() {
        let grow = Grow::with_bound(64);
        let mut cursor = grow.now();
        for n in 0..12 {
            grow.push(&format!("line {n:02}\n"));
        }
        let told = String::from_utf8(grow.next(&mut cursor, 100).await).unwrap();
        assert!(told.starts_with("lost ") && told.ends_with("too slow\n"), "{told}");
        let next = String::from_utf8(grow.next(&mut cursor, 100).await).unwrap();
        assert!(next.ends_with("line 11\n"), "{next}");
    }

    #[tokio::test]
    async fn who_waits_gets_what_is_left_and_then_the_end() {
        let grow = Grow::default();
        let mut cursor = grow.now();
        let (got, ()) = tokio::join!(grow.next(&mut cursor, 100), async {
            grow.push("last\n");
            grow.end();
        });
        assert_eq!(got, b"last\n");
        assert!(grow.next(&mut cursor, 100).await.is_empty());
    }

    #[tokio::test]
    async fn a_small_count_still_gives_whole_lines() {
        let grow = Grow::default();
        let mut cursor = grow.now();
        grow.push("one\ntwo\n");
        assert_eq!(grow.next(&mut cursor, 6).await, b"one\n");
        assert_eq!(grow.next(&mut cursor, 2).await, b"tw");
    }
}
