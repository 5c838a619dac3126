//! What the decision must know of a version; the server translates a manifest into it.

use serde::{Deserialize, Serialize};

/// The part of a manifest that the decision depends on. Times are milliseconds; defaults are those
/// of the manifest's table of keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Instances wanted; 0 is allowed (`replicas`).
    pub replicas: u32,
    /// How to get from one version to this one (`update`).
    pub strategy: Strategy,
    /// Instances replaced at a time, also the surge; 0 counts as 1 (`update_batch`).
    pub batch: u32,
    /// Rest between two batches (`update_pause`). A rollback skips it.
    pub pause_ms: u64,
    /// What a failure of a new instance leads to (`update_failure`).
    pub on_failure: OnFailure,
    /// From `Started` to the first `Healthy` (`health_deadline`).
    pub health_deadline_ms: u64,
    /// The longest time without any step forward (`progress_deadline`); stands still while paused.
    pub progress_deadline_ms: u64,
    /// How long after an update exits of the new version are counted (`validate`); 0 for not.
    pub validate_ms: u64,
    /// Longest wait for requests in flight before an instance is told to stop (`drain`).
    pub drain_ms: u64,
    /// From the stop signal to the kill (`stop_timeout`); the node keeps this time, the decision
    /// only bounds the end of a cancelled or failed update by it.
    pub stop_timeout_ms: u64,
    /// Which exits outside of an update lead to a restart (`restart`).
    pub restart: Restart,
    /// Restarts of one place within 60 s after which it is given up (`max_restarts`).
    pub max_restarts: u32,
    /// There is no room for the surge: stop one, then start one, never below replicas − batch. The
    /// server finds this out before it sends the event, and refuses it for a single replica.
    pub turn_round: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            replicas: 1,
            strategy: Strategy::Rolling,
            batch: 1,
            pause_ms: 0,
            on_failure: OnFailure::Abort,
            health_deadline_ms: 30_000,
            progress_deadline_ms: 600_000,
            validate_ms: 60_000,
            drain_ms: 15_000,
            stop_timeout_ms: 10_000,
            restart: Restart::Always,
            max_restarts: 5,
            turn_round: false,
        }
    }
}

/// `update`: one batch after another with the service up, or all at once for stateful services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Strategy {
    /// New ones serve before old ones leave.
    Rolling,
    /// All old ones stop before a new one starts; the edge holds requests meanwhile.
    Replace,
}

/// `update_failure`: what becomes of an update one of whose new instances failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// Stop the failed one, touch nothing that works, status failed.
    Abort,
    /// As abort, then take the updated ones back, newest first, with surge.
    Rollback,
    /// Stop the failed one and stand paused; `resume` tries again.
    Pause,
}

/// `restart`: which exits outside of an update are followed by a new run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// Every exit.
    Always,
    /// An exit with a status other than 0, or by a signal.
    OnFailure,
    /// None.
    Never,
}
