//! A manifest's `build`: a command on this side, its output shown as it comes. It has a process
//! group of its own, so that whatever it started ends with it when the user gives up, or is
//! killed.

use crate::error::{Error, Result};
use crate::guard::Guard;
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
use tokio::time::{Instant, sleep_until, timeout};

/// How long a build that was told to end may take.
const END_MAX: Duration = Duration::from_secs(5);
/// How long output may come after the command has ended: of what it left running.
const LATE_MAX: Duration = Duration::from_millis(500);
/// What may lie in the pipe when the command ends, pipe(7): that much is shown, however long the
/// showing takes.
const PIPE_BYTES: usize = 65_536;
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
        let (mut child, output) = self.start().map_err(|why| self.wrong(&words(&why)))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let guard = group.and_then(Guard::of);
        let went = self.watch(&mut child, group, output, (out, stop, lost)).await;
        if let Some(guard) = guard {
            guard.over().await;
        }
        went
    }

    async fn watch(
        &self,
        child: &mut Child,
        group: Option<Pid>,
        output: Receiver,
        (out, stop, lost): (Out, &mut Stop, impl Future<Output = Error>),
    ) -> Result<Built> {
        let mut lost = pin!(lost);
        let mut shown = Shown { out, service: self.service, last: VecDeque::new() };
        let mut lines = Lines { output, rest: Vec::new() };
        let (mut open, mut late) = (true, None);
        // The end of the output is not the end of the command, nor the other way round.
        while open || late.is_none() {
            tokio::select! {
                biased;
                () = stop.asked() => {
                    end(child, group).await;
                    return Ok(Built::Stopped);
                }
                why = &mut lost => {
                    end(child, group).await;
                    return Err(why);
                }
                ended = child.wait(), if late.is_none() => late = Some(Late::new(ended)),
                line = lines.next(), if open => match line {
                    Some(line) => {
                        shown.take(&line)?;
                        open = late.as_mut().is_none_or(|late| late.has_room(line.len()));
                    }
                    None => open = false,
                },
                () = over(late.as_ref()) => open = false,
            }
        }
        let ended = match late {
            Some(late) => late.ended,
            None => child.wait().await,
        };
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

/// The time after a command has ended, in which its last lines come.
struct Late {
    ended: std::io::Result<ExitStatus>,
    until: Instant,
    bytes: usize,
}

impl Late {
    fn new(ended: std::io::Result<ExitStatus>) -> Late {
        Late { ended, until: Instant::now() + LATE_MAX, bytes: 0 }
    }

    /// Whether a line may follow one of so many bytes.
    fn has_room(&mut self, bytes: usize) -> bool {
        self.bytes += bytes + 1;
        self.bytes < PIPE_BYTES || Instant::now() < self.until
    }
}

/// Waits until nothing more is waited for.
async fn over(late: Option<&Late>) {
    match late {
        Some(late) => sleep_until(late.until).await,
        None => std::future::pending().await,
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
