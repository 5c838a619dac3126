//! Requests in the background, for as long as they are wanted.

use crate::backend::answers;
use crate::program::OTHER_CORE;
use crate::proxy::SHOP;
use crate::wrk;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read as _;
use std::process::{Child, Command, Stdio};

/// Longer than any load is wanted: wrk is told when to end.
const SECONDS_MAX: u32 = 600;
/// How long the lighter load lasts, which cannot be told.
const SECONDS: &str = "20";
/// Its requests a second of each of its connections, 64: half of what a core can.
const EACH: &str = "300";

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Much {
    /// So many requests a second, whether they are answered or not: 19,200.
    Some,
    /// As much as is answered.
    All,
}

/// Who asks.
pub(crate) struct Load {
    child: Child,
    much: Much,
}

impl Much {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Much::Some => "19,200 requests a second",
            Much::All => "all it can",
        }
    }

    /// Swaps that are measured under it.
    pub(crate) fn rounds(self) -> usize {
        match self {
            Much::Some => 150,
            Much::All => 300,
        }
    }
}

impl Load {
    /// Asks that port, which may be answered from this runtime, once it answers.
    ///
    /// # Errors
    /// It does not, or wrk or h2load is not there.
    pub(crate) async fn start(port: u16, much: Much) -> Result<Load, String> {
        let answered = tokio::task::spawn_blocking(move || answers(port)).await;
        answered.map_err(|error| error.to_string())??;
        let url = format!("http://127.0.0.1:{port}/");
        let mut command = match much {
            Much::All => wrk::command(&url, SECONDS_MAX),
            Much::Some => {
                let mut command = Command::new("taskset");
                command.args(["-c", &OTHER_CORE.to_string(), "h2load", "--h1", "-c64"]);
                command.args(["-D", SECONDS, "--rps", EACH, &url]);
                command
            }
        };
        // h2load would send a second host.
        let host =
            if much == Much::Some { SHOP.replace("Host", ":authority") } else { SHOP.into() };
        command.args(["-H", &host]).stdin(Stdio::null());
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let child = spawned.map_err(|error| format!("cannot run wrk or h2load: {error}"))?;
        Ok(Load { child, much })
    }

    /// Ends it, or waits for its end; gives what was cut of it.
    ///
    /// # Errors
    /// It had ended before, or tells nothing.
    pub(crate) async fn stop(mut self) -> Result<String, String> {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return Err("the load ended before what is measured under it".to_owned());
        }
        let told = tokio::task::spawn_blocking(move || {
            if self.much == Much::All {
                self.signal(Signal::SIGINT);
            }
            let mut told = String::new();
            let read = self.child.stdout.as_mut().map(|out| out.read_to_string(&mut told));
            read.transpose().map(|_| told)
        });
        let told = told.await.map_err(|error| error.to_string())?;
        let told = told.map_err(|error| format!("the load: {error}"))?;
        let line = |key: &str| told.lines().find_map(|line| line.trim().strip_prefix(key));
        let asked = line("Requests/sec:").or(line("requests:"));
        asked.ok_or_else(|| format!("the load told: {told}"))?;
        let errors =
            line("Socket errors: ").or_else(|| line("requests:").filter(|_| failed(&told)));
        Ok(errors.map_or("nobody cut".to_owned(), |errors| format!("cut: {errors}")))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_default());
        let _ = kill(pid, signal);
    }
}

/// Whether h2load says so.
fn failed(told: &str) -> bool {
    !(told.contains(" 0 failed, 0 errored, 0 timeout") && told.contains(" 0 4xx, 0 5xx"))
}

impl Drop for Load {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
