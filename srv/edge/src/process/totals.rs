//! What all processes of an edge have counted, so that no figure begins anew with a process.
//!
//! Each writes its own to `STATE/edge/PID.counts`: soon after they change, and before anybody is
//! told them. Those of processes that are gone are added up in `STATE/edge/past`, by the one that
//! speaks for the edge. What is told is the sum of all.
//!
//! Law: what was told once is on disk, so that a figure never goes down but with the whole edge.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::live::Live;
use crate::metrics::Counts;

/// How old what is on disk may be when a process is killed, where it is written in 20 ms; that of
/// ten thousand routes takes longer, and is older.
pub(crate) const WRITE_EVERY: Duration = Duration::from_secs(1);
/// So many times as long as a write took, there is none: it takes a fiftieth of a core at most.
pub(crate) const RESTS: u32 = 50;
/// The files of processes by their ends.
const COUNTS: &str = ".counts";
/// The sum of those that are gone. Its first line says which of them was added last.
const PAST: &str = "past";

/// The files of one edge, and what this process has written.
#[derive(Debug)]
pub(crate) struct Totals {
    dir: PathBuf,
    pid: u32,
    own: Mutex<Own>,
}

#[derive(Debug, Default)]
struct Own {
    counts: Counts,
    /// What no other process has: numbers of processes come again.
    mark: String,
    written: String,
    ended: bool,
}

impl Totals {
    /// Those in the edge's own directory.
    pub(crate) fn new(dir: PathBuf) -> Totals {
        Totals::of(dir, std::process::id())
    }

    fn of(dir: PathBuf, pid: u32) -> Totals {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let own = Own { mark: format!("of\t{pid}-{}\n", now.as_nanos()), ..Own::default() };
        Totals { dir, pid, own: Mutex::new(own) }
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what this process has counted, if that has changed.
    pub(crate) fn write(&self, live: &Live, rest: &str, flights: u64) {
        let mut own = self.own();
        if own.ended {
            return;
        }
        own.counts.update(live, rest, flights);
        let text = format!("{}{}", own.mark, own.counts);
        if text != own.written {
            self.put(&self.path(self.pid), &text);
            own.written = text;
        }
    }

    /// Writes that this process has come to its end, and what it had counted then.
    pub(crate) fn end(&self, live: &Live, rest: &str) {
        self.write(live, rest, 0);
        let mut own = self.own();
        own.ended = true;
        let text = format!("{}ended\n", own.written);
        self.put(&self.path(self.pid), &text);
    }

    /// What all others have counted, those that are there and those that are gone.
    pub(crate) fn others(&self) -> Counts {
        let pids = self.processes().into_iter().filter(|pid| *pid != self.pid);
        let read = |pid| fs::read_to_string(self.path(pid)).unwrap_or_default();
        let texts: Vec<String> = pids.map(read).collect();
        // The sum last: one that is added to it meanwhile is missed in neither place.
        let past = fs::read_to_string(self.dir.join(PAST)).unwrap_or_default();
        let mut others = Counts::read(&past);
        for text in texts.iter().filter(|text| !is_in(&past, text)) {
            others.add(&Counts::read(text), false);
        }
        others
    }

    /// What a process that is gone has counted is part of the sum from now on. Only the process
    /// that speaks for the edge may do that.
    pub(crate) fn fold(&self, pid: u32, live: &Live) {
        // One file at a time is written.
        let _own = self.own();
        let Ok(text) = fs::read_to_string(self.path(pid)) else { return };
        let before = fs::read_to_string(self.dir.join(PAST)).unwrap_or_default();
        if !is_in(&before, &text) {
            let mut past = Counts::read(&before);
            past.add(&Counts::read(&text), true);
            if live.table.generation > 0 {
                past.prune(live);
            }
            let mark = text.lines().next().unwrap_or_default();
            if !self.put(&self.dir.join(PAST), &format!("{mark}\n{past}")) {
                return;
            }
        }
        let _ = fs::remove_file(self.path(pid));
    }

    /// The same for every process but this and those.
    pub(crate) fn fold_but(&self, there: &[u32], live: &Live) {
        let gone = |pid: &u32| *pid != self.pid && !there.contains(pid);
        self.processes().into_iter().filter(gone).for_each(|pid| self.fold(pid, live));
    }

    /// The edge ends, and its figures with it.
    pub(crate) fn forget(&self) {
        self.own().ended = true;
        let counts = self.processes().into_iter().map(|pid| self.path(pid));
        for path in counts.chain([self.dir.join(PAST)]) {
            // It is not there.
            let _ = fs::remove_file(path);
        }
    }

    fn path(&self, pid: u32) -> PathBuf {
        path(&self.dir, pid)
    }

    fn processes(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_suffix(COUNTS)?.parse().ok()).collect()
    }

