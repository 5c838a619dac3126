//! One instance under test: its directory, its shim, its socket.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The longest a test waits for anything.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(20);

/// The programs of the image, all of them busybox.
const TOOLS: [&str; 22] = [
    "sh", "cat", "sleep", "id", "echo", "env", "pwd", "ls", "touch", "mount", "kill", "hostname",
    "grep", "yes", "head", "dd", "true", "mkdir", "tail", "mkfifo", "wc", "seq",
];

static ROOT: LazyLock<TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory for the image");
    let bin = dir.path().join("bin");
    for name in ["bin", "etc", "tmp"] {
        fs::create_dir(dir.path().join(name)).expect("the image's directories");
    }
    fs::copy("/bin/busybox", bin.join("busybox"))
        .expect("/bin/busybox: install Debian's busybox-static");
    for tool in TOOLS {
        symlink("busybox", bin.join(tool)).expect("the image's links");
    }
    fs::write(bin.join("text"), "not a program\n").expect("a file");
    fs::set_permissions(bin.join("text"), PermissionsExt::from_mode(0o644)).expect("its mode");
    fs::write(bin.join("foreign"), b"\x7fELF\x02\x01\x01nonsense").expect("a file");
    fs::set_permissions(bin.join("foreign"), PermissionsExt::from_mode(0o755)).expect("its mode");
    let passwd = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/srv/web:/bin/sh\n";
    fs::write(dir.path().join("etc/passwd"), passwd).expect("a file");
    fs::write(dir.path().join("etc/group"), "root:x:0:\nstaff:x:50:web\n").expect("a file");
    dir
});

static COUNT: AtomicU32 = AtomicU32::new(0);

/// The parent of all cgroups of this run.
pub(crate) fn cgroup_parent() -> String {
    format!("/deploy-test-{}", std::process::id())
}

/// The image's directory.
pub(crate) fn root() -> &'static Path {
    ROOT.path()
}

/// Removes it when no case is to come: what is static is never dropped.
pub(crate) fn remove_root() {
    fs::remove_dir_all(root()).expect("the image's directory is removed");
}

/// The test program as the shim.
pub(crate) fn shim(words: &[&str]) -> Command {
    let own = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(own);
    command.env_clear().arg("shim").args(words).stdin(Stdio::null());
    command
}

/// An instance.
pub(crate) struct Trial {
    pub(crate) dir: TempDir,
    pub(crate) id: String,
    child: Child,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Value,
    pub(crate) log: Vec<String>,
}

impl Trial {
    /// Starts an instance that runs `script` in a shell; `change` is laid over `shim.json`.
    pub(crate) fn script(script: &str, change: Value) -> Trial {
        Trial::command(&["sh", "-c", script], change)
    }

    /// Starts an instance that runs a command.
    pub(crate) fn command(argv: &[&str], change: Value) -> Trial {
        Trial::make(argv, change, spawn)
    }

    /// As [`Trial::script`], with the instance's directory below `parent`.
    pub(crate) fn below(parent: &Path, script: &str) -> Trial {
        let dir = tempfile::tempdir_in(parent).expect("a directory for the instance");
        Trial::make_in(dir, &["sh", "-c", script], json!({}), spawn)
    }

    fn make(argv: &[&str], change: Value, spawn: impl FnOnce(&Path) -> Child) -> Trial {
        let dir = tempfile::tempdir().expect("a directory for the instance");
        Trial::make_in(dir, argv, change, spawn)
    }

