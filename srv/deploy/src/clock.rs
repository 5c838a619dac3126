//! The one place where this server looks at a clock, and how a time is written.

use chrono::{DateTime, SecondsFormat};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub type Millis = u64;

/// What the machine's clock says.
#[must_use]
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// As in `events`: `2026-11-20T12:34:05Z`, with milliseconds where asked for.
#[must_use]
pub fn stamp(at: Millis) -> String {
    let at = i64::try_from(at).ok().and_then(DateTime::from_timestamp_millis);
    at.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A span as people read it: `0.2s`, `12.0s`.
#[must_use]
pub fn seconds(span: Millis) -> String {
    format!("{}.{}s", span / 1000, span % 1000 / 100)
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_are_written_as_rfc_3339_in_utc() {
        assert_eq!(super::stamp(1_795_178_045_999), "2026-11-20T12:34:05Z");
        assert_eq!(super::stamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::seconds(2_149), "2.1s");
    }
}
