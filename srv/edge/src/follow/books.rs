//! The table that is served and what is known of instances that left it: changed in one place,
//! whoever brings the table.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;

use super::glance;
use super::keep::Keep;
use super::ledger::{Ledger, Order};
use crate::error::Error;
use crate::process::front::Front;
use crate::swap::Note;

/// Lines that wait to be told once; the oldest go.
const CUTS_MAX: usize = 1024;
/// Bytes of what is told in a line: less than a server takes as one.
const TOLD_BYTES_MAX: usize = 900;
/// How long a table that is served waits for its ports before that is said.
const PORTS_TIME_MAX: Duration = Duration::from_secs(1);

/// What is known, for whoever has to tell it.
pub(crate) struct Books {
    front: Arc<Front>,
    keep: Keep,
    open: Mutex<Open>,
    /// One table is taken at a time.
    taking: tokio::sync::Mutex<()>,
    /// Counts whatever changes.
    changed: watch::Sender<u64>,
    /// The generation that is on disk.
    kept: watch::Sender<u64>,
    /// The table whose ports are all listened on, or were told of.
    settled_ports: watch::Sender<Option<u64>>,
    /// Requests of this process that were cut: lines, for newer processes.
    cut: broadcast::Sender<String>,
}

#[derive(Default)]
struct Open {
    ledger: Ledger,
    /// The text of the table; none: there was none yet.
    table: Option<Arc<str>>,
    /// Lines to be told once, each with its number.
    cuts: VecDeque<(u64, String)>,
    /// How many there ever were.
    cut_count: u64,
    refused: String,
    /// Why the table that is served could not be kept; empty: it was.
    unkept: String,
}

/// What is to be told.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) lines: Vec<String>,
    /// Those that are told once have numbers below this.
    until: u64,
}

impl Books {
    /// Books of a process that serves by `front`; nothing is served yet.
    pub(crate) fn new(front: Arc<Front>, keep: Keep) -> Books {
        let (changed, kept) = (watch::Sender::new(0), watch::Sender::new(0));
        let (open, taking) = (Mutex::default(), tokio::sync::Mutex::default());
        let (cut, settled_ports) = (broadcast::Sender::new(CUTS_MAX), watch::Sender::new(None));
        Books { front, keep, open, taking, changed, kept, settled_ports, cut }
    }