    fn make_in(
        dir: TempDir,
        argv: &[&str],
        change: Value,
        spawn: impl FnOnce(&Path) -> Child,
    ) -> Trial {
        let id = format!("t-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut config = json!({
            "id": id, "cgroup_parent": cgroup_parent(), "layers": [root()], "rootfs": null,
            "image_config": null, "address": null, "gateway": null, "netns_fd": null,
            "hosts": "127.0.0.1 localhost\n", "resolv": "nameserver 127.0.0.1\n",
            "spec": {
                "service": "trial", "image": "dir", "command": argv, "user": null,
                "workdir": null, "env": {}, "port": null, "cpu_milli": 500,
                "memory_bytes": 64 << 20, "pids": 64, "read_only": false, "cap_add": [],
                "cap_drop": [], "stop_signal": null, "stop_timeout_ms": 10_000,
                "log_size_bytes": 1 << 20, "log_files": 3, "hostname": "trial-0"
            }
        });
        lay(&mut config, change);
        fs::write(dir.path().join("shim.json"), config.to_string()).expect("shim.json");
        let child = spawn(dir.path());
        Trial { dir, id, child }
    }

    /// Connects, as soon as there is something to connect to.
    pub(crate) fn connect(&self) -> Talk {
        let until = Instant::now() + WAIT_MAX;
        let stream = loop {
            match UnixStream::connect(self.dir.path().join("sock")) {
                Ok(stream) => break stream,
                Err(why) => assert!(Instant::now() < until, "no socket: {why}"),
            }
            std::thread::yield_now();
        };
        stream.set_read_timeout(Some(WAIT_MAX)).expect("a timeout");
        Talk { lines: BufReader::new(stream) }
    }

    /// Waits until it runs, and returns the connection and the news of it.
    pub(crate) fn running(&self) -> (Talk, Value) {
        let mut talk = self.connect();
        let news = talk.until("state", "running");
        (talk, news)
    }

    /// Waits for the shim's end and looks at what is left.
    pub(crate) fn end(mut self) -> Ended {
        let status = self.wait();
        let errors = fs::read_to_string(self.dir.path().join("shim.log")).unwrap_or_default();
        assert!(status.success(), "the shim ended with {status}: {errors}");
        let ended = self.left();
        let failed = ended.exit["failed"] == true;
        assert!(failed || errors.is_empty(), "the shim complained: {errors}");
        ended
    }

    /// Kills the shim as a machine out of memory would, and reaps.
    pub(crate) fn die_and_reap(mut self) -> Ended {
        self.child.kill().expect("a kill");
        self.child.wait().expect("the shim's end");
        let status = self.reap();
        assert!(status.success(), "the reaper ended with {status}");
        self.left()
    }

    /// What the exit file says when the shim has ended; null when there is none.
    pub(crate) fn exit(&mut self) -> Value {
        self.wait();
        let exit = fs::read(self.dir.path().join("exit")).unwrap_or_default();
        serde_json::from_slice(&exit).unwrap_or_default()
    }

    /// The shim's status; its standard output ends with it, and only with it.
    fn wait(&mut self) -> ExitStatus {
        let alive = self.child.stdout.take().expect("the shim's output is a pipe");
        let mut fds = [PollFd::new(alive.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(WAIT_MAX).expect("a timeout");
        let ended = poll(&mut fds, timeout).expect("poll");
        assert_eq!(ended, 1, "the shim did not end: {:?}", log(self.dir.path(), "log"));
        self.child.wait().expect("the shim's end")
    }

    fn reap(&self) -> ExitStatus {
        let path = self.dir.path().to_str().expect("a plain path").to_owned();
        shim(&["--reap", &path]).status().expect("the reaper")
    }

    fn left(&self) -> Ended {
        assert_nothing_left(self.dir.path(), &self.id);
        let exit = fs::read_to_string(self.dir.path().join("exit")).expect("an exit file");
        let exit = serde_json::from_str(&exit).expect("JSON in the exit file");
        Ended { exit, log: log(self.dir.path(), "log") }
    }
}

/// A case that fails must leave no container behind.
impl Drop for Trial {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            self.reap();
        }
    }
}

impl Ended {
    /// Compares the keys of `expected` with the exit file.
    pub(crate) fn was(&self, expected: &Value) -> &Ended {
        for (key, value) in expected.as_object().expect("an object") {
            assert_eq!(&self.exit[key], value, "{key} of {} {:?}", self.exit, self.log);
        }
        self
    }

    /// Whether a line of the log is `line`.
    pub(crate) fn said(&self, line: &str) -> &Ended {
        assert!(self.log.iter().any(|have| have == line), "{line:?} is not in {:?}", self.log);
        self
    }
}

/// A connection to a shim.
pub(crate) struct Talk {
    lines: BufReader<UnixStream>,
}

impl Talk {
    /// Says a line.
    pub(crate) fn say(&mut self, line: &Value) {
        let stream = self.lines.get_mut();
        stream.write_all(format!("{line}\n").as_bytes()).expect("the shim takes the line");
    }

    /// The next line; null at the end.
    pub(crate) fn hear(&mut self) -> Value {
        let mut line = String::new();
        match self.lines.read_line(&mut line).expect("a line in time") {
            0 => Value::Null,
            _ => serde_json::from_str(&line).expect("JSON in a line"),
        }
    }

    /// Lines until one whose `key` is `value`.
    pub(crate) fn until(&mut self, key: &str, value: &str) -> Value {
        loop {
            let line = self.hear();
            assert!(!line.is_null(), "the connection ended before {key}={value}");
            if line[key] == value {
                return line;
            }
            assert_ne!(line["state"], "failed", "{line}");
        }
    }

    /// Runs a command beside the program: exit code and output.
    pub(crate) fn exec(&mut self, argv: &[&str], timeout_ms: u64) -> (i64, String) {
        self.say(&json!({"n": 1, "exec": {"argv": argv, "timeout_ms": timeout_ms}}));
        loop {
            let line = self.hear();
            assert!(!line.is_null(), "the connection ended before the answer");
            if line["n"] == 1 {
                let answer = &line["exec"];
                let output = answer["output"].as_str().unwrap_or_default().to_owned();
                return (answer["code"].as_i64().unwrap_or(-1), output);
            }
        }
    }
}

