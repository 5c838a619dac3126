//! dnsperf: questions out of a file, over and over.

use crate::program::OTHER_CORE;
use std::path::Path;
use std::process::{Command, Stdio};

/// Sockets it asks from.
const CLIENTS: &str = "8";
/// Questions it leaves unanswered at a time: as many as it asks of a server unless told otherwise.
const UNANSWERED: &str = "100";

/// What dnsperf told of a round.
pub(crate) struct Answers {
    pub(crate) per_second: f64,
    pub(crate) count: f64,
}

/// Asks what is in `file` for so many seconds; every answer must have `code`.
///
/// # Errors
/// dnsperf is not there, a question was lost, or an answer was another.
pub(crate) fn dnsperf(port: u16, file: &Path, seconds: u32, code: &str) -> Result<Answers, String> {
    let output = Command::new("taskset")
        .args(["-c", &OTHER_CORE.to_string(), "dnsperf", "-s", "127.0.0.1", "-m", "udp"])
        .args(["-p", &port.to_string(), "-c", CLIENTS, "-q", UNANSWERED, "-T", "1"])
        .args(["-l", &seconds.to_string(), "-d"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run dnsperf: {error}; install Debian's dnsperf"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let after = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.map(str::trim).ok_or_else(|| format!("port {port}: dnsperf said: {text}"))
    };
    let number = |key: &str| {
        let first = after(key)?.split(' ').next().unwrap_or_default();
        first.parse::<f64>().map_err(|error| format!("{key} {first}: {error}"))
    };
    let all_alike = after("Response codes:")?.starts_with(&format!("{code} "))
        && after("Response codes:")?.contains("(100.00%)");
    if number("Queries lost:")? > 0.0 || !all_alike {
        return Err(format!("port {port}: not every answer was {code}: {text}"));
    }
    Ok(Answers { per_second: number("Queries per second:")?, count: number("Queries completed:")? })
}
