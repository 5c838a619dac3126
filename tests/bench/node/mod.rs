//! A node that runs nothing: it serves a node's tree in a server's place, says of every instance
//! at once that it runs and is healthy, and keeps all of that over the ends of servers.
//!
//! Never: starts a process; takes time that a real node would take.

mod tree;

use ninep::dial::{Address, listen};
use ninep::{Limits, Server};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// What every image's name means.
const DIGEST: &str = "sha256:5d41402abc4b2a76b9719d911017c5925d41402abc4b2a76b9719d911017c592";
/// When everything was started, in milliseconds since 1970.
const STARTED: u64 = 1_795_000_000_000;

/// The node, which is served by a thread of its own for as long as this lives.
pub(crate) struct Node {
    desk: Arc<Desk>,
    // Ends with the node, not in whoever's runtime it is dropped.
    runtime: Option<Runtime>,
}

/// What it has, and what it has told.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    /// Bytes of events that were ever told.
    told: watch::Sender<usize>,
    /// It was told to end.
    down: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    instances: BTreeMap<String, Instance>,
    events: Vec<u8>,
    /// Instances that were ever started.
    started: usize,
}

/// One instance as it is.
#[derive(Debug, Default, Clone)]
struct Instance {
    spec: Vec<u8>,
    /// Its number among all that were started; 0 before.
    number: usize,
    runs: bool,
    ended: bool,
}

impl Node {
    /// Serves in that state directory, where a server looks for its node.
    ///
    /// # Errors
    /// The socket cannot be had.
    pub(crate) fn start(state: &Path) -> Result<Node, String> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime for a node: {error}"))?;
        let desk: Arc<Desk> = Arc::default();
        let tree = Arc::new(tree::NodeTree::new(Arc::clone(&desk)));
        let ending = Arc::clone(&desk);
        let address = Address::Unix(state.join("node.sock"));
        let (sender, listening) = std::sync::mpsc::channel();
        runtime.spawn(async move {
            match listen(&address).await {
                Ok(listener) => {
                    let _ = sender.send(Ok(()));
                    let server = Arc::new(Server::new(tree, Limits::default()));
                    let mut down = ending.down.subscribe();
                    tokio::select! {
                        _ = Arc::clone(&server).serve(listener) => {}
                        _ = down.wait_for(|down| *down) => server.stop(),
                    }
                }
                Err(error) => drop(sender.send(Err(error.to_string()))),
            }
        });
        listening.recv().map_err(|_| "the node ended at once".to_string())??;
        Ok(Node { desk, runtime: Some(runtime) })
    }

    /// The instances that run.
    pub(crate) fn running(&self) -> Vec<String> {
        let state = self.desk.lock();
        let runs = state.instances.iter().filter(|(_, one)| one.runs);
        runs.map(|(id, _)| id.clone()).collect()
    }

    /// Instances that were ever started.
    pub(crate) fn started(&self) -> usize {
        self.desk.lock().started
    }

    /// Each of them has a probe answered otherwise than before.
    pub(crate) fn probed(&self, ids: &[String]) {
        self.desk.tell(ids.iter().map(|id| format!("probe {id} answer=204")));
    }

    /// A collection has ended: a line that the server passes on to whoever follows its events.
    pub(crate) fn swept(&self) {
        self.desk.tell(["swept images count=0 bytes=0".to_string()]);
    }

    /// Each of them ends by itself.
    pub(crate) fn exit(&self, ids: &[String]) {
        self.desk.end(ids, 1);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells lines to whoever follows the events.
    fn tell(&self, lines: impl IntoIterator<Item = String>) {
        let mut state = self.lock();
        for line in lines {
            let line = format!("1 {STARTED} {line}\n");
            state.events.extend_from_slice(line.as_bytes());
        }
        let end = state.events.len();
        drop(state);
        self.told.send_replace(end);
    }

    /// Has an instance run; one that was started before is not started again.
    fn start(&self, id: &str) {
        let mut state = self.lock();
        let number = state.started + 1;
        let Some(one) = state.instances.get_mut(id).filter(|one| one.number == 0) else { return };
        (one.number, one.runs) = (number, true);
        let at = address(number);
        state.started = number;
        drop(state);
        self.tell([
            format!("started {id} pid={number} address={at} port=8080"),
            format!("healthy {id} ms=1"),
        ]);
    }

    fn end(&self, ids: &[String], code: i32) {
        let mut state = self.lock();
        let mut lines = Vec::new();
        for id in ids {
            if let Some(one) = state.instances.get_mut(id).filter(|one| one.runs) {
                (one.runs, one.ended) = (false, true);
                lines.push(format!("exited {id} code={code} oom=false"));
            }
        }
        drop(state);
        self.tell(lines);
    }

    fn remove(&self, id: &str) {
        self.end(&[id.to_string()], 137);
        self.lock().instances.remove(id);
        self.tell([format!("removed {id}")]);
    }
}

impl Instance {
    /// Its `status`.
    fn status(&self) -> String {
        let state = match (self.runs, self.ended) {
            (true, _) => "running",
            (false, true) => "exited",
            (false, false) => "new",
        };
        let (pid, at) = (self.number, address(self.number));
        let (health, exit) = (if self.runs { "healthy" } else { "none" }, self.ended as u8);
        let exit = if self.ended { exit.to_string() } else { String::new() };
        format!(
            "state={state}\npid={pid}\naddress={at}\nport=8080\nhealth={health}\nprobe=200\n\
             started={STARTED}\nexit={exit}\nsignal=\noom=false\nreason=\npermanent=false\n"
        )
    }
}

/// Where the instance of that number is reached.
fn address(number: usize) -> String {
    format!("10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255)
}
