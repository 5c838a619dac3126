//! A text that only grows, followed line by line over connections and servers that come and go.
//!
//! Each line has a mark, made of it and the three before it; by its mark a line is found again in
//! a file that was let go of at its beginning, or was read anew by another server, and so a stream
//! that broke off goes on without anybody having kept in mind where it was.
//!
//! What waits is opened before what is there is read, and only rings: the lines are read from the
//! growing file, so that none is missed and none comes twice.

use crate::refusal::{Refusal, Result};
use crate::tree::Tree;
use ninep::client::{ClientError, File, Mode};
use ninep::dial::Address;
use std::time::Duration;

/// Lines that a mark is made of.
const MARK_LINES: usize = 4;
/// Bytes asked for at once.
const READ_BYTES: u32 = 64 * 1024;
/// The shortest rest before a server that was away is dialled again.
const AGAIN_MS_MIN: u64 = 20;
/// The longest.
const AGAIN_MS_MAX: u64 = 1_000;
/// FNV-1a, 64 bits: its beginning and its factor. Marks tell lines apart, and guard nothing.
const FNV: (u64, u64) = (0xcbf2_9ce4_8422_2325, 0x0100_0000_01b3);

/// A place in a text: behind the line with that mark; 0 is before all lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    /// Reads what `Display` wrote.
    pub(crate) fn read(text: &str) -> Option<Mark> {
        let digits = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| digits).map(Mark)
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// Makes the marks of lines that come one after the other.
#[derive(Debug, Clone, Copy, Default)]
struct Marker([u64; MARK_LINES]);

impl Marker {
    fn next(&mut self, line: &str) -> Mark {
        let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(FNV.1);
        self.0.rotate_left(1);
        self.0[MARK_LINES - 1] = line.bytes().fold(FNV.0, add);
        let bytes = self.0.iter().flat_map(|hash| hash.to_le_bytes());
        // 0 is the beginning.
        Mark(bytes.fold(FNV.0, add).max(1))
    }
}

/// Where a trail begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With so many of the last lines.
    Last(usize),
    /// Behind a line.
    Behind(Mark),
}

/// Lines with their marks, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// Lines before these are missing.
    pub(crate) lost: bool,
    pub(crate) lines: Vec<(Mark, String)>,
}

/// A text that is followed.
#[derive(Debug)]
pub(crate) struct Trail {
    server: Address,
    /// The file that grows, and the one that waits.
    files: (String, String),
    /// Where the lines end that were given.
    at: Mark,
    open: Option<Open>,
    rest_ms: u64,
}

/// Its files, open.
#[derive(Debug)]
struct Open {
    tree: Tree,
    bell: File,
    grown: File,
    /// Which file of that name it is.
    identity: u64,
    offset: u64,
    /// The beginning of a line.
    half: Vec<u8>,
    marker: Marker,
    /// The bell rang, and not all was read since.
    more: bool,
}

impl Trail {
    /// Begins to follow, and gives the lines that are there already.
    ///
    /// # Errors
    /// The tree's refusal, or that nobody answers.
    pub(crate) async fn begin(
        tree: &Tree,
        grow: &str,
        wait: &str,
        start: Start,
    ) -> Result<(Trail, Lines)> {
        let files = (grow.to_string(), wait.to_string());
        let mut trail = Trail {
            server: tree.server.clone(),
            files,
            at: Mark::default(),
            open: None,
            rest_ms: AGAIN_MS_MIN,
        };
        let all = trail.open(tree.clone()).await.map_err(|error| Refusal::of_tree(&error))?;
        let end = all.last().map(|(mark, _)| *mark).unwrap_or_default();
        let lines = match start {
            Start::Behind(mark) => behind(all, mark),
            Start::Last(count) => {
                let from = all.len().saturating_sub(count);
                Lines { lost: false, lines: all.into_iter().skip(from).collect() }
            }
        };
        trail.at = end;
        Ok((trail, lines))
    }

    /// Where the lines end that were given.
    pub(crate) fn at(&self) -> Mark {
        self.at
    }

    /// Another connection to where it is followed.
    pub(crate) async fn dial(&self) -> Result<Tree> {
        Tree::dial(&self.server).await
    }

