//! Making a container and running a further command in it, by libcontainer.
//!
//! Both are called in a fresh process that does nothing else and ends: libcontainer changes the
//! directory, the oom score and the dumpability of its caller, and may not return at all. What it
//! makes becomes the child of that process' parent.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::mount::{MsFlags, mount};
use serde_json::Value;

use crate::caps::Caps;
use crate::cgroup::Cgroup;
use crate::entry::Entered;
use crate::error::Error;
use crate::executor::Confined;
use crate::hierarchy::Machine;
use crate::limits::swaps;
use crate::oci::{self, Facts};
use crate::overlay::Overlay;
use crate::plan::{Bound, Plan};
use crate::report::{Report, Reporter};
use crate::root::Root;
use crate::seccomp::Filters;
use crate::secrets::{self, Secrets};
use crate::user::{self, User};
use crate::volume::{self, Mount};

/// Size of the memory file system for the runtime's own files.
const RUN_OPTIONS: &str = "size=4m,mode=700";

/// Input and outputs of a program. None may be 0, 1 or 2: libcontainer moves them there and
/// closes the originals.
#[derive(Debug)]
pub struct Stdio {
    /// Read by the program.
    pub stdin: OwnedFd,
    /// Written by it.
    pub stdout: OwnedFd,
    /// Written by it.
    pub stderr: OwnedFd,
}

/// The directories of one container, all below one of its own.
#[derive(Debug, Clone)]
pub struct Site {
    dir: PathBuf,
}

impl Site {
    /// The site in `dir`, an absolute path.
    pub fn new(dir: &Path) -> Site {
        Site { dir: dir.to_owned() }
    }

    /// Makes room for the runtime's files: in memory, and so gone with the mount namespace the
    /// caller must have of its own.
    ///
    /// # Errors
    /// The directory cannot be made. A mount that fails is no error: the files then lie on disk.
    pub fn prepare(&self) -> Result<(), Error> {
        let run = self.run();
        fs::create_dir_all(&run).map_err(Error::io("make directory", &run))?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        let _ = mount(Some("tmpfs"), &run, Some("tmpfs"), flags, Some(RUN_OPTIONS));
        Ok(())
    }

    /// Directories that hold something only as long as the container lives.
    pub fn passing(&self) -> [PathBuf; 4] {
        [self.dir.join("merged"), self.run(), self.dir.join("work"), self.dir.join("upper")]
    }

    fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// Where directories of the machine are held on their way in. Not among those that pass: what
    /// is bound there is not ours to remove, and it is gone with the mount namespace.
    fn binds(&self) -> PathBuf {
        self.dir.join("binds")
    }

    fn secrets(&self) -> PathBuf {
        self.run().join("secret")
    }

    fn state(&self) -> PathBuf {
        self.run().join("state")
    }

    fn process(&self) -> PathBuf {
        self.run().join("process.json")
    }
}

/// Makes the container and lets its program run. Says [`Report::Created`] in between; the pipe of
/// `reporter` ends when the program runs. `secrets` is a memory file of values, in the form that
/// `secrets.rs` tells.
///
/// # Errors
/// Whatever is wrong, said to the reporter too. Nothing is taken back: the caller kills the cgroup
/// and leaves the mount namespace.
pub fn bring_up(
    plan: &Plan,
    site: &Site,
    stdio: Stdio,
    oom_score_adj: Option<i32>,
    secrets: Option<OwnedFd>,
    reporter: Reporter,
) -> Result<(), Error> {
    plan.limits.check()?;
    let mut secrets = secrets.map(Secrets::read).transpose()?.unwrap_or_default();
    let cgroup = Cgroup::at(&plan.cgroup)?;
    cgroup.join_beside();
    let mut plan = plan.clone();
    for cap in plan.caps.clamp(permitted()) {
        let text = format!("capability {cap} is not given: the server does not have it itself");
        reporter.say(&Report::Warning(text));
    }
    if secrets.has_files() {
        plan.files.push(Bound { source: site.secrets(), target: secrets::AT });
    }
    let (bundle, user) = write_bundle(&plan, site, oom_score_adj, reporter)?;
    if secrets.has_files() {
        let at = site.secrets();
        fs::create_dir_all(&at).map_err(Error::io("make directory", &at))?;
        secrets.mount(&at, &user)?;
    }
    let filters = Rc::new(Filters::new(&plan.caps)?);
    let executor = Confined { filters, reporter, secrets: Rc::new(secrets.env) };
    let entered = Entered::into(&cgroup);
    let mut container = ContainerBuilder::new(plan.id.clone(), SyscallType::Linux)
        .with_root_path(site.state())
        .map_err(runtime)?
        .with_executor(executor)
        .with_stdin(stdio.stdin)
        .with_stdout(stdio.stdout)
        .with_stderr(stdio.stderr)
        .validate_id()
        .map_err(runtime)?
        .as_init(bundle)
        .with_systemd(false)
        .with_detach(true)
        .as_sibling(true)
        .build()
        .map_err(runtime)?;
    let pid = container.pid().ok_or_else(|| Error::Runtime("no first process".to_owned()))?;
    entered.leave();
    if !cgroup.forbid_swap(plan.limits.memory_bytes) && swaps() {
        reporter.say(&Report::Warning("swap cannot be limited on this machine".to_owned()));
    }
    cgroup.limit(&plan.limits)?;
    reporter.say(&Report::Created { pid: pid.as_raw() });
    container.start().map_err(runtime)
}

