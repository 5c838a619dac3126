//! Everything a decision can ask for.

use crate::{Fact, Id, Millis, Version};
use serde::{Deserialize, Serialize};

/// What is to be done, after the state was saved (law 7). Every action is idempotent: it may be
/// performed twice, and [`crate::resume`] gives it again for as long as its answer is missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Action {
    /// Have the version's image on the nodes its instances are placed on → `Pulled`, `PullFailed`.
    Pull {
        /// Whose image.
        version: Version,
    },
    /// Choose a node and reserve room there → `Placed`, `NoRoom`.
    Place {
        /// Which.
        id: Id,
    },
    /// Run it on its node → `Started` or `StartFailed`, later `Healthy`, `Unhealthy`, `Exited`.
    Start {
        /// Which; also its container's name.
        id: Id,
        /// Its place at this moment.
        number: u32,
        /// What it runs.
        version: Version,
    },
    /// Give the edges a table with [`crate::Service::routed`] as backends, holding requests when
    /// [`crate::Service::holding`] → `Served` once every live edge serves it; at once when there
    /// is no edge. A later one replaces all earlier ones. Generations count for this service only.
    Publish {
        /// To be given back in `Served`; only grows.
        generation: u64,
    },
    /// Tell when nothing is in flight to it any more → `Drained`; at once when there is no edge.
    Drain {
        /// Which; it is in no edge's table any more.
        id: Id,
        /// After this many milliseconds it is stopped in any case.
        at_most_ms: u64,
    },
    /// Signal, and kill after the stop timeout → `Exited` (also when it never ran), or `Lost`.
    Stop {
        /// Which.
        id: Id,
    },
    /// Remove container, log and reservation → `Forgotten` (also when nothing is there).
    Forget {
        /// Which.
        id: Id,
    },
    /// Everything of the removed service is gone: its record may be deleted. The last action ever.
    Delete,
    /// Send `Woke` at this moment. A service has one timer: a new one replaces the old.
    Wake {
        /// When.
        at: Millis,
    },
    /// Write a line to `events`. Not repeated by `resume`: save it together with the state.
    Tell(Fact),
}