    /// The whole file or the one before; whether it could be written.
    fn put(&self, path: &Path, text: &str) -> bool {
        let new = self.dir.join(format!("{}.new", self.pid));
        let put = fs::write(&new, text).and_then(|()| fs::rename(&new, path));
        if let Err(why) = &put {
            // The disk is full, or the directory gone: figures are not what is served.
            tracing::debug!("{}: {why}", path.display());
        }
        put.is_ok()
    }
}

fn path(dir: &Path, pid: u32) -> PathBuf {
    dir.join(format!("{pid}{COUNTS}"))
}

/// Whether the sum was written when it had these already.
fn is_in(past: &str, counts: &str) -> bool {
    past.lines().next().is_some_and(|mark| counts.lines().next() == Some(mark))
}

/// Whoever kept a process that was killed says how many requests that had on their way, which is
/// more than its own last word. Nothing comes of it when another has counted it already.
pub(crate) fn killed(dir: &Path, pid: u32, flights: u64) -> io::Result<()> {
    let mut file = File::options().append(true).open(path(dir, pid))?;
    file.write_all(format!("killed\t{flights}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    const KILLED: &str = "deploy_requests_cut_total{reason=\"killed\"}";
    const FAILED: &str = "deploy_handshakes_failed_total";

    fn failed(count: u64) -> String {
        format!("{FAILED} {count}\n")
    }

    #[test]
    fn figures_go_on_over_the_ends_of_processes_and_each_is_counted_once() {
        let dir = tempfile::tempdir().unwrap();
        let live = Live::of(Table::default(), None, 1);
        let of = |pid| Totals::of(dir.path().to_owned(), pid);
        let (first, second, third) = (of(1), of(2), of(3));
        first.write(&live, &failed(4), 2);
        second.write(&live, &failed(10), 3);
        let told = |totals: &Totals| {
            let others = totals.others();
            (others.plain(FAILED), others.plain(KILLED), others.flights)
        };
        assert_eq!(told(&third), (14, 0, 5));
        // One ends by itself, the other is killed.
        first.end(&live, &failed(5));
        killed(dir.path(), 2, 1).unwrap();
        assert_eq!(told(&third), (15, 1, 0));
        let counted = fs::read(path(dir.path(), 1)).unwrap();
        third.fold(1, &live);
        // It was killed when it had added one up and not removed it.
        fs::write(path(dir.path(), 1), counted).unwrap();
        assert_eq!(told(&third), (15, 1, 0));
        third.fold_but(&[2], &live);
        assert_eq!(told(&third), (15, 1, 0));
        third.fold_but(&[], &live);
        assert_eq!(told(&third), (15, 1, 0));
        assert!(killed(dir.path(), 2, 9).is_err(), "it was counted");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        third.forget();
        assert_eq!(told(&third), (0, 0, 0));
    }

    #[test]
    fn what_is_not_told_any_more_stays_counted() {
        let dir = tempfile::tempdir().unwrap();
        let live = Live::of(Table::default(), None, 1);
        let (one, other) =
            (Totals::of(dir.path().to_owned(), 1), Totals::of(dir.path().to_owned(), 2));
        one.write(&live, &failed(4), 0);
        one.end(&live, "");
        one.write(&live, &failed(9), 0);
        assert_eq!(other.others().plain(FAILED), 4);
    }
}
