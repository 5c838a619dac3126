//! Lines of the access log, gathered by a worker and handed over many at a time.
//!
//! Combined format, then what a deployment wants to know: host, service, instance, version,
//! seconds from the request's head to the end of its answer, seconds until its instance had begun
//! to answer, request ID, and why it was ended early, as the figures call that. A field that there
//! is not is `-`.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use hyper::header::{HOST, HeaderValue, REFERER, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};

use crate::access::Access;
use crate::backend::Backend;
use crate::metrics::Reason;

/// How long a line waits for more at most.
pub(super) const FLUSHED_AFTER: Duration = Duration::from_millis(200);
/// Bytes that are handed over at once, about.
const BATCH_BYTES: usize = 16 * 1024;
/// Bytes of a line that come from the user, by field, escapes and all; the rest of one is left. So
/// no line is longer than a pipe takes in one piece (PIPE_BUF, 4096).
const REQUEST_BYTES_MAX: usize = 2048;
const REFERER_BYTES_MAX: usize = 512;
const AGENT_BYTES_MAX: usize = 512;
const HOST_BYTES_MAX: usize = 256;
const ID_BYTES_MAX: usize = 128;
/// What stands for the rest.
const REST: &str = "...";

/// What the head of a request says, kept for its line.
#[derive(Debug)]
pub(crate) struct Line {
    ip: IpAddr,
    request: String,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    id: Option<HeaderValue>,
    waited: Option<Duration>,
}

impl Line {
    /// From the head as the user sent it.
    pub(crate) fn of(ip: IpAddr, head: &Parts) -> Self {
        let target = head.uri.path_and_query().map_or("*", |it| it.as_str());
        let request = format!("{} {target} {:?}", head.method, head.version);
        let authority = || head.uri.authority().and_then(|it| it.as_str().try_into().ok());
        let host = head.headers.get(HOST).cloned().or_else(authority);
        let (referer, agent, id, waited) = (None, None, None, None);
        Self { ip, request, host, referer, agent, id, waited }
    }

    /// With what stands in the head as the instance gets it.
    pub(crate) fn with(self, headers: &HeaderMap) -> Self {
        let kept = |name| headers.get(name).cloned();
        Self {
            referer: kept(REFERER),
            agent: kept(USER_AGENT),
            id: headers.get("x-request-id").cloned(),
            ..self
        }
    }

    /// From a head of HTTP/1.1 in bytes, as the instance gets it.
    pub(crate) fn of_bytes(ip: IpAddr, head: &httparse::Request<'_, '_>) -> Option<Self> {
        let request = format!("{} {} HTTP/1.1", head.method?, head.path?);
        let (host, referer, agent, id, waited) = (None, None, None, None, None);
        let mut it = Self { ip, request, host, referer, agent, id, waited };
        for field in &*head.headers {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            let kept = match field.name.len() {
                4 if is("host") => &mut it.host,
                7 if is("referer") => &mut it.referer,
                10 if is("user-agent") => &mut it.agent,
                12 if is("x-request-id") => &mut it.id,
                _ => continue,
            };
            // Of several the first, as in a map of fields.
            if kept.is_none() {
                *kept = Some(field.value.try_into().ok()?);
            }
        }
        Some(it)
    }

    /// Its instance has begun to answer, so long after it was sent there.
    pub(crate) fn answered(&mut self, waited: Duration) {
        self.waited = Some(waited);
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// As its answer says; none went out to a user who went away.
    pub(crate) status: Option<StatusCode>,
    /// Why before its time, if it was.
    pub(crate) early: Option<Reason>,
    /// After how long.
    pub(crate) took: Duration,
}

/// Lines that were not handed over yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    text: String,
    lines: u64,
}

