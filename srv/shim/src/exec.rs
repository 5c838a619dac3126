//! Commands run beside the program: each has its maker, its output, and its last moment.

use std::io::{ErrorKind, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use container::Report;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::maker::{Heard, Maker, Outputs};
use crate::wire::{Answer, Outcome};

/// As much of the output is kept, in bytes.
const OUTPUT_MAX: usize = 1 << 10;

/// More commands than this at a time are refused.
pub(crate) const JOBS_MAX: usize = 8;

/// The longest time a command may ask for.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// A command that runs.
#[derive(Debug)]
pub(crate) struct Job {
    /// The number of its maker's fork, never used again for another.
    pub(crate) id: u64,
    /// Who asked.
    pub(crate) conn: u64,
    n: Option<u64>,
    maker: Option<Maker>,
    outputs: [Option<PipeReader>; 2],
    output: Vec<u8>,
    pid: Option<i32>,
    status: Option<i32>,
    failure: Option<(i32, String)>,
    /// When it is killed.
    pub(crate) until: Instant,
    timeout: Duration,
}

impl Job {
    /// A command whose maker has just been forked.
    pub(crate) fn new(
        id: u64,
        asked: (u64, Option<u64>),
        made: (Maker, Outputs),
        timeout_ms: u64,
    ) -> Job {
        let (maker, Outputs { stdout, stderr }) = made;
        let timeout = Duration::from_millis(timeout_ms).min(TIMEOUT_MAX);
        Job {
            id,
            conn: asked.0,
            n: asked.1,
            maker: Some(maker),
            outputs: [Some(stdout), Some(stderr)],
            output: Vec::new(),
            pid: None,
            status: None,
            failure: None,
            until: Instant::now() + timeout,
            timeout,
        }
    }

    /// Everything that may become readable.
    pub(crate) fn each(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let maker = self.maker.iter().map(AsFd::as_fd);
        maker.chain(self.outputs.iter().flatten().map(AsFd::as_fd))
    }

    /// Takes what has come. Returns the number of its process when that becomes known.
    pub(crate) fn read(&mut self) -> Option<i32> {
        let mut born = None;
        for place in &mut self.outputs {
            let ended = place.as_mut().is_some_and(|pipe| drain(pipe, &mut self.output));
            if ended {
                *place = None;
            }
        }
        while let Some(heard) = self.maker.as_mut().and_then(Maker::next) {
            match heard {
                Heard::Report(Report::Created { pid }) => {
                    self.pid = Some(pid);
                    born = Some(pid);
                }
                Heard::Report(Report::Warning(_)) => {}
                Heard::Report(Report::Failed { code, reason, .. }) => {
                    self.failure.get_or_insert((code, reason));
                }
                Heard::End => {
                    self.maker = None;
                    if self.pid.is_none() {
                        let reason = "the runtime ended without a word".to_owned();
                        self.failure.get_or_insert((125, reason));
                    }
                }
            }
        }
        born
    }

    /// Whether its maker may yet say its number.
    pub(crate) fn making(&self) -> bool {
        self.maker.is_some()
    }

    /// A child of the shim has ended; whether it was this command's.
    pub(crate) fn ended(&mut self, pid: i32, status: i32) -> bool {
        let own = self.pid == Some(pid);
        if own {
            self.status = Some(status);
        }
        own
    }

    /// The answer, once there is one.
    pub(crate) fn answer(&mut self, now: Instant) -> Option<Answer> {
        let (code, output) = if let Some((code, reason)) = &self.failure {
            (*code, reason.clone())
        } else if let Some(code) = self.status {
            // What it has written is in the pipes by now; children it left may hold them open.
            self.read();
            (code, String::from_utf8_lossy(&self.output).into_owned())
        } else if now >= self.until {
            self.kill();
            return Some(
                self.given_up(&format!("did not end within {} ms", self.timeout.as_millis())),
            );
        } else {
            return None;
        };
        Some(Answer { n: self.n, outcome: Outcome::Exec { code, output } })
    }

    /// The answer about a command whose end is not waited for.
    pub(crate) fn given_up(&self, why: &str) -> Answer {
        Answer { n: self.n, outcome: Outcome::Exec { code: 137, output: why.to_owned() } }
    }

    /// Ends it with all of its session's first group.
    pub(crate) fn kill(&self) {
        match (self.pid, &self.maker) {
            (Some(pid), _) => {
                let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            (None, Some(maker)) => maker.kill(),
            (None, None) => {}
        }
    }
}

/// Reads what is there and keeps the first of it; true at the end.
fn drain(pipe: &mut PipeReader, output: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4096];
    // A command that writes without end must not hold the loop.
    for _ in 0..64 {
        match pipe.read(&mut bytes) {
            Ok(0) => return true,
            Ok(count) => {
                let room = OUTPUT_MAX.saturating_sub(output.len()).min(count);
                output.extend_from_slice(&bytes[..room]);
            }
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) if why.kind() == ErrorKind::WouldBlock => return false,
            Err(_) => return true,
        }
    }
    false
}
