//! One log as it is printed and followed: what is there, then what comes.
//!
//! What waits is opened before what is there is read, and only says that there is more: the more
//! is read from the growing file, at the place where the last read ended, so that no line is
//! missed and none comes twice.

use crate::error::Result;
use crate::link::{Grown, Lines, Link};
use crate::logs::id_of;
use ninep::LastLines;

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
    last: LastLines,
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
                let (directory, last) = (directory.to_string(), LastLines::default());
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
        let mut lost = false;
        if lines.is_empty() && self.grown.is_turned_over(link).await? {
            self.grown = Grown::open(link, &format!("{}/log", self.directory)).await?;
            lines = self.grown.more().await?;
            let known = self.last.known(&lines);
            lines.drain(..known);
            // The file was let go of faster than it was read.
            lost = known == 0 && !self.last.is_empty() && !lines.is_empty();
        }
        self.last.remember(&lines);
        if lost {
            lines.insert(0, lost_before(&lines[0]));
        }
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
}

/// When a line was written.
pub(crate) fn time(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// The line that says that lines before `next` are missing; at the same time, as one of that log.
fn lost_before(next: &str) -> String {
    let mut words = next.split(' ');
    let (time, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let instance = match second {
        "stdout" | "stderr" => String::new(),
        instance => format!("{instance} "),
    };
    format!("{time} {instance}stderr deploy: lines are lost here: they came faster than were read")
}
