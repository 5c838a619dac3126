//! The one place where this server looks at a clock, and how a time is written.

use chrono::{DateTime, SecondsFormat};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub type Millis = u64;

/// What the machine's clocks say at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// What people read. It may be set, forwards or back.
    pub wall: Millis,
    /// Milliseconds since this process began, by a clock that nobody sets.
    pub steady: Millis,
}

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Moment {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let steady = u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment { wall: now(), steady }
    }
}

/// The clock of decisions. It begins where people's does, but never before what was decided
/// already, and then goes on as time passes, whoever sets the machine's.
#[derive(Debug, Clone, Copy)]
pub struct Steady {
    began: Millis,
    steady: Millis,
}

impl Steady {
    /// A clock that begins at that moment, and not before `latest`.
    #[must_use]
    pub fn new(at: Moment, latest: Millis) -> Steady {
        Steady { began: at.wall.max(latest), steady: at.steady }
    }

    /// What it says at that moment.
    #[must_use]
    pub fn at(&self, moment: Moment) -> Millis {
        self.began.saturating_add(moment.steady.saturating_sub(self.steady))
    }
}

/// How long something takes, for figures alone: no decision sees it.
#[derive(Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// From now on.
    #[must_use]
    pub fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Until now.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.0.elapsed()
    }
}

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
    use super::{Moment, Steady};

    #[test]
    fn times_are_written_as_rfc_3339_in_utc() {
        assert_eq!(super::stamp(1_795_178_045_999), "2026-11-20T12:34:05Z");
        assert_eq!(super::stamp(0), "1970-01-01T00:00:00Z");
        assert_eq!(super::seconds(2_149), "2.1s");
    }

    #[test]
    fn decisions_go_by_the_time_that_passes_whoever_sets_the_clock() {
        let clock = Steady::new(Moment { wall: 1_000, steady: 50 }, 0);
        assert_eq!(clock.at(Moment { wall: 1_010, steady: 60 }), 1_010);
        assert_eq!(clock.at(Moment { wall: 3_601_020, steady: 70 }), 1_020);
        assert_eq!(clock.at(Moment { wall: 5, steady: 80 }), 1_030);
    }

    #[test]
    fn a_clock_that_was_set_back_while_the_server_was_down_does_not_stop_what_was_begun() {
        let clock = Steady::new(Moment { wall: 1_000, steady: 0 }, 9_000);
        assert_eq!(clock.at(Moment { wall: 1_001, steady: 1 }), 9_001);
    }
}
