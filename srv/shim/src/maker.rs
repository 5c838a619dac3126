//! A short-lived fork that calls libcontainer, and what is heard of it.
//!
//! A fork, because libcontainer changes its caller, fills its memory, and may never return: the
//! shim stays small, answers its socket meanwhile, and can kill what hangs. The container becomes
//! the shim's own child all the same (`CLONE_PARENT`). Forking is safe here: there is one thread.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, PipeWriter, Read, pipe};
use std::mem::zeroed;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::parent_id;

use container::{Report, Reporter, Stdio};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork};

use crate::error::Error;
use crate::setup::close_others;

/// More bytes than this without an end of line are no report.
const REPORT_MAX: usize = 64 << 10;

/// Of clone(2); the C library's constant has too few bits for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// A running fork.
#[derive(Debug)]
pub(crate) struct Maker {
    /// Its number.
    pub(crate) pid: i32,
    reports: PipeReader,
    buffer: Vec<u8>,
}

/// The reading ends of a program's outputs.
#[derive(Debug)]
pub(crate) struct Outputs {
    pub(crate) stdout: PipeReader,
    pub(crate) stderr: PipeReader,
}

impl Maker {
    /// Forks, into the version 2 cgroup `beside` when there is one; the child runs `work` and
    /// ends. `lock` stays open in it, so that whoever waits for the lock waits for it too, and so
    /// does `also`.
    pub(crate) fn fork(
        lock: &File,
        beside: Option<BorrowedFd<'_>>,
        also: Option<RawFd>,
        work: impl FnOnce(Stdio, Reporter) -> Result<(), container::Error>,
    ) -> Result<(Maker, Outputs), Error> {
        let failed = || Error::io("make pipe", "");
        let (reports, report) = pipe().map_err(failed())?;
        let (stdout, stdout_in) = pipe().map_err(failed())?;
        let (stderr, stderr_in) = pipe().map_err(failed())?;
        for reader in [reports.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            unblock(reader)?;
        }
        let null = "/dev/null";
        let stdin = File::open(null).map_err(Error::io("open", null))?;
        let parent = std::process::id();
        match fork_into(beside).map_err(Error::call("fork"))? {
            ForkResult::Parent { child } => {
                let maker = Maker { pid: child.as_raw(), reports, buffer: Vec::new() };
                Ok((maker, Outputs { stdout, stderr }))
            }
            ForkResult::Child => {
                let stdio = Stdio {
                    stdin: OwnedFd::from(stdin),
                    stdout: OwnedFd::from(stdout_in),
                    stderr: OwnedFd::from(stderr_in),
                };
                be_maker(parent, (lock, also), stdio, &report, work)
            }
        }
    }

    /// The next report there is; none when there is none yet.
    pub(crate) fn next(&mut self) -> Option<Heard> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                match Report::parse(&line) {
                    Some(report) => return Some(Heard::Report(report)),
                    None => continue,
                }
            }
            let mut bytes = [0; 4096];
            match self.reports.read(&mut bytes) {
                Ok(0) => return Some(Heard::End),
                Ok(count) if self.buffer.len() < REPORT_MAX => {
                    self.buffer.extend_from_slice(&bytes[..count]);
                }
                Ok(_) => return Some(Heard::End),
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) if why.kind() == ErrorKind::WouldBlock => return None,
                Err(_) => return Some(Heard::End),
            }
        }
    }

    /// Ends it, whatever it is doing.
    pub(crate) fn kill(&self) {
        let _ = kill(Pid::from_raw(self.pid), Signal::SIGKILL);
    }
}

impl AsFd for Maker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reports.as_fd()
    }
}

/// What came from a maker.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A step.
    Report(Report),
    /// Nobody is left to say more: the program runs, or nothing does.
    End,
}

/// Makes reads return at once.
pub(crate) fn unblock(fd: BorrowedFd<'_>) -> Result<(), Error> {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map(|_| ()).map_err(Error::call("fcntl"))
}

/// fork(2), into a version 2 cgroup where there is one and the kernel can (Linux 5.7): to be moved
/// there may take a grace period.
fn fork_into(cgroup: Option<BorrowedFd<'_>>) -> Result<ForkResult, Errno> {
    if let Some(cgroup) = cgroup {
        // SAFETY: zeros are a value of this structure of numbers, by clone(2) that of "none".
        let mut args: libc::clone_args = unsafe { zeroed() };
        args.flags = CLONE_INTO_CGROUP;
        args.exit_signal = libc::SIGCHLD as u64;
        args.cgroup = cgroup.as_raw_fd() as u64;
        // SAFETY: the memory is not shared, as by fork; this process has one thread, so the child
        // may do whatever the parent could, but for what needs the C library's idea of its own
        // number, which here nothing does.
        match unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) } {
            0 => return Ok(ForkResult::Child),
            pid if pid > 0 => return Ok(ForkResult::Parent { child: Pid::from_raw(pid as i32) }),
            _ => {}
        }
    }
    // SAFETY: this process has one thread, so the child may do whatever the parent could.
    unsafe { fork() }
}

fn be_maker(
    parent: u32,
    (lock, also): (&File, Option<RawFd>),
    stdio: Stdio,
    report: &PipeWriter,
    work: impl FnOnce(Stdio, Reporter) -> Result<(), container::Error>,
) -> ! {
    let _ = set_pdeathsig(Signal::SIGKILL);
    // A parent that died before that line will send nothing.
    let mut status = 1;
    if parent_id() == parent {
        let keep = [lock.as_fd(), report.as_fd(), stdio.stdin.as_fd(), stdio.stdout.as_fd()];
        let mut keep: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).collect();
        keep.push(stdio.stderr.as_raw_fd());
        keep.extend(also);
        // Connections of the shim must end when the shim does, not when a first process that
        // waits for its start does.
        close_others(&keep);
        let reporter = Reporter::new(report);
        match work(stdio, reporter) {
            Ok(()) => status = 0,
            Err(error) => reporter.say(&Report::of(&error)),
        }
    }
    // SAFETY: ends the process at once; nothing of the parent's buffers or handlers is run twice.
    unsafe { libc::_exit(status) }
}
