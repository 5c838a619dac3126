//! One instance as the node knows it, and its `status` text.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

use crate::id::Id;
use crate::quote::value;
use crate::spec::Spec;

/// Where an instance is in its one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Made, not started.
    New,
    /// Started; its image is made complete.
    Pulling,
    /// The image is here; network and container are being made.
    Starting,
    /// The program runs.
    Running,
    /// The program has ended, or was stopped before it began.
    Exited,
    /// The program never ran.
    Failed,
}

impl State {
    /// The word in `status`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::New => "new",
            State::Pulling => "pulling",
            State::Starting => "starting",
            State::Running => "running",
            State::Exited => "exited",
            State::Failed => "failed",
        }
    }

    /// Whether there is nothing more to come.
    pub(crate) fn ended(self) -> bool {
        match self {
            State::Exited | State::Failed => true,
            State::New | State::Pulling | State::Starting | State::Running => false,
        }
    }
}

/// What the probes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It does not run.
    None,
    /// It runs and was not healthy yet.
    Starting,
    /// It was healthy and nothing was said against it since.
    Healthy,
    /// It was healthy and is not any more.
    Unhealthy,
}

impl Health {
    fn word(self) -> &'static str {
        match self {
            Health::None => "none",
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        }
    }
}

/// A spec and the bytes it was read from, which are what a reader gets back.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    /// As understood.
    pub(crate) spec: Arc<Spec>,
    /// As written.
    pub(crate) text: Bytes,
}

/// One instance.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// Its name.
    pub(crate) id: Id,
    /// A number no other instance of this process has; it makes the numbers of its files.
    pub(crate) serial: u64,
    /// What it shall be, once it was written.
    pub(crate) written: Option<Written>,
    /// The digest of the image it was started from.
    pub(crate) digest: Option<String>,
    /// Where it is in its life.
    pub(crate) state: State,
    /// Its first process.
    pub(crate) pid: Option<i32>,
    /// Where it is reached.
    pub(crate) address: Option<IpAddr>,
    /// The port it was told to listen on.
    pub(crate) port: Option<u16>,
    /// What the probes say.
    pub(crate) health: Health,
    /// The last answer to a probe.
    pub(crate) probe: Option<String>,
    /// Exit code.
    pub(crate) exit: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<String>,
    /// It was killed for want of memory.
    pub(crate) oom: bool,
    /// Why it ended or failed.
    pub(crate) reason: Option<String>,
    /// It failed, and another try would fail in the same way.
    pub(crate) permanent: bool,
    /// Unix time in milliseconds.
    pub(crate) started_ms: Option<u64>,
    /// Unix time in milliseconds.
    pub(crate) finished_ms: Option<u64>,
    /// What the machine could not give.
    pub(crate) warnings: Vec<String>,
    /// A task looks after it: it is being started or runs, or its leftovers are being cleaned.
    pub(crate) living: bool,
    /// The shim has told this node that it runs.
    pub(crate) told: bool,
    /// Its end is being written although it never began.
    pub(crate) retiring: bool,
    /// It goes away as soon as nothing of it lives.
    pub(crate) removing: bool,
    /// How often its directory could not be removed.
    pub(crate) erase_tries: u32,
    /// Grows with every change.
    pub(crate) version: u32,
}

impl Instance {
    /// A new one without a spec.
    pub(crate) fn new(id: Id, serial: u64) -> Instance {
        Instance {
            id,
            serial,
            written: None,
            digest: None,
            state: State::New,
            pid: None,
            address: None,
            port: None,
            health: Health::None,
            probe: None,
            exit: None,
            signal: None,
            oom: false,
            reason: None,
            permanent: false,
            started_ms: None,
            finished_ms: None,
            warnings: Vec::new(),
            living: false,
            told: false,
            retiring: false,
            removing: false,
            erase_tries: 0,
            version: 0,
        }
    }

    /// Whether it needs the image of that digest, or may be about to.
    pub(crate) fn uses(&self, digest: &str) -> bool {
        let wanted = self.written.as_ref().map(|written| written.spec.digest.as_str());
        self.digest.as_deref() == Some(digest) || wanted == Some(digest)
    }

    /// Whether a start would do anything.
    pub(crate) fn may_start(&self) -> bool {
        self.state == State::New && !self.retiring && !self.removing
    }

    /// The text of `status`; what is not known has no line.
    pub(crate) fn status(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, of: Option<String>| {
            if let Some(of) = of {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{key}={}", value(&of));
            }
        };
        line("state", Some(self.state.word().to_owned()));
        line("pid", self.pid.map(|pid| pid.to_string()));
        line("address", self.address.map(|address| address.to_string()));
        line("port", self.port.map(|port| port.to_string()));
        line("health", Some(self.health.word().to_owned()));
        line("probe", self.probe.clone());
        line("exit", self.exit.map(|code| code.to_string()));
        line("signal", self.signal.clone());
        line("oom", self.exit.map(|_| self.oom.to_string()));
        line("reason", self.reason.clone());
        let failed = self.state == State::Failed;
        line("permanent", failed.then(|| self.permanent.to_string()));
        line("digest", self.digest.clone());
        line("started", self.started_ms.map(|ms| ms.to_string()));
        line("finished", self.finished_ms.map(|ms| ms.to_string()));
        for warning in &self.warnings {
            line("warning", Some(warning.clone()));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_a_line_for_what_is_known() {
        let mut instance = Instance::new("web-1".parse().unwrap(), 1);
        assert_eq!(instance.status(), "state=new\nhealth=none\n");
        instance.state = State::Exited;
        instance.exit = Some(3);
        instance.reason = Some("two\nlines".into());
        instance.warnings = vec!["no pids".into(), "no cpu".into()];
        assert_eq!(
            instance.status(),
            "state=exited\nhealth=none\nexit=3\noom=false\nreason=two\\nlines\n\
             warning=no pids\nwarning=no cpu\n"
        );
    }
}
