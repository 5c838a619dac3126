//! A program of somebody's, on one core, for as long as it is measured.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The core of whatever is measured.
pub(crate) const MEASURED_CORE: u32 = 0;
/// The core of everything else: who asks, and what is behind.
pub(crate) const OTHER_CORE: u32 = 1;

/// A process in a group of its own, ended with all its children when it is dropped.
pub(crate) struct Program(Child);

impl Program {
    /// Starts one in `dir`, where its `log` is; none when there is no such program.
    ///
    /// # Errors
    /// It is there and cannot be started.
    pub(crate) fn start<W: AsRef<OsStr>>(
        core: u32,
        program: &str,
        words: impl IntoIterator<Item = W>,
        dir: &Path,
    ) -> Result<Option<Program>, String> {
        let there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .chain(["/usr/sbin".into()])
            .any(|dir| dir.join(program).exists());
        if !there {
            return Ok(None);
        }
        fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let log = fs::File::create(dir.join("log")).map_err(|error| error.to_string())?;
        let child = Command::new("taskset")
            .args(["-c", &core.to_string(), program])
            .args(words)
            .env("GOMAXPROCS", "1")
            .env("HOME", dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        child.map(|child| Some(Program(child))).map_err(|why| format!("cannot start it: {why}"))
    }

    /// The first of its processes.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The process and all that descend from it.
    pub(crate) fn family(&self) -> Vec<u32> {
        let mut family = vec![self.0.id()];
        let mut at = 0;
        while let Some(pid) = family.get(at).copied() {
            let path = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(path).unwrap_or_default();
            family.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
            at += 1;
        }
        family
    }

    /// Processor time its processes have used, in microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.family().iter().map(|pid| cpu_us(*pid)).sum()
    }

    /// Memory of its processes that no other process shares, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.family().iter().map(|pid| memory(*pid)).sum()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // An edge whose other process ends starts it again: none may see another end.
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in self.family() {
                let _ = kill(Pid::from_raw(i32::try_from(pid).unwrap_or_default()), signal);
            }
        }
        let _ = self.0.wait();
    }
}

/// Writes a file of a program's; gives where it is.
///
/// # Errors
/// It cannot be written.
pub(crate) fn put(dir: &Path, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = dir.join(name);
    let made = fs::create_dir_all(dir).and_then(|()| fs::write(&path, text));
    made.map(|()| path.clone()).map_err(|error| format!("{}: {error}", path.display()))
}

/// A port that nobody has, for datagrams nor for streams.
///
/// # Errors
/// The machine has none.
pub(crate) fn free_port() -> Result<u16, String> {
    let free = || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        UdpSocket::bind(("127.0.0.1", port)).map(|_| port)
    };
    free().map_err(|error| format!("no free port: {error}"))
}

/// Fields 14 and 15 of proc_pid_stat(5), in ticks of a hundredth of a second.
fn cpu_us(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() * 10_000.0
}

fn memory(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
