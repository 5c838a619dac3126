//! Following `deployfs`: its tables in, what became of them out.

pub(crate) mod ahead;
pub(crate) mod books;
mod glance;
pub(crate) mod keep;
pub(crate) mod ledger;
pub(crate) mod older;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ninep::client::{Client, ClientError, File, Mode};
use ninep::dial::Address;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use ahead::Ahead;
use books::Books;
use stream::Tables;

/// The shortest rest before a server that does not answer is asked again.
const AGAIN_MS_MIN: u64 = 20;
/// The longest: much less than the time after which a server goes on without an edge.
const AGAIN_MS_MAX: u64 = 500;
/// How soon it is tried again to keep a table: a few times before a server goes on without us.
const KEEP_AGAIN: Duration = Duration::from_secs(1);
/// How much of a table is asked for at once.
const READ_BYTES: u32 = 1 << 20;
/// Bytes of lines that are written at once.
const WRITE_BYTES_MAX: usize = 4096;

/// Why a connection came to its end.
#[derive(Debug, thiserror::Error)]
enum Lost {
    /// The server refused something, or is gone.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// The stream of tables makes no sense.
    #[error("{0}")]
    Strange(String),
}

/// The one who follows, for as long as this process is the one that speaks for the edge.
pub(crate) struct Follower {
    books: Arc<Books>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Follower {
    /// Begins to follow, as the edge `name`; `state` says how it goes.
    pub(crate) fn start(
        ahead: &Ahead,
        books: Arc<Books>,
        servers: Vec<Address>,
        name: String,
        state: watch::Sender<String>,
    ) -> Follower {
        let stop = watch::Sender::new(false);
        let follow = Follow { books: books.clone(), servers, name, state };
        let task = ahead.spawn(follow.run(stop.subscribe()));
        Follower { books, stop, task }
    }

    /// Ends it: afterwards nothing of it is on its way to the disk or to the server.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        // It panicked, or its runtime ends: either way it has ended.
        let _ = self.task.await;
        self.books.settled().await;
    }
}

struct Follow {
    books: Arc<Books>,
    servers: Vec<Address>,
    name: String,
    state: watch::Sender<String>,
}

impl Follow {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut rest_ms = AGAIN_MS_MIN;
        loop {
            // Whatever it waits for: a server that hangs holds up no take-over.
            let lost = tokio::select! {
                lost = self.connection(&mut rest_ms) => lost,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            let why = match lost {
                Ok(never) => match never {},
                Err(lost) => lost.to_string(),
            };
            if *self.state.borrow() != why {
                tracing::warn!("{why}");
            }
            self.state.send_replace(why);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = sleep(Duration::from_millis(rest_ms)) => {}
            }
            rest_ms = (rest_ms * 2).min(AGAIN_MS_MAX);
        }
    }

    /// One life of a connection.
    async fn connection(&self, rest_ms: &mut u64) -> Result<Infallible, Lost> {
        let client = self.dial().await?;
        let place = format!("edges/{}", self.name);
        match client.mkdir(&place).await {
            // It is there from before.
            Ok(()) | Err(ClientError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // Who reads the tables is the edge: only what it says then is taken.
        let mut stream = client.open(&format!("{place}/routes"), Mode::Read).await?;
        let mut ack = Ack { file: client.open(&format!("{place}/ack"), Mode::Write).await?, at: 0 };
        let mut changes = self.books.changes();
        ack.write(&self.books.first()).await?;
        self.state.send_replace("connected".to_owned());
        *rest_ms = AGAIN_MS_MIN;
        let mut tables = Tables::default();
        let mut again = Instant::now();
        loop {
            let news = self.books.news();
            ack.write(&news.lines).await?;
            self.books.told(&news);
            let bytes = tokio::select! {
                _ = changes.changed() => continue,
                bytes = stream.read_next(READ_BYTES) => bytes?,
                () = sleep_until(again), if self.books.is_unkept() => {
                    again = Instant::now() + KEEP_AGAIN;
                    self.keep_again(&mut ack).await?;
                    continue;
                }
            };
            if bytes.is_empty() {
                return Err(Lost::Strange("its tables ended".to_owned()));
            }
            // Only the newest: what is between would be served for no time at all.
            if let Some(text) = tables.take(&bytes).map_err(Lost::Strange)?.pop() {
                let books = self.books.clone();
                // A task of its own: a table that is half taken is nobody's.
                let taken = tokio::spawn(async move { books.take(text).await }).await;
                match taken.map_err(|_| Lost::Strange("a table cannot be taken".to_owned()))? {
                    Ok(generation) => {
                        self.books.wait_for_ports(generation).await;
                        let news = self.books.news();
                        // What it cannot do of a table is known before it says that it serves it.
                        let words = news.lines.iter().cloned();
                        let (told, rest): (Vec<_>, Vec<_>) =
                            words.partition(|line| line.starts_with("told "));
                        ack.write(&told).await?;
                        ack.write(&[format!("serves {generation}")]).await?;
                        ack.write(&rest).await?;
                        self.books.told(&news);
                    }
                    Err(error) => tracing::warn!("a table is not taken: {error}"),
                }
                again = Instant::now() + KEEP_AGAIN;
            }
        }
    }

    /// Keeps the table that could not be kept, if that goes by now.
    async fn keep_again(&self, ack: &mut Ack) -> Result<(), Lost> {
        let books = self.books.clone();
        // A task of its own, too: what is half written is awaited at the end.
        let kept = tokio::spawn(async move { books.keep_again().await }).await;
        if let Ok(Ok(generation)) = kept {
            ack.write(&[format!("serves {generation}")]).await?;
        }
        Ok(())
    }

    async fn dial(&self) -> Result<Client, ClientError> {
        let mut failed = ClientError::Unreachable("no server is known: give -s".to_owned());
        for address in &self.servers {
            match Client::dial(address, "").await {
                Ok(client) => return Ok(client),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// The open `ack`.
struct Ack {
    file: File,
    at: u64,
}

impl Ack {
    /// Writes whole lines, as many as fit at a time.
    async fn write(&mut self, lines: &[String]) -> Result<(), ClientError> {
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            text.push_str(line);
            text.push('\n');
            let next = lines.get(number + 1);
            if next.is_none_or(|next| text.len() + next.len() >= WRITE_BYTES_MAX) {
                let taken = self.file.write_at(self.at, text.as_bytes()).await?;
                if taken as usize != text.len() {
                    let (path, sent) = ("ack".to_owned(), text.len() as u64);
                    return Err(ClientError::Short { path, taken: taken.into(), sent });
                }
                self.at += text.len() as u64;
                text.clear();
            }
        }
        Ok(())
    }
}
