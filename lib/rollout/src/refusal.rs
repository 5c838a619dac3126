//! Which verbs are acceptable now, and the words for those that are not.

use crate::state::Stand;
use crate::{Event, Id, Instance, Kind, Service, Update, Version};
use alloc::string::String;
use thiserror::Error;

/// A verb as the server is asked for it, before it becomes an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `Applied` or `Changed`.
    Apply,
    /// `Changed` by `scale`.
    Scale,
    /// `Paused`.
    Pause,
    /// `Resumed`.
    Resume,
    /// `Cancelled`.
    Cancel,
    /// `RolledBack`.
    Rollback,
    /// `Restarted`.
    Restart,
    /// `InstanceRestarted`.
    RestartInstance(Id),
    /// `InstanceStopped`.
    StopInstance(Id),
    /// `Stopped`.
    Stop,
    /// `Removed`.
    Remove,
}

/// Why a verb is not acceptable now. `Display` is the text that the user reads.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Another update runs; at most one a service at a time.
    #[error("{kind}{} in flight; wait for it, or cancel it first", going(.to))]
    InFlight {
        /// What runs.
        kind: Kind,
        /// Where it goes.
        to: Option<Version>,
    },
    /// Pause, resume or cancel without an update.
    #[error("no update in flight")]
    NotInFlight,
    /// Cancel of an update that has ended, and whose exits are still counted.
    #[error("update to {to} has ended and is being validated{}", back(*.first))]
    Validating {
        /// Where it went.
        to: Version,
        /// There is nothing before it to go back to.
        first: bool,
    },
    /// A second `pause`.
    #[error("update is already paused; resume, cancel or rollback")]
    AlreadyPaused,
    /// `resume` of what runs.
    #[error("update is not paused")]
    NotPaused,
    /// It is ending already: cancelled, or failed.
    #[error("update is already being ended; wait for it")]
    Ending,
    /// A rollback cannot be rolled back (law 6).
    #[error("already rolling back{}; wait for it, or cancel it", going(.to))]
    RollingBack {
        /// Where it goes.
        to: Option<Version>,
    },
    /// There is nothing to run.
    #[error("nothing deployed yet; apply first")]
    NothingDeployed,
    /// There is no version that completed before.
    #[error("no version to go back to; cancel or remove instead")]
    NoPrevious,
    /// Restart or scale of a stopped service.
    #[error("service is stopped; apply starts it")]
    Stopped,
    /// Restart after an update that failed half-way.
    #[error("update to {to} failed half-way; apply or rollback first")]
    Failed {
        /// Where it went.
        to: Version,
    },
    /// No instance of that id serves or tries to.
    #[error("instance {id} does not run")]
    NoInstance {
        /// The id asked for.
        id: Id,
    },
    /// It is being removed.
    #[error("service is being removed")]
    Removing,
}

/// Where an update that has ended leads still, unless it is the first.
fn back(first: bool) -> &'static str {
    if first { "" } else { "; rollback goes back" }
}

/// ` to v3`, or nothing.
fn going(to: &Option<Version>) -> String {
    to.map(|to| alloc::format!(" to {to}")).unwrap_or_default()
}

/// Says whether a verb is acceptable in this state. The server asks before it saves the event;
/// [`crate::step`] ignores an event whose verb would be refused.
///
/// # Errors
/// The reason for the refusal, in the user's words.
pub fn may(service: &Service, verb: Verb) -> Result<(), Refusal> {
    if matches!(service.stand, Stand::Removing | Stand::Removed) {
        return Err(Refusal::Removing);
    }
    match (&service.update, verb) {
        (None, Verb::Stop) if service.stand == Stand::New => Err(Refusal::NothingDeployed),
        (Some(update), Verb::Stop) if update.kind == Kind::Stop => {
            Err(Refusal::InFlight { kind: update.kind, to: update.to })
        }
        (_, Verb::Stop | Verb::Remove) => Ok(()),
        (_, Verb::RestartInstance(id)) => {
            let there = service.instances.get(&id).is_some_and(Instance::holds);
            there.then_some(()).ok_or(Refusal::NoInstance { id })
        }
        (_, Verb::StopInstance(id)) => {
            let runs = |i: &Instance| i.is_live() && !i.is_leaving();
            let there = service.instances.get(&id).is_some_and(runs);
            there.then_some(()).ok_or(Refusal::NoInstance { id })
        }
        (Some(update), verb) => in_flight(service, update, verb),
        (None, verb) => at_rest(service, verb),
    }
}

