//! Finding one's place again in a text that goes on as another file: a growing file never shrinks
//! for who has it open, so one that gets too long is followed by another, which begins with some
//! lines of it or with none.

use std::collections::VecDeque;

/// Lines by which a text is known again: that many are not written twice in a row.
const LAST_LINES: usize = 32;

/// The last lines that were read of a text.
#[derive(Clone, Debug, Default)]
pub struct LastLines(VecDeque<String>);

impl LastLines {
    /// Whether none was read yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes lines that were read.
    pub fn remember(&mut self, lines: &[String]) {
        let newest = &lines[lines.len().saturating_sub(LAST_LINES)..];
        self.0.extend(newest.iter().cloned());
        self.0.drain(..self.0.len().saturating_sub(LAST_LINES));
    }

    /// How many of the lines are known: those up to the last ones that were read. 0 says that
    /// they have nothing in common with what was read, so that lines in between may be missing.
    #[must_use]
    pub fn known(&self, lines: &[String]) -> usize {
        let last = &self.0;
        let ends = |end: &usize| {
            let count = last.len().min(*end);
            count > 0 && last.range(last.len() - count..).eq(&lines[end - count..*end])
        };
        // The longer what is the same, the surer; of equals the first, for then nothing is lost.
        let whole = (last.len()..=lines.len()).find(ends);
        whole.or_else(|| (1..last.len().min(lines.len() + 1)).rev().find(ends)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each letter a line.
    fn lines(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn a_text_that_is_found_again_goes_on_behind_the_last_line_that_was_read() {
        let check = |read: &str, found: &str, new: &str| {
            let mut last = LastLines::default();
            last.remember(&lines(read));
            let found = lines(found);
            assert_eq!(found[last.known(&found)..].concat(), new, "{read:?} {found:?}");
        };
        check("", "abc", "abc");
        check("abc", "abcde", "de");
        check("abc", "abc", "");
        // Its begin was let go of, of one of them or of both.
        check("bc", "abcd", "d");
        check("abc", "bcd", "d");
        check("abc", "cd", "d");
        check("abc", "xyz", "xyz");
        check("abc", "bc", "");
        // The same line twice is two lines.
        check("abb", "abbb", "b");
        check("abb", "bb", "");
        check("xab", "xabab", "ab");
        check("ab", "abcab", "cab");
        check("abc", "", "");
    }

    #[test]
    fn only_the_last_lines_are_remembered() {
        let mut last = LastLines::default();
        last.remember(&lines("ab"));
        assert_eq!(last.0, lines("ab"));
        last.remember(&vec!["x".to_string(); LAST_LINES - 1]);
        assert_eq!((last.0.len(), last.0[0].as_str()), (LAST_LINES, "b"));
        last.remember(&vec!["y".to_string(); 2 * LAST_LINES]);
        assert_eq!(last.0, vec!["y"; LAST_LINES]);
    }
}
