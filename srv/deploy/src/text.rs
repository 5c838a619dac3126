//! Logs as the node gives them, read as lines: of an instance that is gone, of one that is there,
//! and what of them is new to who has read some already.

use ninep::LastLines;
use ninep::client::{Client, ClientError, File, Mode};

/// Bytes asked of a log at once.
pub(crate) const READ_BYTES: u32 = 64 * 1024;

/// The last lines of a file of that many bytes.
pub(crate) async fn end_of(
    client: &Client,
    path: &str,
    bytes: u64,
    share: u64,
) -> Result<Vec<String>, ClientError> {
    let file = client.open(path, Mode::Read).await?;
    let start = bytes.saturating_sub(share);
    // From the byte before, so that a line that begins right there is whole.
    let mut offset = start.saturating_sub(1);
    let mut text = Vec::new();
    loop {
        let more = file.read_at(offset, READ_BYTES).await?;
        if more.is_empty() {
            break;
        }
        offset += more.len() as u64;
        text.extend_from_slice(&more);
    }
    if start > 0 {
        let line = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| at + 1);
        text.drain(..line);
    }
    Ok(all_lines(&mut text))
}

/// A tail as it is read.
#[derive(Debug)]
pub(crate) struct Tail {
    file: File,
    /// Half a line.
    rest: Vec<u8>,
    /// It has come to its end.
    over: bool,
}

impl Tail {
    pub(crate) async fn open(client: &Client, path: &str) -> Result<Tail, ClientError> {
        let file = client.open(path, Mode::Read).await?;
        Ok(Tail { file, rest: Vec::new(), over: false })
    }

    /// What was there already; the node puts an empty line behind it.
    pub(crate) async fn begin(&mut self) -> Result<Vec<String>, ClientError> {
        let mut begin = Vec::new();
        while let Some(lines) = self.more().await? {
            begin.extend(lines);
            if begin.last().is_some_and(String::is_empty) {
                begin.pop();
                break;
            }
        }
        Ok(begin)
    }

    /// What comes next, which may be no whole line; none at the end.
    pub(crate) async fn more(&mut self) -> Result<Option<Vec<String>>, ClientError> {
        if self.over {
            return Ok(None);
        }
        let bytes = self.file.read_next(READ_BYTES).await?;
        self.over = bytes.is_empty();
        self.rest.extend_from_slice(&bytes);
        Ok(Some(if self.over { all_lines(&mut self.rest) } else { whole_lines(&mut self.rest) }))
    }
}

/// What of a log is new.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct New {
    /// Lines before these may be missing.
    pub(crate) lost: bool,
    pub(crate) lines: Vec<String>,
}

/// What is new to who has read `last`, of a log that ends with `begin`, what a tail begins with,
/// and of whose file `all` was read after that.
pub(crate) fn new_in(last: &LastLines, mut all: Vec<String>, begin: &[String]) -> New {
    const HEAD: usize = 32;
    let head = &begin[..begin.len().min(HEAD)];
    let found = (0..all.len()).find(|at| all[*at..].starts_with(head));
    // Where the file does not go back to where the tail begins, it has nothing that is older.
    let before = if begin.is_empty() { all.len() } else { found.unwrap_or(0) };
    let joined = begin.is_empty() || found.is_some();
    all.truncate(before);
    let known = last.known(&all);
    // Of who had said nothing yet everything is new.
    let lost = !joined || known == 0 && !last.is_empty();
    all.drain(..known);
    all.extend_from_slice(begin);
    New { lost, lines: all }
}

/// Takes the whole lines out of what came; what is left waits for its end.
fn whole_lines(rest: &mut Vec<u8>) -> Vec<String> {
    let end = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let mut whole = rest.drain(..end).collect();
    all_lines(&mut whole)
}

fn all_lines(bytes: &mut Vec<u8>) -> Vec<String> {
    let bytes = std::mem::take(bytes);
    String::from_utf8_lossy(&bytes).lines().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each letter a line.
    fn lines(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn what_is_new_begins_behind_what_was_read_or_is_said_to_have_lost_something() {
        let check = |read: &str, all: &str, begin: &str, want: &str| {
            let mut last = LastLines::default();
            last.remember(&lines(read));
            let New { lost, lines } = new_in(&last, lines(all), &lines(begin));
            let got = format!("{}{}", if lost { "lost " } else { "" }, lines.concat());
            assert_eq!(got, want, "{read:?} {all:?} {begin:?}");
        };
        // The tail begins long behind, and the file has what is between.
        check("abc", "abcdefgh", "gh", "defgh");
        // What was written after the tail was opened comes from the tail.
        check("abc", "abcdefghij", "gh", "defgh");
        check("abc", "bcdefgh", "gh", "defgh");
        // The file was rotated since.
        check("abc", "efgh", "gh", "lost efgh");
        check("abc", "hi", "gh", "lost gh");
        check("abc", "", "gh", "lost gh");
        // It had said nothing.
        check("", "abcd", "cd", "abcd");
        check("", "d", "cd", "lost cd");
        check("", "", "", "");
        // It is gone, and its log is all there is.
        check("abc", "abcde", "", "de");
        check("abc", "de", "", "lost de");
        check("abc", "abc", "", "");
    }
}
