//! What a process tells newer ones, and what they tell it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{Books, path};
use crate::process::leave::{Leave, Leaving};

/// How long the last lines may take to be written.
const FINISH_TIME_MAX: Duration = Duration::from_secs(1);
/// How soon what is on its way is told when nothing else is.
const STREAMS_EVERY: Duration = Duration::from_secs(1);
/// How long nobody may speak for the edge before it has ended for good: many times as long as
/// one that fails rests before it is started again.
const ALONE_TIME_MAX: Duration = Duration::from_secs(60);

/// Why a process that was followed is to end what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The edge ends.
    End,
    /// There are too many, and it is the oldest.
    Crowd,
    /// Nobody has spoken for the edge for long.
    Alone,
}

/// Tells newer processes what this one holds.
pub(crate) fn tell(dir: &Path, books: Arc<Books>) -> io::Result<Teller> {
    let path = path(dir, std::process::id());
    // Another process had this number before, and is gone.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    let finish = Leaving::new();
    let (finished, heard) = (finish.hear(), watch::Sender::new(Heard::default()));
    let newer = heard.clone();
    let task = tokio::spawn(async move {
        let mut told = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = finished.said() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let newer = Newer::of(&newer);
                    told.spawn(tell_one(stream, books.clone(), finished.clone(), newer));
                }
                Err(why) => {
                    tracing::warn!("a newer process is not told anything: {why}");
                    break;
                }
            }
        }
        while told.join_next().await.is_some() {}
    });
    Ok(Teller { path, finish, task, heard: heard.subscribe() })
}

/// What newer processes said.
#[derive(Debug, Default)]
struct Heard {
    /// How many there are that hear.
    newer: usize,
    end: Option<Why>,
}

/// A newer process, counted for as long as it hears.
struct Newer(watch::Sender<Heard>);

impl Newer {
    fn of(heard: &watch::Sender<Heard>) -> Newer {
        heard.send_modify(|heard| heard.newer += 1);
        Newer(heard.clone())
    }

    fn end(&self, why: Why) {
        self.0.send_modify(|heard| heard.end = Some(why));
    }
}

impl Drop for Newer {
    fn drop(&mut self) {
        self.0.send_modify(|heard| heard.newer -= 1);
    }
}

/// Tells; its socket goes with it.
#[derive(Debug)]
pub(crate) struct Teller {
    path: PathBuf,
    finish: Leaving,
    task: JoinHandle<()>,
    heard: watch::Receiver<Heard>,
}

impl Teller {
    /// Waits until what is on its way is to end: a newer process says so, or there is none.
    pub(crate) async fn end(&mut self) -> Why {
        loop {
            let Heard { newer, end } = *self.heard.borrow_and_update();
            if let Some(why) = end {
                return why;
            }
            tokio::select! {
                _ = self.heard.changed() => {}
                () = sleep(ALONE_TIME_MAX), if newer == 0 => return Why::Alone,
            }
        }
    }

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

async fn tell_one(stream: UnixStream, books: Arc<Books>, finish: Leave, newer: Newer) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let (mut changes, mut cuts) = (books.changes(), books.cuts());
    let mut every = interval(STREAMS_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = String::new();
    loop {
        let (said_now, asked) = tokio::select! {
            biased;
            // What was cut is told before its instance is let go.
            line = cuts.recv() => {
                let Ok(line) = line else { continue };
                if write.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                    return;
                }
                continue;
            }
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                obey(&line, &books, &newer).await;
                (books.holds(), true)
            }
            _ = changes.changed() => (books.holds(), false),
            _ = every.tick() => (books.holds(), false),
            () = finish.said() => return,
        };
        if said_now == said && !asked {
            continue;
        }
        if write.write_all(said_now.as_bytes()).await.is_err() {
            return;
        }
        said = said_now;
    }
}

async fn obey(line: &str, books: &Books, newer: &Newer) {
    match line.split_once(' ') {
        Some(("table", generation)) => {
            if let Ok(generation) = generation.parse()
                && let Err(error) = books.catch_up(generation).await
            {
                tracing::warn!("{error}");
            }
        }
        Some(("end", "crowd")) => newer.end(Why::Crowd),
        None if line == "end" => newer.end(Why::End),
        Some(_) | None => tracing::warn!("a newer process said `{line}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_is_waited_for_when_nobody_has_spoken_for_the_edge_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let heard = watch::Sender::new(Heard::default());
        let task = tokio::spawn(std::future::pending());
        let path = dir.path().join("sock");
        let mut teller = Teller { path, finish: Leaving::new(), task, heard: heard.subscribe() };
        let first = Newer::of(&heard);
        let long = 100 * ALONE_TIME_MAX;
        assert!(timeout(long, teller.end()).await.is_err(), "there is one");
        drop(first);
        assert!(timeout(ALONE_TIME_MAX / 2, teller.end()).await.is_err());
        let next = Newer::of(&heard);
        assert!(timeout(long, teller.end()).await.is_err());
        drop(next);
        assert_eq!(timeout(long, teller.end()).await, Ok(Why::Alone));
        Newer::of(&heard).end(Why::Crowd);
        assert_eq!(teller.end().await, Why::Crowd);
    }
}
