//! What can be wrong with what a fleet is told.

/// Why a fleet did not do what was asked; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No node fits; [`crate::Fleet::why`] tells the reasons.
    #[error("no node has room for instance {0}")]
    NoRoom(u64),
    /// A node that never joined, or left.
    #[error("no node {0:?}: let it join first")]
    NoNode(String),
    /// A want that was retired.
    #[error("want {0} is not declared, or was retired")]
    NoWant(u32),
    /// An instance that is nowhere.
    #[error("no instance {0}")]
    NoInstance(u64),
    /// An instance that is somewhere already.
    #[error("instance {0} is on {1}: remove it first")]
    Placed(u64, String),
    /// A volume that nothing has made.
    #[error("no volume {0:?}")]
    NoVolume(String),
    /// A volume that is elsewhere.
    #[error("volume {0:?} is on {1}: drop it first")]
    Bound(String, String),
}
