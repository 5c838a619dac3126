//! Durations as people read them, without floats.

use core::fmt;

/// Milliseconds, printed as `0.2s`, `12.0s` or `30s` when they are whole seconds from 10 on.
pub(crate) struct Span(pub(crate) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, ms) = (self.0 / 1000, self.0 % 1000);
        if ms == 0 && s > 0 { write!(f, "{s}s") } else { write!(f, "{s}.{}s", ms / 100) }
    }
}
