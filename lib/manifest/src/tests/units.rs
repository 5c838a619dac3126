//! Times, sizes and cores.

use crate::units::{
    parse_cpu_milli, parse_size_bytes, parse_time_ms, show_cpu, show_size, show_time,
};

/// A text, and what it is read as and printed again; or what is wrong with it.
#[track_caller]
fn check<T>(
    read: impl Fn(&str) -> Result<T, crate::Error>,
    show: impl Fn(T) -> String,
    case: &str,
) {
    let (text, wanted) = case.split_once(" -> ").unwrap();
    let got = read(text).map_or_else(|error| error.to_string(), show);
    assert_eq!(got, wanted, "{text}");
}

#[test]
fn a_time_is_seconds_or_parts_from_large_to_small() {
    for case in [
        "0 -> 0",
        "10 -> 10",
        "0.5 -> 500ms",
        "1.250 -> 1250ms",
        "5s -> 5",
        "1m30s -> 90",
        "1h -> 3600",
        "1s500ms -> 1500ms",
        "500ms -> 500ms",
        "0.5m -> 30",
        "24h -> 86400",
        "86401 -> \"86401\" is too large; the most is a day",
        "99999999999999999999 -> \"99999999999999999999\" is too large; the most is a day",
        "0.0001 -> \"0.0001\" is finer than a millisecond; leave the last digits out",
    ] {
        check(parse_time_ms, show_time, case);
    }
    for wrong in ["", " ", "-1", "s", "1 s", "1s1m", "1s1s", "1d", ".5", "5.", "1e3", "1m30", "５"]
    {
        assert!(parse_time_ms(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_size_is_decimal_or_with_an_i_binary() {
    for case in [
        "0 -> 0",
        "64M -> 64M",
        "64000K -> 64M",
        "512Mi -> 512Mi",
        "1024Mi -> 1Gi",
        "1.5G -> 1500M",
        "1.5Ki -> 1536",
        "1Ti -> 1Ti",
        "1024Ti -> 1024Ti",
        "1234567 -> 1234567",
        "1025Ti -> \"1025Ti\" is too large; the most is 1024Ti",
        "1.5 -> \"1.5\" is finer than a byte; leave the last digits out",
    ] {
        check(parse_size_bytes, show_size, case);
    }
    assert_eq!(parse_size_bytes("512M"), Ok(512_000_000));
    assert_eq!(parse_size_bytes("512Mi"), Ok(536_870_912));
    for wrong in ["", "M", "64MB", "64m", "64 M", "-1M", "1P", "0x10"] {
        assert!(parse_size_bytes(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn cores_are_counted_in_thousandths() {
    for case in [
        "2 -> 2",
        "0.25 -> 0.25",
        "0.250 -> 0.25",
        "10 -> 10",
        "1.001 -> 1.001",
        "0.0005 -> \"0.0005\" is finer than a thousandth of a core; leave the last digits out",
        "2000 -> \"2000\" is too large; the most is 1024 cores",
    ] {
        check(parse_cpu_milli, show_cpu, case);
    }
    assert_eq!(show_cpu(0), "0");
}
