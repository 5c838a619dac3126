//! What people ask of the server, each by a hand of his own, and deploys under the lock.

use crate::people::{NAMES, Wish};
use crate::server::{Asked, Cause};
use crate::sim::{Ev, Sim};
use deployfs::arrival::{Arrival, InstanceVerb, Request};
use deployfs::hold::Ask;
use deployfs::lock::{Asker, Hand, Phase, Word};
use deployfs::record::By;
use deployfs::verbs::{self, Verb};
use deployfs::world::container;
use tokio::sync::oneshot;

/// Somebody who has a service's deploy lock open, or waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    service: String,
    open: u64,
    hand: Hand,
}

fn by(uid: u32) -> By {
    By { uid, name: format!("u{uid}") }
}

impl Sim {
    /// Somebody writes something.
    pub(crate) fn ask(&mut self, request: Request, cause: Cause) {
        if self.server.wheel.is_none() {
            return;
        }
        let (answer, answered) = oneshot::channel();
        let awaited = is_awaited(&request);
        self.server.answers.push(Asked { answered, awaited });
        self.arrives(Arrival::Asked(request, answer), cause);
    }

    /// Somebody asks by his own hand.
    fn ask_by(&mut self, hand: Hand, request: Request, cause: Cause) {
        self.ask(Request::Over { hand, request: Box::new(request) }, cause);
    }

    pub(crate) fn ask_lines(&mut self, hand: Hand, lines: &str) {
        let Ok(lines) = verbs::parse(lines.as_bytes(), None) else { return };
        let cause = lines.iter().filter_map(|line| line.service.clone()).collect();
        self.ask_by(hand, Request::Verbs { lines, by: by(hand.uid) }, Some(cause));
    }

    /// People look at a service, and ask for something.
    pub(crate) fn people_ask(&mut self) {
        if self.is_calm() {
            return;
        }
        let ms = self.chance.between(20, 1_200);
        self.after(ms, Ev::People);
        if self.server.wheel.is_none() {
            return;
        }
        let name = NAMES[self.chance.below(self.people.services) as usize];
        let (flying, deployed) = {
            let world = self.server.world.lock();
            let rollout = world.services.get(name).map(|service| &service.record.rollout);
            let flying = rollout.is_some_and(|one| one.update().is_some());
            (flying, rollout.is_some_and(|one| one.current().is_some()))
        };
        // A command has a connection of its own; a few people have one for long.
        let uid = self.chance.below(3) as u32;
        let hand = Hand { uid, connection: self.chance.below(100), open: None };
        for wish in self.people.ask(name, flying, deployed, &mut self.chance) {
            self.wish(name, hand, wish);
        }
    }

    fn wish(&mut self, name: &str, hand: Hand, wish: Wish) {
        let (service, cause) = (name.to_string(), Some(vec![name.to_string()]));
        match wish {
            Wish::Manifest(service, text) => {
                let cause = Some(vec![service.clone()]);
                self.ask_by(hand, Request::Manifest { service, text }, cause);
            }
            Wish::Lines(lines) => self.ask_lines(hand, &lines),
            Wish::Unlink => self.ask_by(hand, Request::Unlink { service }, cause),
            Wish::Place => self.ask_by(hand, Request::Place { service }, cause),
            Wish::Instance(pick) => self.ask_instance(name, hand, pick),
            Wish::Lock { wait } => self.locks(name, hand.uid, wait),
            Wish::UnderLock(pick) => self.under_lock(pick),
        }
    }

    fn ask_instance(&mut self, name: &str, hand: Hand, pick: u64) {
        let ids: Vec<rollout::Id> = {
            let world = self.server.world.lock();
            let rollout = world.services.get(name).map(|service| &service.record.rollout);
            rollout.map(|one| one.instances().keys().copied().collect()).unwrap_or_default()
        };
        let Some(id) = ids.get((pick % ids.len().max(1) as u64) as usize).copied() else { return };
        let verb = match pick >> 32 & 3 {
            0 => InstanceVerb::Stop,
            1 => InstanceVerb::Signal("TERM".to_string()),
            _ => InstanceVerb::Restart,
        };
        self.laws.fell(&container(name, id));
        let service = name.to_string();
        let cause = Some(vec![name.to_string()]);
        self.ask_by(hand, Request::Instance { service, id, verb }, cause);
    }

    /// Somebody opens the lock of a service, which has a place before it has anything else.
    fn locks(&mut self, name: &str, uid: u32, wait: bool) {
        self.server.opens += 1;
        let open = self.server.opens;
        let (service, cause) = (name.to_string(), Some(vec![name.to_string()]));
        let hand = Hand { uid, connection: 1_000 + open, open: None };
        self.ask_by(hand, Request::Place { service: service.clone() }, cause.clone());
        let asker = Asker { open, connection: hand.connection, by: by(uid) };
        let ask = Ask::Take { asker, wait };
        self.ask(Request::Lock { service: service.clone(), ask }, cause);
        self.server.holders.push(Holder { service, open, hand });
    }

    /// One of those who have a lock open, or think so, goes on.
    fn under_lock(&mut self, pick: u64) {
        let many = self.server.holders.len() as u64;
        let Some(at) = (many > 0).then(|| (pick % many) as usize) else { return };
        let Holder { service, open, hand } = self.server.holders[at].clone();
        let cause = Some(vec![service.clone()]);
        match pick >> 32 & 7 {
            0 | 1 => {
                let words = vec![Word::Phase(Phase::Build), Word::Commit("c0ffee".to_string())];
                self.ask(Request::Lock { service, ask: Ask::Say { open, words } }, cause);
            }
            2..=4 => {
                let text = self.people.manifest(&service, &mut self.chance);
                let lines = format!("apply {service}");
                self.ask_by(hand, Request::Manifest { service, text }, cause);
                let through = Hand { open: (pick >> 40 & 1 == 0).then_some(open), ..hand };
                self.ask_lines(through, &lines);
            }
            _ => {
                self.server.holders.swap_remove(at);
                self.ask(Request::Lock { service, ask: Ask::Leave { open } }, cause);
            }
        }
    }

    /// Nobody holds anything any longer.
    pub(crate) fn all_leave(&mut self) {
        for Holder { service, open, .. } in std::mem::take(&mut self.server.holders) {
            let cause = Some(vec![service.clone()]);
            self.ask(Request::Lock { service, ask: Ask::Leave { open } }, cause);
        }
    }
}

/// Whether its answer may wait for the node's.
fn is_awaited(request: &Request) -> bool {
    if let Request::Over { request, .. } = request {
        return is_awaited(request);
    }
    let Request::Verbs { lines, .. } = request else { return false };
    lines.iter().any(|line| matches!(line.verb, Verb::Push { .. } | Verb::CancelPush(_)))
}
