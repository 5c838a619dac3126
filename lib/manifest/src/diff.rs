//! What changed between two manifests, key by key, and what that costs.

use crate::keys::Effect;
use crate::manifest::Manifest;

/// One changed key. `env` and `config` change variable by variable (`env LANG`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key, with the variable's name where it has one.
    pub key: String,
    /// Its words before; `None` when it was left to its default.
    pub old: Option<String>,
    /// Its words now; `None` when it is left to its default.
    pub new: Option<String>,
    /// What the change needs.
    pub effect: Effect,
}

/// What all changes together need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing changed: no update, no restart.
    Unchanged,
    /// Everything that changed is applied without restarting anything.
    InPlace,
    /// Instances are replaced.
    Update,
}

/// The changes from `old` to `new`, in the table's order, each manifest with the digest its image
/// was resolved to: an image that moved or was renamed and has the same digest did not change.
#[must_use]
pub fn diff(_old: &Manifest, _old_digest: &str, _new: &Manifest, _new_digest: &str) -> Vec<Change> {
    todo!()
}

/// What these changes need.
#[must_use]
pub fn outcome(changes: &[Change]) -> Outcome {
    if changes.is_empty() {
        Outcome::Unchanged
    } else if changes.iter().all(|change| change.effect == Effect::InPlace) {
        Outcome::InPlace
    } else {
        Outcome::Update
    }
}
