//! Requests, and the two steps of a stop: a signal, and a kill when its time is over.

use std::time::{Duration, Instant};

use nix::libc;

use crate::exec::{JOBS_MAX, Job};
use crate::maker::Maker;
use crate::wire::{Config, Exec, Exit, Order, Request, State, Stop};
use crate::world::World;

/// The longest time between signal and kill.
const STOP_MAX: Duration = Duration::from_secs(24 * 3600);

/// A kill that has not ended the container by then is repeated.
const KILL_AGAIN: Duration = Duration::from_millis(500);

/// Where a stop stands.
#[derive(Debug)]
pub(crate) struct Stopping {
    signal: String,
    timeout: Duration,
    /// A stop that came before the program ran.
    early: Option<Stop>,
    kill_at: Option<Instant>,
    reason: Option<String>,
    killed: bool,
}

impl Stopping {
    /// What spec and image say about a stop; a signal that is none counts as not said.
    pub(crate) fn new(config: &Config) -> Stopping {
        let image = config.image_config.as_ref().and_then(|image| image.config.as_ref());
        let image = image.and_then(|run| run.stop_signal.as_ref());
        let known = |name: &&String| container::signal::number(name).is_ok();
        let signal = config.spec.stop_signal.as_ref().filter(known).or(image.filter(known));
        Stopping {
            signal: signal.cloned().unwrap_or_else(|| "TERM".to_owned()),
            timeout: Duration::from_millis(config.spec.stop_timeout_ms).min(STOP_MAX),
            early: None,
            kill_at: None,
            reason: None,
            killed: false,
        }
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.kill_at
    }

    /// Whether the kill is due.
    pub(crate) fn due(&self, now: Instant) -> bool {
        self.kill_at.is_some_and(|at| now >= at)
    }

    /// A kill has been sent.
    pub(crate) fn killed(&mut self, now: Instant) {
        self.killed = true;
        self.kill_at = Some(now + KILL_AGAIN);
    }

    /// Why a kill was sent.
    pub(crate) fn reason(&self) -> Option<String> {
        self.reason.clone().filter(|_| self.killed)
    }

    /// The end of a container that was killed before its program ran.
    pub(crate) fn killed_early(&self, finished_ms: u64) -> Option<Exit> {
        self.killed.then(|| Exit {
            code: 128 + libc::SIGKILL,
            signal: Some("KILL".to_owned()),
            oom: false,
            reason: Some("killed before the program ran".to_owned()),
            finished_ms,
            failed: false,
            permanent: false,
        })
    }
}

impl World {
    /// Does what a line asks for, or refuses it.
    pub(crate) fn obey(&mut self, conn: u64, line: &[u8]) {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(why) => return self.conns.refuse(conn, None, format!("not understood: {why}")),
        };
        let n = request.n;
        match request.order {
            Order::Signal(name) => match container::signal::number(&name) {
                Ok(number) if self.signal(number) => {}
                Ok(_) => self.conns.refuse(conn, n, "not running"),
                Err(error) => self.conns.refuse(conn, n, error.to_string()),
            },
            Order::Stop(Stop { signal, timeout_ms }) => {
                let bad = signal.as_ref().and_then(|name| container::signal::number(name).err());
                match bad {
                    Some(error) => self.conns.refuse(conn, n, error.to_string()),
                    None => self.stop(signal, timeout_ms),
                }
            }
            Order::Kill(true) => {
                self.stopping.reason.get_or_insert("killed on request".to_owned());
                self.kill_all();
            }
            Order::Kill(false) => self.conns.refuse(conn, n, "kill must be true"),
            Order::Exec(exec) => self.exec(conn, n, exec),
        }
    }

    /// Asks the program to end, and sees to it that it does.
    pub(crate) fn stop(&mut self, signal: Option<String>, timeout_ms: Option<u64>) {
        if !matches!(self.state, State::Running { .. }) {
            self.stopping.early = Some(Stop { signal, timeout_ms });
            return;
        }
        let signal = signal.unwrap_or_else(|| self.stopping.signal.clone());
        let timeout = timeout_ms.map_or(self.stopping.timeout, Duration::from_millis).min(STOP_MAX);
        if let Ok(number) = container::signal::number(&signal) {
            self.signal(number);
        }
        let at = Instant::now() + timeout;
        // A second stop may hasten the kill and never puts it off.
        if self.stopping.kill_at.is_none_or(|before| at < before) {
            self.stopping.kill_at = Some(at);
            let text = format!("did not end within {} ms after {signal}", timeout.as_millis());
            self.stopping.reason = Some(text);
        }
    }

    /// The program runs: a stop that has been waiting for it begins.
    pub(crate) fn stop_if_asked(&mut self) {
        if let Some(Stop { signal, timeout_ms }) = self.stopping.early.take() {
            self.stop(signal, timeout_ms);
        }
    }

    /// Sends a signal to the first process; false when there is none. Its number cannot mean
    /// another: we are its parent, and it is ours until we have taken its end.
    fn signal(&self, number: i32) -> bool {
        let running = matches!(self.state, State::Running { .. });
        match self.init.filter(|_| running) {
            // SAFETY: a system call on numbers; `nix` has no type for real-time signals.
            Some(pid) => unsafe { libc::kill(pid, number) == 0 },
            None => false,
        }
    }

    fn exec(&mut self, conn: u64, n: Option<u64>, exec: Exec) {
        if !matches!(self.state, State::Running { .. }) {
            return self.conns.refuse(conn, n, "not running");
        }
        if exec.argv.is_empty() {
            return self.conns.refuse(conn, n, "exec needs a command");
        }
        if self.jobs.len() >= JOBS_MAX {
            return self.conns.refuse(conn, n, format!("{JOBS_MAX} commands run already"));
        }
        let (plan, site) = (&self.plan, &self.site);
        let made = Maker::fork(&self.lock, None, None, |stdio, reporter| {
            container::run_beside(&plan.id, &plan.cgroup, site, &exec.argv, stdio, reporter)
        });
        match made {
            Ok(made) => {
                let id = self.children.forked(made.0.pid);
                self.jobs.push(Job::new(id, (conn, n), made, exec.timeout_ms));
            }
            Err(error) => self.conns.refuse(conn, n, error.to_string()),
        }
    }
}
