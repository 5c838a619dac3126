//! A manifest's `build`: a command on this side, its output shown as it comes. It has a process
//! group of its own, so that whatever it started ends with it when the user gives up.

use crate::error::{Error, Result};
use crate::out::{Out, tame};
use crate::stop::Stop;
use ninep::words;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::json;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a build that was told to end may take.
const END_MAX: Duration = Duration::from_secs(5);
/// How long output may come after the command has ended: of what it left running.
const LATE_MAX: Duration = Duration::from_millis(500);
/// Bytes of a line; what is longer comes in several.
const LINE_BYTES_MAX: usize = 4_096;
/// Last lines that are told of a build that failed, where none were shown as they came.
const LAST_LINES_MAX: usize = 20;

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Build<'a> {
    /// For which service.
    pub(crate) service: &'a str,
    /// The program and its words.
    pub(crate) words: &'a [String],
    /// Where.
    pub(crate) place: PathBuf,
    /// Besides the environment of this program.
    pub(crate) env: Vec<(&'static str, String)>,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Built {
    /// It succeeded.
    Done,
    /// The user gave it up, and nothing of it runs any more.
    Stopped,
}

impl Build<'_> {
    /// Runs it to its end, or until the lock it is run under is `lost`.
    ///
    /// # Errors
    /// It cannot be started, or fails, or its lock is lost.
    pub(crate) async fn run(
        &self,
        out: Out,
        stop: &mut Stop,
        lost: impl Future<Output = Error>,
    ) -> Result<Built> {
        let mut lost = pin!(lost);
        let (mut child, output) = self.start().map_err(|why| self.wrong(&words(&why)))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let mut shown = Shown { out, service: self.service, last: VecDeque::new() };
        let mut lines = Lines { output, rest: Vec::new() };
        let ended = loop {
            tokio::select! {
                biased;
                () = stop.asked() => {
                    end(&mut child, group).await;
                    return Ok(Built::Stopped);
                }
                why = &mut lost => {
                    end(&mut child, group).await;
                    return Err(why);
                }
                ended = child.wait() => break ended,
                line = lines.next() => match line {
                    Some(line) => shown.take(&line)?,
                    None => break child.wait().await,
                },
            }
        };
        // What was written before the end is there already; what goes on behind it is not waited
        // for.
        while let Ok(Some(line)) = timeout(LATE_MAX, lines.next()).await {
            shown.take(&line)?;
        }
        let status = ended.map_err(|why| self.wrong(&words(&why)))?;
        match status.success() {
            true => Ok(Built::Done),
            false => {
                shown.tell_last();
                Err(self.wrong(&how(status)))
            }
        }
    }

    fn start(&self) -> std::io::Result<(Child, Receiver)> {
        let (reader, writer) = std::io::pipe()?;
        let (program, rest) = self.words.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
        // Its ends of the pipe go with the command, so that the last writer's end is the end.
        let mut command = Command::new(program);
        command.args(rest).current_dir(&self.place).envs(self.env.iter().cloned());
        // One pipe for both, so that the lines stay in their order.
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        Ok((child, Receiver::from_owned_fd(OwnedFd::from(reader))?))
    }

    fn wrong(&self, why: &str) -> Error {
        let command = self.words.join(" ");
        Error::Other(format!("build of {}: {command}: {why}; nothing was changed", self.service))
    }
}

/// Ends a whole process group: told first, then killed.
async fn end(child: &mut Child, group: Option<Pid>) {
    let Some(group) = group else { return };
    // Nothing is left of it where a signal finds nobody.
    let _ = kill_process_group(group, Signal::TERM);
    let _ = timeout(END_MAX, child.wait()).await;
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait().await;
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Output by lines.
struct Lines<R> {
    output: R,
    rest: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The next line; none at the end. Safe to give up: nothing is lost.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(line) = line_of(&mut self.rest) {
                return Some(line);
            }
            // A pipe that cannot be read has come to its end.
            if self.output.read_buf(&mut self.rest).await.unwrap_or(0) == 0 {
                let rest = std::mem::take(&mut self.rest);
                return (!rest.is_empty()).then(|| text(&rest));
            }
        }
    }
}

fn line_of(rest: &mut Vec<u8>) -> Option<String> {
    let end = rest.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n');
    let whole = end.map(|at| at + 1).or((rest.len() >= LINE_BYTES_MAX).then_some(LINE_BYTES_MAX))?;
    let line: Vec<u8> = rest.drain(..whole).collect();
    Some(text(line.strip_suffix(b"\n").unwrap_or(&line)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes)).into_owned()
}

/// Where its lines go.
struct Shown<'a> {
    out: Out,
    service: &'a str,
    /// Of lines that nobody was shown.
    last: VecDeque<String>,
}

impl Shown<'_> {
    fn take(&mut self, line: &str) -> Result<()> {
        let Shown { out, service, .. } = *self;
        if out.json {
            return out.object(&json!({"service": service, "phase": "build", "text": line}));
        }
        let line = format!("  {service}: {}", tame(line));
        match out.quiet {
            true if self.last.len() >= LAST_LINES_MAX => {
                self.last.rotate_left(1);
                self.last.back_mut().into_iter().for_each(|last| last.clone_from(&line));
            }
            true => self.last.push_back(line),
            false => out.message(&line),
        }
        Ok(())
    }

    fn tell_last(&self) {
        self.last.iter().for_each(|line| self.out.trouble(line));
    }
}

#[cfg(test)]
#[path = "build_test.rs"]
mod tests;
