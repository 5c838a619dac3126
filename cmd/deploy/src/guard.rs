//! Ends what a build left running when this program is killed, and so can end nothing itself: a
//! shell that waits for the end of a pipe whose other end only this program has.

use rustix::process::Pid;
use std::process::Stdio;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, Command};

/// A line is the word that nothing is to be ended any more; the end of the pipe is its contrary.
const SCRIPT: &str = r#"read -r over || kill -s KILL -- "-$1""#;

/// Watches over one process group.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
    pipe: ChildStdin,
}

impl Guard {
    /// A guard of a process group; none where there is no shell.
    pub(crate) fn of(group: Pid) -> Option<Guard> {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "guard", &group.as_raw_nonzero().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What a terminal sends to this program is not meant for it.
        let mut shell = command.current_dir("/").process_group(0).spawn().ok()?;
        let pipe = shell.stdin.take()?;
        Some(Guard { shell, pipe })
    }

    /// The group has come to its end: what it left running on purpose goes on.
    pub(crate) async fn over(mut self) {
        // One that is gone was asked to.
        let _ = self.pipe.write_all(b"over\n").await;
        let _ = self.shell.wait().await;
    }
}
