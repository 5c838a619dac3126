//! A private server in a temporary place, made of the programs that stand beside this one.

use ninep::client::Client;
use ninep::dial::Address;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The programs that are measured.
const PROGRAMS: &[&str] = &["deploy", "deployfs", "web-v1", "web-v2"];

/// A server and its place; dropping it ends everything that it runs.
pub(crate) struct Server {
    bin: PathBuf,
    dir: TempDir,
    child: Child,
    open: bool,
}

impl Server {
    /// Starts a server and waits until it says that it serves.
    ///
    /// # Errors
    /// The programs are not built, or what the server said instead.
    pub(crate) fn open() -> Result<Server, String> {
        let (bin, dir) = (programs()?, place()?);
        let mut command = Command::new(bin.join("deployfs"));
        command.arg("-r").arg(dir.path()).arg("-s").arg(address(dir.path()).to_string());
        command.arg("--no-edge");
        // In a group of its own: the terminal's interrupt is for this program, which then ends
        // the server in good order.
        command.process_group(0).stdin(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| format!("cannot start deployfs: {error}"))?;
        let mut server = Server { bin, dir, child, open: true };
        let mut said = String::new();
        if let Some(stderr) = server.child.stderr.take() {
            let mut lines = BufReader::new(stderr).lines();
            for line in lines.by_ref().map_while(Result::ok) {
                said = format!("{said}\n{line}");
                if line.contains("serving, state in") {
                    // Goes on reading, so that the server never waits for a reader.
                    std::thread::spawn(move || lines.for_each(drop));
                    return Ok(server);
                }
            }
        }
        Err(format!("deployfs does not serve:{said}"))
    }

    /// The server's place: its state, and what a measurement puts there.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Images `web:v1` and `web:v2` of the small web server.
    pub(crate) fn push_web(&self) -> Result<(), String> {
        for version in ["v1", "v2"] {
            let program = self.bin.join(format!("web-{version}")).display().to_string();
            self.deploy(&["push", &format!("web:{version}"), &program])?;
        }
        Ok(())
    }

    /// Writes a file into the server's place; gives its path as a word.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<String, String> {
        let path = self.dir().join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path.display().to_string())
    }

    /// Runs `deploy` with those words; gives how long its process took, which must succeed.
    pub(crate) fn deploy(&self, words: &[&str]) -> Result<Duration, String> {
        let mut command = Command::new(self.bin.join("deploy"));
        command.args(words).env("DEPLOY_ADDR", address(self.dir()).to_string());
        took(command.stdin(Stdio::null()))
    }

    /// A client of the server's tree.
    pub(crate) async fn client(&self) -> Result<Client, String> {
        dial(&address(self.dir())).await
    }

    /// A client of the node's tree.
    pub(crate) async fn node(&self) -> Result<Client, String> {
        dial(&Address::Unix(self.dir().join("node.sock"))).await
    }

    /// Ends the server, its node and its containers.
    ///
    /// # Errors
    /// It did not end well.
    pub(crate) fn close(mut self) -> Result<(), String> {
        self.down()
    }

    fn down(&mut self) -> Result<(), String> {
        self.open = false;
        let mut down = Command::new(self.bin.join("deployfs"));
        down.args(["down", "-s", &address(self.dir()).to_string(), "-r"]).arg(self.dir());
        let ended = took(&mut down);
        if ended.is_err() {
            // It may not have come so far as to listen.
            let _ = self.child.kill();
        }
        self.child.wait().map_err(|error| error.to_string())?;
        ended.map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.open {
            // What failed before is told already.
            let _ = self.down();
        }
    }
}

/// Runs a program to its end; gives how long that took, from before its start to its exit.
///
/// # Errors
/// It could not be started, or ended with anything but 0; with what it said.
pub(crate) fn took(command: &mut Command) -> Result<Duration, String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let began = Instant::now();
    let output = command.output().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    let took = began.elapsed();
    match output.status.success() {
        true => Ok(took),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
            Err(format!("{command:?} ended with {}: {said}", output.status))
        }
    }
}

fn address(dir: &Path) -> Address {
    Address::Unix(dir.join("deploy.sock"))
}

async fn dial(address: &Address) -> Result<Client, String> {
    Client::dial(address, "").await.map_err(|error| format!("{address}: {error}"))
}

/// A directory for what a measurement needs, which is gone with it.
pub(crate) fn place() -> Result<TempDir, String> {
    let dir = tempfile::Builder::new().prefix("deploy-bench-").tempdir();
    dir.map_err(|error| format!("no temporary directory: {error}"))
}

/// The directory of the programs: this one's.
pub(crate) fn programs() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| format!("no path of this: {error}"))?;
    let bin = here.parent().ok_or("this program has no directory")?.to_path_buf();
    let missing: Vec<&str> =
        PROGRAMS.iter().copied().filter(|name| !bin.join(name).exists()).collect();
    match missing.is_empty() {
        true => Ok(bin),
        false => Err(format!(
            "{} not built in {}: cargo build --release -p deployfs -p deploy -p demo",
            missing.join(", "),
            bin.display()
        )),
    }
}
