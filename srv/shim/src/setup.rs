//! What a process must be before it is a shim: alone in its session and mount namespace, in the
//! network its container is to have, the parent of whatever is left behind.

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};
use nix::unistd::setsid;

use crate::error::Error;

/// A shim is one of the last things a machine out of memory should end: the container behind it
/// is counted against its own limit.
const OOM_SCORE_ADJ: i32 = -900;

/// Opens what is closed of 0, 1 and 2, before anything else is opened: the next file would take its
/// number, and what is written to standard error would go there.
pub(crate) fn stdio() -> Result<(), Error> {
    loop {
        let fd = open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())
            .map_err(Error::call("open /dev/null"))?;
        if fd.as_raw_fd() > 2 {
            return Ok(());
        }
        std::mem::forget(fd);
    }
}

/// Closes everything but 0, 1, 2 and `keep`. For a process of one thread whose other descriptors
/// nobody will use: a shim that has opened nothing yet, or a fork that ends by `_exit`.
pub(crate) fn close_others(keep: &[RawFd]) {
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && !keep.contains(fd)) {
        // SAFETY: whoever spawned the shim left it open, or it is the parent's, copied by a fork
        // that never drops nor uses it.
        unsafe { libc::close(fd) };
    }
}

/// A descriptor that the node opened for us, to be closed when it is dropped.
pub(crate) fn given(number: RawFd) -> Result<OwnedFd, Error> {
    // SAFETY: only looked at, and whether it is open is what is asked.
    let found = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(found, FcntlArg::F_GETFD).map_err(Error::call("find secrets"))?;
    // SAFETY: it is open, and by the node's contract ours; it is taken once, when all is begun.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Signals a shim hears by descriptor: a child's end, and the end of the machine.
pub(crate) fn signals() -> Result<SignalFd, Error> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        set.add(signal);
    }
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).map_err(Error::call("sigprocmask"))?;
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(Error::call("signalfd"))
}

/// Makes this process what it must be, all but the namespaces. Returns the oom score its container
/// is to have.
pub(crate) fn process() -> Result<i32, Error> {
    // libcontainer hands open descriptors on when LISTEN_FDS is set, and nothing else of an
    // environment is ours to use.
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in names {
        // SAFETY: there is one thread, so nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
    umask(Mode::from_bits_truncate(0o022));
    match setsid() {
        // EPERM: the node has given us a session already.
        Ok(_) | Err(Errno::EPERM) => {}
        Err(why) => return Err(Error::call("setsid")(why)),
    }
    set_child_subreaper(true).map_err(Error::call("become subreaper"))?;
    Ok(protect())
}

/// Joins the network namespace of descriptor `netns`, and makes a mount namespace from which
/// nothing leads back, so that what is mounted here ends with us.
pub(crate) fn namespaces(netns: Option<i32>) -> Result<(), Error> {
    if let Some(number) = netns {
        // SAFETY: the node's contract is that this descriptor was opened for us and is ours; if it
        // is not open, setns says so.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        setns(fd, CloneFlags::CLONE_NEWNET).map_err(Error::call("join network namespace"))?;
        // SAFETY: as above, and nothing uses the number after this line.
        unsafe { libc::close(fd.as_raw_fd()) };
        // In a network of its own a program may listen on every port, whoever it runs as.
        let _ = fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
    }
    unshare(CloneFlags::CLONE_NEWNS).map_err(Error::call("make mount namespace"))?;
    // Slave and not private: what the machine unmounts must not be held by us.
    let flags = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .map_err(Error::call("make mounts one-way"))
}

fn protect() -> i32 {
    const FILE: &str = "/proc/self/oom_score_adj";
    let own = fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    // Lowering needs a privilege not every machine gives.
    if own > OOM_SCORE_ADJ {
        let _ = fs::write(FILE, OOM_SCORE_ADJ.to_string());
    }
    own.max(0)
}