    /// Takes what an earlier process has kept: its table when it is newer than the one that is
    /// served, and who left in its time.
    pub(crate) async fn refresh(&self) {
        let _turn = self.taking.lock().await;
        let keep = self.keep.clone();
        let found = tokio::task::spawn_blocking(move || (keep.table(), keep.left())).await;
        let Ok((table, left)) = found else { return };
        let text = table.unwrap_or_else(|why| {
            tracing::warn!("the last table cannot be read: {why}");
            None
        });
        let newer = text.filter(|text| glance::generation(text) > self.generation());
        if let Some(text) = newer
            && let Err(error) = self.swap(text)
        {
            // A new one comes from the server.
            tracing::warn!("the last table is not served: {error}");
        }
        let table = self.table().unwrap_or_default();
        let here = glance::ids(&table);
        for (id, generation) in left.iter().filter(|(id, _)| !here.contains(id.as_str())) {
            self.open().ledger.remember(id, *generation);
        }
        self.kept.send_replace(self.generation().unwrap_or(0));
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves this table from now on, and keeps it for the next process.
    pub(crate) async fn take(&self, text: String) -> Result<u64, Error> {
        let _turn = self.taking.lock().await;
        self.swap(text)?;
        self.store().await
    }

    /// Tries once more to keep the table that is served.
    pub(crate) async fn keep_again(&self) -> Result<u64, Error> {
        let _turn = self.taking.lock().await;
        self.store().await
    }

    /// Keeps the table that is served for the next process; gives its generation.
    async fn store(&self) -> Result<u64, Error> {
        let generation = self.generation().unwrap_or(0);
        let (keep, table) = (self.keep.clone(), self.table().unwrap_or_default());
        let mut left = Vec::new();
        left.extend(self.open().ledger.left().map(|(id, first)| (id.to_owned(), first)));
        let stored = tokio::task::spawn_blocking(move || {
            keep.store(&table, left.iter().map(|(id, first)| (id.as_str(), *first)))
        });
        let stored = stored.await.map_err(std::io::Error::other).flatten();
        let stored = stored.map_err(Error::io("keep the table"));
        let why = stored.as_ref().err().map(Error::to_string).unwrap_or_default();
        let before = std::mem::replace(&mut self.open().unkept, why.clone());
        if stored.is_ok() {
            self.kept.send_replace(generation);
        } else if before.is_empty() {
            self.once(format!("told {why}: it is served, and not acknowledged before it is kept"));
        }
        self.bump();
        stored.map(|()| generation)
    }

    /// Whether a table is served that could not be kept.
    pub(crate) fn is_unkept(&self) -> bool {
        !self.open().unkept.is_empty()
    }

    /// Ends when no table is on its way to the disk.
    pub(crate) async fn settled(&self) {
        drop(self.taking.lock().await);
    }

    /// Serves the table that a newer process has kept, unless this one has it or a newer one.
    pub(crate) async fn catch_up(&self, generation: u64) -> Result<(), Error> {
        let _turn = self.taking.lock().await;
        if self.generation().is_some_and(|own| own >= generation) {
            return Ok(());
        }
        let keep = self.keep.clone();
        let found = tokio::task::spawn_blocking(move || keep.table()).await;
        let found = found.map_err(std::io::Error::other).flatten();
        if let Some(text) = found.map_err(Error::io("read the newer table"))? {
            self.swap(text)?;
        }
        Ok(())
    }

    /// Serves no route any more: what is in flight has its drain's time left.
    pub(crate) async fn close(&self) {
        let _turn = self.taking.lock().await;
        self.front.close_all();
        if let Err(error) = self.swap(format!("generation {}\n", u64::MAX)) {
            tracing::warn!("{error}");
        }
    }

    fn swap(&self, text: String) -> Result<u64, Error> {
        let mut open = self.open();
        let generation = match self.front.take(&text) {
            Ok(generation) => generation,
            Err(error) => {
                open.refused = error.to_string();
                return Err(error);
            }
        };
        let Open { ledger, table, refused, .. } = &mut *open;
        let before = table.take().unwrap_or_default();
        ledger.took(generation, &glance::ids(&before), &glance::ids(&text));
        *table = Some(text.into());
        refused.clear();
        drop(open);
        self.bump();
        Ok(generation)
    }

    /// Writes down what becomes of instances that left, for as long as the process lives.
    pub(crate) async fn listen(self: Arc<Self>, mut notes: mpsc::UnboundedReceiver<Note>) {
        while let Some(note) = notes.recv().await {
            match note {
                Note::Drained { id } => self.open().ledger.drained(&id),
                Note::Cut { id, count, why } => {
                    self.once(format!("cut {id} {count} {why}"));
                }
                Note::Told { text } => {
                    let text = text.replace(|c: char| c.is_control(), "?");
                    let end = text.floor_char_boundary(TOLD_BYTES_MAX);
                    self.once(format!("told {}", &text[..end]));
                }
            }
            self.bump();
        }
    }

    /// Has a line told once, by whoever speaks for the edge then.
    pub(crate) fn once(&self, line: String) {
        // Nobody newer may be there.
        let _ = self.cut.send(line.clone());
        self.cut(line);
    }

    /// What an older process has cut or tells otherwise, or this one.
    pub(crate) fn cut(&self, line: String) {
        let mut open = self.open();
        if open.cuts.len() == CUTS_MAX {
            open.cuts.pop_front();
        }
        let number = open.cut_count;
        open.cut_count += 1;
        open.cuts.push_back((number, line));
        drop(open);
        self.bump();
    }

    /// Hears of requests of this process that are cut.
    pub(crate) fn cuts(&self) -> broadcast::Receiver<String> {
        self.cut.subscribe()
    }

    /// Changes what is known of the older processes.
    pub(crate) fn older(&self, change: impl FnOnce(&mut Ledger)) {
        change(&mut self.open().ledger);
        self.bump();
    }

    /// Older processes that have not ended, what each has on its way, and whether it answers.
    pub(crate) fn olders(&self) -> Vec<(u32, u64, bool)> {
        self.open().ledger.older().collect()
    }

    /// What an older process is to be told.
    pub(crate) fn order(&self, pid: u32) -> Option<Order> {
        self.open().ledger.order(pid)
    }

    /// An older process has ended, and holds nothing; what it had counted stays.
    pub(crate) fn older_gone(&self, pid: u32) {
        self.front.fold(pid);
        self.older(|ledger| ledger.older_gone(pid));
    }

    /// What processes that are gone had counted stays: all but these.
    pub(crate) fn older_are(&self, there: &[u32]) {
        self.front.fold_but(there);
    }

    /// Lines that can be told now and were not told before. Those that no [`Books::first`] says
    /// again stay until they are said to have been [`Books::told`].
    pub(crate) fn news(&self) -> News {
        let mut open = self.open();
        // Requests are cut before their instance has drained.
        let mut lines: Vec<String> = open.cuts.iter().map(|(_, line)| line.clone()).collect();
        lines.extend(open.ledger.news(now_ms()));
        News { lines, until: open.cut_count }
    }

    /// A server has taken these.
    pub(crate) fn told(&self, news: &News) {
        self.open().cuts.retain(|(number, _)| *number >= news.until);
    }

    /// What is said first to a server: what is served and kept, and of whom it may have missed
    /// something.
    pub(crate) fn first(&self) -> Vec<String> {
        let serves = match *self.kept.borrow() {
            0 => "began 0".to_owned(),
            kept => format!("serves {kept}"),
        };
        let mut lines = vec![serves];
        lines.extend(self.open().ledger.again());
        lines
    }

    /// The generation that is served.
    pub(crate) fn generation(&self) -> Option<u64> {
        self.table().as_deref().and_then(glance::generation)
    }

    /// The text of the table that is served.
    pub(crate) fn table(&self) -> Option<Arc<str>> {
        self.open().table.clone()
    }

    /// The ports that the table wants to be listened on.
    pub(crate) fn ports(&self) -> BTreeSet<u16> {
        self.table().as_deref().map(glance::ports).unwrap_or_default()
    }

    /// All ports of that table are listened on, or it was told why not.
    pub(crate) fn ports_settled(&self, generation: Option<u64>) {
        self.settled_ports.send_if_modified(|of| std::mem::replace(of, generation) != generation);
    }

    /// Waits until that is so, or for a while: who is told that a table is served has heard of
    /// ports that are not.
    pub(crate) async fn wait_for_ports(&self, generation: u64) {
        if self.ports().is_empty() {
            return;
        }
        let mut settled = self.settled_ports.subscribe();
        // Too late, or never: the table is served all the same.
        let _ = timeout(PORTS_TIME_MAX, settled.wait_for(|of| *of == Some(generation))).await;
    }

    /// The lines that say what this process holds, for a newer one.
    pub(crate) fn holds(&self) -> String {
        let streams = self.front.flights();
        let generation = self.generation().unwrap_or(0);
        let open = self.open();
        let ids: String = open.ledger.holds().flat_map(|id| [" ", id]).collect();
        format!("streams {streams}\nholds {generation}{ids}\n")
    }

    /// Why the last table was not taken, or not kept; empty: it was.
    pub(crate) fn refused(&self) -> String {
        let open = self.open();
        if open.refused.is_empty() { open.unkept.clone() } else { open.refused.clone() }
    }

    /// Hears of whatever changes here.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The generation that is on disk, whenever it changes.
    pub(crate) fn kept(&self) -> watch::Receiver<u64> {
        self.kept.subscribe()
    }

    fn bump(&self) {
        self.changed.send_modify(|count| *count += 1);
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Access;

    #[tokio::test]
    async fn a_line_that_was_lost_on_its_way_is_said_again_and_one_that_came_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (front, _notes) =
            Front::new(Access::none(), dir.path().to_owned(), Vec::new()).unwrap();
        let books = Books::new(front, Keep::new(dir.path().to_owned()));
        books.cut("cut web-1 3 why".to_owned());
        assert_eq!(books.news().lines, ["cut web-1 3 why"]);
        let news = books.news();
        assert_eq!(news.lines, ["cut web-1 3 why"], "nobody said that it came");
        books.cut("cut web-2 1 why".to_owned());
        books.told(&news);
        assert_eq!(books.news().lines, ["cut web-2 1 why"]);
    }
}
