//! A private server in a temporary place, and hands to use it as people do: by `deploy`, and by
//! reading and writing files over 9P.

use crate::traces;
use ninep::client::{Client, ClientError, Mode};
use ninep::dial::Address;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long anything may take before a test says that it never came.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server and its place.
pub(crate) struct Rig {
    _dir: Option<TempDir>,
    state: PathBuf,
    server: Option<Child>,
    /// The program that is started as the server.
    program: PathBuf,
    /// What it is started with besides.
    words: &'static [&'static str],
    /// What it has told since it served.
    told: Arc<Mutex<String>>,
}

/// What a `deploy` said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Told {
    /// It succeeded; its standard output.
    #[track_caller]
    pub(crate) fn fine(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    /// It ended with that status and said that.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, text: &str) {
        let all = format!("{}{}", self.out, self.err);
        assert!(self.code == code && all.contains(text), "want {code} {text:?}, got {self:#?}");
    }
}

/// The directory of the programs that were built with this test.
pub(crate) fn bin(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("the test's own path");
    let bin = here.parent().and_then(Path::parent).expect("target directory").join(name);
    assert!(bin.exists(), "{} is not built: cargo build --workspace", bin.display());
    bin
}

impl Rig {
    /// A server in a new temporary place.
    pub(crate) async fn start() -> Rig {
        Rig::with(&["--no-edge"]).await
    }

    /// The same with an edge of its own, which serves at a free port.
    pub(crate) async fn with_edge() -> Rig {
        Rig::with(&["--http", "127.0.0.1:0", "--https", "-", "--dns", "-"]).await
    }

