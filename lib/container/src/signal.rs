//! Names and numbers of signals.

use nix::sys::signal::Signal;

use crate::error::Error;

/// The first and the last real-time signal a program can be sent (signal(7), as glibc counts).
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// The number of a signal given as `TERM`, `SIGTERM`, `15`, `RTMIN+3` or `RTMAX-1`.
///
/// # Errors
/// A text that names no signal.
pub fn number(text: &str) -> Result<i32, Error> {
    let bad = || Error::Signal(text.to_owned());
    let upper = text.trim().to_ascii_uppercase();
    if let Ok(number) = upper.parse::<i32>() {
        return if (1..=*REAL_TIME.end()).contains(&number) { Ok(number) } else { Err(bad()) };
    }
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Ok(signal) = format!("SIG{bare}").parse::<Signal>() {
        return Ok(signal as i32);
    }
    let real_time = match (bare.strip_prefix("RTMIN"), bare.strip_prefix("RTMAX")) {
        (Some(""), _) => Some(*REAL_TIME.start()),
        (_, Some("")) => Some(*REAL_TIME.end()),
        (Some(rest), _) => rest.parse::<u8>().ok().map(|n| REAL_TIME.start() + i32::from(n)),
        (_, Some(rest)) => rest
            .strip_prefix('-')
            .and_then(|rest| rest.parse::<u8>().ok())
            .map(|n| REAL_TIME.end() - i32::from(n)),
        (None, None) => None,
    };
    real_time.filter(|number| REAL_TIME.contains(number)).ok_or_else(bad)
}

/// The name of a signal without `SIG`.
pub fn name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.as_str().trim_start_matches("SIG").to_owned(),
        Err(_) => format!("RTMIN+{}", number - REAL_TIME.start()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i32>) {
        assert_eq!(number(text).ok(), expected, "{text}");
    }

    #[test]
    fn signals_have_names_and_numbers() {
        check("TERM", Some(15));
        check("sigterm", Some(15));
        check("9", Some(9));
        check("SIGRTMIN+3", Some(37));
        check("RTMAX-1", Some(63));
        check("0", None);
        check("65", None);
        check("RTMIN+99", None);
        check("NOPE", None);
        check("", None);
        assert_eq!((name(9), name(37)), ("KILL".to_owned(), "RTMIN+3".to_owned()));
    }
}
