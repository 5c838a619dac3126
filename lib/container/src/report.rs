//! What the short-lived process that makes a container tells the one that waits for it: a line of
//! JSON each over a pipe. The pipe's end means that the program itself runs, or that nothing does.

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::unistd::write;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A pipe takes lines up to this many bytes whole (PIPE_BUF), whoever else writes.
const LINE_MAX: usize = 4096;

/// Texts are cut to this many bytes, so that escaped they still fit a line.
const TEXT_MAX: usize = 600;

/// A step taken, or the reason why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Report {
    /// The container exists; its first process waits to become the program.
    Created {
        /// Its number outside.
        pid: i32,
    },
    /// Something this machine cannot give.
    Warning(String),
    /// The program will not run. Only the first of these counts: what follows is consequence.
    Failed {
        /// 125, 126 or 127.
        code: i32,
        /// Another try must fail in the same way.
        permanent: bool,
        /// What was wrong and what to do.
        reason: String,
    },
}

impl Report {
    /// The report of an error.
    pub fn of(error: &Error) -> Report {
        Report::Failed {
            code: error.code(),
            permanent: error.permanent(),
            reason: error.to_string(),
        }
    }

    /// Reads one line.
    pub fn parse(line: &[u8]) -> Option<Report> {
        serde_json::from_slice(line).ok()
    }
}

/// The writing end. It is only a number because libcontainer clones whatever holds it, and the
/// clones must not close each other's; the descriptor is closed by the program's execution.
#[derive(Debug, Clone, Copy)]
pub struct Reporter(RawFd);

impl Reporter {
    /// Writes to `fd`, which must stay open in this process until it ends or executes.
    pub fn new(fd: &impl AsRawFd) -> Reporter {
        Reporter(fd.as_raw_fd())
    }

    /// Says it. A reader that has gone does not matter: then nobody asks.
    pub fn say(self, report: &Report) {
        let short = match report {
            Report::Created { .. } => report.clone(),
            Report::Warning(text) => Report::Warning(cut(text)),
            Report::Failed { code, permanent, reason } => {
                Report::Failed { code: *code, permanent: *permanent, reason: cut(reason) }
            }
        };
        if let Ok(mut line) = serde_json::to_vec(&short)
            && line.len() < LINE_MAX
        {
            line.push(b'\n');
            // SAFETY: by the contract of `new` the descriptor is open as long as this process
            // has not executed another program.
            let fd = unsafe { BorrowedFd::borrow_raw(self.0) };
            let _ = write(fd, &line);
        }
    }
}

fn cut(text: &str) -> String {
    let end = (0..=TEXT_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_report_survives_the_pipe_and_a_long_one_is_cut() {
        let (mut read, write) = std::io::pipe().unwrap();
        let reporter = Reporter::new(&write);
        reporter.say(&Report::Created { pid: 7 });
        reporter.say(&Report::Warning("\u{1}é".repeat(10_000)));
        reporter.say(&Report::of(&Error::CommandNotFound("nope".to_owned())));
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        let reports: Vec<_> = text.lines().map(|line| Report::parse(line.as_bytes())).collect();
        assert_eq!(reports[0], Some(Report::Created { pid: 7 }));
        assert!(matches!(&reports[1], Some(Report::Warning(text)) if text.len() <= TEXT_MAX));
        let reason = "command not found in the image: \"nope\"".to_owned();
        assert_eq!(reports[2], Some(Report::Failed { code: 127, permanent: true, reason }));
    }
}
