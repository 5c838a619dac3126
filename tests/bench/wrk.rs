//! wrk: requests over connections that are kept, as fast as they are answered.

use crate::program::OTHER_CORE;
use std::process::{Command, Stdio};

/// Its connections.
pub(crate) const CONNECTIONS: u32 = 64;

/// What wrk told of a round.
pub(crate) struct Round {
    pub(crate) per_second: f64,
    pub(crate) p99_ms: f64,
}

/// Asks one place for so many seconds, with these words besides.
///
/// # Errors
/// wrk is not there, or an answer was not 200.
pub(crate) fn wrk(url: &str, seconds: u32, words: &[&str]) -> Result<Round, String> {
    let output = command(url, seconds).args(words).stderr(Stdio::null()).output();
    let output = output.map_err(missing)?;
    read(url, &String::from_utf8_lossy(&output.stdout))
}

/// wrk, ready to be started.
pub(crate) fn command(url: &str, seconds: u32) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &OTHER_CORE.to_string(), "wrk", "-t1", &format!("-c{CONNECTIONS}")]);
    command.args([&format!("-d{seconds}s"), "--latency", url]).stdin(Stdio::null());
    command
}

/// Why it could not be run.
pub(crate) fn missing(error: std::io::Error) -> String {
    format!("cannot run wrk: {error}; install Debian's wrk")
}

/// What it told.
///
/// # Errors
/// It could not connect, or an answer was not 200.
pub(crate) fn read(url: &str, text: &str) -> Result<Round, String> {
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("{url}: {text}"));
    }
    let after = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.map(|rest| rest.trim().to_owned()).ok_or_else(|| format!("wrk said: {text}"))
    };
    let per_second = after("Requests/sec:")?.parse().map_err(|error| format!("{error}"))?;
    Ok(Round { per_second, p99_ms: milliseconds(&after("99%")?)? })
}

/// A time as wrk writes it: `840.00us`, `4.95ms`, `1.20s`.
fn milliseconds(text: &str) -> Result<f64, String> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let found = units.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)));
    let (number, ms) = found.ok_or_else(|| format!("no time: {text}"))?;
    number.parse::<f64>().map(|number| number * ms).map_err(|error| format!("{text}: {error}"))
}