/// What may be asked of a service whose update is in flight.
fn in_flight(service: &Service, update: &Update, verb: Verb) -> Result<(), Refusal> {
    let busy = Refusal::InFlight { kind: update.kind, to: update.to };
    match verb {
        Verb::Apply | Verb::Scale | Verb::Restart => Err(busy),
        Verb::Pause | Verb::Resume | Verb::Cancel if update.ending.is_some() => {
            Err(Refusal::Ending)
        }
        Verb::Pause | Verb::Resume | Verb::Cancel | Verb::Rollback if !update.is_forward() => {
            Err(busy)
        }
        Verb::Pause if update.paused.is_some() => Err(Refusal::AlreadyPaused),
        Verb::Resume if update.paused.is_none() => Err(Refusal::NotPaused),
        Verb::Rollback if update.kind == Kind::Rollback => {
            Err(Refusal::RollingBack { to: update.to })
        }
        Verb::Rollback if service.current.is_none() => Err(Refusal::NoPrevious),
        Verb::Pause | Verb::Resume | Verb::Cancel | Verb::Rollback => Ok(()),
        Verb::Stop | Verb::Remove | Verb::RestartInstance(_) | Verb::StopInstance(_) => Ok(()),
    }
}

/// What may be asked of a service that no update moves.
fn at_rest(service: &Service, verb: Verb) -> Result<(), Refusal> {
    let stopped = service.stand == Stand::Stopped;
    match verb {
        Verb::Pause | Verb::Resume | Verb::Cancel => Err(match &service.watch {
            Some(watch) => {
                Refusal::Validating { to: watch.version, first: watch.previous.is_none() }
            }
            None => Refusal::NotInFlight,
        }),
        Verb::Rollback if service.current.is_none() => Err(Refusal::NoPrevious),
        Verb::Scale | Verb::Restart if service.current.is_none() => Err(Refusal::NothingDeployed),
        Verb::Scale | Verb::Restart if stopped => Err(Refusal::Stopped),
        Verb::Restart => match service.failed {
            Some(to) => Err(Refusal::Failed { to }),
            None => Ok(()),
        },
        Verb::Apply | Verb::Scale | Verb::Rollback => Ok(()),
        Verb::Stop | Verb::Remove | Verb::RestartInstance(_) | Verb::StopInstance(_) => Ok(()),
    }
}

/// The verb behind an event, when there is one.
pub(crate) fn asks(event: &Event) -> Option<Verb> {
    match event {
        Event::Applied { .. } => Some(Verb::Apply),
        // In place means: of what is deployed and runs.
        Event::Changed { .. } => Some(Verb::Scale),
        Event::Paused => Some(Verb::Pause),
        Event::Resumed => Some(Verb::Resume),
        Event::Cancelled => Some(Verb::Cancel),
        Event::RolledBack { .. } => Some(Verb::Rollback),
        Event::Restarted => Some(Verb::Restart),
        Event::InstanceRestarted { id } => Some(Verb::RestartInstance(*id)),
        Event::InstanceStopped { id } => Some(Verb::StopInstance(*id)),
        Event::Stopped => Some(Verb::Stop),
        Event::Removed => Some(Verb::Remove),
        Event::Pulled { .. }
        | Event::PullFailed { .. }
        | Event::Placed { .. }
        | Event::NoRoom { .. }
        | Event::Started { .. }
        | Event::StartFailed { .. }
        | Event::Healthy { .. }
        | Event::Unhealthy { .. }
        | Event::Exited { .. }
        | Event::Forgotten { .. }
        | Event::Lost { .. }
        | Event::Served { .. }
        | Event::Drained { .. }
        | Event::Woke => None,
    }
}
