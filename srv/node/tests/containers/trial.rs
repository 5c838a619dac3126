//! One node under test: its process, its state directory, a client of its tree.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ninep::client::{Client, File as Remote, Mode};
use ninep::dial::Address;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// The longest a test waits for anything.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(30);

/// The programs of the image, all of them busybox.
const TOOLS: [&str; 12] =
    ["sh", "cat", "sleep", "echo", "env", "touch", "test", "rm", "true", "mkdir", "httpd", "seq"];

/// A case and the fact it shows.
pub(crate) type Case = (&'static str, fn());

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads"));

static ROOT: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory for the image");
    let bin = dir.path().join("bin");
    for name in ["bin", "tmp", "etc"] {
        fs::create_dir(dir.path().join(name)).expect("the image's directories");
    }
    fs::copy("/bin/busybox", bin.join("busybox"))
        .expect("/bin/busybox: install Debian's busybox-static");
    for tool in TOOLS {
        symlink("busybox", bin.join(tool)).expect("the image's links");
    }
    dir
});

fn wait<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = RUNTIME.block_on(async { timeout(WAIT_MAX, work).await });
    done.unwrap_or_else(|_| panic!("waited {} s for {what}", WAIT_MAX.as_secs()))
}

/// How a node is started.
#[derive(Clone, Copy, Default)]
pub(crate) struct Way {
    /// Without the privilege to change the network.
    pub(crate) weak: bool,
    /// With these addresses.
    pub(crate) net: Option<&'static str>,
}

/// A node.
pub(crate) struct Trial {
    pub(crate) dir: TempDir,
    way: Way,
    pub(crate) child: Child,
    client: Client,
    events: Events,
    down: bool,
}

/// What the node tells, from the moment it was opened.
struct Events {
    file: Remote,
    rest: String,
}

impl Events {
    fn open(client: &Client) -> Events {
        let file = wait("events", client.open("/events", Mode::Read)).expect("events");
        Events { file, rest: String::new() }
    }

    fn next(&mut self, what: &str) -> String {
        while !self.rest.contains('\n') {
            let bytes = wait(what, self.file.read_next(65_536)).expect("events");
            assert!(!bytes.is_empty(), "events ended before {what}");
            self.rest.push_str(str::from_utf8(&bytes).expect("text"));
        }
        let (line, rest) = self.rest.split_once('\n').expect("a line");
        let (line, rest) = (line.to_owned(), rest.to_owned());
        self.rest = rest;
        // Without number and time.
        line.splitn(3, ' ').nth(2).expect("three words").to_owned()
    }
}

impl Trial {
    /// Starts a node in a new state directory.
    pub(crate) fn new() -> Trial {
        Trial::with(Way::default())
    }

    /// The same, in that way.
    pub(crate) fn with(way: Way) -> Trial {
        Trial::start(tempfile::tempdir().expect("a state directory"), way)
    }

    /// Starts a node in a state directory that may have been another's.
    pub(crate) fn start(dir: TempDir, way: Way) -> Trial {
        let child = node(dir.path(), way).spawn().expect("the node");
        Trial::over(dir, way, child)
    }

    /// Talks to a node that was started in that directory.
    pub(crate) fn over(dir: TempDir, way: Way, mut child: Child) -> Trial {
        let client = connect(dir.path(), &mut child);
        let events = Events::open(&client);
        Trial { dir, way, child, client, events, down: false }
    }

    /// Kills the node and does not start it again.
    pub(crate) fn kill(mut self) -> (TempDir, Way) {
        self.child.kill().expect("a kill");
        self.child.wait().expect("the node's end");
        self.down = true;
        let empty = tempfile::tempdir().expect("a directory");
        (std::mem::replace(&mut self.dir, empty), self.way)
    }

