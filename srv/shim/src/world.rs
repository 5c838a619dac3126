//! The one loop: everything that can come to a shim comes through here, one after the other.

use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use container::{Cgroup, Plan, REMOVE_MAX, Report, Site};
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::children::{Children, FIRST};
use crate::conn::Conns;
use crate::error::{Error, complain};
use crate::exec::Job;
use crate::log::{Lines, Log, Source};
use crate::maker::{Heard, Maker, Outputs};
use crate::record::{Pids, now_ms};
use crate::setup;
use crate::stop::Stopping;
use crate::wait::Token;
use crate::wire::{Config, Exit, State};

/// A container that has not been made and started by then is given up and killed.
const START_MAX: Duration = Duration::from_secs(30);

/// Output may come this long after the program's end, from what is still in the pipes.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Read from an output at a time, in bytes: all that a pipe holds.
const READ_MAX: usize = 64 << 10;

/// A shim at work.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) site: Site,
    pub(crate) cgroup: Cgroup,
    pub(crate) conns: Conns,
    pub(crate) jobs: Vec<Job>,
    pub(crate) lock: File,
    pub(crate) state: State,
    pub(crate) init: Option<i32>,
    pub(crate) stopping: Stopping,
    pub(crate) signals: SignalFd,
    log: Log,
    pub(crate) outputs: [Option<Output>; 2],
    pub(crate) maker: Option<Maker>,
    pub(crate) start_until: Instant,
    warnings: Vec<String>,
    failure: Option<(i32, bool, String)>,
    /// How the first process ended, and how long its last output is waited for.
    pub(crate) ended: Option<(WaitStatus, Instant)>,
    pub(crate) children: Children,
}

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) pipe: PipeReader,
    lines: Lines,
}

/// A shim whose container is being made.
#[derive(Debug)]
pub(crate) struct Begun {
    plan: Plan,
    site: Site,
    cgroup: Cgroup,
    lock: File,
    signals: SignalFd,
    log: Log,
    stopping: Stopping,
    made: (Maker, Outputs),
}

/// Makes this process a shim and lets the container of `dir` be made.
pub(crate) fn begin(dir: &Path, config: Config, lock: File) -> Result<Begun, Error> {
    let oom_score_adj = setup::process()?;
    let signals = setup::signals()?;
    if let Some(pids) = Pids::of(None) {
        pids.write();
    }
    setup::namespaces(config.netns_fd)?;
    let secrets = config.secrets_fd.map(setup::given).transpose()?;
    let plan = crate::plan::plan(&config, dir)?;
    let site = Site::new(dir);
    site.prepare()?;
    let cgroup = Cgroup::at(&plan.cgroup)?;
    let log = Log::open(&dir.join("log"), config.spec.log_size_bytes, config.spec.log_files);
    let beside = cgroup.beside();
    let (beside, also) = (beside.as_ref().map(AsFd::as_fd), config.secrets_fd);
    let (the_plan, the_site) = (&plan, &site);
    // Both sides let the secrets go with what they have of the work.
    let made = Maker::fork(&lock, beside, also, move |stdio, reporter| {
        container::bring_up(the_plan, the_site, stdio, Some(oom_score_adj), secrets, reporter)
    });
    let made = made.inspect_err(|_| {
        // Nobody else knows what was made for the fork.
        if let Err(why) = cgroup.remove(REMOVE_MAX) {
            complain(&why);
        }
    })?;
    let stopping = Stopping::new(&config);
    Ok(Begun { plan, site, cgroup, lock, signals, log, stopping, made })
}

impl World {
    /// The loop's beginning.
    pub(crate) fn new(begun: Begun, conns: Conns) -> World {
        let Begun { plan, site, cgroup, lock, signals, log, stopping, made } = begun;
        let (maker, Outputs { stdout, stderr }) = made;
        let mut children = Children::default();
        children.forked(maker.pid);
        let output = |pipe, source| Some(Output { pipe, lines: Lines::new(source) });
        World {
            plan,
            site,
            cgroup,
            conns,
            jobs: Vec::new(),
            lock,
            state: State::Starting,
            init: None,
            stopping,
            signals,
            log,
            outputs: [output(stdout, Source::Stdout), output(stderr, Source::Stderr)],
            maker: Some(maker),
            start_until: Instant::now() + START_MAX,
            warnings: Vec::new(),
            failure: None,
            ended: None,
            children,
        }
    }

    /// Runs until the container has ended and its output has been written. Cgroup and mounts are
    /// still there.
    pub(crate) fn run(&mut self) -> Result<Exit, Error> {
        loop {
            for token in self.wait()? {
                self.handle(token);
            }
            self.tick();
            if let Some(exit) = self.verdict() {
                let now = now_ms();
                for output in self.outputs.iter_mut().flatten() {
                    output.lines.finish(now, &mut self.log);
                }
                for job in std::mem::take(&mut self.jobs) {
                    self.conns.say(job.conn, &job.given_up("the container has ended"));
                }
                return Ok(exit);
            }
        }
    }

    fn handle(&mut self, token: Token) {
        match token {
            Token::Signals => self.heed_signals(),
            Token::Door => self.conns.accept(&self.state),
            Token::Conn(id) => {
                self.conns.write(id);
                for line in self.conns.read(id) {
                    self.obey(id, &line);
                }
            }
            Token::Output(index) => self.read_output(index),
            Token::Maker => self.heed_maker(),
            Token::Job(id) => self.heed_job(id),
        }
    }

