//! One log as it is printed and followed: what is there, then what comes.
//!
//! What waits is opened before what is there is read, and only says that there is more: the more
//! is read from the growing file, at the place where the last read ended, so that no line is
//! missed and none comes twice.

use crate::error::Result;
use crate::link::{Grown, Lines, Link};
use crate::logs::id_of;
use std::collections::VecDeque;

/// Lines by which a file that was turned over is known again: that many are not written twice in
/// a row.
const LAST_LINES: usize = 32;

/// One log.
#[derive(Debug)]
pub(crate) struct Source {
    directory: String,
    /// Which instance's it is; none for a service's.
    id: Option<String>,
    /// Where it is followed.
    tail: Option<Lines>,
    grown: Grown,
    /// The last lines that came.
    last: VecDeque<String>,
}

impl Source {
    /// The log in the directory of a service or of an instance.
    pub(crate) async fn open(link: &Link, directory: &str, follow: bool) -> Result<Source> {
        loop {
            let id = id_of(link, directory).await?;
            let tail = match follow {
                true => Some(Lines::open(link, &format!("{directory}/tail")).await?),
                false => None,
            };
            let grown = Grown::open(link, &format!("{directory}/log")).await?;
            // Another instance may have taken the place while the files were opened.
            if id_of(link, directory).await? == id {
                let (directory, last) = (directory.to_string(), VecDeque::new());
                return Ok(Source { directory, id, tail, grown, last });
            }
        }
    }

    /// Which instance's log it is.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The lines that came since; none when there are none.
    pub(crate) async fn more(&mut self, link: &Link) -> Result<Vec<String>> {
        let mut lines = self.grown.more().await?;
        if lines.is_empty() && self.grown.is_turned_over(link).await? {
            self.grown = Grown::open(link, &format!("{}/log", self.directory)).await?;
            lines = self.grown.more().await?;
            lines.drain(..known(&self.last, &lines));
        }
        self.remember(&lines);
        Ok(lines)
    }

    /// Waits for lines; none at the log's end.
    pub(crate) async fn next(&mut self, link: &Link) -> Result<Option<Vec<String>>> {
        loop {
            let Some(tail) = &mut self.tail else { return Ok(None) };
            let over = tail.next().await?.is_empty();
            let lines = match over {
                // Its name may stand for another's by now, or for nothing.
                true => self.grown.more().await?,
                false => self.more(link).await?,
            };
            if over {
                self.tail = None;
            }
            // What rang was read already where there is nothing.
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
        }
    }

    fn remember(&mut self, lines: &[String]) {
        let newest = &lines[lines.len().saturating_sub(LAST_LINES)..];
        self.last.extend(newest.iter().cloned());
        self.last.drain(..self.last.len().saturating_sub(LAST_LINES));
    }
}

/// When a line was written.
pub(crate) fn time(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// How many of a file's lines are known: those up to the last ones that came.
fn known(last: &VecDeque<String>, lines: &[String]) -> usize {
    let ends = |end: &usize| {
        let count = last.len().min(*end);
        count > 0 && last.range(last.len() - count..).eq(&lines[end - count..*end])
    };
    // The longer what is the same, the surer; of equals the first, for then nothing is lost.
    let whole = (last.len()..=lines.len()).find(ends);
    whole.or_else(|| (1..last.len().min(lines.len() + 1)).rev().find(ends)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_turned_over_goes_on_behind_the_last_lines() {
        let lines = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        let check = |last: &str, found: &str, new: &str| {
            let (last, found) = (VecDeque::from(lines(last)), lines(found));
            assert_eq!(found[known(&last, &found)..].concat(), new, "{last:?} {found:?}");
        };
        check("abc", "bcd", "d");
        check("abc", "cd", "d");
        check("abc", "xyz", "xyz");
        check("abc", "bc", "");
        // The same line twice is two lines.
        check("xab", "xabab", "ab");
        check("", "ab", "ab");
    }
}
