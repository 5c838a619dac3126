//! Processes of one edge beside each other: one that was followed by another still ends what it
//! began, and the newer one speaks for both.
//!
//! Each process has a socket `STATE/edge/PID.sock`. A newer one that begins to speak for the edge
//! connects to all there are and says `table GENERATION` whenever it has kept a table; the older
//! one takes that table from the disk and says `holds GENERATION ID…`: what it still has in flight
//! to instances that are not in it, then and whenever that changes, and `cut …` and `told …` for
//! its `ack`.
//! The end of the connection is the end of all it held, however it came to that.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::books::Books;
use crate::process::leave::{Leave, Leaving};

/// The directory's entries are sockets by their ends.
const SOCKET: &str = ".sock";

fn path(dir: &Path, pid: u32) -> PathBuf {
    dir.join(format!("{pid}{SOCKET}"))
}

/// How long an older process may be silent when it was asked: as long as a server waits for an
/// edge.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the last lines may take to be written.
const FINISH_TIME_MAX: Duration = Duration::from_secs(1);

/// Tells newer processes what this one holds.
pub(crate) fn tell(dir: &Path, books: Arc<Books>) -> io::Result<Teller> {
    let path = path(dir, std::process::id());
    // Another process had this number before, and is gone.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    let finish = Leaving::new();
    let finished = finish.hear();
    let task = tokio::spawn(async move {
        let mut told = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = finished.said() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    told.spawn(tell_one(stream, books.clone(), finished.clone()));
                }
                Err(why) => {
                    tracing::warn!("a newer process is not told anything: {why}");
                    break;
                }
            }
        }
        while told.join_next().await.is_some() {}
    });
    Ok(Teller { path, finish, task })
}

/// Tells; its socket goes with it.
#[derive(Debug)]
pub(crate) struct Teller {
    path: PathBuf,
    finish: Leaving,
    task: JoinHandle<()>,
}

impl Teller {
    /// Tells what there still is to tell, and ends.
    pub(crate) async fn finish(mut self) {
        self.finish.say();
        // Who does not read is not waited for.
        let _ = timeout(FINISH_TIME_MAX, &mut self.task).await;
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.task.abort();
        // It is gone with the directory, or stays until its number is used again.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn tell_one(stream: UnixStream, books: Arc<Books>, finish: Leave) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let (mut changes, mut cuts) = (books.changes(), books.cuts());
    let mut said = String::new();
    loop {
        let said_now = tokio::select! {
            biased;
            // What was cut is told before its instance is let go.
            line = cuts.recv() => line.map_or(String::new(), |line| line + "\n"),
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                let table = line.strip_prefix("table ").and_then(|text| text.parse().ok());
                if let Some(generation) = table
                    && let Err(error) = books.catch_up(generation).await
                {
                    tracing::warn!("{error}");
                }
                books.holds()
            }
            _ = changes.changed() => {
                let holds = books.holds();
                if holds == said {
                    continue;
                }
                holds
            }
            () = finish.said() => return,
        };
        if write.write_all(said_now.as_bytes()).await.is_err() {
            return;
        }
        said = said_now;
    }
}

/// Finds the older processes and hears them to their ends.
pub(crate) async fn hear_all(dir: &Path, books: &Arc<Books>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_suffix(SOCKET)?.parse().ok());
        let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else { continue };
        if books.olders().contains(&pid) {
            continue;
        }
        match UnixStream::connect(entry.path()).await {
            Ok(stream) => {
                books.older(|ledger| ledger.older_came(pid));
                tokio::spawn(hear(stream, pid, books.clone()));
            }
            // It was killed.
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = std::fs::remove_file(entry.path());
            }
            Err(why) => tracing::warn!("older process {pid} is not heard: {why}"),
        }
    }
}

async fn hear(stream: UnixStream, pid: u32, books: Arc<Books>) {
    if let Err(why) = hear_until_end(stream, pid, &books).await {
        tracing::debug!("older process {pid}: {why}");
    }
    books.older(|ledger| ledger.older_gone(pid));
}

async fn hear_until_end(stream: UnixStream, pid: u32, books: &Arc<Books>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let (mut kept, mut asked) = (books.kept(), None);
    let mut answer_due = None;
    loop {
        let generation = *kept.borrow_and_update();
        if asked != Some(generation) {
            write.write_all(format!("table {generation}\n").as_bytes()).await?;
            asked = Some(generation);
            answer_due = answer_due.or_else(|| Some(Instant::now() + ANSWER_TIME_MAX));
        }
        let late = async {
            match answer_due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let line = tokio::select! {
            _ = kept.changed() => continue,
            line = lines.next_line() => line?,
            () = late => {
                tracing::warn!("older process {pid} does not answer: nothing waits for it");
                return Err(io::ErrorKind::TimedOut.into());
            }
        };
        answer_due = None;
        let Some(line) = line else { return Ok(()) };
        if line.starts_with("cut ") || line.starts_with("told ") {
            books.cut(line);
        } else if let Some((generation, holds)) = read_holds(&line) {
            books.older(|ledger| ledger.older_holds(pid, generation, holds));
        }
    }
}

fn read_holds(line: &str) -> Option<(u64, BTreeSet<String>)> {
    let mut words = line.strip_prefix("holds ")?.split(' ');
    let generation = words.next()?.parse().ok()?;
    Some((generation, words.map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_read() {
        let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        assert_eq!(read_holds("holds 7"), Some((7, ids(&[]))));
        assert_eq!(read_holds("holds 7 web-1 web-2"), Some((7, ids(&["web-1", "web-2"]))));
        assert_eq!(read_holds("holds x"), None);
        assert_eq!(read_holds("cut web-1 3 it"), None);
    }
}
