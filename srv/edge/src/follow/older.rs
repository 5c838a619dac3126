//! Processes of one edge beside each other: one that was followed by another goes on with what it
//! began, and the newer one speaks for both.
//!
//! Each process has a socket `STATE/edge/PID.sock`. A newer one that begins to speak for the edge
//! connects to all there are and says `table GENERATION` whenever it has kept a table; the older
//! one takes that table from the disk and says `streams COUNT`, what it has on its way, and `holds
//! GENERATION ID…`: to which instances that are not in that table, then and whenever either
//! changes; and `cut …` and `told …` for the `ack`. `end` ends it as the edge ends, `end crowd` at
//! once: there are too many. The end of the connection is the end of all it held, however it came
//! to that.

mod tell;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::books::Books;
use super::ledger::Order;

pub(crate) use tell::{Teller, Why, tell};

/// The directory's entries are sockets by their ends.
const SOCKET: &str = ".sock";

fn path(dir: &Path, pid: u32) -> PathBuf {
    dir.join(format!("{pid}{SOCKET}"))
}

/// How long an older process may be silent when it was asked: as long as a server waits for an
/// edge.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Hears the older processes, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Olders(JoinSet<()>);

impl Olders {
    /// Ends when none of them is there any more.
    pub(crate) async fn gone(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// Finds the older processes and hears them to their ends.
pub(crate) async fn hear_all(dir: &Path, books: &Arc<Books>) -> Olders {
    let (mut olders, mut there) = (Olders::default(), Vec::new());
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_suffix(SOCKET)?.parse().ok());
        let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else { continue };
        match UnixStream::connect(entry.path()).await {
            Ok(stream) => {
                there.push(pid);
                let since = entry.metadata().and_then(|found| found.modified());
                let since = since.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                let since = since.map_or(0, |since| since.as_nanos() as u64);
                books.older(|ledger| ledger.older_came(pid, since));
                olders.0.spawn(hear(stream, pid, books.clone()));
            }
            // It was killed.
            Err(why) if why.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = std::fs::remove_file(entry.path());
            }
            Err(why) => {
                there.push(pid);
                tracing::warn!("older process {pid} is not heard: {why}");
            }
        }
    }
    books.older_are(&there);
    olders
}

async fn hear(stream: UnixStream, pid: u32, books: Arc<Books>) {
    if let Err(why) = hear_until_end(stream, pid, &books).await {
        tracing::debug!("older process {pid}: {why}");
    }
    books.older_gone(pid);
}

async fn hear_until_end(stream: UnixStream, pid: u32, books: &Arc<Books>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let (mut kept, mut changes) = (books.kept(), books.changes());
    let (mut asked, mut told, mut answer_due) = (None, None, None);
    loop {
        let generation = *kept.borrow_and_update();
        if asked != Some(generation) {
            write.write_all(format!("table {generation}\n").as_bytes()).await?;
            asked = Some(generation);
            answer_due = answer_due.or_else(|| Some(Instant::now() + ANSWER_TIME_MAX));
        }
        let order = books.order(pid);
        if let Some(order) = order.filter(|_| order != told) {
            write.write_all(line(order).as_bytes()).await?;
            told = Some(order);
            answer_due = answer_due.or_else(|| Some(Instant::now() + ANSWER_TIME_MAX));
        }
        let late = async {
            match answer_due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let line = tokio::select! {
            line = lines.next_line() => line?,
            _ = kept.changed() => continue,
            _ = changes.changed() => continue,
            () = late => {
                tracing::warn!("older process {pid} does not answer: nothing waits for it");
                books.older(|ledger| ledger.older_silent(pid));
                if told == Some(Order::End) {
                    // Nor does the end of the edge.
                    return Err(io::ErrorKind::TimedOut.into());
                }
                answer_due = None;
                continue;
            }
        };
        let Some(line) = line else { return Ok(()) };
        answer_due = None;
        take(line, pid, books);
    }
}

fn line(order: Order) -> &'static str {
    match order {
        Order::End => "end\n",
        Order::Crowd => "end crowd\n",
    }
}

fn take(line: String, pid: u32, books: &Books) {
    if line.starts_with("cut ") || line.starts_with("told ") {
        books.cut(line);
    } else if let Some((generation, holds)) = read_holds(&line) {
        books.older(|ledger| ledger.older_holds(pid, generation, holds));
    } else if let Some(Ok(streams)) = line.strip_prefix("streams ").map(str::parse) {
        books.older(|ledger| ledger.older_streams(pid, streams));
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
