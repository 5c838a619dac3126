//! The numbers things go by: instances, versions and moments.

use core::fmt;
use serde::{Deserialize, Serialize};

/// A moment in milliseconds of one clock that never goes backwards for a service (Unix time as the
/// server keeps it). It arrives as `now`; nothing here asks for it.
pub type Millis = u64;

/// One run of one container. Ids only grow and are never used twice (law 10); a restart is a new
/// id. The container's name is `<service>-<id>`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Id(pub u64);

/// The count of a version of the service: v1, v2 … Given out by the server, never twice (law 10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(pub u32);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}
