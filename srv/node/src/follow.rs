//! Following a shim: its words become facts, orders become lines to it, probes run while its
//! program does. A shim that goes away without a word is cleaned up after.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::conn::Conn;
use crate::exe::last_words;
use crate::fact::{Fact, Order};
use crate::id::Id;
use crate::means::Means;
use crate::net::Lease;
use crate::probing::{Ask, Probing};
use crate::process;
use crate::record;
use crate::spec::Spec;
use crate::wire::{Asked, Line, Ran, Request, Said};

/// How long a shim may take until it answers at its socket.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(30);
/// Pauses between tries: a shim is there a few milliseconds after its spawn.
const CONNECT_PAUSE: Duration = Duration::from_millis(2);
/// The longest of them.
const CONNECT_PAUSE_MAX: Duration = Duration::from_millis(50);
/// What a shim may take for a kill and for cleaning up; then it is killed and cleaned up after.
const CLEAN_TIME_MAX: Duration = Duration::from_secs(30);
/// Commands of probes that wait for the shim; there is one prober.
const ASKS_MAX: usize = 4;

/// A shim that was started or found.
#[derive(Debug)]
pub(crate) struct Shim {
    /// The spec as the shim got it.
    pub(crate) spec: Arc<Spec>,
    /// The instance's place in the network, given back at the end.
    pub(crate) lease: Lease,
    /// The process, when it is this one's child.
    pub(crate) child: Option<Child>,
    /// The turn to make a container, given back when it is made.
    pub(crate) turn: Option<OwnedSemaphorePermit>,
    /// What the probes said under an earlier node.
    pub(crate) healthy: Option<bool>,
}

/// One shim being followed.
pub(crate) struct Follow {
    means: Arc<Means>,
    id: Id,
    dir: PathBuf,
    shim: Shim,
    orders: mpsc::Receiver<Order>,
    asks: (mpsc::Sender<Ask>, mpsc::Receiver<Ask>),
    /// Probes' commands that the shim has not answered, by number.
    asked: HashMap<u64, oneshot::Sender<Ran>>,
    number: u64,
    /// The prober, while the program runs; dropped with this.
    probes: JoinSet<()>,
    /// The end has been said.
    ended: bool,
    /// When the shim must have hung up.
    deadline: Option<Instant>,
}

/// What can come next.
enum Heard {
    Line(Option<Line>),
    Order(Order),
    Ask(Ask),
    Overdue,
}

impl Follow {
    pub(crate) fn new(
        means: Arc<Means>,
        id: Id,
        shim: Shim,
        orders: mpsc::Receiver<Order>,
    ) -> Follow {
        Follow {
            dir: means.dirs.instance(&id),
            means,
            id,
            shim,
            orders,
            asks: mpsc::channel(ASKS_MAX),
            asked: HashMap::new(),
            number: 0,
            probes: JoinSet::new(),
            ended: false,
            deadline: None,
        }
    }

    /// Follows until nothing of the instance is left but its directory and its place in the
    /// network, which it gives back.
    pub(crate) async fn run(mut self) -> Lease {
        let clean = match self.connect().await {
            Some(conn) => self.listen(conn).await,
            None => false,
        };
        self.probes.abort_all();
        if !clean || !self.ended {
            self.clean_up().await;
        }
        if let Some(child) = &mut self.shim.child
            && timeout(CLEAN_TIME_MAX, child.wait()).await.is_err()
        {
            tracing::warn!("{}: its shim hung up and does not end", self.id);
        }
        self.shim.lease
    }

    /// The connection; none when there is no shim to have one with.
    async fn connect(&mut self) -> Option<Conn> {
        let (until, mut pause) = (Instant::now() + CONNECT_TIME_MAX, CONNECT_PAUSE);
        while Instant::now() < until {
            if let Ok(conn) = Conn::open(&self.dir).await {
                return Some(conn);
            }
            match &mut self.shim.child {
                Some(child) => {
                    if timeout(pause, child.wait()).await.is_ok() {
                        return None;
                    }
                }
                None => {
                    process::shim(&self.dir)?;
                    sleep(pause).await;
                }
            }
            pause = (pause * 2).min(CONNECT_PAUSE_MAX);
        }
        None
    }

