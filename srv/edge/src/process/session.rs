//! A process of its own: nothing that happens to whoever started it reaches it, and it keeps
//! nothing of theirs.

use std::fs;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::unistd::{Pid, close, getpgid, getppid, setpgid, setsid};

/// Input, output and messages are the first three; whatever else is open was inherited.
const OWN_FD_MIN: RawFd = 3;

/// Leaves the session and closes what was inherited. To be called before anything is opened and
/// before there is a second thread.
pub(crate) fn leave() -> nix::Result<()> {
    close_inherited();
    match setsid() {
        // It leads a group already, which cannot change its session. As a plain member of its
        // parent's group it can.
        Err(Errno::EPERM) => {
            setpgid(Pid::from_raw(0), getpgid(Some(getppid()))?)?;
            setsid()?;
        }
        Ok(_) => {}
        Err(why) => return Err(why),
    }
    Ok(())
}

/// A shell's pipe that stays open here keeps its reader waiting for as long as the edge lives.
fn close_inherited() {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return };
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // All of them before the first is closed: one is the listing's own.
    let numbers: Vec<RawFd> = numbers.filter(|number| *number >= OWN_FD_MIN).collect();
    for number in numbers {
        // The listing's is closed already.
        let _ = close(number);
    }
}
