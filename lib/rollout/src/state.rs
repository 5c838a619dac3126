//! The state of one service: all that is saved, and all that a decision depends on.

use crate::instance::Instance;
use crate::outcome::Outcome;
use crate::{Id, Millis, Spec, Strategy, Version};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Everything there is to know about a service. Serialised and saved after every step (law 7).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub(crate) instances: BTreeMap<Id, Instance>,
    /// The next id; only grows (law 10).
    pub(crate) next: Id,
    /// Of every version that may be gone to or that has instances.
    pub(crate) specs: BTreeMap<Version, Spec>,
    pub(crate) images: BTreeMap<Version, Image>,
    pub(crate) routes: Routes,
    /// The last version whose update completed.
    pub(crate) current: Option<Version>,
    /// Where the last update was going, when it failed.
    pub(crate) failed: Option<Version>,
    pub(crate) stand: Stand,
    pub(crate) aim: Aim,
    pub(crate) update: Option<Update>,
    pub(crate) watch: Option<Watch>,
    pub(crate) last: Option<Outcome>,
}

/// Whether the service is wanted at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stand {
    /// Nothing was deployed yet.
    #[default]
    New,
    /// It is to run.
    Up,
    /// `stop` was asked.
    Stopped,
    /// `remove` was asked.
    Removing,
    /// And nothing is left.
    Removed,
}

/// Whether the image of a version is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Image {
    /// `Pull` was asked.
    Asked {
        /// How often it failed before.
        tries: u32,
    },
    /// It failed in a way that may pass.
    Waiting {
        /// How often.
        tries: u32,
        /// Until when it is left alone.
        until: Millis,
    },
    /// It is.
    Here,
}

/// The table of backends as the edges are given it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Routes {
    /// Of the newest table.
    pub(crate) generation: u64,
    /// The newest that every live edge serves.
    pub(crate) served: u64,
    /// The backends of the newest.
    pub(crate) backends: BTreeSet<Id>,
    /// The edges hold requests that find no backend.
    pub(crate) hold: bool,
}

/// Where the service is to be brought, by whatever verb or failure: so many instances of each
/// version. Outlives the update that set it; repairs keep to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Aim {
    /// Instances wanted of each version. More than one version only after an aborted update.
    pub(crate) counts: BTreeMap<Version, u32>,
    /// Older instances are surplus even when their version is wanted (`restart`).
    pub(crate) first: Id,
    /// Law 1: healthy and routed ones are never fewer by what we do.
    pub(crate) floor: u32,
    /// Law 2 without the batch: the greater of old and new replicas.
    pub(crate) most: u32,
    /// Instances replaced at a time, 1 or more.
    pub(crate) batch: u32,
    pub(crate) pause_ms: u64,
    pub(crate) how: How,
    pub(crate) step: Step,
}

/// The order in which the aim is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum How {
    /// New ones serve before old ones leave.
    #[default]
    Surge,
    /// No room for the surge: a batch leaves before its successors start.
    TurnRound,
    /// All old ones are gone before a new one starts.
    Replace,
}

/// Where in a batch a rolling change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Between two batches.
    Between {
        /// The next begins not before this moment.
        until: Millis,
    },
    /// New ones are on their way to serve.
    Surging,
    /// Old ones are on their way out.
    Retiring,
}

impl Default for Step {
    fn default() -> Self {
        Step::Between { until: 0 }
    }
}

/// What an update is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    /// `apply` of a version with other instances.
    Deploy,
    /// `apply` or `scale` in place.
    Change,
    /// `restart`.
    Restart,
    /// `rollback`, asked for or by failure.
    Rollback,
    /// `stop`.
    Stop,
    /// `remove`.
    Remove,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Deploy => "update",
            Kind::Change => "change",
            Kind::Restart => "restart",
            Kind::Rollback => "rollback",
            Kind::Stop => "stop",
            Kind::Remove => "remove",
        })
    }
}

/// The change in flight; at most one a service at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// What it is.
    pub kind: Kind,
    /// Version left; none for a first deploy.
    pub from: Option<Version>,
    /// Version gone to; none for stop and remove.
    pub to: Option<Version>,
    /// How.
    pub strategy: Strategy,
    /// When the verb was accepted.
    pub started: Millis,
    /// Since when it stands paused.
    pub paused: Option<Millis>,
    /// Why it is being ended, goes back, or stands paused.
    pub reason: Option<String>,
    /// How it will end, once that is decided.
    pub(crate) ending: Option<Ending>,
    /// Instances from here on were made by it.
    pub(crate) first: Id,
    /// The last step forward, and how far it led.
    pub(crate) moved: Millis,
    pub(crate) score: i64,
    pub(crate) progress_deadline_ms: u64,
    /// How things were before, to go back to.
    pub(crate) before: Before,
}

/// An end that is decided and not yet reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    /// Ends failed, when all is at rest or at this moment.
    Failed {
        /// At the latest.
        by: Millis,
    },
    /// Ends cancelled, when all is at rest or at this moment.
    Cancelled {
        /// At the latest.
        by: Millis,
    },
}

/// How things were before an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// Instances wanted of the current version; 0 when there is none, or it was stopped.
    pub(crate) replicas: u32,
    /// The aim before. It is gone back to when no version ever completed: then it is what is left
    /// of a first deploy that failed, and that serves.
    pub(crate) counts: BTreeMap<Version, u32>,
    pub(crate) stand: Stand,
    /// The spec that a change in place of an equal version number covered.
    pub(crate) spec: Option<Spec>,
    /// The watch over the version before: it goes on when the update comes to nothing.
    #[serde(default)]
    pub(crate) watch: Option<Watch>,
}

/// After an update: exits of the new version are counted for a while (`validate`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// The new version.
    pub(crate) version: Version,
    /// Where to go back to; none after a first deploy.
    pub(crate) previous: Option<Version>,
    pub(crate) until: Millis,
    /// However many exits prolong it.
    pub(crate) at_most: Millis,
    pub(crate) exits: u32,
    /// A place exited too often, or as often as it may: no more exits come of it.
    #[serde(default)]
    pub(crate) gave_up: bool,
}
