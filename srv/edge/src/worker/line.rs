//! Lines of the access log, gathered by a worker and handed over many at a time.
//!
//! Combined format, then what a deployment wants to know: service, instance, version, seconds,
//! request ID.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use hyper::header::{HOST, HeaderValue, REFERER, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};

use crate::access::Access;
use crate::backend::Backend;

/// How long a line waits for more at most.
pub(super) const FLUSHED_AFTER: Duration = Duration::from_millis(200);
/// Bytes that are handed over at once, about.
const BATCH_BYTES: usize = 16 * 1024;

/// What the head of a request says, kept for its line.
#[derive(Debug)]
pub(crate) struct Line {
    ip: IpAddr,
    request: String,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    id: Option<HeaderValue>,
}

impl Line {
    /// From the head as the user sent it.
    pub(crate) fn of(ip: IpAddr, head: &Parts) -> Self {
        let target = head.uri.path_and_query().map_or("*", |it| it.as_str());
        let request = format!("{} {target} {:?}", head.method, head.version);
        Self { ip, request, host: None, referer: None, agent: None, id: None }
    }

    /// With what stands in the head as the instance gets it.
    pub(crate) fn with(self, headers: &HeaderMap) -> Self {
        let kept = |name| headers.get(name).cloned();
        Self {
            host: kept(HOST),
            referer: kept(REFERER),
            agent: kept(USER_AGENT),
            id: headers.get("x-request-id").cloned(),
            ..self
        }
    }
}

/// Lines that were not handed over yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    lines: u64,
}

impl Lines {
    /// Adds a line; true when it is the first, and somebody should hand it over after a while.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn add(
        &mut self,
        line: &Line,
        service: &str,
        backend: Option<&Backend>,
        status: Option<StatusCode>,
        bytes: u64,
        took: Duration,
        to: &Access,
    ) -> bool {
        let first = self.text.is_empty();
        let out = &mut self.text;
        // Writing to a string does not fail.
        let _ = write!(out, "{} - - [{}] \"", line.ip, Clock(SystemTime::now()));
        escape(out, line.request.as_bytes());
        let _ = write!(out, "\" {} {bytes} \"", status.map_or(499, |status| status.as_u16()));
        escape(out, line.referer.as_ref().map_or(b"-", |it| it.as_bytes()));
        out.push_str("\" \"");
        escape(out, line.agent.as_ref().map_or(b"-", |it| it.as_bytes()));
        out.push_str("\" ");
        escape(out, line.host.as_ref().map_or(b"-", |it| it.as_bytes()));
        let (id, version) = backend.map_or(("-", "-"), |it| (&it.is.id, &it.is.version));
        let _ = write!(out, " {service} {id} {version} {:.6} ", took.as_secs_f64());
        escape(out, line.id.as_ref().map_or(b"-", |it| it.as_bytes()));
        out.push('\n');
        self.lines += 1;
        if self.text.len() >= BATCH_BYTES {
            self.flush(to);
        }
        first
    }

    /// Hands over what there is.
    pub(super) fn flush(&mut self, to: &Access) {
        if !self.text.is_empty() {
            let text = std::mem::replace(&mut self.text, String::with_capacity(BATCH_BYTES + 1024));
            to.write(text.into_bytes(), std::mem::take(&mut self.lines));
        }
    }
}

/// What a user says may not end the field or the line, nor move the reader's cursor.
fn escape(out: &mut String, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' '..=b'~' => out.push(char::from(*byte)),
            other => _ = write!(out, "\\x{other:02x}"),
        }
    }
}

/// A time as the Combined format has it, in UTC: `21/Nov/2026:13:09:27 +0000`.
struct Clock(SystemTime);

impl std::fmt::Display for Clock {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MONTHS: [&str; 12] =
            ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let seconds = self.0.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |it| it.as_secs());
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Days to a date, counted in eras of 400 years that begin in March.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = (from_march + 2) % 12;
        let year = year_of_era + era * 400 + u64::from(month < 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let month = MONTHS[month as usize];
        write!(out, "{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_printed_as_the_combined_format_has_it() {
        for (seconds, text) in [
            (0, "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "29/Feb/2000:00:00:00 +0000"),
            (1_795_266_567, "21/Nov/2026:13:09:27 +0000"),
            (4_107_542_399, "28/Feb/2100:23:59:59 +0000"),
            (4_107_542_400, "01/Mar/2100:00:00:00 +0000"),
        ] {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(Clock(at).to_string(), text);
        }
    }

    #[test]
    fn a_user_cannot_write_a_line_of_his_own() {
        let mut out = String::new();
        escape(&mut out, b"a\" 200\n1.2.3.4 \\\x1b[31m\xff");
        assert_eq!(out, "a\\\" 200\\x0a1.2.3.4 \\\\\\x1b[31m\\xff");
    }
}
