//! Times, sizes and cores: read as people write them, printed in one way.

use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::character::complete::{char, digit1};
use nom::combinator::{all_consuming, opt, value};
use nom::multi::many1;
use nom::sequence::preceded;
use nom::{IResult, Parser};

use crate::error::Error;
use crate::limits::{CPU_MILLI_MAX, SIZE_BYTES_MAX, TIME_MS_MAX};

const SECOND_MS: u64 = 1000;

/// Size suffixes, the decimal ones first: print prefers them where both are as short.
const SUFFIXES: [(&str, u64); 9] = [
    ("", 1),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
];

/// Digits before the point and behind it.
type Decimal<'a> = (&'a str, Option<&'a str>);

/// What is wrong with a decimal in some unit.
enum Misfit {
    Fine,
    Large,
}

/// Reads a time into milliseconds: seconds as a number (`5`, `0.5`), or `500ms`, `5s`, `1m30s`,
/// `2h`.
///
/// # Errors
/// When it is not a time, finer than a millisecond, or longer than a day.
pub fn parse_time_ms(text: &str) -> Result<u64, Error> {
    let parts = match all_consuming(decimal).parse(text) {
        Ok((_, seconds)) => vec![(seconds, SECOND_MS)],
        Err(_) => {
            let Ok((_, parts)) = all_consuming(many1((decimal, time_unit))).parse(text) else {
                return Err(Error::Time(text.to_owned()));
            };
            parts
        }
    };
    if !parts.windows(2).all(|pair| pair[0].1 > pair[1].1) {
        return Err(Error::Time(text.to_owned()));
    }
    let mut time_ms = 0_u64;
    for (number, unit_ms) in parts {
        time_ms =
            time_ms.saturating_add(whole(number, unit_ms).map_err(|misfit| match misfit {
                Misfit::Fine => Error::Fine(text.to_owned(), "a millisecond"),
                Misfit::Large => Error::Large(text.to_owned(), "a day"),
            })?);
    }
    if time_ms > TIME_MS_MAX {
        return Err(Error::Large(text.to_owned(), "a day"));
    }
    Ok(time_ms)
}

/// Reads a size into bytes: `64M` is 64·10⁶, `512Mi` is 512·2²⁰; K, M, G, T and Ki, Mi, Gi, Ti.
///
/// # Errors
/// When it is not a size, not whole bytes, or above the limit.
pub fn parse_size_bytes(text: &str) -> Result<u64, Error> {
    let not_a_size = || Error::Size(text.to_owned());
    let (suffix, number) = decimal(text).map_err(|_| not_a_size())?;
    let (_, unit) =
        SUFFIXES.iter().find(|(known, _)| *known == suffix).copied().ok_or_else(not_a_size)?;
    match whole(number, unit) {
        Ok(bytes) if bytes <= SIZE_BYTES_MAX => Ok(bytes),
        Ok(_) | Err(Misfit::Large) => Err(Error::Large(text.to_owned(), "1024Ti")),
        Err(Misfit::Fine) => Err(Error::Fine(text.to_owned(), "a byte")),
    }
}

/// Reads cores (`0.25`, `2`) into thousandths of one.
///
/// # Errors
/// When it is not a number, finer than a thousandth, or above the limit.
pub fn parse_cpu_milli(text: &str) -> Result<u32, Error> {
    let Ok((_, number)) = all_consuming(decimal).parse(text) else {
        return Err(Error::Cpu(text.to_owned()));
    };
    match whole(number, 1000).map(u32::try_from) {
        Ok(Ok(milli)) if milli <= CPU_MILLI_MAX => Ok(milli),
        Ok(_) | Err(Misfit::Large) => Err(Error::Large(text.to_owned(), "1024 cores")),
        Err(Misfit::Fine) => Err(Error::Fine(text.to_owned(), "a thousandth of a core")),
    }
}

/// A time as a manifest says it: `90`, `1500ms`.
#[must_use]
pub fn show_time(time_ms: u64) -> String {
    if time_ms.is_multiple_of(SECOND_MS) {
        (time_ms / SECOND_MS).to_string()
    } else {
        format!("{time_ms}ms")
    }
}

/// A size as a manifest says it, exact and short: `256M`, `512Mi`, `1234`.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    SUFFIXES
        .iter()
        .filter(|(_, unit)| bytes.is_multiple_of(*unit))
        .map(|(suffix, unit)| format!("{}{suffix}", bytes / unit))
        .min_by_key(String::len)
        .unwrap_or_else(|| bytes.to_string())
}

/// Cores as a manifest says them: `0.25`, `2`.
#[must_use]
pub fn show_cpu(milli: u32) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn decimal(input: &str) -> IResult<&str, Decimal<'_>> {
    (digit1, opt(preceded(char('.'), digit1))).parse(input)
}

/// A unit of time in milliseconds. `ms` stands before `m`, which it begins with.
fn time_unit(input: &str) -> IResult<&str, u64> {
    alt((
        value(1, tag("ms")),
        value(60 * 60 * SECOND_MS, tag("h")),
        value(60 * SECOND_MS, tag("m")),
        value(SECOND_MS, tag("s")),
    ))
    .parse(input)
}

/// A decimal times a unit, when that is a whole number. 16 digits before the point and 9 behind
/// it, times at most 2⁴⁰, stay below 2¹²⁸.
fn whole((digits, fraction): Decimal<'_>, unit: u64) -> Result<u64, Misfit> {
    let digits = digits.trim_start_matches('0');
    let fraction = fraction.unwrap_or_default().trim_end_matches('0');
    if digits.len() > 16 {
        return Err(Misfit::Large);
    }
    if fraction.len() > 9 {
        return Err(Misfit::Fine);
    }
    let tens = 10_u128.pow(u32::try_from(fraction.len()).map_err(|_| Misfit::Fine)?);
    let number = format!("0{digits}{fraction}").parse::<u128>().map_err(|_| Misfit::Large)?;
    let scaled = number * u128::from(unit);
    if !scaled.is_multiple_of(tens) {
        return Err(Misfit::Fine);
    }
    u64::try_from(scaled / tens).map_err(|_| Misfit::Large)
}
