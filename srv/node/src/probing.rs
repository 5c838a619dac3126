//! The prober of one instance: asks by the schedule, tells what is new.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use health::{Check, Exec, Prober, Running, Schedule, Target, Verdict, probe};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::clock::now_ms;
use crate::fact::Fact;
use crate::id::Id;
use crate::spec::{Health, Spec};
use crate::wire::Ran;

/// What a shim may take beyond a command's own time until it has answered.
const ANSWER_SLACK: Duration = Duration::from_secs(5);

/// A command to be run in the instance.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Command and words.
    pub(crate) argv: Vec<String>,
    /// Milliseconds until it is killed.
    pub(crate) timeout_ms: u64,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Ran>,
}

/// All that a prober has to know.
pub(crate) struct Probing {
    pub(crate) id: Id,
    pub(crate) spec: Arc<Spec>,
    pub(crate) address: IpAddr,
    pub(crate) pid: i32,
    /// Unix time of the process' start, in milliseconds.
    pub(crate) started_ms: u64,
    /// What the probes said under an earlier node.
    pub(crate) was: Option<bool>,
    pub(crate) asks: mpsc::Sender<Ask>,
    pub(crate) facts: mpsc::Sender<Fact>,
}

impl Probing {
    /// Probes until it is dropped.
    pub(crate) async fn run(self) {
        let check = check(&self.spec.health);
        let target = Target::new(self.address, self.pid.unsigned_abs());
        let time = Duration::from_millis(self.spec.health_timeout_ms);
        let shim = ByShim(self.asks.clone());
        let mut prober = self.prober(&check);
        // A clock that begins at the wall's time and then never jumps.
        let (began, began_ms) = (Instant::now(), now_ms());
        let clock = || began_ms + u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (mut at_ms, mut last) = (prober.first_at_ms(), None);
        loop {
            sleep(Duration::from_millis(at_ms.saturating_sub(clock()))).await;
            let answer = probe(&check, &target, time, &shim).await;
            let next = prober.answered(clock(), answer.ok, chance());
            at_ms = next.at_ms;
            let answer = answer.text;
            if last.as_ref() == Some(&answer) && next.verdict == Verdict::Nothing {
                continue;
            }
            last = Some(answer.clone());
            let fact = Fact::Probed { id: self.id.clone(), answer, verdict: next.verdict };
            if self.facts.send(fact).await.is_err() {
                return;
            }
        }
    }

    /// What was healthy or unhealthy under an earlier node is so until its answers say otherwise.
    fn prober(&self, check: &Check) -> Prober {
        let spec = &self.spec;
        let retries = spec.health_retries;
        let schedule = Schedule::new(check, spec.health_interval_ms, retries, spec.min_healthy_ms);
        match self.was {
            None => Prober::new(schedule, self.started_ms),
            Some(true) => Prober::adopted(schedule, self.started_ms),
            Some(false) => {
                let mut prober = Prober::adopted(schedule, self.started_ms);
                for _ in 0..retries {
                    prober.answered(self.started_ms, false, 0);
                }
                prober
            }
        }
    }
}

fn check(health: &Health) -> Check {
    match health {
        Health::Http { path, port } => Check::Http { path: path.clone(), port: *port },
        Health::Tcp { port } => Check::Tcp { port: *port },
        Health::Exec { argv } => Check::Exec { argv: argv.clone() },
        Health::File { path } => Check::File { path: path.clone() },
        Health::Running => Check::Running,
    }
}

/// Any number: each new state of the standard hash has its own keys.
fn chance() -> u32 {
    let number = RandomState::new().build_hasher().finish();
    u32::try_from(number >> 32).unwrap_or_default()
}

/// Runs commands through the instance's shim.
struct ByShim(mpsc::Sender<Ask>);

impl Exec for ByShim {
    fn exec<'a>(&'a self, argv: &'a [String], time: Duration) -> Running<'a> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let timeout_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let ask = Ask { argv: argv.to_vec(), timeout_ms, answer };
            let gone = || "the shim does not answer".to_owned();
            self.0.send(ask).await.map_err(|_| gone())?;
            match timeout(time + ANSWER_SLACK, answered).await {
                Ok(Ok(Ran { code, output })) => Ok(health::Ran { code, output }),
                Ok(Err(_)) | Err(_) => Err(gone()),
            }
        })
    }
}
