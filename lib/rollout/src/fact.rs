//! What is told to people: the lines of `events`.

use crate::span::Span;
use crate::{How, Id, Millis, Outcome, Strategy, Version};
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// One line of `events`; `Display` is its text. The variants are the phases that the command's
/// `--json` speaks of (started pulling scheduled starting healthy stopped, then done or failed).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fact {
    /// A restart of all instances began.
    RestartStarted {
        /// What runs before and after.
        version: Version,
        /// In which order instances come and go.
        how: How,
    },
    /// An update or first deploy began.
    UpdateStarted {
        /// Version before; none for a first deploy.
        from: Option<Version>,
        /// Version to go to.
        to: Version,
        /// How.
        strategy: Strategy,
    },
    /// A change in place began (it may end in the same step).
    ChangeStarted {
        /// Version before.
        from: Option<Version>,
        /// What it is called now.
        to: Version,
        /// Replicas wanted now.
        replicas: u32,
    },
    /// The image is asked for.
    Pulling {
        /// Whose.
        version: Version,
    },
    /// An instance has its node.
    Scheduled {
        /// Its place.
        number: u32,
        /// Which.
        id: Id,
        /// Where.
        node: String,
    },
    /// An instance is told to run.
    Starting {
        /// Its place.
        number: u32,
        /// Which.
        id: Id,
    },
    /// An instance answered its first probe.
    Healthy {
        /// Its place.
        number: u32,
        /// Which.
        id: Id,
        /// Milliseconds since process start.
        ms: u64,
    },
    /// An instance that failed its probes, and stayed in the routes, answers again.
    Recovered {
        /// Its place.
        number: u32,
        /// Which.
        id: Id,
    },
    /// An instance that served went out of the routes because of its probes.
    Unrouted {
        /// Its place.
        number: u32,
        /// Which.
        id: Id,
        /// The last answer.
        reason: String,
    },
    /// The only backend fails its probes, and stays.
    LastBackend {
        /// Its place.
        number: u32,
        /// Which.
        id: Id,
        /// The last answer.
        reason: String,
    },
    /// An instance that was told to stop is gone.
    Stopped {
        /// Its place.
        number: u32,
        /// Which.
        id: Id,
        /// It was replaced by a newer one.
        old: bool,
    },
    /// An instance failed.
    Failed {
        /// Its place.
        number: u32,
        /// Which; its log is kept.
        id: Id,
        /// Why.
        reason: String,
    },
    /// There is no room for an instance; it is tried again.
    NoRoom {
        /// Its place.
        number: u32,
        /// Which.
        id: Id,
        /// A reason for every node.
        reason: String,
    },
    /// An attempt failed in a way that may pass; it is tried again.
    Retrying {
        /// Why.
        reason: String,
        /// In how many milliseconds.
        in_ms: u64,
    },
    /// A place gets a new run after a failure.
    Restarting {
        /// The place.
        number: u32,
        /// In how many milliseconds.
        in_ms: u64,
    },
    /// A place failed too often and stays empty.
    GaveUp {
        /// The place.
        number: u32,
        /// The last failure.
        reason: String,
    },
    /// The watch after an update ended well: a version to go back to.
    Validated {
        /// Which.
        version: Version,
    },
    /// The watch after an update found that the new version does not hold.
    CrashLoop {
        /// Which.
        version: Version,
        /// How often it exited.
        exits: u32,
    },
    /// The update stands.
    Paused {
        /// Why, when a failure did it.
        reason: Option<String>,
    },
    /// The update goes on.
    Resumed,
    /// `cancel` was accepted; the update goes back.
    Cancelling,
    /// It goes back to an earlier version.
    RollbackStarted {
        /// The version left.
        from: Option<Version>,
        /// The version to go back to.
        to: Version,
        /// In which order instances come and go.
        how: How,
        /// Why, when nobody asked for it.
        reason: Option<String>,
    },
    /// New numbers: places are counted from 0 again.
    Renumbered,
    /// The service is being stopped.
    Stopping,
    /// The service is being removed.
    Removing,
    /// An update ended.
    Ended(Outcome),
    /// Everything of the service is gone.
    Removed {
        /// When.
        at: Millis,
    },
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::UpdateStarted { from: None, to, .. } => write!(f, "first deploy started {to}"),
            Fact::UpdateStarted { from: Some(from), to, .. } if from == to => {
                write!(f, "start of {to} again")
            }
            Fact::UpdateStarted { from: Some(from), to, strategy: Strategy::Rolling } => {
                write!(f, "rolling update started {from}→{to}")
            }
            Fact::UpdateStarted { from: Some(from), to, strategy: Strategy::Replace } => {
                write!(f, "replace update started {from}→{to}")
            }
            Fact::RestartStarted { version, how } => {
                write!(f, "restart started {version}{}", order(*how))
            }
            Fact::ChangeStarted { from, to, replicas } => {
                f.write_str("change in place started ")?;
                arrow(f, *from, *to)?;
                write!(f, ", replicas {replicas}")
            }
            Fact::Pulling { version } => write!(f, "pulling image of {version}"),
            Fact::Scheduled { number, node, .. } => write!(f, "{number}: scheduled on {node}"),
            Fact::Starting { number, .. } => write!(f, "{number}: starting"),
            Fact::Healthy { number, ms, .. } => write!(f, "{number}: healthy ({})", Span(*ms)),
            Fact::Recovered { number, .. } => write!(f, "{number}: healthy again"),
            Fact::Unrouted { number, reason, .. } => {
                write!(f, "{number}: out of the routes: {reason}")
            }
            Fact::LastBackend { number, reason, .. } => {
                write!(f, "{number}: unhealthy, but the last backend, so it stays: {reason}")
            }
            Fact::Stopped { number, old: true, .. } => write!(f, "{number}: old instance stopped"),
            Fact::Stopped { number, old: false, .. } => write!(f, "{number}: stopped"),
            Fact::Failed { number, reason, .. } => write!(f, "{number}: failed: {reason}"),
            Fact::NoRoom { number, reason, .. } => write!(f, "{number}: no room: {reason}"),
            Fact::Retrying { reason, in_ms } => {
                write!(f, "trying again in {}: {reason}", Span(*in_ms))
            }
            Fact::Restarting { number, in_ms } => {
                write!(f, "{number}: restarting in {}", Span(*in_ms))
            }
            Fact::GaveUp { number, reason } => write!(f, "{number}: gave up: {reason}"),
            Fact::Validated { version } => write!(f, "{version} validated"),
            Fact::CrashLoop { version, exits: 1 } => write!(f, "{version} does not hold: 1 exit"),
            Fact::CrashLoop { version, exits } => {
                write!(f, "{version} does not hold: {exits} exits")
            }
            Fact::Paused { reason: None } => f.write_str("update paused"),
            Fact::Paused { reason: Some(reason) } => write!(f, "update paused: {reason}"),
            Fact::Resumed => f.write_str("update resumed"),
            Fact::Cancelling => f.write_str("cancelling"),
            Fact::RollbackStarted { from, to, how, reason } => {
                f.write_str("rollback started ")?;
                arrow(f, *from, *to)?;
                f.write_str(order(*how))?;
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Fact::Renumbered => f.write_str("instances renumbered"),
            Fact::Stopping => f.write_str("stopping"),
            Fact::Removing => f.write_str("removing"),
            Fact::Ended(outcome) => outcome.fmt(f),
            Fact::Removed { .. } => f.write_str("removed"),
        }
    }
}

/// Writes `v1→v2`, or `v2` alone when nothing was there before.
fn arrow(f: &mut fmt::Formatter<'_>, from: Option<Version>, to: Version) -> fmt::Result {
    from.iter().try_for_each(|from| write!(f, "{from}→"))?;
    write!(f, "{to}")
}

/// What is told of an order that is not the usual one: not always one beside the old ones.
fn order(how: How) -> &'static str {
    match how {
        How::Surge => "",
        How::TurnRound => ", one stops before one starts",
        How::Replace => ", replace",
    }
}
