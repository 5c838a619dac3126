//! Times of lines, compared with how long ago something may be.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Characters of a time up to its seconds: `2026-11-20T12:34:05`.
const SECOND_CHARS: usize = 19;

const DAY_S: u64 = 24 * 60 * 60;

/// The moment so long before now, as lines begin: in UTC, to the second.
pub(crate) fn ago(span: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    stamp(now.saturating_sub(span).as_secs())
}

/// Whether a line that begins with a time is not older than `from`.
pub(crate) fn is_since(line: &str, from: Option<&str>) -> bool {
    from.is_none_or(|from| line.get(..SECOND_CHARS).is_some_and(|time| time >= from))
}

/// Seconds since 1970 as `2026-11-20T12:34:05`.
pub(crate) fn stamp(seconds: u64) -> String {
    let (days, second) = (seconds / DAY_S, seconds % DAY_S);
    let (year, month, day) = date(days);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}", second % 60)
}

/// Year, month and day of a day since 1970: years are taken from 1 March, so that the leap day
/// is a year's last, and 400 of them have 146 097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: u64, want: &str) {
        assert_eq!(stamp(seconds), want);
    }

    #[test]
    fn a_moment_is_written_as_lines_begin() {
        check(0, "1970-01-01T00:00:00");
        check(951_782_399, "2000-02-28T23:59:59");
        check(951_782_400, "2000-02-29T00:00:00");
        check(1_709_251_199, "2024-02-29T23:59:59");
        check(1_795_178_045, "2026-11-20T12:34:05");
        check(4_107_542_399, "2100-02-28T23:59:59");
        check(4_107_542_400, "2100-03-01T00:00:00");
    }

    #[test]
    fn a_line_of_that_very_second_is_not_older() {
        let from = Some("2026-11-20T12:34:05");
        assert!(is_since("2026-11-20T12:34:05Z x", from));
        assert!(is_since("2026-11-20T12:34:05.123Z x", from));
        assert!(!is_since("2026-11-20T12:34:04.999Z x", from));
        assert!(!is_since("no time", from));
        assert!(is_since("no time", None));
    }
}
