//! Which verbs are acceptable now, and the words for those that are not.

use crate::{Id, Kind, Service, Version};
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

/// ` to v3`, or nothing.
fn going(to: &Option<Version>) -> alloc::string::String {
    to.map(|to| alloc::format!(" to {to}")).unwrap_or_default()
}

/// Says whether a verb is acceptable in this state. The server asks before it saves the event;
/// [`crate::step`] ignores an event whose verb would be refused.
///
/// # Errors
/// The reason for the refusal, in the user's words.
pub fn may(service: &Service, verb: Verb) -> Result<(), Refusal> {
    let _ = (service, verb);
    todo!()
}
