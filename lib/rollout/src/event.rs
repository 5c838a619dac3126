//! Everything that can have happened to a service: verbs accepted, answers of node and edge, time.

use crate::{Id, Spec, Version};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// What has happened. Verbs come after [`crate::may`] allowed them (a refused one changes nothing);
/// answers may come late, twice, or for ids long gone, and then change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// `apply` of a version whose instances differ: update to it by its strategy. Also starts a
    /// stopped or failed service again, then with an equal version, too.
    Applied {
        /// The version to go to.
        version: Version,
        /// What it asks for.
        spec: Spec,
    },
    /// `apply` or `scale` of a version whose instances are the same (replicas, routes, `update_*`,
    /// health numbers): instances now count as of this version; more are surged, fewer retired.
    Changed {
        /// The version to call it from now on; may be the current one.
        version: Version,
        /// What it asks for.
        spec: Spec,
    },
    /// `pause`.
    Paused,
    /// `resume`.
    Resumed,
    /// `cancel`.
    Cancelled,
    /// `rollback`; the server asks [`crate::Service::rollback_target`] first, and takes a version
    /// that once completed from the history when that gives none.
    RolledBack {
        /// The version to go back to.
        version: Version,
        /// What it asks for.
        spec: Spec,
        /// What failed, where it was not this service: none where somebody asked for it.
        #[serde(default)]
        reason: Option<String>,
    },
    /// `restart`: every instance anew at its version, by the version's strategy.
    Restarted,
    /// `restart` in one instance's `ctl`: out of the routes, drained, stopped, started anew.
    InstanceRestarted {
        /// Which.
        id: Id,
    },
    /// `stop` in one instance's `ctl`: out of the routes, drained, stopped; its restart policy says
    /// what follows, as after an exit by itself.
    InstanceStopped {
        /// Which.
        id: Id,
    },
    /// `stop`: no instance from now on; the service stays. An update in flight ends cancelled.
    Stopped,
    /// `remove`: stop, then forget everything. An update in flight ends cancelled.
    Removed,

    /// The image of the version is where it is wanted.
    Pulled {
        /// Whose image.
        version: Version,
    },
    /// It could not be pulled.
    PullFailed {
        /// Whose image.
        version: Version,
        /// The registry's or node's words.
        reason: String,
        /// Trying again cannot help (404, wrong architecture).
        permanent: bool,
    },
    /// The instance has a node, and room on it is reserved until `Forget`.
    Placed {
        /// Which.
        id: Id,
        /// Where.
        node: String,
    },
    /// No node has room; it is tried again with back-off until the progress deadline.
    NoRoom {
        /// Which.
        id: Id,
        /// A reason for every node.
        reason: String,
    },
    /// Its first process runs; the health deadline begins.
    Started {
        /// Which.
        id: Id,
    },
    /// It never ran.
    StartFailed {
        /// Which.
        id: Id,
        /// The node's words.
        reason: String,
        /// Trying again cannot help (bad command).
        permanent: bool,
    },
    /// A probe succeeded: for the first time, or again after `Unhealthy`.
    Healthy {
        /// Which.
        id: Id,
        /// Milliseconds since process start.
        ms: u64,
    },
    /// `health_retries` probes failed in a row.
    Unhealthy {
        /// Which.
        id: Id,
        /// The last answer.
        reason: String,
    },
    /// Its process is gone, whoever ended it.
    Exited {
        /// Which.
        id: Id,
        /// How.
        exit: Exit,
    },
    /// The node has removed it and its log (answer to [`crate::Action::Forget`]).
    Forgotten {
        /// Which.
        id: Id,
    },
    /// The node that should run it has no such instance, or the node itself is gone for good.
    Lost {
        /// Which.
        id: Id,
    },
    /// Every live edge serves the table of this generation or a later one.
    Served {
        /// As in [`crate::Action::Publish`].
        generation: u64,
    },
    /// No request is in flight to it any more.
    Drained {
        /// Which.
        id: Id,
    },
    /// The time of the last [`crate::Action::Wake`] has come.
    Woke,
}

/// How a process ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit status; 128 + signal when it was a signal.
    pub code: i32,
    /// Name of the signal that ended it, without `SIG`.
    pub signal: Option<String>,
    /// The kernel ended it for want of memory.
    pub oom: bool,
    /// Anything more the node knows (last probe answer, shim died).
    pub reason: Option<String>,
}
