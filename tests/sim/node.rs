//! The simulated node: what it does with orders, and what its containers do by themselves. It is
//! a machine without a clock: what is to happen later goes to `later`, what it tells to `told`,
//! what it answers to an order to `answers`.

use crate::chance::Chance;
use crate::image::Manner;
use deployfs::arrival::{Heard, Order};
use deployfs::kept::Kept;
use deployfs::report::{Container, Report};
use rollout::Exit;
use std::collections::{BTreeMap, BTreeSet};

/// Something that comes to a container after a while.
#[derive(Debug, Clone)]
pub(crate) enum Later {
    /// Its process begins.
    Runs(String),
    /// Its probes are answered otherwise from now on.
    Healthy(String, bool),
    /// Its process ends by itself.
    Ends(String, Exit),
    /// Its process ends because it was told to.
    Stopped(String, Exit),
    /// Nothing is left of it but its log.
    Erased(String),
    /// An image is there, or cannot be had.
    Fetched(String),
    /// An image is made.
    Pushed(String),
}

/// One container as it is, whatever anybody was told.
#[derive(Debug, Clone)]
pub(crate) struct Box {
    pub(crate) seen: Container,
    pub(crate) manner: Manner,
    stop_timeout_ms: u64,
    /// A stop or removal of it goes on.
    ending: bool,
    removing: bool,
    /// It was healthy once.
    pub(crate) was_healthy: bool,
    /// It was started by an order of a server that had died.
    pub(crate) late: bool,
}

impl Box {
    /// It has a process, or is about to.
    pub(crate) fn lives(&self) -> bool {
        matches!(self.seen.state.as_str(), "starting" | "running")
    }

    pub(crate) fn runs(&self) -> bool {
        self.seen.state == "running"
    }

    pub(crate) fn healthy(&self) -> bool {
        self.runs() && self.seen.health == "healthy"
    }
}

/// The machine.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) boxes: BTreeMap<String, Box>,
    pub(crate) logs: BTreeMap<String, Kept>,
    pub(crate) later: Vec<(u64, Later)>,
    pub(crate) told: Vec<Report>,
    pub(crate) answers: Vec<Heard>,
    /// Images that are being made.
    pub(crate) pushing: BTreeSet<String>,
    /// Nothing goes wrong by chance any more.
    pub(crate) calm: bool,
    made: u32,
}

impl Node {
    /// Performs an order.
    pub(crate) fn order(&mut self, order: Order, late: bool, now: u64, chance: &mut Chance) {
        match order {
            Order::Pull { reference } => {
                let ms = if chance.strikes(50) { chance.below(3_000) } else { chance.below(30) };
                self.later.push((ms, Later::Fetched(reference)));
            }
            Order::Start { container, spec, .. } => self.start(container, &spec, late, chance),
            Order::Stop { container, .. } => self.stop(container, chance),
            Order::Signal { container, .. } => {
                if self.boxes.get(&container).is_some_and(Box::runs) {
                    let exit = Exit { code: 143, signal: Some("TERM".into()), ..Exit::default() };
                    self.later.push((chance.below(50), Later::Ends(container, exit)));
                }
            }
            Order::Remove { container } => self.remove(container, now, chance),
            Order::DropLog { container } => {
                self.logs.remove(&container);
            }
            Order::Tail { service, id, number, container } => {
                if self.boxes.contains_key(&container) {
                    let lines = vec!["the last line".to_string()];
                    self.answers.push(Heard::Logged { service, id, number, lines });
                }
            }
            Order::Collect { .. } => self.told.push(Report::Swept { images: 0, bytes: 0 }),
            Order::Push { name, .. } => {
                if self.pushing.insert(name.clone()) {
                    self.later.push((chance.between(1, 3_000), Later::Pushed(name)));
                } else {
                    let reason = "it is being made already".to_string();
                    self.told.push(Report::PushFailed { name, reason });
                }
            }
            Order::CancelPush { name } => {
                let gives_up = self.pushing.remove(&name);
                if gives_up {
                    let (name, reason) = (name.clone(), "given up".to_string());
                    self.told.push(Report::PushFailed { name, reason });
                }
                let told = gives_up.then_some(()).ok_or_else(|| "no such push".to_string());
                self.answers.push(Heard::CancelTold { name, told });
            }
            // The end of the machine is not a matter of what is decided.
            Order::DropVolume { .. }
            | Order::Down
            | Order::Publish { .. }
            | Order::Drain { .. }
            | Order::Wake { .. } => {}
        }
    }

