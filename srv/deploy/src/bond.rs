//! Services that are applied together: none begins before the images of all are there, and where
//! it is all or none, one that fails takes the others back.
//!
//! Law: of services that are applied all or none, either every one's new version serves in the
//! end, or every one runs again what it ran before.

use crate::record::spec;
use crate::room::Way;
use crate::turn::Turn;
use crate::world::{Service, World};
use manifest::Outcome;
use rollout::{Event, Kind, Verdict, Version};
use serde::{Deserialize, Serialize};

/// What ties a service to those that it is applied with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bond {
    /// The same of all of them, and of no others at the time.
    pub number: u64,
    /// All or none.
    pub atomic: bool,
    /// What it ran before; nothing where it was not deployed, or stopped.
    pub was: Option<Version>,
    /// How far it is.
    pub part: Part,
}

/// How far one of several is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Its image is being fetched.
    Pulls,
    /// Its image is there, with this digest, and others are not.
    Waits {
        /// What its image resolved to.
        digest: String,
    },
    /// It is on its way to the new version.
    Goes,
    /// It serves, and others do not yet.
    Serves,
    /// It is to go back as soon as the update that is being ended has ended.
    Back {
        /// Why.
        why: String,
    },
}

/// What has become of one of several.
enum Became {
    Nothing,
    Good,
    Bad(String),
}

impl Service {
    /// Whether it has what it was to have, and may have to give it back for others.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.record.bond.as_ref().is_some_and(|bond| bond.part == Part::Serves)
    }

    /// The version that it runs, where it is deployed and not stopped.
    #[must_use]
    pub fn running(&self) -> Option<Version> {
        let rollout = &self.record.rollout;
        rollout.current().filter(|_| !rollout.stopped())
    }

    fn became(&self, bond: &Bond) -> Became {
        let record = &self.record;
        let said = record.outcome.as_deref();
        match &bond.part {
            Part::Pulls | Part::Waits { .. } if record.preparing.is_some() => Became::Nothing,
            Part::Pulls | Part::Waits { .. } => Became::Bad(why(said.unwrap_or("given up"))),
            Part::Back { .. } => Became::Nothing,
            Part::Goes | Part::Serves => match (record.rollout.update(), said) {
                (Some(update), _) => {
                    let reason = update.reason.clone();
                    match matches!(update.kind, Kind::Deploy | Kind::Change) {
                        // It waits for somebody to look at what failed.
                        true if update.paused.is_some() => {
                            reason.map_or(Became::Nothing, Became::Bad)
                        }
                        true => Became::Nothing,
                        false => Became::Bad(reason.unwrap_or_else(|| update.kind.to_string())),
                    }
                }
                (None, Some(said)) if said.starts_with("unchanged") => Became::Good,
                (None, Some(said)) => Became::Bad(why(said)),
                (None, None) => match record.rollout.outcome() {
                    Some(last) if is_good(&last) => Became::Good,
                    Some(last) => Became::Bad(last.reason.unwrap_or(last.verdict.to_string())),
                    None => Became::Nothing,
                },
            },
        }
    }

    /// Whether an instance runs that is of another version than that, or any where it is none.
    fn runs_beside(&self, version: Option<Version>) -> bool {
        let mut all = self.record.rollout.instances().values();
        all.any(|one| !one.is_gone() && Some(one.version) != version)
    }
}

fn is_good(last: &rollout::Outcome) -> bool {
    last.verdict == Verdict::Done && matches!(last.kind, Kind::Deploy | Kind::Change)
}

/// The reason in the outcome of an apply that became no update.
fn why(outcome: &str) -> String {
    outcome.strip_prefix("failed: ").unwrap_or(outcome).to_string()
}

impl World {
    /// A number that ties no services together yet.
    pub(crate) fn next_bond(&self) -> u64 {
        let bonds = self.services.values().filter_map(|service| service.record.bond.as_ref());
        bonds.map(|bond| bond.number + 1).max().unwrap_or(0)
    }

    fn bound(&self, number: u64) -> Vec<(String, Bond)> {
        let bond = |service: &Service| service.record.bond.clone();
        let all = self.services.iter().filter_map(|(name, one)| Some((name, bond(one)?)));
        let these = all.filter(|(_, bond)| bond.number == number);
        these.map(|(name, bond)| (name.clone(), bond)).collect()
    }

    /// The image of a service is there: where it is applied with others, it waits for theirs.
    /// Whether it does.
    pub(crate) fn waits_for_others(&mut self, name: &str, digest: &str, turn: &mut Turn) -> bool {
        let Some(service) = self.touch(name, turn) else { return false };
        let Some(bond) = &mut service.record.bond else { return false };
        let number = bond.number;
        bond.part = Part::Waits { digest: digest.to_string() };
        self.pulls.end(name);
        self.gathered(number, turn);
        true
    }