    /// Ends the node as a service manager would, and leaves its instances alone.
    pub(crate) fn terminate(mut self) -> (TempDir, Way) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).expect("a signal");
        let status = self.child.wait().expect("the node's end");
        assert!(status.success(), "{status}: {}", self.said());
        self.down = true;
        let empty = tempfile::tempdir().expect("a directory");
        (std::mem::replace(&mut self.dir, empty), self.way)
    }

    /// Makes an instance with that command, whose spec has `changes`, and starts it.
    pub(crate) fn run(&mut self, id: &str, script: &str, changes: Value) {
        self.specify(id, script, changes);
        self.verb(id, "start");
    }

    /// Makes an instance and writes its spec.
    pub(crate) fn specify(&mut self, id: &str, script: &str, changes: Value) {
        let mut spec = spec(id, script);
        for (key, value) in changes.as_object().expect("changes") {
            spec[key] = value.clone();
        }
        self.mkdir(id);
        let path = format!("/instances/{id}/spec");
        wait("spec", self.client.put(&path, spec.to_string().as_bytes())).expect("spec");
    }

    /// Makes an instance.
    pub(crate) fn mkdir(&mut self, id: &str) {
        wait("mkdir", self.client.mkdir(&format!("/instances/{id}"))).expect("mkdir");
    }

    /// Writes a verb to an instance's ctl.
    pub(crate) fn verb(&self, id: &str, verb: &str) {
        self.try_write(&format!("/instances/{id}/ctl"), verb).expect(verb);
    }

    /// Writes a verb to an instance's ctl and does not wait for what comes of it.
    pub(crate) fn ask(&self, id: &str, verb: &str) {
        let (client, verb) = (self.client.clone(), verb.to_owned());
        let path = format!("/instances/{id}/ctl");
        RUNTIME.spawn(async move { client.write(&path, verb.as_bytes()).await });
    }

    /// Writes; the refusal's text when there is one.
    pub(crate) fn try_write(&self, path: &str, text: &str) -> Result<(), String> {
        wait(path, self.client.write(path, text.as_bytes())).map_err(|error| error.to_string())
    }

    /// A whole file.
    pub(crate) fn read(&self, path: &str) -> String {
        let bytes = wait(path, self.client.read(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        String::from_utf8(bytes).expect("text")
    }

    /// Whether there is such a file.
    pub(crate) fn has(&self, path: &str) -> bool {
        wait(path, self.client.stat(path)).is_ok()
    }

    /// The value of a key of an instance's status.
    pub(crate) fn status(&self, id: &str, key: &str) -> Option<String> {
        let text = self.read(&format!("/instances/{id}/status"));
        let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
        text.lines().find_map(value)
    }

    /// Waits until the program runs and has said a line.
    pub(crate) fn talks(&self, id: &str, line: &str) -> Follower {
        let mut tail = self.tail(id);
        tail.until(&format!("stdout {line}\n"));
        // The shim says that it runs a moment after it does; that may have been before the
        // events were opened.
        let until = Instant::now() + WAIT_MAX;
        while self.status(id, "state").as_deref() != Some("running") {
            assert!(Instant::now() < until, "{id} talks and does not run");
            std::thread::yield_now();
        }
        tail
    }

    /// The next event of that kind and subject, whole; others before it are passed over.
    pub(crate) fn until(&mut self, what: &str) -> String {
        let mut passed = Vec::new();
        loop {
            let line = self.events.next(&format!("{what} after {passed:?}"));
            if line == what || line.starts_with(&format!("{what} ")) {
                return line;
            }
            passed.push(line);
        }
    }

    /// The next event, when it is of that kind.
    pub(crate) fn any(&mut self, kind: &str) -> Option<String> {
        let line = self.events.next(kind);
        line.starts_with(&format!("{kind} ")).then_some(line)
    }

    /// Follows an instance's log.
    pub(crate) fn tail(&self, id: &str) -> Follower {
        let path = format!("/instances/{id}/tail");
        let file = wait(&path, self.client.open(&path, Mode::Read)).expect("tail");
        Follower { file, text: String::new() }
    }

    /// The directory of an instance.
    pub(crate) fn instance(&self, id: &str) -> PathBuf {
        self.dir.path().join("node/instances").join(id)
    }

    /// The node's tag, from the name of its bridge or cgroup.
    pub(crate) fn tag(&self) -> String {
        use sha2::Digest;
        let path = self.dir.path().canonicalize().expect("the state directory");
        let hash = sha2::Sha256::digest(path.as_os_str().as_encoded_bytes());
        hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The cgroups of an instance, in whatever hierarchies there are.
    pub(crate) fn cgroups(&self, id: &str) -> Vec<PathBuf> {
        let below = format!("deploy-{}/{id}", self.tag());
        let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
        let roots = mounts.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let at = words.nth(1)?;
            words.next()?.starts_with("cgroup").then(|| Path::new(at).join(&below))
        });
        roots.filter(|path| path.exists()).collect()
    }

    /// What the node has printed.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(log(self.dir.path())).unwrap_or_default()
    }

    /// Takes everything down and looks at what is left.
    pub(crate) fn down(mut self) {
        // The node may be gone before its answer is.
        if let Err(error) = self.try_write("/ctl", "down") {
            assert!(error.starts_with("connection lost"), "{error}");
        }
        self.down = true;
        let status = self.child.wait().expect("the node's end");
        assert!(status.success(), "{status}: {}", self.said());
        let links = links();
        assert!(!links.contains(&self.tag()), "links: {links}");
        let left = shims(self.dir.path());
        assert!(left.is_empty(), "shims: {left:?}");
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.down {
            return;
        }
        // A case has failed: nothing of it may stay.
        eprintln!("--- the node said:\n{}", self.said());
        let _ = self.child.kill();
        let _ = self.child.wait();
        let Ok(mut child) = node(self.dir.path(), self.way).spawn() else { return };
        // A panic here, of all places, would end the tests that are still to come.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let client = connect(self.dir.path(), &mut child);
            wait("down", client.write("/ctl", b"down"))
        }));
        let until = Instant::now() + WAIT_MAX;
        while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
            std::thread::yield_now();
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// What `tail` gives.
pub(crate) struct Follower {
    file: Remote,
    text: String,
}

