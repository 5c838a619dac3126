//! ^C in the middle of the demonstration: what it started is ended before it ends.

use nix::sys::signal::{SigSet, Signal};
use std::path::PathBuf;
use std::process::Command;

/// Keeps INT and TERM from this process; called before there is any other thread.
///
/// # Errors
/// The system's.
pub(crate) fn block() -> Result<SigSet, String> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set.add(Signal::SIGTERM);
    set.thread_block().map_err(|error| format!("signals: {error}"))?;
    Ok(set)
}

/// Runs `down` at the first of these signals, removes the place, and ends with the status of an
/// interrupted command.
pub(crate) fn end_by(signals: SigSet, mut down: Command, place: PathBuf) {
    std::thread::spawn(move || {
        if signals.wait().is_ok() {
            eprintln!("\ndemo: interrupted; ending what it started");
            let _ = down.status();
            let _ = std::fs::remove_dir_all(place);
            std::process::exit(130);
        }
    });
}
