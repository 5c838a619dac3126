//! Starting the process that serves, and what is said between it and the supervisor.
//!
//! ```text
//! supervisor to worker                  worker to supervisor
//! socket PLACE     with its descriptor  ready             it serves, and speaks for the edge
//! missing PLACE: WHY                    bind PORT         a route wants to be listened on
//! flights          with the file for    close PORT        no route does any more
//!                  its count
//! begin            that was all         socket tcp PORT   one that came with a take-over
//! take             the same, with a     yielded           it does not speak for the edge now
//!                  talk: take over from end               end the edge
//!                  that edge
//! yield            a newer one comes
//! lead             it did not come
//! leave            it did: go on with what was begun, alone
//! end              end slowly
//! ```

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::sockets::{Place, Sockets};
use super::talk::{Said, Talk};
use crate::args::Options;
use crate::metrics::flights;

/// How long a process may take to read what it is told.
const TELL_TIME_MAX: Duration = Duration::from_secs(10);

/// A worker that was started.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Its process.
    pub(crate) child: Child,
    /// The number of that, which stays known.
    pub(crate) pid: u32,
    /// The talk with it.
    pub(crate) talk: Talk,
    /// Where it writes how many requests it has on their way.
    flights: File,
}

impl Worker {
    /// Starts one and gives it the sockets. With `from` it takes over from the edge at the other
    /// end of that talk; else it serves and speaks for the edge at once.
    pub(crate) async fn start(
        options: &Options,
        sockets: &Sockets,
        from: Option<Talk>,
    ) -> io::Result<Worker> {
        let (talk, theirs) = Talk::pair()?;
        let flights = flights::file()?;
        // The program that runs now, also when its file is another one by now.
        let mut command = std::process::Command::new("/proc/self/exe");
        command.arg0("deployfs").arg("edge").args(options.words(true));
        command.stdin(theirs).stdout(options.access.output()?);
        let child = Command::from(command).spawn()?;
        let pid = child.id().unwrap_or_default();
        let worker = Worker { child, pid, talk, flights };
        let told = async {
            tell(&worker.talk, sockets).await?;
            worker.talk.give("flights", &worker.flights).await?;
            match &from {
                Some(from) => worker.talk.give("take", from).await,
                None => worker.talk.say("begin").await,
            }
        };
        timeout(TELL_TIME_MAX, told).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(worker)
    }

    /// Says a line; one that does not hear has ended, which is heard of otherwise.
    pub(crate) async fn say(&self, line: &str) {
        if let Ok(Err(why)) = timeout(TELL_TIME_MAX, self.talk.say(line)).await {
            tracing::debug!("{line}: {why}");
        }
    }

    /// How many requests it had on their way when it was last at rest.
    pub(crate) fn flights(&self) -> u64 {
        flights::written(&self.flights).unwrap_or(0)
    }

    /// Ends it now, and waits for that.
    pub(crate) async fn kill(&mut self) {
        let _ = self.child.kill().await;
    }
}

/// Gives all sockets to the other end, and says which are missing.
pub(crate) async fn tell(talk: &Talk, sockets: &Sockets) -> io::Result<()> {
    for (place, socket) in sockets.there() {
        talk.give(&format!("socket {place}"), socket).await?;
    }
    for (place, why) in sockets.missing() {
        talk.say(&format!("missing {place}: {why}")).await?;
    }
    Ok(())
}

/// Takes a line of `tell`, or gives it back: it is another one.
pub(crate) fn told(sockets: &mut Sockets, said: Said) -> Option<Said> {
    let place = |text: &str| text.parse::<Place>().ok();
    if let Some(place) = said.line.strip_prefix("socket ").and_then(place) {
        if let Some(socket) = said.with {
            sockets.put(place, socket);
        }
        return None;
    }
    let missing = said.line.strip_prefix("missing ").and_then(|rest| rest.split_once(": "));
    if let Some((Some(place), why)) = missing.map(|(text, why)| (place(text), why)) {
        sockets.miss(place, why.to_owned());
        return None;
    }
    Some(said)
}

/// How a process ended, for people.
pub(crate) fn ended(status: io::Result<ExitStatus>) -> String {
    status.map_or_else(|why| why.to_string(), |status| status.to_string())
}