    /// Listens and passes on until the shim hangs up; false when it was not waited for.
    async fn listen(&mut self, mut conn: Conn) -> bool {
        loop {
            let late = self.deadline.unwrap_or_else(Instant::now);
            let heard = tokio::select! {
                line = conn.line() => Heard::Line(line),
                Some(order) = self.orders.recv() => Heard::Order(order),
                Some(ask) = self.asks.1.recv() => Heard::Ask(ask),
                () = sleep_until(late), if self.deadline.is_some() => Heard::Overdue,
            };
            let sent = match heard {
                Heard::Line(Some(line)) => {
                    self.hear(line).await;
                    Ok(())
                }
                Heard::Line(None) => return true,
                Heard::Order(order) => self.order(&mut conn, order).await,
                Heard::Ask(Ask { argv, timeout_ms, answer }) => {
                    self.number += 1;
                    self.asked.retain(|_, answer| !answer.is_closed());
                    self.asked.insert(self.number, answer);
                    let order = Asked::Exec { argv: &argv, timeout_ms };
                    conn.send(&Request { n: Some(self.number), order }).await
                }
                Heard::Overdue => return false,
            };
            if let Err(why) = sent {
                // Either the shim is gone, then its last words are still to be read, or it does
                // not take anything in any more, then it is no use.
                tracing::debug!("{}: cannot talk to its shim: {why}", self.id);
                self.deadline.get_or_insert(Instant::now() + CLEAN_TIME_MAX);
            }
        }
    }

    async fn hear(&mut self, line: Line) {
        let said = match line {
            Line::Said(said) => said,
            Line::Ran { n, exec } => {
                if let Some(answer) = self.asked.remove(&n) {
                    // The prober may have given up.
                    let _ = answer.send(exec);
                }
                return;
            }
            Line::Error { n, error } => {
                // Who waits for the answer sees that it was dropped.
                self.asked.remove(&n.unwrap_or_default());
                tracing::warn!("{}: its shim refuses: {error}", self.id);
                return;
            }
        };
        let running = match &said {
            Said::Starting => None,
            Said::Running { pid, started_ms, .. } => {
                self.shim.turn = None;
                Some((*pid, *started_ms))
            }
            Said::Exited(_) | Said::Failed { .. } => {
                self.shim.turn = None;
                self.probes.abort_all();
                self.ended = true;
                self.deadline = Some(Instant::now() + CLEAN_TIME_MAX);
                None
            }
        };
        self.means.say(Fact::Said { id: self.id.clone(), said }).await;
        // Only now, so that no answer is heard of an instance that is not known to run.
        if let Some((pid, started_ms)) = running.filter(|_| self.probes.is_empty()) {
            self.probe(pid, started_ms);
        }
    }

    fn probe(&mut self, pid: i32, started_ms: u64) {
        let probing = Probing {
            id: self.id.clone(),
            spec: self.shim.spec.clone(),
            address: self.shim.lease.ip(),
            pid,
            started_ms,
            was: self.shim.healthy,
            asks: self.asks.0.clone(),
            facts: self.means.facts.clone(),
        };
        self.probes.spawn(probing.run());
    }

    async fn order(&mut self, conn: &mut Conn, order: Order) -> std::io::Result<()> {
        let (asked, patience) = match &order {
            Order::Signal(signal) => (Asked::Signal(signal), None),
            Order::Stop { signal, timeout_ms } => {
                let own = timeout_ms.unwrap_or(self.shim.spec.stop_timeout_ms);
                let asked = Asked::Stop { signal: signal.as_deref(), timeout_ms: Some(own) };
                (asked, Some(Duration::from_millis(own) + CLEAN_TIME_MAX))
            }
            Order::Kill => (Asked::Kill(true), Some(CLEAN_TIME_MAX)),
        };
        if let Some(patience) = patience {
            let until = Instant::now() + patience;
            self.deadline = Some(self.deadline.map_or(until, |before| before.min(until)));
        }
        conn.send(&Request { n: None, order: asked }).await
    }

    /// The shim is gone, or no use any more: makes the instance's end true and says it.
    async fn clean_up(&mut self) {
        if self.shim.child.is_some() && process::living(&self.dir).is_none() {
            // It never came as far as naming its processes, so no program ran.
            let words = last_words(&self.dir).unwrap_or_else(|| "the shim died".to_owned());
            if let Err(error) = record::write_exit(&self.dir, &record::failed(words, false)) {
                tracing::warn!("{}: {error}", self.id);
            }
        }
        let reaped = self.means.exe.reap(&self.dir).await;
        if self.ended {
            return;
        }
        let exit = match (record::exit(&self.dir), reaped) {
            (Ok(Some(exit)), _) => exit,
            (_, Err(error)) => record::died(format!("the shim died; {error}")),
            (Ok(None) | Err(_), Ok(())) => record::died("the shim died".to_owned()),
        };
        self.ended = true;
        self.means.say(Fact::Said { id: self.id.clone(), said: exit.into() }).await;
    }
}
