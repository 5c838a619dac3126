//! The files of `deployfs` that an edge uses: `edges/<name>/routes` gives the tables, `ack` keeps
//! the lines that are written.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ninep::dial::{Address, listen};
use ninep::tree::Created;
use ninep::{Answer, Error, How, Kind, Limits, NewFile, Open, Result, Server, Stat, Tree, User};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::trial::WAIT_MAX;

/// A server that can be stopped and started again.
pub(crate) struct Deployfs {
    runtime: Runtime,
    serving: Arc<Server<Files>>,
    files: Files,
}

#[derive(Clone)]
struct Files(Arc<Inside>);

struct Inside {
    table: watch::Sender<Option<String>>,
    acks: Mutex<Vec<String>>,
    acked: watch::Sender<()>,
    /// How often `ack` is open now, and was at most.
    open: Mutex<(u32, u32)>,
    made: Mutex<bool>,
}

impl Deployfs {
    /// Serves in the state directory.
    pub(crate) fn start(state: &Path) -> Deployfs {
        let inside = Inside {
            table: watch::Sender::new(None),
            acks: Mutex::default(),
            acked: watch::Sender::new(()),
            open: Mutex::default(),
            made: Mutex::new(false),
        };
        let files = Files(Arc::new(inside));
        let runtime = Runtime::new().unwrap();
        let serving = Arc::new(Server::new(Arc::new(files.clone()), Limits::default()));
        let address = Address::Unix(state.join("server.sock"));
        let listener = runtime.block_on(listen(&address)).unwrap();
        runtime.spawn(serving.clone().serve(listener));
        Deployfs { runtime, serving, files }
    }

    /// Publishes a table: its generation and its lines.
    pub(crate) fn publish(&self, generation: u64, lines: &[String]) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let text = format!("generation {generation}\n{text}end {generation}\n");
        self.files.0.table.send_replace(Some(text));
    }

    /// Waits until that line was written to `ack`, after the first `from` ones; gives how many
    /// were written up to it.
    pub(crate) fn wait_for(&self, from: usize, line: &str) -> usize {
        let mut acked = self.files.0.acked.subscribe();
        let found = || {
            let acks = self.files.0.acks.lock().unwrap();
            acks.iter().skip(from).position(|ack| ack == line).map(|at| from + at + 1)
        };
        let wait = async {
            loop {
                if let Some(found) = found() {
                    return found;
                }
                acked.changed().await.unwrap();
            }
        };
        let limited = async { tokio::time::timeout(WAIT_MAX, wait).await };
        let waited = self.runtime.block_on(limited);
        waited.unwrap_or_else(|_| panic!("no `{line}` after {from} of {:?}", self.said()))
    }

    /// All lines that were written.
    pub(crate) fn said(&self) -> Vec<String> {
        self.files.0.acks.lock().unwrap().clone()
    }

    /// The most that ever had `ack` open at the same time.
    pub(crate) fn most_open(&self) -> u32 {
        self.files.0.open.lock().unwrap().1
    }

    /// Ends, with all its connections.
    pub(crate) fn stop(self) {
        self.serving.stop();
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

const ROOT: u8 = 0;
const EDGES: u8 = 1;
const EDGE: u8 = 2;
const ACK: u8 = 3;
const ROUTES: u8 = 4;

impl Tree for Files {
    type Node = u8;

    fn attach(&self, _: &User, _: &[u8]) -> Result<u8> {
        Ok(ROOT)
    }

    fn walk(&self, at: &u8, name: &[u8]) -> Result<u8> {
        match (*at, name) {
            (ROOT, b"edges") => Ok(EDGES),
            (EDGES, b"main") if *self.0.made.lock().unwrap() => Ok(EDGE),
            (EDGE, b"ack") => Ok(ACK),
            (EDGE, b"routes") => Ok(ROUTES),
            _ => Err(Error::NotFound),
        }
    }

    fn parent(&self, at: &u8) -> u8 {
        if *at <= EDGES { ROOT } else { (*at - 1).min(EDGE) }
    }

    fn stat(&self, at: &u8) -> Result<Stat> {
        let (kind, name, mode) = match *at {
            ROOT => (Kind::Dir, "/", 0o555),
            EDGES => (Kind::Dir, "edges", 0o755),
            EDGE => (Kind::Dir, "main", 0o555),
            ACK => (Kind::File, "ack", 0o200),
            _ => (Kind::File, "routes", 0o400),
        };
        let mut stat = Stat::new(kind, name, u64::from(*at), mode);
        stat.uid = nix::unistd::geteuid().as_raw();
        Ok(stat)
    }

    fn entries(&self, _: &u8) -> Result<Vec<Stat>> {
        Ok(Vec::new())
    }

    fn create(&self, _: &u8, name: &[u8], new: NewFile, _: How, _: &User) -> Answer<Created<u8>> {
        assert!(name == b"main" && new.dir);
        let first = !std::mem::replace(&mut *self.0.made.lock().unwrap(), true);
        Answer::Now(if first { Ok((EDGE, None)) } else { Err(Error::Exists) })
    }

    fn open(&self, at: &u8, _: How, _: &User) -> Answer<Box<dyn Open>> {
        if *at == ACK {
            let mut open = self.0.open.lock().unwrap();
            *open = (open.0 + 1, open.1.max(open.0 + 1));
            return Answer::Now(Ok(Box::new(Ack(self.clone()))));
        }
        let mut tables = self.0.table.subscribe();
        tables.mark_changed();
        Answer::Now(Ok(Box::new(Routes(Arc::new(tokio::sync::Mutex::new(Rest {
            tables,
            rest: VecDeque::new(),
        }))))))
    }
}

struct Ack(Files);

impl Open for Ack {
    fn write(&mut self, _: u64, data: &[u8]) -> Answer<u32> {
        let text = String::from_utf8(data.to_vec()).unwrap();
        assert!(text.ends_with('\n'), "a line that is not whole: {text:?}");
        self.0.0.acks.lock().unwrap().extend(text.lines().map(str::to_owned));
        self.0.0.acked.send_replace(());
        Answer::Now(Ok(data.len() as u32))
    }

    fn close(&mut self) -> Answer<()> {
        self.0.0.open.lock().unwrap().0 -= 1;
        self.0.0.acked.send_replace(());
        Answer::Now(Ok(()))
    }
}

struct Routes(Arc<tokio::sync::Mutex<Rest>>);

struct Rest {
    tables: watch::Receiver<Option<String>>,
    rest: VecDeque<u8>,
}

impl Open for Routes {
    fn read(&mut self, _: u64, count: u32) -> Answer<Bytes> {
        let rest = self.0.clone();
        Answer::later(async move {
            let mut rest = rest.lock().await;
            while rest.rest.is_empty() {
                rest.tables.changed().await.map_err(|_| Error::Interrupted)?;
                let table = rest.tables.borrow_and_update().clone();
                rest.rest.extend(table.unwrap_or_default().bytes());
            }
            let count = rest.rest.len().min(count as usize);
            Ok(rest.rest.drain(..count).collect::<Vec<u8>>().into())
        })
    }

    fn stream(&self) -> bool {
        true
    }
}