/// Runs a further command in a container that runs, as the same user in the same cgroup under the
/// same filters. Says [`Report::Created`] when the command has been executed.
///
/// # Errors
/// As [`bring_up`].
pub fn run_beside(
    id: &str,
    cgroup: &str,
    site: &Site,
    argv: &[String],
    stdio: Stdio,
    reporter: Reporter,
) -> Result<(), Error> {
    Cgroup::at(cgroup)?.join_beside();
    let path = site.process();
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let mut process: Value =
        serde_json::from_str(&text).map_err(|why| Error::Runtime(why.to_string()))?;
    process["args"] = argv.into();
    let bounding = process["capabilities"]["bounding"].as_array().into_iter().flatten();
    let names: Vec<String> = bounding.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let caps = Caps::new(&names, &["ALL".to_owned()])?;
    let own = site.run().join(format!("exec-{}.json", std::process::id()));
    fs::write(&own, process.to_string()).map_err(Error::io("write", &own))?;
    // What runs beside has the files, and not the variables: those are the program's alone.
    let (filters, secrets) = (Rc::new(Filters::new(&caps)?), Rc::default());
    let executor = Confined { filters, reporter, secrets };
    let built = ContainerBuilder::new(id.to_owned(), SyscallType::Linux)
        .with_root_path(site.state())
        .map_err(runtime)?
        .with_executor(executor)
        .with_stdin(stdio.stdin)
        .with_stdout(stdio.stdout)
        .with_stderr(stdio.stderr)
        .as_tenant()
        .with_process(Some(&own))
        .with_detach(true)
        .as_sibling(true)
        .build();
    let _ = fs::remove_file(&own);
    let pid = built.map_err(runtime)?;
    reporter.say(&Report::Created { pid: pid.as_raw() });
    Ok(())
}

/// Mounts the root, looks into it, and writes what libcontainer reads. Returns its directory, and
/// who the program runs as.
fn write_bundle(
    plan: &Plan,
    site: &Site,
    oom_score_adj: Option<i32>,
    reporter: Reporter,
) -> Result<(PathBuf, User), Error> {
    let [merged, run, work, upper] = site.passing();
    let names = run.join("names");
    Overlay { base: &plan.base, names, upper, work, merged: merged.clone() }.mount()?;
    let root = Root::open(&merged)?;
    let user = user::look_up(&root, &plan.user)?;
    root.make_dir(Path::new(&plan.cwd))
        .map_err(|error| Error::WorkDir { path: plan.cwd.clone(), why: error.to_string() })?;
    let bound = bind_all(&plan.mounts, &user, &site.binds())?;
    let machine = Machine::look()?;
    let (resources, warnings) = plan.limits.resources(&machine.controllers());
    for text in warnings {
        reporter.say(&Report::Warning(text));
    }
    if machine.is_unified() && plan.caps.has("MKNOD") {
        let text = "MKNOD is given and cgroup version 2 has no device rules here";
        reporter.say(&Report::Warning(text.to_owned()));
    }
    let facts = Facts { user: user.clone(), resources, merged, oom_score_adj, bound };
    let document = oci::document(plan, &facts, &machine);
    let bundle = run.join("bundle");
    for directory in [&bundle, &site.state()] {
        fs::create_dir_all(directory).map_err(Error::io("make directory", directory))?;
    }
    for (path, part) in
        [(bundle.join("config.json"), &document), (site.process(), &document["process"])]
    {
        fs::write(&path, part.to_string()).map_err(Error::io("write", &path))?;
    }
    Ok((bundle, user))
}

/// Everything that is bound in, made ready.
fn bind_all(mounts: &[Mount], user: &User, stage: &Path) -> Result<Vec<oci::Binding>, Error> {
    volume::stage(mounts, stage)?;
    let ready = |(at, one): (usize, &Mount)| {
        let (source, options) = one.ready(at, user, stage)?;
        Ok((source, one.target.clone(), options))
    };
    mounts.iter().enumerate().map(ready).collect()
}

/// The capabilities this process holds, as a bit set (proc_pid_status(5), CapPrm).
fn permitted() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let hex = text.lines().find_map(|line| line.strip_prefix("CapPrm:"));
    hex.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX)
}

/// libcontainer's errors say the least in front and the reason in what they come from.
fn runtime(error: libcontainer::error::LibcontainerError) -> Error {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    Error::Runtime(text)
}
