//! A process of its own: nothing that happens to whoever started it reaches it, and it keeps open
//! nothing of theirs.

use nix::errno::Errno;
use nix::unistd::{Pid, close, getpgid, getppid, setpgid, setsid};
use std::os::fd::RawFd;

/// Input, output and messages are the first three; whatever else is open was inherited.
const OWN_FD_MIN: RawFd = 3;

/// Leaves the session and closes what was inherited. To be called before anything is opened and
/// before there is a second thread.
pub(crate) fn leave() -> nix::Result<()> {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    // All of them before the first is closed: one is the listing's own.
    let numbers: Vec<RawFd> = numbers.filter(|number| *number >= OWN_FD_MIN).collect();
    for number in numbers {
        // The listing's is closed already.
        let _ = close(number);
    }
    match setsid() {
        // It leads a group already, which cannot change its session. As a plain member of its
        // parent's group it can.
        Err(Errno::EPERM) => {
            setpgid(Pid::from_raw(0), getpgid(Some(getppid()))?)?;
            setsid().map(drop)
        }
        done => done.map(drop),
    }
}