    fn start(&mut self, container: String, spec: &str, late: bool, chance: &mut Chance) {
        if self.boxes.contains_key(&container) {
            // It was asked for before; what became of it was told.
            return;
        }
        let manner = Manner::of(spec);
        let passing = !self.calm && chance.strikes(5);
        if passing {
            let reason = "too many starts".to_string();
            self.answers.push(Heard::StartRefused { container, reason, permanent: false });
            return;
        }
        let stop_timeout_ms = number_after(spec, "\"stop_timeout_ms\":");
        let seen = Container { state: "starting".into(), ..Container::default() };
        let (ending, removing, was_healthy) = (false, false, false);
        let one = Box { seen, manner, stop_timeout_ms, ending, removing, was_healthy, late };
        self.boxes.insert(container.clone(), one);
        let ms = if chance.strikes(30) { chance.below(2_000) } else { chance.between(1, 20) };
        self.later.push((ms, Later::Runs(container)));
    }

    fn stop(&mut self, container: String, chance: &mut Chance) {
        let Some(one) = self.boxes.get_mut(&container) else {
            return self.answers.push(Heard::Missing { container });
        };
        if one.ending || !one.lives() {
            return;
        }
        one.ending = true;
        let stubborn = one.manner == Manner::Stubborn || chance.strikes(20);
        let (ms, exit) = if one.seen.state == "starting" {
            let reason = Some("stopped before it was started".to_string());
            (0, Exit { code: 143, reason, ..Exit::default() })
        } else if stubborn {
            let exit = Exit { code: 137, signal: Some("KILL".into()), ..Exit::default() };
            (one.stop_timeout_ms, exit)
        } else {
            (chance.below(30), Exit::default())
        };
        self.later.push((ms, Later::Stopped(container, exit)));
    }

    fn remove(&mut self, container: String, now: u64, chance: &mut Chance) {
        let Some(one) = self.boxes.get_mut(&container) else {
            let gone = Report::Removed { container, log_bytes: 0 };
            return self.answers.push(Heard::Told(gone));
        };
        if std::mem::replace(&mut one.removing, true) {
            return;
        }
        let lived = one.lives();
        if lived {
            one.ending = true;
            let exit = Exit { code: 137, signal: Some("KILL".into()), ..Exit::default() };
            self.later.push((0, Later::Stopped(container.clone(), exit)));
        }
        self.logs.insert(container.clone(), Kept { at: now, bytes: 9 });
        self.later.push((chance.between(1, 10), Later::Erased(container)));
    }

    /// What was to come has come.
    pub(crate) fn comes(&mut self, what: Later, now: u64, chance: &mut Chance) {
        match what {
            Later::Runs(container) => self.runs(container, now, chance),
            Later::Healthy(container, healthy) => self.probed(container, healthy),
            Later::Ends(container, exit) | Later::Stopped(container, exit) => {
                self.ended(container, exit);
            }
            Later::Erased(container) => {
                if self.boxes.remove(&container).is_some() {
                    let log_bytes = self.logs.get(&container).map_or(0, |kept| kept.bytes);
                    self.told.push(Report::Removed { container, log_bytes });
                }
            }
            Later::Pushed(name) => {
                if self.pushing.remove(&name) {
                    let (digest, reason) = (format!("sha256:{:064}", 0), "no room".to_string());
                    self.told.push(match chance.strikes(200) {
                        true => Report::PushFailed { name, reason },
                        false => Report::Pushed { name, digest },
                    });
                }
            }
            Later::Fetched(reference) => {
                let manner = Manner::named(&reference);
                let permanent = manner == Manner::Missing;
                if permanent || !self.calm && chance.strikes(10) {
                    let reason = "no such image".to_string();
                    self.told.push(Report::PullFailed { reference, reason, permanent });
                } else {
                    let digest = crate::image::digest(&reference);
                    self.told.push(Report::Pulled { reference, digest });
                }
            }
        }
    }