impl Follower {
    /// Waits until it has given that text.
    pub(crate) fn until(&mut self, text: &str) -> &str {
        while !self.text.contains(text) {
            let what = format!("{text} after {:?}", self.text);
            let bytes = wait(&what, self.file.read_next(65_536)).expect("tail");
            assert!(!bytes.is_empty(), "tail ended before {what}");
            self.text.push_str(str::from_utf8(&bytes).expect("text"));
        }
        &self.text
    }
}

/// The image's directory.
pub(crate) fn root() -> &'static Path {
    ROOT.path()
}

/// Removes it when no case is to come: what is static is never dropped.
pub(crate) fn remove_root() {
    fs::remove_dir_all(root()).expect("the image's directory is removed");
}

/// A spec of a shell script over the test image.
pub(crate) fn spec(id: &str, script: &str) -> Value {
    json!({
        "service": "trial", "image": format!("dir:{}", root().display()), "digest": "",
        "command": ["/bin/sh", "-c", script], "user": null, "workdir": null, "env": {},
        "port": null, "cpu_milli": 250, "memory_bytes": 64 << 20, "pids": 64,
        "network": "bridge", "read_only": false, "cap_add": [], "cap_drop": [],
        "health": {"kind": "running"}, "health_interval_ms": 100, "health_timeout_ms": 2000,
        "health_retries": 2, "min_healthy_ms": 0, "stop_signal": null, "stop_timeout_ms": 200,
        "log_size_bytes": 1_000_000, "log_files": 3, "hostname": id
    })
}

/// The command of a node over `dir`.
pub(crate) fn node(dir: &Path, way: Way) -> Command {
    let own = std::env::current_exe().expect("the path of this program");
    let log = File::options().create(true).append(true).open(log(dir)).expect("a log");
    let mut command = if way.weak {
        // A program gets what is in the bounding set, so this one does not get it.
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin", "--"]).arg(own);
        command
    } else {
        Command::new(own)
    };
    command.arg("node").arg("-r").arg(dir).stdin(Stdio::null());
    command.args(way.net.into_iter().flat_map(|net| ["--net", net]));
    command.stdout(log.try_clone().expect("a log")).stderr(log);
    command
}

fn log(dir: &Path) -> PathBuf {
    dir.join("said")
}

/// Connects as soon as there is something to connect to.
fn connect(dir: &Path, child: &mut Child) -> Client {
    let address = Address::Unix(dir.join("node.sock"));
    let until = Instant::now() + WAIT_MAX;
    loop {
        match wait("a connection", Client::dial(&address, "")) {
            Ok(client) => return client,
            Err(why) => assert!(Instant::now() < until, "no node: {why}"),
        }
        let ended = child.try_wait().expect("the node");
        assert!(ended.is_none(), "the node ended: {}", fs::read_to_string(log(dir)).expect("log"));
        std::thread::yield_now();
    }
}

/// What `ip link` says.
pub(crate) fn links() -> String {
    let output = Command::new("ip").args(["-o", "link"]).output().expect("ip");
    String::from_utf8(output.stdout).expect("text")
}

/// The links of this network, watched.
pub(crate) struct Links(OwnedFd);

impl Links {
    /// Begins.
    pub(crate) fn watch() -> Links {
        let (family, kind) = (AddressFamily::Netlink, SockType::Raw);
        let fd = socket(family, kind, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        let fd = fd.expect("a socket of the kernel's news");
        // RTMGRP_LINK of rtnetlink(7).
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 1)).expect("news of links");
        Links(fd)
    }

    /// Waits until what `ip link` says is as wanted.
    pub(crate) fn until(&self, wanted: impl Fn(&str) -> bool) {
        let until = Instant::now() + WAIT_MAX;
        while !wanted(&links()) {
            let left = until.saturating_duration_since(Instant::now());
            let mut news = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            let came = poll(&mut news, PollTimeout::try_from(left).expect("a timeout"));
            assert_eq!(came, Ok(1), "links: {}", links());
            recv(self.0.as_raw_fd(), &mut [0; 8192], MsgFlags::empty()).expect("news");
        }
    }
}

/// Processes that work in an instance's directory below `dir`.
pub(crate) fn shims(dir: &Path) -> Vec<i32> {
    let dir = dir.canonicalize().expect("the state directory");
    let numbers = fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let works = |pid: &i32| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(&dir))
    };
    numbers.filter(works).collect()
}

/// Whether a process of that number is there.
pub(crate) fn lives(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim().chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}