/// The texts of a log file, without their stamps.
pub(crate) fn log(dir: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(dir.join(name)).unwrap_or_default();
    text.lines().map(|line| line.split_once(' ').expect("a stamp").1.to_owned()).collect()
}

/// The directories of a cgroup in all hierarchies.
pub(crate) fn cgroups(id: &str) -> Vec<PathBuf> {
    let path = format!("{}/{id}", cgroup_parent().trim_start_matches('/'));
    let mut found = Vec::new();
    for entry in fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten() {
        found.extend(Some(entry.path().join(&path)).filter(|path| path.exists()));
    }
    found.extend(Some(Path::new("/sys/fs/cgroup").join(&path)).filter(|path| path.exists()));
    found
}

/// Removes the cgroups of this run, and sees that there were none.
pub(crate) fn sweep_all() {
    let output = shim(&["--sweep", &cgroup_parent()]).output().expect("the sweeper");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "cgroups were left");
    assert!(cgroups("").is_empty());
}

fn assert_nothing_left(dir: &Path, id: &str) {
    assert!(cgroups(id).is_empty(), "cgroups are left");
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(dir.to_str().expect("a plain path")), "mounts are left");
    let files = ["exit", "hosts", "hostname", "resolv.conf", "shim.json", "shim.log"];
    let kept = [&files[..], &["config", "volumes", "binds"]].concat();
    for entry in fs::read_dir(dir).expect("the instance's directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(kept.contains(&name.as_str()) || name.starts_with("log"), "{name} is left");
    }
}

/// Starts a script in a network namespace of its own, given to the shim as descriptor 3.
pub(crate) fn in_new_network(script: &str) -> Trial {
    // A thread of its own makes the namespace, so that this process stays where it is.
    let fd = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
        fs::File::open("/proc/thread-self/ns/net").expect("its file")
    });
    let fd = fd.join().expect("the namespace");
    with_open(&fd, 3, script, json!({"netns_fd": 3}))
}

/// Starts a script under a shim that gets `file` as descriptor `number`.
pub(crate) fn with_open(file: &fs::File, number: u8, script: &str, change: Value) -> Trial {
    Trial::make(&["sh", "-c", script], change, |dir| {
        let copy = nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty());
        nix::fcntl::fcntl(file, copy).expect("a descriptor that is handed on");
        // The standard library gives away no descriptor but three; a shell puts it in its place.
        by_shell(dir, "", &format!("{number}<&{}", file.as_raw_fd()))
    })
}

/// Starts a command under a shim that may have so many files open.
pub(crate) fn with_open_max(count: u32, argv: &[&str]) -> Trial {
    Trial::make(argv, json!({}), |dir| by_shell(dir, &format!("ulimit -n {count};"), ""))
}

fn by_shell(dir: &Path, before: &str, behind: &str) -> Child {
    let log = fs::File::create(dir.join("shim.log")).expect("shim.log");
    let own = std::env::current_exe().expect("the path of this program");
    let line = format!("{before} exec {} shim {} {behind}", own.display(), dir.display());
    let mut command = Command::new("/bin/busybox");
    command.args(["sh", "-c", &line]).env_clear().stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(log);
    command.spawn().expect("the shim")
}

/// Waits until the process of that number has ended; it is in no cgroup then.
pub(crate) fn until_ended(pid: &str) {
    let number: i32 = pid.parse().expect("a number");
    // SAFETY: the call takes two numbers and gives a new descriptor, or none below zero.
    let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, number, 0) };
    if fd < 0 {
        assert_eq!(nix::errno::Errno::last(), nix::errno::Errno::ESRCH, "{pid}");
        return;
    }
    // SAFETY: it was just opened, and nobody else has its number.
    let process = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let mut fds = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    let ended = poll(&mut fds, PollTimeout::try_from(WAIT_MAX).expect("a timeout"));
    assert_eq!(ended, Ok(1), "{pid} does not end");
}

/// A disk of its own, of this size, until it is dropped.
pub(crate) struct Disk(TempDir);

impl Disk {
    pub(crate) fn new(size: &str) -> Disk {
        let dir = tempfile::tempdir().expect("a directory for the disk");
        let (flags, options) = (MsFlags::empty(), format!("size={size}"));
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), flags, Some(options.as_str()))
            .expect("a disk");
        Disk(dir)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes until it takes no more.
    pub(crate) fn fill(&self) {
        let mut file = fs::File::create(self.path().join("filler")).expect("a file");
        while file.write_all(&[1; 4096]).is_ok() {}
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(self.path(), MntFlags::MNT_DETACH);
    }
}

fn spawn(dir: &Path) -> Child {
    let log = fs::File::create(dir.join("shim.log")).expect("shim.log");
    let path = dir.to_str().expect("a plain path");
    let mut command = shim(&[path]);
    command.stdout(Stdio::piped()).stderr(log).current_dir(dir);
    command.spawn().expect("the shim")
}

fn lay(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}
