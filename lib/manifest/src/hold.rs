//! How long a request waits at most while an update that replaces has nobody to serve it.

use crate::limits::HOLD_MS_MAX;
use crate::manifest::Manifest;

/// What an update by replacement takes beyond the times of the manifests, in milliseconds: an
/// edge that is silent is waited for 5 s, and processes have to be ended and made.
const HOLD_SPARE_MS: u64 = 10_000;

/// The longest wait of one request, in milliseconds, between these versions: the old instances
/// drain and stop, the new ones start and get healthy. Which of them is the old one does not
/// matter, for a failed update goes back. `progress_deadline` has no part in it: it starts anew
/// with every step, and is longer than anybody waits.
#[must_use]
pub fn hold_ms<'a>(versions: impl IntoIterator<Item = &'a Manifest>) -> u64 {
    let (mut ends, mut starts) = (0, 0);
    for version in versions {
        ends = ends.max(version.drain_ms + version.stop_timeout_ms);
        starts = starts.max(version.health_deadline_ms + version.min_healthy_ms);
    }
    (ends + starts + HOLD_SPARE_MS).min(HOLD_MS_MAX)
}
