//! Following a shim: its words become facts, orders become lines to it, probes run while its
//! program does. A shim that hangs up and lives is connected to anew; one that is dead without a
//! word is cleaned up after.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

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
/// Before a shim that hung up is connected to again; it may have no room for one more.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Orders kept while there is no connection; more wait where they are.
const WAITING_MAX: usize = 64;
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
    /// The last order to end it; said again to a shim that hung up and may not have read it.
    ending: Option<Order>,
    /// Orders that came while there was no connection.
    waiting: Vec<Order>,
    /// There was a connection already.
    met: bool,
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
            ending: None,
            waiting: Vec::new(),
            met: false,
            ended: false,
            deadline: None,
        }
    }

    /// Follows until nothing of the instance is left but its directory and its place in the
    /// network, which it gives back.
    ///
    /// Law: a shim that lives is never taken for dead because it hung up; it is connected to anew.
    pub(crate) async fn run(mut self) -> Lease {
        let mut clean = false;
        while let Some(conn) = self.connect().await {
            clean = self.listen(conn).await;
            if !clean || self.ended {
                break;
            }
            // The answers went with the connection; who waits for one sees that.
            self.asked.clear();
            self.waiting.retain(|order| Some(order) != self.ending.as_ref());
            self.waiting.extend(self.ending.clone());
            self.met = true;
        }
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

    /// The connection; none when there is no shim to have one with, or it is overdue.
    async fn connect(&mut self) -> Option<Conn> {
        let mut pause = if self.met { RECONNECT_PAUSE } else { CONNECT_PAUSE };
        // One that this node spawned and that never answered has not come into being; one that
        // was there before may be slow, and its program runs.
        let new = self.shim.child.is_some() && !self.met;
        let until = new.then(|| Instant::now() + CONNECT_TIME_MAX);
        if self.met {
            tracing::info!("{}: its shim hung up; connecting anew", self.id);
            self.rest(pause).await?;
        }
        loop {
            if let Ok(conn) = Conn::open(&self.dir).await {
                return Some(conn);
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return None;
            }
            self.rest(pause).await?;
            pause = (pause * 2).min(CONNECT_PAUSE_MAX.max(pause));
        }
    }

    /// Lets some time pass between two connections; none when the shim is gone or overdue.
    async fn rest(&mut self, pause: Duration) -> Option<()> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            let ended = async {
                match &mut self.shim.child {
                    Some(child) => drop(child.wait().await),
                    None => std::future::pending().await,
                }
            };
            let order = tokio::select! {
                () = ended => return None,
                () = sleep_until(until) => None,
                order = self.orders.recv(), if self.waiting.len() < WAITING_MAX => order,
            };
            if let Some(order) = order {
                self.be_patient(&order);
                self.waiting.push(order);
            } else if Instant::now() < until {
                // Nobody is left to give orders: the node is ending.
                sleep_until(until).await;
            }
        }
        let overdue = self.deadline.is_some_and(|late| late <= Instant::now());
        let gone = self.shim.child.is_none() && process::shim(&self.dir).is_none();
        (!overdue && !gone).then_some(())
    }

    /// Listens and passes on until the shim hangs up; false when it was not waited for.
    async fn listen(&mut self, mut conn: Conn) -> bool {
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        loop {
            let late = self.deadline.unwrap_or_else(Instant::now);
            let heard = match waiting.next() {
                Some(order) => Heard::Order(order),
                None => tokio::select! {
                    line = conn.line() => Heard::Line(line),
                    Some(order) = self.orders.recv() => Heard::Order(order),
                    Some(ask) = self.asks.1.recv() => Heard::Ask(ask),
                    () = sleep_until(late), if self.deadline.is_some() => Heard::Overdue,
                },
            };
            let sent = match heard {
                Heard::Line(Some(line)) => {
                    self.hear(line).await;
                    Ok(())
                }
                Heard::Line(None) => return true,
                Heard::Order(order) => {
                    let sent = self.order(&mut conn, &order).await;
                    if sent.is_err() {
                        // Said again on the next connection, should there be one.
                        self.waiting.push(order);
                    }
                    sent
                }
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
                tracing::debug!("{}: cannot talk to its shim: {why}", self.id);
                if why.kind() == io::ErrorKind::TimedOut {
                    // It does not take anything in any more, so it is no use.
                    self.deadline.get_or_insert(Instant::now() + CLEAN_TIME_MAX);
                }
                // Otherwise it has hung up, and its last words are still to be read.
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

    async fn order(&mut self, conn: &mut Conn, order: &Order) -> io::Result<()> {
        self.be_patient(order);
        let asked = match order {
            Order::Signal(signal) => Asked::Signal(signal),
            Order::Stop { signal, timeout_ms } => {
                let own = timeout_ms.unwrap_or(self.shim.spec.stop_timeout_ms);
                Asked::Stop { signal: signal.as_deref(), timeout_ms: Some(own) }
            }
            Order::Kill => Asked::Kill(true),
        };
        conn.send(&Request { n: None, order: asked }).await
    }

    /// Sets when the shim must have done what it is told, at the latest.
    fn be_patient(&mut self, order: &Order) {
        let patience = match order {
            Order::Signal(_) => return,
            Order::Stop { timeout_ms, .. } => {
                let own = timeout_ms.unwrap_or(self.shim.spec.stop_timeout_ms);
                Duration::from_millis(own) + CLEAN_TIME_MAX
            }
            Order::Kill => CLEAN_TIME_MAX,
        };
        self.ending = Some(order.clone());
        let until = Instant::now() + patience;
        self.deadline = Some(self.deadline.map_or(until, |before| before.min(until)));
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

#[cfg(test)]
#[path = "follow_test.rs"]
mod tests;
