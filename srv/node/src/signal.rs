//! Names of signals: `TERM`, `SIGTERM`, `15`, `RTMIN+3`, `RTMAX-1`.

use nix::libc;
use nix::sys::signal::Signal;

/// The number of a signal, or none when there is no such signal. Names may be in lower case.
pub(crate) fn parse(text: &str) -> Option<i32> {
    let upper = text.to_ascii_uppercase();
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    if let Ok(number) = upper.parse::<i32>() {
        return (1..=last).contains(&number).then_some(number);
    }
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Ok(signal) = format!("SIG{name}").parse::<Signal>() {
        return Some(signal as i32);
    }
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<u8>().ok().map(i32::from),
    };
    let number = match name.strip_prefix("RTMIN") {
        Some(rest) => first + offset(rest, '+')?,
        None => last - offset(name.strip_prefix("RTMAX")?, '-')?,
    };
    (first..=last).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, number: Option<i32>) {
        assert_eq!(parse(text), number, "{text:?}");
    }

    #[test]
    fn a_signal_has_a_name_or_a_number() {
        check("TERM", Some(15));
        check("SIGTERM", Some(15));
        check("9", Some(9));
        check("usr1", Some(10));
        check("RTMIN+3", Some(libc::SIGRTMIN() + 3));
        check("RTMAX", Some(libc::SIGRTMAX()));
        for bad in ["", "0", "-1", "1000", "TREM", "term x", "RTMIN+99", "RTMIN-1", "RTMIN+-1"] {
            check(bad, None);
        }
    }
}
