//! Where the tree finds what it shows, and brings what it is told.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, watch};

use crate::follow::books::Books;
use crate::process::front::Front;
use crate::process::sockets::{Place, Sockets};

/// What the tree works with.
pub(crate) struct Desk {
    name: String,
    front: Arc<Front>,
    books: Arc<Books>,
    /// How it goes with `deployfs`.
    connected: watch::Receiver<String>,
    end: mpsc::Sender<()>,
    shown: Mutex<Shown>,
    refused: Mutex<String>,
}

/// What the process says of itself: lines of `status`.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    lines: String,
}

impl Shown {
    /// Where it is reached, and whether it has a supervisor.
    pub(crate) fn of(sockets: &Sockets, kept: bool) -> Shown {
        let supervisor = if kept { nix::unistd::getppid().as_raw() } else { 0 };
        let mut lines = format!("supervisor={supervisor}\n");
        for (place, _) in sockets.there() {
            let key = match place {
                Place::Http(_) => "http",
                Place::Https(_) => "https",
                Place::Datagrams(_) => "dns",
                Place::Tcp(_) => "tcp",
                Place::Lock | Place::Up | Place::Tree | Place::Streams(_) => continue,
            };
            if let Some(address) = sockets.address(place) {
                // Writing to a string cannot fail.
                let _ = writeln!(lines, "{key}={address}");
            }
        }
        for (place, why) in sockets.missing() {
            let _ = writeln!(lines, "missing={place}: {why}");
        }
        Shown { lines }
    }
}

impl Desk {
    /// A desk; `end` hears that all is to end.
    pub(crate) fn new(
        name: String,
        front: Arc<Front>,
        books: Arc<Books>,
        connected: watch::Receiver<String>,
        end: mpsc::Sender<()>,
    ) -> Desk {
        let (shown, refused) = (Mutex::default(), Mutex::default());
        Desk { name, front, books, connected, end, shown, refused }
    }

    /// Shows this from now on.
    pub(crate) fn show(&self, shown: Shown) {
        *self.shown() = shown;
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what changes the texts.
    pub(crate) fn version(&self) -> u32 {
        *self.books.changes().borrow() as u32
    }

    /// Everything is to end.
    pub(crate) fn end(&self) {
        // Told before, it is on its way already.
        let _ = self.end.try_send(());
    }

    /// Keeps the text of a refusal, which 9P2000.L has no room for.
    pub(crate) fn refuse(&self, why: &str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = format!("{why}\n");
    }

    /// The last refusal in full.
    pub(crate) fn refused(&self) -> String {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The table that is served; empty before the first.
    pub(crate) fn routes(&self) -> String {
        self.books.table().map(|text| text.to_string()).unwrap_or_default()
    }

    /// Figures.
    pub(crate) fn metrics(&self) -> String {
        self.front.metrics()
    }

    /// Lines of `key=value`.
    pub(crate) fn status(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, of: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key}={of}");
        };
        line("build", &build());
        line("pid", &std::process::id());
        line("name", &self.name);
        line("generation", &self.books.generation().unwrap_or(0));
        line("connections", &self.front.connections());
        for (id, count) in self.front.draining() {
            line("draining", &format!("{id} {count}"));
        }
        for (pid, streams, answers) in self.books.olders() {
            let silent = if answers { "" } else { " silent" };
            line("older", &format!("{pid} streams={streams}{silent}"));
        }
        line("deployfs", &*self.connected.borrow());
        line("last_error", &self.books.refused());
        text += &self.shown().lines;
        text + &self.front.certificates() + &self.front.access() + &self.front.figures()
    }
}

/// Which build of the program this is: its version, its size and its time in nanoseconds, both in
/// hex. A digest would be the same for a copy, and would take a good part of the time in which a
/// worker has to be back.
pub(crate) fn build() -> String {
    let version = env!("CARGO_PKG_VERSION");
    std::fs::metadata("/proc/self/exe").map_or_else(
        |_| version.to_owned(),
        |found| {
            let time = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
            format!("{version}-{:x}-{time:x}", found.size())
        },
    )
}
