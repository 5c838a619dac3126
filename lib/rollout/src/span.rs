//! Durations as people read them, without floats.

use core::fmt;

/// Milliseconds, printed as `0.05s` below a tenth of a second, `30s` when whole, else `1.2s`.
pub(crate) struct Span(pub(crate) u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, ms) = (self.0 / 1000, self.0 % 1000);
        match (s, ms) {
            (0, 0..100) => write!(f, "0.{:02}s", ms / 10),
            (_, 0) => write!(f, "{s}s"),
            (_, _) => write!(f, "{s}.{}s", ms / 100),
        }
    }
}
