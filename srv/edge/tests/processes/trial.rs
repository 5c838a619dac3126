//! One edge under test: its state directory, its processes, its tree.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ninep::client::Client;
use ninep::dial::Address;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// The longest a test waits for anything.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);

/// A case and the fact it shows.
pub(crate) type Case = (&'static str, fn());

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));

/// A state directory and where its edge serves.
pub(crate) struct Trial {
    dir: TempDir,
    words: Vec<String>,
}

/// A supervisor that was started, and what it still says.
pub(crate) struct Edge {
    child: Child,
}

impl Trial {
    /// An edge that is to serve HTTP at a port that the system chooses.
    pub(crate) fn new() -> Trial {
        Trial::with(&["--http", "127.0.0.1:0"])
    }

    /// An edge with these words.
    pub(crate) fn with(words: &[&str]) -> Trial {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Trial { dir: tempfile::tempdir().unwrap(), words }
    }

    /// The state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// The command that starts an edge here.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let server = format!("unix!{}", self.state().join("server.sock").display());
        command.arg("edge").arg("-r").arg(self.dir.path()).args(["-s", &server]);
        command.args(&self.words).stdout(Stdio::piped());
        command
    }

    /// Starts an edge and waits until it serves.
    pub(crate) fn start(&self) -> Edge {
        self.start_by(self.command())
    }

    /// The same, by this command.
    pub(crate) fn start_by(&self, mut command: Command) -> Edge {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{:?}", child.try_wait());
        Edge { child }
    }

    /// The text of a file of its tree; asked again while a process is replaced.
    pub(crate) fn read(&self, path: &str) -> String {
        let address = Address::Unix(self.state().join("edge.sock"));
        let read = async {
            loop {
                if let Ok(client) = Client::dial(&address, "").await
                    && let Ok(text) = client.read(path).await
                {
                    return String::from_utf8(text).unwrap();
                }
                tokio::task::yield_now().await;
            }
        };
        RUNTIME.block_on(async { timeout(WAIT_MAX, read).await }).expect(path)
    }

    /// Writes to its `ctl`.
    pub(crate) fn write(&self, verb: &str) {
        let address = Address::Unix(self.state().join("edge.sock"));
        RUNTIME.block_on(async {
            let client = Client::dial(&address, "").await.unwrap();
            client.write("ctl", verb.as_bytes()).await.unwrap();
        });
    }

    /// The values of a key of `status`.
    pub(crate) fn values(&self, key: &str) -> Vec<String> {
        let status = self.read("status");
        let of = |line: &str| line.strip_prefix(key)?.strip_prefix('=').map(str::to_owned);
        status.lines().filter_map(of).collect()
    }

    /// The one value of a key of `status`.
    pub(crate) fn value(&self, key: &str) -> String {
        let mut values = self.values(key);
        assert_eq!(values.len(), 1, "{key}: {}", self.read("status"));
        values.remove(0)
    }

    /// Asks for `status` until a key has a value that fits.
    pub(crate) fn wait_value(&self, key: &str, fits: impl Fn(&[String]) -> bool) {
        let began = Instant::now();
        while !fits(&self.values(key)) {
            assert!(began.elapsed() < WAIT_MAX, "{key}: {}", self.read("status"));
        }
    }

    /// Where it serves HTTP.
    pub(crate) fn http(&self) -> SocketAddr {
        self.value("http").parse().unwrap()
    }

    /// The process that serves.
    pub(crate) fn worker(&self) -> Pid {
        Pid::from_raw(self.value("pid").parse().unwrap())
    }

    /// Ends whatever edge serves here, and waits until it has ended.
    pub(crate) fn end(&self) {
        let worker = self.worker();
        self.write("end");
        wait_gone(worker);
    }
}

impl Drop for Trial {
    /// Leaves no process behind when a case fails: all that name its directory are its own. One
    /// that is killed may just have started another.
    fn drop(&mut self) {
        while let found @ [_, ..] = self.processes().as_slice() {
            for pid in found {
                let _ = kill(*pid, Signal::SIGKILL);
            }
        }
    }
}

impl Trial {
    fn processes(&self) -> Vec<Pid> {
        let dir = self.state().into_os_string().into_string().unwrap();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let words = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if words.split(|byte| *byte == 0).any(|word| word == dir.as_bytes()) {
                found.push(Pid::from_raw(pid));
            }
        }
        found
    }
}

impl Edge {
    /// Its process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Tells it to end.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn wait(mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < WAIT_MAX, "{:?} does not end", self.pid());
            std::thread::yield_now();
        }
    }
}

/// Kills a process that the test started, or that the edge did.
pub(crate) fn kill_now(pid: Pid) {
    kill(pid, Signal::SIGKILL).unwrap();
}

/// Waits until a process is gone.
pub(crate) fn wait_gone(pid: Pid) {
    let began = Instant::now();
    while kill(pid, None).is_ok() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')) {
            return;
        }
        assert!(began.elapsed() < WAIT_MAX, "{pid} is not gone");
        std::thread::yield_now();
    }
}