    /// The same, started with those words.
    pub(crate) async fn with(words: &'static [&'static str]) -> Rig {
        let dir = tempfile::Builder::new().prefix("deploy-test-").tempdir().expect("tempdir");
        let state = dir.path().canonicalize().expect("canonical");
        assert!(nix::unistd::geteuid().is_root(), "these tests run containers: be root");
        let program = bin("deployfs");
        let mut rig =
            Rig { _dir: Some(dir), state, server: None, program, words, told: Arc::default() };
        rig.serve().await;
        rig
    }

    /// A server in that place, which the caller cleans up.
    pub(crate) async fn at(state: PathBuf) -> Rig {
        assert!(nix::unistd::geteuid().is_root(), "these tests run containers: be root");
        let (program, words) = (bin("deployfs"), &["--no-edge"][..]);
        let mut rig = Rig { _dir: None, state, server: None, program, words, told: Arc::default() };
        rig.serve().await;
        rig
    }

    /// Starts the server, or starts it again.
    pub(crate) async fn serve(&mut self) {
        self.serve_until("serving, state in").await;
    }

    /// The same, with these words from now on.
    pub(crate) async fn serve_with(&mut self, words: &'static [&'static str]) {
        self.words = words;
        self.serve().await;
    }

    /// Starts the server, and waits only for that line of what it tells.
    pub(crate) async fn serve_until(&mut self, line: &str) {
        let mut child = Command::new(&self.program)
            .arg("-r")
            .arg(&self.state)
            .arg("-s")
            .arg(self.address().to_string())
            .args(self.words)
            // No test asks anybody outside of this machine: nobody listens there.
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .stderr(Stdio::piped())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("deployfs starts");
        let stderr = child.stderr.take().expect("piped");
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        let ready = timeout(PATIENCE, async {
            while let Ok(Some(told)) = lines.next_line().await {
                said.push(told);
                if said.last().is_some_and(|told| told.contains(line)) {
                    return true;
                }
            }
            false
        });
        let ready = ready.await.unwrap_or(false);
        assert!(ready, "deployfs does not serve: {}", said.join("\n"));
        let told = Arc::clone(&self.told);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                eprintln!("{line}");
                told.lock().expect("its lines").extend([line.as_str(), "\n"]);
            }
        });
        self.server = Some(child);
    }

    /// Takes another build of the server from the next start on: the same program, and a byte more
    /// at its end, by which it is another one to whoever tells builds apart.
    pub(crate) fn build_anew(&mut self) {
        let built = self.state.join(format!("deployfs-{}", std::process::id()));
        let mut program = std::fs::read(&self.program).expect("the program");
        program.push(0);
        // The one before may run, and what runs cannot be written to.
        let _ = std::fs::remove_file(&built);
        std::fs::write(&built, program).expect("a copy");
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&built, all).expect("to be run");
        self.program = built;
    }

    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    pub(crate) fn address(&self) -> Address {
        Address::Unix(self.state.join("deploy.sock"))
    }

    pub(crate) async fn client(&self) -> Client {
        Client::dial(&self.address(), "").await.expect("the server answers")
    }

    /// Runs `deploy` to its end.
    pub(crate) async fn deploy(&self, words: &[&str]) -> Told {
        let mut command = Command::new(bin("deploy"));
        command.args(words).env("DEPLOY_ADDR", self.address().to_string()).stdin(Stdio::null());
        let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
        let output: Output = output.expect("deploy ends").expect("deploy starts");
        Told {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Reads a file, without its last newline.
    pub(crate) async fn cat(&self, path: &str) -> String {
        let text = self.client().await.read(path).await.unwrap_or_else(|e| panic!("{path}: {e}"));
        String::from_utf8_lossy(&text).trim_end().to_string()
    }

    /// Writes to a file as `echo` does; the server's refusal is the error.
    pub(crate) async fn echo(&self, text: &str, path: &str) -> Result<(), String> {
        let written = self.client().await.write(path, format!("{text}\n").as_bytes()).await;
        written.map_err(|error: ClientError| error.to_string())
    }

    /// Puts a manifest in `manifests/`, as `cp` does.
    pub(crate) async fn manifest(&self, name: &str, text: &str) -> Result<(), String> {
        let put = self.client().await.put(&format!("manifests/{name}"), text.as_bytes()).await;
        put.map_err(|error| error.to_string())
    }

    /// Waits until a file's text is as wanted, looking again at each event.
    pub(crate) async fn until(&self, path: &str, wanted: impl Fn(&str) -> bool) -> String {
        let client = self.client().await;
        let mut watch = client.open("watch", Mode::Read).await.expect("watch");
        let look = async {
            loop {
                let text = client.read(path).await.unwrap_or_default();
                let text = String::from_utf8_lossy(&text).trim_end().to_string();
                if wanted(&text) {
                    return text;
                }
                watch.read_next(8192).await.expect("watch goes on");
            }
        };
        match timeout(PATIENCE, look).await {
            Ok(text) => text,
            Err(_) => {
                let events = self.cat("events").await;
                panic!("{path} never came to be as wanted, but {}\n{events}", self.cat(path).await)
            }
        }
    }

    /// The outcome of what is in flight.
    pub(crate) async fn wait(&self, service: &str) -> String {
        let path = format!("active/{service}/wait");
        timeout(PATIENCE, self.cat(&path)).await.expect("the update ends")
    }

    /// A key of an instance's status.
    pub(crate) async fn of_instance(&self, path: &str, key: &str) -> String {
        let text = self.cat(&format!("{path}/status")).await;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_default().to_string()
    }

    /// Images of the small web server, one a version.
    pub(crate) async fn push(&self, versions: &[&str]) {
        for version in versions {
            let path = bin(&format!("web-{version}"));
            let path = path.to_str().expect("a path in UTF-8");
            self.deploy(&["push", &format!("web:{version}"), path]).await.fine();
        }
    }

    /// Ends the server as a crash does.
    pub(crate) async fn kill_server(&mut self) {
        let mut server = self.server.take().expect("a server");
        server.kill().await.expect("killed");
    }

    /// Ends the server as an upgrade does.
    pub(crate) async fn end_server(&mut self) {
        let mut server = self.server.take().expect("a server");
        let pid = i32::try_from(server.id().expect("it runs")).expect("a pid");
        let term = nix::sys::signal::Signal::SIGTERM;
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), term).expect("told");
        let status = timeout(PATIENCE, server.wait()).await.expect("it ends").expect("waited");
        assert!(status.success(), "{status}");
    }

    /// What the server has told on standard error since it served.
    pub(crate) fn told(&self) -> String {
        self.told.lock().expect("its lines").clone()
    }

    /// The server's process.
    pub(crate) fn server_pid(&self) -> nix::unistd::Pid {
        let id = self.server.as_ref().and_then(Child::id).expect("a server runs");
        nix::unistd::Pid::from_raw(i32::try_from(id).expect("a pid"))
    }

    /// The node's process.
    pub(crate) fn node_pid(&self) -> nix::unistd::Pid {
        self.part_pid("node")
    }

    /// The process of a part of the server: the word it was started with.
    pub(crate) fn part_pid(&self, part: &str) -> nix::unistd::Pid {
        let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let state = self.state.as_os_str().as_encoded_bytes();
        let mut nodes = pids.filter(|pid| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = words.split(|b| *b == 0).collect();
            words.get(1) == Some(&part.as_bytes()) && words.contains(&state)
        });
        nix::unistd::Pid::from_raw(nodes.next().unwrap_or_else(|| panic!("no {part} runs")))
    }

    /// Ends everything, and sees that nothing is left.
    pub(crate) async fn end(mut self) {
        self.down();
        if let Some(server) = &mut self.server {
            timeout(PATIENCE, server.wait()).await.expect("down ends the server").expect("waited");
        }
        let left = traces::left(&self.state);
        assert!(left.is_empty(), "left behind: {left:#?}");
    }

    fn down(&self) {
        let address = self.address().to_string();
        let words = ["down", "-s", &address, "-r", &self.state.to_string_lossy()].map(String::from);
        let _ = std::process::Command::new(bin("deployfs")).args(words).status();
    }
}

impl Drop for Rig {
    /// A test that failed must not leave its containers either.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.down();
        }
    }
}

/// The manifest of the small web server: three replicas, probed over http.
pub(crate) fn web(image: &str) -> String {
    format!(
        "image {image}\nreplicas 3\nport 8080\nhealth http /health\nhealth_deadline 3\n\
         stop_timeout 2\ncpu 0.1\nmemory 64M\n"
    )
}
