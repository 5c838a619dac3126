//! A worker whose supervisor was killed starts another one, which takes over from it as from any
//! edge.

use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::crew::ended;
use crate::args::Options;

/// The shortest rest before another try.
const AGAIN_MS_MIN: u64 = 100;
/// The longest.
const AGAIN_MS_MAX: u64 = 60_000;

/// Tries until it is dropped.
#[derive(Debug)]
pub(crate) struct Revival(JoinHandle<()>);

impl Drop for Revival {
    fn drop(&mut self) {
        // What was started lives on: it is the edge now.
        self.0.abort();
    }
}

/// Starts a supervisor, again and again until one has taken over.
pub(crate) fn revive(options: &Options) -> Revival {
    let access = options.access.clone().of_input();
    let words = Options { access: access.clone(), ..options.clone() }.words(false);
    Revival(tokio::spawn(async move {
        let mut rest_ms = AGAIN_MS_MIN;
        loop {
            let mut command = std::process::Command::new("/proc/self/exe");
            command.arg0("deployfs").arg("edge").args(&words);
            command.process_group(0).stdout(Stdio::null());
            // What this process writes to, the next one writes to; its own output is for a word
            // that nobody waits for, which is no line of a log.
            let spawned = access.input().and_then(|input| {
                command.stdin(input);
                Command::from(command).spawn()
            });
            let why = match spawned {
                Ok(mut child) => ended(child.wait().await),
                Err(why) => why.to_string(),
            };
            tracing::warn!("no supervisor: {why}: another in {rest_ms} ms");
            sleep(Duration::from_millis(rest_ms)).await;
            rest_ms = (rest_ms * 2).min(AGAIN_MS_MAX);
        }
    }))
}