    /// Waits for lines; none when there is no such text any more. Safe to give up: nothing is
    /// lost.
    pub(crate) async fn next(&mut self) -> Option<Lines> {
        loop {
            let found = match &mut self.open {
                Some(open) => open.next(&self.files.0).await,
                None => match Tree::dial(&self.server).await {
                    Ok(tree) => match self.open(tree).await {
                        // Its service is gone, and does not come again as the same.
                        Err(ClientError::Refused(_)) => return None,
                        found => found.map(|all| Found::Lines(behind(all, self.at))),
                    },
                    Err(_) => Ok(Found::Away),
                },
            };
            match found {
                Ok(Found::Lines(lines)) => {
                    self.rest_ms = AGAIN_MS_MIN;
                    if let Some((mark, _)) = lines.lines.last() {
                        self.at = *mark;
                        return Some(lines);
                    }
                }
                Ok(Found::TurnedOver) => self.open = None,
                Ok(Found::Away) | Err(_) => {
                    self.open = None;
                    // Not a wait for something: nobody says when a server is there again.
                    tokio::time::sleep(Duration::from_millis(self.rest_ms)).await;
                    self.rest_ms = (self.rest_ms * 2).min(AGAIN_MS_MAX);
                }
            }
        }
    }

    /// Opens the files, and reads all that is there.
    async fn open(&mut self, tree: Tree) -> std::result::Result<Vec<(Mark, String)>, ClientError> {
        let (grow, wait) = &self.files;
        let bell = tree.client.open(wait, Mode::Read).await?;
        let grown = tree.client.open(grow, Mode::Read).await?;
        let identity = tree.client.stat(grow).await?.path;
        let (half, marker) = (Vec::new(), Marker::default());
        let mut open = Open { tree, bell, grown, identity, offset: 0, half, marker, more: true };
        let mut all = Vec::new();
        while open.more {
            all.extend(open.read().await?);
        }
        self.open = Some(open);
        Ok(all)
    }
}

/// What a look at the open files brings.
enum Found {
    Lines(Lines),
    /// The name stands for another file by now.
    TurnedOver,
    /// Nobody answers.
    Away,
}

impl Open {
    async fn next(&mut self, path: &str) -> std::result::Result<Found, ClientError> {
        if !self.more {
            if self.bell.read_next(READ_BYTES).await?.is_empty() {
                return Ok(Found::Away);
            }
            self.more = true;
        }
        let lines = self.read().await?;
        if lines.is_empty() && self.tree.client.stat(path).await?.path != self.identity {
            return Ok(Found::TurnedOver);
        }
        Ok(Found::Lines(Lines { lost: false, lines }))
    }

    /// Reads once, and gives the whole lines of it.
    async fn read(&mut self) -> std::result::Result<Vec<(Mark, String)>, ClientError> {
        let bytes = self.grown.read_at(self.offset, READ_BYTES).await?;
        self.more = !bytes.is_empty();
        self.offset += bytes.len() as u64;
        self.half.extend_from_slice(&bytes);
        let end = self.half.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole: Vec<u8> = self.half.drain(..end).collect();
        let text = String::from_utf8_lossy(&whole);
        Ok(text.lines().map(|line| (self.marker.next(line), line.to_string())).collect())
    }
}

/// The lines behind a mark; all of them, and that some are missing, when it is not there.
fn behind(mut all: Vec<(Mark, String)>, mark: Mark) -> Lines {
    if mark == Mark::default() {
        return Lines { lost: false, lines: all };
    }
    match all.iter().position(|(at, _)| *at == mark) {
        Some(at) => {
            all.drain(..=at);
            Lines { lost: false, lines: all }
        }
        None => Lines { lost: true, lines: all },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> Vec<(Mark, String)> {
        let mut marker = Marker::default();
        text.chars().map(|c| (marker.next(&c.to_string()), c.to_string())).collect()
    }

    #[test]
    fn a_line_is_found_again_by_its_mark_also_where_the_beginning_was_let_go() {
        let at = |text: &str, n: usize| marked(text)[n].0;
        let check = |all: &str, mark: Mark, want: &str| {
            let Lines { lost, lines } = behind(marked(all), mark);
            let text: String = lines.into_iter().map(|(_, line)| line).collect();
            assert_eq!(format!("{}{text}", if lost { "lost " } else { "" }), want, "{all}");
        };
        check("abcdef", at("abcdef", 3), "ef");
        check("abcdef", at("abcdef", 0), "bcdef");
        check("abcdef", at("abcdef", 5), "");
        check("abcdef", Mark::default(), "abcdef");
        // Of the file as it was, only the end is left.
        check("cdefgh", at("abcdef", 5), "gh");
        check("xyz", at("abcdef", 5), "lost xyz");
        // The same line twice is two lines.
        check("abcaabca!", at("abcaabca", 3), "abca!");
        check("", at("a", 0), "lost ");
    }

    #[test]
    fn a_mark_reads_back() {
        for (mark, _) in marked("abc") {
            assert_eq!(Mark::read(&mark.to_string()), Some(mark));
        }
        assert_eq!(Mark::read("0"), Some(Mark::default()));
        for text in ["", "x", "+1", "12345678901234567", "-1"] {
            assert_eq!(Mark::read(text), None, "{text}");
        }
    }
}