    /// Lets all go on, once the images of all are there.
    fn gathered(&mut self, number: u64, turn: &mut Turn) {
        let all = self.bound(number);
        if all.iter().any(|(_, bond)| bond.part == Part::Pulls) {
            return;
        }
        for (name, bond) in all {
            let Part::Waits { digest } = &bond.part else { continue };
            let Some(service) = self.touch(&name, turn) else { continue };
            // One that failed before it may have taken this one back.
            if service.record.preparing.is_none() || service.record.bond.is_none() {
                continue;
            }
            // It may have gone back by itself while it waited.
            let was = service.running();
            let goes = Bond { part: Part::Goes, was, ..bond.clone() };
            service.record.bond = bond.atomic.then_some(goes);
            self.resolved(&name, digest, turn);
        }
    }

    /// Looks at what has become of a service that is applied with others.
    pub(crate) fn look_at_bond(&mut self, name: &str, turn: &mut Turn) {
        let Some(service) = self.services.get(name) else { return };
        let Some(bond) = service.record.bond.clone() else { return };
        if let Part::Back { why } = &bond.part
            && service.record.rollout.update().is_none()
        {
            self.bind(name, None, turn);
            return self.take_one_back(name, &bond, why, turn);
        }
        match service.became(&bond) {
            Became::Nothing => {}
            Became::Good if bond.part == Part::Serves => {}
            Became::Good => {
                let serves = Bond { part: Part::Serves, ..bond };
                self.bind(name, Some(serves), turn);
                let all = self.bound(bond.number);
                if all.iter().all(|(_, bond)| bond.part == Part::Serves) {
                    all.iter().for_each(|(name, _)| self.bind(name, None, turn));
                }
            }
            Became::Bad(reason) if bond.atomic => self.take_back(name, &reason, turn),
            Became::Bad(_) => {
                self.bind(name, None, turn);
                self.gathered(bond.number, turn);
            }
        }
    }

    fn bind(&mut self, name: &str, bond: Option<Bond>, turn: &mut Turn) {
        if let Some(service) = self.touch(name, turn) {
            service.record.bond = bond;
        }
    }

    /// All or none, and it is none: every one goes back to what it ran before, for the reason that
    /// one of them has.
    pub(crate) fn take_back(&mut self, culprit: &str, reason: &str, turn: &mut Turn) {
        let bond = self.services.get(culprit).and_then(|service| service.record.bond.clone());
        let Some(bond) = bond else { return };
        let all = self.bound(bond.number);
        all.iter().for_each(|(name, _)| self.bind(name, None, turn));
        let others = format!("all or none, and {culprit}: {reason}");
        for (name, bond) in all {
            let why = if name == culprit { reason } else { &others };
            self.take_one_back(&name, &bond, why, turn);
        }
    }

    fn take_one_back(&mut self, name: &str, bond: &Bond, why: &str, turn: &mut Turn) {
        let Some(service) = self.services.get(name) else { return };
        let (record, rollout) = (&service.record, &service.record.rollout);
        if record.preparing.is_some() {
            return self.unprepare(name, &format!("rolled back: {why}"), turn);
        }
        if matches!(bond.part, Part::Pulls | Part::Waits { .. }) {
            // It never went; what it runs by now came to be by itself.
            return;
        }
        let going = rollout.update().map(|update| update.kind);
        if matches!(going, Some(Kind::Rollback | Kind::Stop | Kind::Remove | Kind::Restart)) {
            // It goes back by itself, or somebody wants something else of it by now.
            return;
        }
        let moved = bond.was.is_none() || rollout.current() != bond.was;
        if going.is_none() && !moved && !service.runs_beside(bond.was) {
            return;
        }
        let may = rollout::may(rollout, rollout::Verb::Rollback);
        if going.is_some() && bond.was.is_some() && may.is_err() {
            let part = Part::Back { why: why.to_string() };
            return self.bind(name, Some(Bond { part, ..bond.clone() }), turn);
        }
        let event = match bond.was.and_then(|was| Some((was, service.manifests.get(&was)?))) {
            Some((version, manifest)) => {
                // The way back is gone in any case: without room, one ends before one starts.
                let cramped = Way { batch: 1, turn_round: true, alone: false };
                let way = self.way(name, manifest, Outcome::Update).unwrap_or(cramped);
                let (spec, reason) = (spec(manifest, way), Some(why.to_string()));
                Event::RolledBack { version, spec, reason }
            }
            None if going.is_none() && bond.part != Part::Serves && !service.runs_beside(None) => {
                return;
            }
            None => {
                let failed = going.is_none().then(|| service.outcome());
                let failed = failed.filter(|outcome| outcome.starts_with("failed"));
                let outcome = failed.unwrap_or_else(|| format!("rolled back: {why}"));
                turn.tell(name, format!("taken back: {why}"));
                if let Some(service) = self.touch(name, turn) {
                    service.record.outcome = Some(outcome);
                }
                Event::Stopped
            }
        };
        self.step(name, event, turn);
    }
}
