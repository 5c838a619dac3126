//! Plays `deployfs` for an edge: serves it tables, and hears what it says of them. It does so on a
//! thread of its own that goes before others, as what plays the instances would else be in the
//! way of a table: `deployfs` is another process.

use bytes::Bytes;
use ninep::dial::{Address, listen};
use ninep::{Answer, Error, How, Kind, Limits, Open, Server, Stat, Tree, User};
use rustix::process::setpriority_process;
use rustix::thread::gettid;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

/// The edge's name.
const NAME: &str = "main";
/// The longest that is waited for a word of the edge's.
const PATIENCE: Duration = Duration::from_secs(20);

/// The nice value of its thread.
const NICE: i32 = -15;

/// One who serves tables to an edge.
pub(crate) struct Publisher {
    /// Where it serves; none when it has ended.
    runtime: Option<Runtime>,
    tables: watch::Sender<Bytes>,
    said: mpsc::UnboundedReceiver<(String, Instant)>,
    /// Where the edge finds it.
    pub(crate) address: String,
}

impl Publisher {
    /// Serves at a socket in `dir`; has no table yet.
    ///
    /// # Errors
    /// The socket cannot be had.
    pub(crate) async fn start(dir: &Path) -> Result<Publisher, String> {
        let address = Address::Unix(dir.join("publisher"));
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().on_thread_start(|| {
            if let Err(error) = setpriority_process(Some(gettid()), NICE) {
                println!("tables wait for what plays the instances: {error}");
            }
        });
        let runtime = builder.build().map_err(|error| error.to_string())?;
        let at = address.clone();
        let listener = runtime.spawn(async move { listen(&at).await }).await;
        let listener = listener.map_err(|error| error.to_string())?;
        let listener = listener.map_err(|error| error.to_string())?;
        let (words, said) = mpsc::unbounded_channel();
        let (tables, _) = watch::channel(Bytes::new());
        let tree = Arc::new(Play { tables: tables.clone(), words });
        runtime.spawn(Arc::new(Server::new(tree, Limits::default())).serve(listener));
        Ok(Publisher { runtime: Some(runtime), tables, said, address: address.to_string() })
    }

    /// Publishes a table, which is there from the moment that is given.
    pub(crate) fn publish(&self, generation: u64, table: &str) -> Instant {
        let text = Bytes::from(format!("{table}end {generation}\n"));
        let now = Instant::now();
        self.tables.send_replace(text);
        now
    }

    /// Waits until the edge says that line; gives when it did.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn hears(&mut self, line: &str) -> Result<Instant, String> {
        let heard = tokio::time::timeout(PATIENCE, async {
            while let Some((said, when)) = self.said.recv().await {
                if said == line {
                    return Ok(when);
                }
            }
            Err("nobody says anything any more".to_owned())
        });
        heard.await.map_err(|_| format!("the edge did not say `{line}`"))?
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The tree, as far as an edge looks.
struct Play {
    tables: watch::Sender<Bytes>,
    words: mpsc::UnboundedSender<(String, Instant)>,
}

/// Its places, each in the one before but for the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spot {
    Root,
    Edges,
    Edge,
    Routes,
    Ack,
}

impl Tree for Play {
    type Node = Spot;

    fn attach(&self, _user: &User, _aname: &[u8]) -> ninep::Result<Spot> {
        Ok(Spot::Root)
    }

    fn walk(&self, at: &Spot, name: &[u8]) -> ninep::Result<Spot> {
        match (at, name) {
            (Spot::Root, b"edges") => Ok(Spot::Edges),
            (Spot::Edges, name) if name == NAME.as_bytes() => Ok(Spot::Edge),
            (Spot::Edge, b"routes") => Ok(Spot::Routes),
            (Spot::Edge, b"ack") => Ok(Spot::Ack),
            _ => Err(Error::NotFound),
        }
    }

    fn parent(&self, at: &Spot) -> Spot {
        match at {
            Spot::Root | Spot::Edges => Spot::Root,
            Spot::Edge => Spot::Edges,
            Spot::Routes | Spot::Ack => Spot::Edge,
        }
    }

    fn stat(&self, at: &Spot) -> ninep::Result<Stat> {
        let (kind, name) = match at {
            Spot::Root => (Kind::Dir, "/"),
            Spot::Edges => (Kind::Dir, "edges"),
            Spot::Edge => (Kind::Dir, NAME),
            Spot::Routes => (Kind::File, "routes"),
            Spot::Ack => (Kind::File, "ack"),
        };
        let mode = if kind == Kind::Dir { 0o755 } else { 0o600 };
        Ok(Stat::new(kind, name, *at as u64, mode))
    }

    fn entries(&self, _at: &Spot) -> ninep::Result<Vec<Stat>> {
        Ok(Vec::new())
    }

    fn open(&self, at: &Spot, _how: How, _user: &User) -> Answer<Box<dyn Open>> {
        Answer::Now(match at {
            Spot::Routes => {
                let cursor = (self.tables.subscribe(), Bytes::new(), true);
                Ok(Box::new(Tables(Arc::new(tokio::sync::Mutex::new(cursor)))))
            }
            Spot::Ack => Ok(Box::new(Ack { rest: String::new(), words: self.words.clone() })),
            Spot::Root | Spot::Edges | Spot::Edge => Err(Error::IsDir),
        })
    }
}

/// The open stream: who hears of tables, what is left of the one begun, whether it is new here.
struct Tables(Arc<tokio::sync::Mutex<(watch::Receiver<Bytes>, Bytes, bool)>>);

impl Open for Tables {
    fn read(&mut self, _offset: u64, count: u32) -> Answer<Bytes> {
        let cursor = Arc::clone(&self.0);
        Answer::later(async move {
            let (tables, rest, new) = &mut *cursor.lock().await;
            while rest.is_empty() {
                if !std::mem::take(new) && tables.changed().await.is_err() {
                    return Ok(Bytes::new());
                }
                *rest = tables.borrow_and_update().clone();
            }
            Ok(rest.split_to(rest.len().min(count as usize)))
        })
    }

    fn stream(&self) -> bool {
        true
    }
}

/// The open `ack`, with a line that has not ended.
struct Ack {
    rest: String,
    words: mpsc::UnboundedSender<(String, Instant)>,
}

impl Open for Ack {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let now = Instant::now();
        self.rest.push_str(&String::from_utf8_lossy(data));
        while let Some((line, rest)) = self.rest.split_once('\n') {
            // Nobody listens any more when the measurement has ended.
            let _ = self.words.send((line.to_owned(), now));
            self.rest = rest.to_owned();
        }
        Answer::Now(Ok(data.len() as u32))
    }
}
