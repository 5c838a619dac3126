//! The end of an instance: its `exit` file first, then the news, then everything that is left.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use container::{Cgroup, REMOVE_MAX, Site};
use nix::mount::{MntFlags, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::conn::{Conns, SOCK};
use crate::error::{Error, complain};
use crate::record::{EXIT, PID, durable};
use crate::wire::{Exit, State};

/// Connections have this long to take the news.
const NEWS_MAX: Duration = Duration::from_secs(1);

/// Writes the `exit` file. When the disk does not take it, what the instance has written goes
/// first: that may well be what fills it, and nobody needs it any more.
///
/// # Errors
/// The disk's, still. The end can then only be told.
pub(crate) fn record(exit: &Exit, cgroup: Option<&Cgroup>, site: &Site) -> Result<(), Error> {
    let bytes = serde_json::to_vec(exit).map_err(Error::Config)?;
    if durable(Path::new(EXIT), &bytes).is_ok() {
        return Ok(());
    }
    clear(cgroup, site);
    durable(Path::new(EXIT), &bytes).map_err(Error::io("write", EXIT))
}

/// Tells everybody who is connected.
pub(crate) fn tell(conns: &mut Conns, exit: Exit) {
    let state = State::from(exit);
    // Whoever has just knocked hears it too.
    conns.accept(&state);
    conns.say_all(&state);
    let end = Instant::now() + NEWS_MAX;
    while conns.waiting() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        let slow: Vec<u64> = {
            let each = || conns.each().filter(|(_, _, waits)| *waits);
            let mut fds: Vec<_> =
                each().map(|(_, fd, _)| PollFd::new(fd, PollFlags::POLLOUT)).collect();
            let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO));
            each().map(|(id, _, _)| id).collect()
        };
        slow.into_iter().for_each(|id| conns.write(id));
    }
}

/// Kills every child there still is: a fork of a maker that hung may not have reached the cgroup.
fn kill_children() {
    let file = format!("/proc/self/task/{}/children", std::process::id());
    let text = fs::read_to_string(file).unwrap_or_default();
    for pid in text.split_whitespace().filter_map(|pid| pid.parse().ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Removes what the instance no longer needs, as far as it goes; what does not is said on standard
/// error and is the node's next sweep's.
pub(crate) fn clean(cgroup: Option<&Cgroup>, site: &Site) {
    clear(cgroup, site);
    for file in [SOCK, PID, "pid.tmp", "exit.tmp"] {
        let _ = fs::remove_file(file);
    }
}

/// Its processes, mounts and files.
fn clear(cgroup: Option<&Cgroup>, site: &Site) {
    kill_children();
    if let Some(Err(error)) = cgroup.map(|cgroup| cgroup.remove(REMOVE_MAX)) {
        complain(&error);
    }
    for directory in site.passing() {
        // Only the shim's own namespace has mounts there; for a reaper there are none.
        while umount2(&directory, MntFlags::MNT_DETACH).is_ok() {}
        match fs::remove_dir_all(&directory) {
            Err(why) if why.kind() != ErrorKind::NotFound => {
                complain(format_args!("remove {directory:?}: {why}"));
            }
            Ok(()) | Err(_) => {}
        }
    }
}
