//! A server that stands still right after one sync of its journal: what comes before it is on
//! disk, nothing that follows has been done. Debian's strace stops it there.

use crate::rig::PATIENCE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Watches a process until it has synced so often.
pub(super) struct Stop {
    tracer: Child,
    lines: Lines<BufReader<ChildStdout>>,
    server: Pid,
}

impl Stop {
    /// Stops `server` after that many syncs from now on, counted from 1.
    pub(super) async fn after(server: Pid, syncs: u32) -> Stop {
        // Two things sync data alone: the journal, from one thread, and the audit log, once a
        // verb, from the loop. Counted are those of each thread, strace(1): the first is the audit
        // log's, and every other one the journal's.
        let inject = format!("inject=fdatasync:signal=STOP:when={syncs}");
        let mut tracer = Command::new("strace")
            .args(["-f", "-p", &server.to_string(), "-e", "trace=fdatasync", "-e", &inject])
            .args(["-o", "/dev/stdout"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("strace starts");
        let mut told = BufReader::new(tracer.stderr.take().expect("piped")).lines();
        let attached = async {
            while let Ok(Some(line)) = told.next_line().await {
                if line.contains(" attached") {
                    return true;
                }
            }
            false
        };
        assert!(timeout(PATIENCE, attached).await.unwrap_or(false), "strace cannot trace {server}");
        tokio::spawn(async move { while let Ok(Some(_)) = told.next_line().await {} });
        let lines = BufReader::new(tracer.stdout.take().expect("piped")).lines();
        Stop { tracer, lines, server }
    }

    /// Waits until it stands still; false when the process ended before.
    pub(super) async fn reached(&mut self) -> bool {
        while let Ok(Some(line)) = self.lines.next_line().await {
            if line.contains("stopped by SIGSTOP") {
                return true;
            }
        }
        false
    }

    /// Lets go of it: what stood still goes on, if it is there.
    pub(super) async fn release(mut self) {
        // Told to end, it detaches; killed, it would leave its process without a tracer as well.
        let tracer = self.tracer.id().and_then(|id| i32::try_from(id).ok());
        tracer.iter().for_each(|id| _ = kill(Pid::from_raw(*id), Signal::SIGTERM));
        timeout(PATIENCE, self.tracer.wait()).await.expect("strace ends").expect("waited");
        _ = kill(self.server, Signal::SIGCONT);
    }
}
