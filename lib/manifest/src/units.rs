//! Times, sizes and cores: read as people write them, printed in one way.

use crate::error::Error;

/// Reads a time into milliseconds: seconds as a number (`5`, `0.5`), or `500ms`, `5s`, `1m30s`,
/// `2h`.
///
/// # Errors
/// When it is not a time, finer than a millisecond, or longer than a day.
pub fn parse_time_ms(_text: &str) -> Result<u64, Error> {
    todo!()
}

/// Reads a size into bytes: `64M` is 64·10⁶, `512Mi` is 512·2²⁰; K, M, G, T and Ki, Mi, Gi, Ti.
///
/// # Errors
/// When it is not a size, not whole bytes, or above the limit.
pub fn parse_size_bytes(_text: &str) -> Result<u64, Error> {
    todo!()
}

/// Reads cores (`0.25`, `2`) into thousandths of one.
///
/// # Errors
/// When it is not a number or finer than a thousandth.
pub fn parse_cpu_milli(_text: &str) -> Result<u32, Error> {
    todo!()
}

/// A time as a manifest says it: `90`, `1500ms`.
#[must_use]
pub fn show_time(_time_ms: u64) -> String {
    todo!()
}

/// A size as a manifest says it, exact and short: `256M`, `512Mi`, `1234`.
#[must_use]
pub fn show_size(_bytes: u64) -> String {
    todo!()
}

/// Cores as a manifest says them: `0.25`, `2`.
#[must_use]
pub fn show_cpu(_milli: u64) -> String {
    todo!()
}
