//! The server that has many services: a process that can be killed and started again.

use crate::server::programs;
use ninep::client::Client;
use ninep::dial::Address;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running `deployfs`, killed when it is dropped: whoever plays its node loses nothing by that.
pub(crate) struct Deployfs {
    child: Child,
    bin: PathBuf,
    address: Address,
}

impl Deployfs {
    /// Starts one in `dir`, without an edge, and waits until it has heard of its node.
    ///
    /// # Errors
    /// What it says instead.
    pub(crate) fn start(dir: &Path) -> Result<Deployfs, String> {
        let bin = programs()?;
        let address = Address::Unix(dir.join("deploy.sock"));
        let mut command = Command::new(bin.join("deployfs"));
        command.arg("-r").arg(dir).arg("-s").arg(address.to_string()).arg("--no-edge");
        command.process_group(0).stdin(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("cannot start deployfs: {error}"))?;
        let mut deployfs = Deployfs { child, bin, address };
        let mut said = String::new();
        let Some(stderr) = deployfs.child.stderr.take() else { return Err("deaf".to_string()) };
        let mut lines = BufReader::new(stderr).lines();
        for line in lines.by_ref().map_while(Result::ok) {
            said = format!("{said}\n{line}");
            if line.contains("serving, state in") {
                // Goes on reading, so that the server never waits for a reader.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(deployfs);
            }
        }
        Err(format!("deployfs does not serve:{said}"))
    }

    /// A client of its tree.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) async fn client(&self) -> Result<Client, String> {
        let address = &self.address;
        Client::dial(address, "").await.map_err(|error| format!("{address}: {error}"))
    }

    /// Runs `deploy` with those words; gives how long its process took, which must succeed.
    ///
    /// # Errors
    /// It does not.
    pub(crate) fn deploy(&self, words: &[&str]) -> Result<Duration, String> {
        let mut command = Command::new(self.bin.join("deploy"));
        command.args(words).env("DEPLOY_ADDR", self.address.to_string());
        crate::server::took(command.stdin(Stdio::null()))
    }

    /// Processor time it has used, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        let dir = format!("/proc/{}/task", self.child.id());
        let tasks = fs::read_dir(dir).into_iter().flatten().flatten();
        let text = tasks.filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok());
        let ns = text.filter_map(|text| text.split(' ').next()?.parse::<f64>().ok());
        ns.sum::<f64>() / 1e3
    }

    /// A size that the kernel tells of it, in MB (10^6 bytes).
    ///
    /// # Errors
    /// The kernel does not tell.
    pub(crate) fn megabytes(&self, file: &str, key: &str) -> Result<f64, String> {
        crate::memory::megabytes(self.child.id(), file, key)
    }
}

impl Drop for Deployfs {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