    fn runs(&mut self, container: String, now: u64, chance: &mut Chance) {
        self.made += 1;
        let made = self.made;
        let Some(one) = self.boxes.get_mut(&container) else { return };
        if one.seen.state != "starting" {
            return;
        }
        if let Manner::CannotStart { permanent } = one.manner
            && (permanent || !self.calm)
        {
            one.seen.state = "failed".to_string();
            one.seen.permanent = permanent;
            one.seen.reason = "cannot start".to_string();
            let reason = one.seen.reason.clone();
            return self.told.push(Report::Failed { container, reason, permanent });
        }
        let address = format!("10.1.{}.{}", made / 250 % 250, made % 250 + 1);
        one.seen.state = "running".to_string();
        one.seen.health = "starting".to_string();
        (one.seen.pid, one.seen.started, one.seen.port) = (made, now, Some(80));
        one.seen.address.clone_from(&address);
        let exit = |code| Exit { code, ..Exit::default() };
        let next = match one.manner {
            Manner::Good | Manner::Stubborn => Some((10, 60, None)),
            Manner::ExitsSoon => Some((1, 50, Some(exit(3)))),
            Manner::ExitsLater if self.calm => Some((10, 60, None)),
            Manner::ExitsLater => {
                let ms = chance.between(100, 8_000);
                self.later.push((ms, Later::Ends(container.clone(), exit(1))));
                Some((10, 60, None))
            }
            Manner::OutOfMemory => {
                let oom = Exit { code: 137, signal: Some("KILL".into()), oom: true, reason: None };
                Some((5, 200, Some(oom)))
            }
            Manner::Succeeds => Some((20, 2_000, Some(exit(0)))),
            Manner::NeverHealthy | Manner::CannotStart { .. } | Manner::Missing => None,
        };
        if let Some((from, to, ends)) = next {
            let what = match ends {
                Some(exit) => Later::Ends(container.clone(), exit),
                None => Later::Healthy(container.clone(), true),
            };
            self.later.push((chance.between(from, to), what));
        }
        self.told.push(Report::Started { container, pid: made, address, port: Some(80) });
    }

    fn probed(&mut self, container: String, healthy: bool) {
        let Some(one) = self.boxes.get_mut(&container).filter(|one| one.runs()) else { return };
        if one.healthy() == healthy || !one.was_healthy && !healthy {
            return;
        }
        one.seen.health = if healthy { "healthy" } else { "unhealthy" }.to_string();
        one.was_healthy |= healthy;
        if healthy {
            self.told.push(Report::Healthy { container, ms: 7 });
        } else {
            one.seen.probe = "503".to_string();
            let (answer, reason) = ("503".to_string(), "3 probes failed".to_string());
            self.told.push(Report::Probe { container: container.clone(), answer });
            self.told.push(Report::Unhealthy { container, reason });
        }
    }

    fn ended(&mut self, container: String, exit: Exit) {
        let Some(one) = self.boxes.get_mut(&container).filter(|one| one.lives()) else { return };
        one.seen.state = "exited".to_string();
        one.seen.health = "none".to_string();
        one.seen.pid = 0;
        one.seen.exit = Some(exit.clone());
        self.told.push(Report::Exited { container, exit });
    }
}

/// The number that follows a key.
fn number_after(spec: &str, key: &str) -> u64 {
    let rest = spec.split_once(key).map_or("", |(_, rest)| rest);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or(0)
}