impl Lines {
    /// Adds a line; true when it is the first, and somebody should hand it over after a while.
    pub(super) fn add(
        &mut self,
        line: &Line,
        service: &str,
        backend: Option<&Backend>,
        Ended { status, early, took }: Ended,
        bytes: u64,
        to: &Access,
    ) -> bool {
        let first = self.text.is_empty();
        let out = &mut self.text;
        // Writing to a string does not fail.
        let _ = write!(out, "{} - - [{}] \"", line.ip, Clock(SystemTime::now()));
        quoted(out, line.request.as_bytes(), REQUEST_BYTES_MAX);
        let _ = write!(out, "\" {} {bytes} \"", status.map_or(499, |status| status.as_u16()));
        quoted(out, value(&line.referer), REFERER_BYTES_MAX);
        out.push_str("\" \"");
        quoted(out, value(&line.agent), AGENT_BYTES_MAX);
        out.push_str("\" ");
        bare(out, value(&line.host), HOST_BYTES_MAX);
        let (id, version) = backend.map_or(("-", "-"), |it| (&it.is.id, &it.is.version));
        let _ = write!(out, " {service} {id} {version} {:.6} ", took.as_secs_f64());
        let _ = match line.waited {
            Some(waited) => write!(out, "{:.6} ", waited.as_secs_f64()),
            None => write!(out, "- "),
        };
        bare(out, value(&line.id), ID_BYTES_MAX);
        let _ = writeln!(out, " {}", early.map_or("-", Reason::word));
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

fn value(field: &Option<HeaderValue>) -> &[u8] {
    field.as_ref().map_or(b"-", HeaderValue::as_bytes)
}

/// A field in quotes.
fn quoted(out: &mut String, text: &[u8], bytes_max: usize) {
    escape(out, text, b' ', bytes_max);
}

/// A field that ends at a space; an empty one would shift those behind it.
fn bare(out: &mut String, text: &[u8], bytes_max: usize) {
    escape(out, if text.is_empty() { b"-" } else { text }, b'!', bytes_max);
}

/// What a user says may not end the field or the line, nor move the reader's cursor. What stands
/// for itself is from `first` on.
fn escape(out: &mut String, text: &[u8], first: u8, bytes_max: usize) {
    let end = out.len() + bytes_max - REST.len();
    for byte in text {
        let before = out.len();
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b' '..=b'~' if *byte >= first => out.push(char::from(*byte)),
            other => _ = write!(out, "\\x{other:02x}"),
        }
        if out.len() > end {
            out.truncate(before);
            out.push_str(REST);
            return;
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
    fn a_user_cannot_write_a_line_or_a_field_of_his_own() {
        let mut out = String::new();
        quoted(&mut out, b"a\" 200\n1.2.3.4 \\\x1b[31m\xff", 100);
        assert_eq!(out, "a\\\" 200\\x0a1.2.3.4 \\\\\\x1b[31m\\xff");
        out.clear();
        bare(&mut out, b"a b", 100);
        bare(&mut out, b"", 100);
        assert_eq!(out, "a\\x20b-");
    }

    #[test]
    fn what_is_too_long_is_left_at_a_whole_character() {
        for (text, wanted) in [
            (&b"0123456"[..], "0123456"),
            (b"0123456789", "0123456..."),
            (b"01234\n789", "01234..."),
            (b"\\\\\\\\\\", "\\\\\\\\\\\\..."),
        ] {
            let mut out = String::from("before ");
            quoted(&mut out, text, 10);
            assert_eq!(out, format!("before {wanted}"));
        }
    }

    #[test]
    fn no_line_is_longer_than_a_pipe_takes_in_one_piece() {
        let long = HeaderValue::from_bytes(&[0xff; 16 * 1024]).expect("a value");
        let fields = || Some(long.clone());
        let line = Line {
            ip: "2001:db8:1111:2222:3333:4444:5555:6666".parse().expect("an address"),
            request: "\n".repeat(16 * 1024),
            host: fields(),
            referer: fields(),
            agent: fields(),
            id: fields(),
            waited: Some(Duration::from_secs(100_000)),
        };
        let (mut lines, to) = (Lines::default(), Access::none());
        let took = Duration::from_secs(100_000);
        let ended = Ended { status: None, early: Some(Reason::Instance), took };
        lines.add(&line, &"s".repeat(253), None, ended, u64::MAX, &to);
        assert!(lines.text.len() <= crate::access::PIECE_BYTES - 128, "{}", lines.text.len());
    }
}
