//! h2load: TLS, with either version of HTTP.

use crate::program::OTHER_CORE;
use std::process::{Command, Stdio};

/// Asks one place, with these words besides; gives the requests a second and how many it were.
///
/// # Errors
/// h2load is not there, or a request failed.
pub(crate) fn h2load(url: &str, words: &[&str]) -> Result<(f64, f64), String> {
    let output = Command::new("taskset")
        .args(["-c", &OTHER_CORE.to_string(), "h2load"])
        .args(words)
        .arg(url)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run h2load: {error}; install nghttp2-client"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = || format!("{url}: h2load said: {text}");
    let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let rate =
        line("finished in ").and_then(|rest| rest.split(", ").nth(1)?.strip_suffix(" req/s"));
    let rate: f64 = rate.and_then(|rate| rate.parse().ok()).ok_or_else(said)?;
    let requests = line("requests: ").unwrap_or_default();
    let number = |key: &str| -> Option<f64> {
        requests.split(", ").find_map(|part| part.strip_suffix(key)?.trim().parse().ok())
    };
    match (number("succeeded"), number("failed"), number("errored")) {
        (Some(done @ 1.0..), Some(0.0), Some(0.0)) => Ok((rate, done)),
        _ => Err(said()),
    }
}
