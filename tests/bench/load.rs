//! Requests in the background, for as long as they are wanted.

use crate::backend::answers;
use crate::proxy::SHOP;
use crate::wrk;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Read as _;
use std::process::{Child, Stdio};

/// Longer than any load is wanted.
const SECONDS_MAX: u32 = 600;

/// wrk, which is told when to end.
pub(crate) struct Load(Child);

impl Load {
    /// Asks that port, which may be answered from this runtime, once it answers.
    ///
    /// # Errors
    /// It does not, or wrk is not there.
    pub(crate) async fn start(port: u16) -> Result<Load, String> {
        let answered = tokio::task::spawn_blocking(move || answers(port)).await;
        answered.map_err(|error| error.to_string())??;
        let mut command = wrk::command(&format!("http://127.0.0.1:{port}/"), SECONDS_MAX);
        command.args(["-H", SHOP]).stdout(Stdio::piped()).stderr(Stdio::null());
        command.spawn().map(Load).map_err(wrk::missing)
    }

    /// Ends it; gives what it tells.
    ///
    /// # Errors
    /// It tells nothing.
    pub(crate) async fn stop(mut self) -> Result<String, String> {
        let told = tokio::task::spawn_blocking(move || {
            self.signal(Signal::SIGINT);
            let mut told = String::new();
            self.0.stdout.as_mut().map_or(Ok(0), |out| out.read_to_string(&mut told))?;
            Ok(told)
        });
        let told = told.await.map_err(|error| error.to_string())?;
        told.map_err(|error: std::io::Error| format!("wrk: {error}"))
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap_or_default());
        let _ = kill(pid, signal);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.0.wait();
    }
}