    fn heed_signals(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            // The machine goes down: the container is asked to end as it would be by the node.
            if info.ssi_signo == Signal::SIGTERM as u32 {
                self.stop(None, None);
            }
        }
        self.reap();
    }

    fn reap(&mut self) {
        loop {
            let status = match waitpid(None::<Pid>, Some(WaitPidFlag::WNOHANG)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            let Some(pid) = status.pid() else { return };
            self.child_ended(pid.as_raw(), status);
        }
    }

    fn child_ended(&mut self, pid: i32, status: WaitStatus) {
        // Once: what dies while its last output is read may have got its number.
        if self.init == Some(pid) && self.ended.is_none() {
            self.ended = Some((status, Instant::now() + DRAIN_MAX));
            return;
        }
        if !self.jobs.iter_mut().any(|job| job.ended(pid, code_of(status).0)) {
            self.children.ended(pid, status);
        }
    }

    /// `fork` is the number of the maker that told of it.
    fn born(&mut self, pid: i32, fork: u64) {
        if let Some(status) = self.children.born(pid, fork) {
            self.child_ended(pid, status);
        }
    }

    fn heed_maker(&mut self) {
        while let Some(heard) = self.maker.as_mut().and_then(Maker::next) {
            match heard {
                Heard::Report(Report::Created { pid }) => {
                    self.init = Some(pid);
                    self.born(pid, FIRST);
                }
                Heard::Report(Report::Warning(text)) => self.warnings.push(text),
                Heard::Report(Report::Failed { code, permanent, reason }) => {
                    self.failure.get_or_insert((code, permanent, reason));
                }
                Heard::End => self.made(),
            }
        }
    }

    /// Nobody speaks for the container's making any more: its program runs, or it failed.
    fn made(&mut self) {
        self.maker = None;
        if self.failure.is_some() || self.init.is_none() {
            let silent = (125, false, "the runtime ended without a word".to_owned());
            self.failure.get_or_insert(silent);
            self.cgroup.kill();
            return;
        }
        let warnings = std::mem::take(&mut self.warnings);
        let pid = self.init.unwrap_or_default();
        self.state = State::Running { pid, started_ms: now_ms(), warnings };
        self.conns.say_all(&self.state);
        if let Some(pids) = Pids::of(self.init) {
            pids.write();
        }
        self.stop_if_asked();
    }

    fn heed_job(&mut self, id: u64) {
        let job = self.jobs.iter_mut().find(|job| job.id == id);
        if let Some(pid) = job.and_then(Job::read) {
            self.born(pid, id);
        }
    }

    fn read_output(&mut self, index: usize) {
        let Some(output) = &mut self.outputs[index] else { return };
        let mut bytes = [0; READ_MAX];
        match output.pipe.read(&mut bytes) {
            Ok(0) => {
                output.lines.finish(now_ms(), &mut self.log);
                self.outputs[index] = None;
            }
            Ok(count) => output.lines.take(&bytes[..count], now_ms(), &mut self.log),
            Err(why) if why.kind() == ErrorKind::WouldBlock => {}
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.outputs[index] = None,
        }
    }

    /// What happens by itself.
    fn tick(&mut self) {
        let now = Instant::now();
        if let Some(maker) = self.maker.as_ref().filter(|_| now >= self.start_until) {
            maker.kill();
            let text = format!("the container was not started within {} s", START_MAX.as_secs());
            self.failure.get_or_insert((125, false, text));
            self.made();
        }
        if self.stopping.due(now) {
            self.kill_all();
        }
        let mut answers = Vec::new();
        self.jobs.retain_mut(|job| match job.answer(now) {
            Some(answer) => {
                answers.push((job.conn, answer));
                false
            }
            None => true,
        });
        for (conn, answer) in answers {
            self.conns.say(conn, &answer);
        }
        if self.maker.is_none() && !self.jobs.iter().any(Job::making) {
            self.children.forget();
        }
    }

    /// Ends every process of the instance at once.
    pub(crate) fn kill_all(&mut self) {
        self.stopping.killed(Instant::now());
        if let Some(maker) = &self.maker {
            maker.kill();
        }
        self.cgroup.kill();
    }

    /// How it ended, once that is all there is to wait for.
    fn verdict(&mut self) -> Option<Exit> {
        if self.maker.is_some() {
            return None;
        }
        let finished_ms = now_ms();
        if let Some((code, permanent, reason)) = self.failure.take() {
            if let Some(exit) = self.stopping.killed_early(finished_ms) {
                return Some(exit);
            }
            let oom = self.cgroup.oom_kills() > 0;
            let reason = Some(if oom { format!("{reason} (out of memory)") } else { reason });
            let (signal, failed) = (None, true);
            return Some(Exit { code, signal, oom, reason, finished_ms, failed, permanent });
        }
        let (status, until) = self.ended.as_ref()?;
        if self.outputs.iter().any(Option::is_some) && Instant::now() < *until {
            return None;
        }
        let (code, signal) = code_of(*status);
        let oom = code != 0 && self.cgroup.oom_kills() > 0;
        let reason = if oom {
            let limit = self.plan.limits.memory_bytes;
            Some(format!("out of memory: the limit is {limit} bytes"))
        } else {
            self.stopping.reason().filter(|_| signal.as_deref() == Some("KILL"))
        };
        let (failed, permanent) = (false, false);
        Some(Exit { code, signal, oom, reason, finished_ms, failed, permanent })
    }
}

/// The exit code by a shell's rules, and the signal's name.
fn code_of(status: WaitStatus) -> (i32, Option<String>) {
    match status {
        WaitStatus::Exited(_, code) => (code, None),
        WaitStatus::Signaled(_, signal, _) => {
            let number = signal as i32;
            (128 + number, Some(container::signal::name(number)))
        }
        WaitStatus::Stopped(..)
        | WaitStatus::PtraceEvent(..)
        | WaitStatus::PtraceSyscall(_)
        | WaitStatus::Continued(_)
        | WaitStatus::StillAlive => (125, None),
    }
}
