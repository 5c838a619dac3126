//! From when to when a certificate holds: the one thing of it that nobody else here reads
//! (RFC 5280, section 4.1).

use chrono::{DateTime, NaiveDateTime, Utc};

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, around the version.
const VERSION: u8 = 0xa0;
/// Bytes that the length of something may take.
const LENGTH_BYTES_MAX: usize = 4;

/// Both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: DateTime<Utc>,
    pub(crate) to: DateTime<Utc>,
}

impl Validity {
    /// From a certificate in DER.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        let (certificate, _) = read(der, SEQUENCE)?;
        let (mut rest, _) = read(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            (_, rest) = read(rest, VERSION)?;
        }
        // Serial number, algorithm, issuer.
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            (_, rest) = read(rest, tag)?;
        }
        let (validity, _) = read(rest, SEQUENCE)?;
        let (from, rest) = time(validity)?;
        let (to, _) = time(rest)?;
        Some(Self { from, to })
    }
}

/// What is in the first thing, which is one of this tag, and what comes after it.
fn read(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let long = usize::from(first & 0x7f);
    let (len, rest) = match first {
        0..0x80 => (usize::from(first), rest),
        _ if !(1..=LENGTH_BYTES_MAX).contains(&long) => return None,
        _ => {
            let (len, rest) = rest.split_at_checked(long)?;
            (len.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
    };
    (found == tag).then(|| rest.split_at_checked(len))?
}

fn time(bytes: &[u8]) -> Option<(DateTime<Utc>, &[u8])> {
    let (text, rest, century) = match *bytes.first()? {
        UTC_TIME => {
            let (text, rest) = read(bytes, UTC_TIME)?;
            // Two digits of a year mean 1950 to 2049.
            (text, rest, if text.first()? < &b'5' { "20" } else { "19" })
        }
        _ => {
            let (text, rest) = read(bytes, GENERALIZED_TIME)?;
            (text, rest, "")
        }
    };
    let text = format!("{century}{}", str::from_utf8(text).ok()?);
    let time = NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok()?;
    Some((time.and_utc(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate as far as it is read, with these times.
    fn certificate(version: &[u8], times: &[u8]) -> Vec<u8> {
        let wrap = |inside: &[u8]| {
            let len = u8::try_from(inside.len()).unwrap();
            [&[SEQUENCE, 0x81, len][..], inside].concat()
        };
        let head = [version, &[INTEGER, 1, 9, SEQUENCE, 0, SEQUENCE, 0][..]].concat();
        wrap(&wrap(&[head, wrap(times)].concat()))
    }

    fn told(der: &[u8]) -> String {
        let told = Validity::of(der).map(|it| format!("{} {}", it.from, it.to));
        told.unwrap_or_else(|| "none".to_owned())
    }

    #[test]
    fn both_ways_to_write_a_time_are_read_with_and_without_a_version() {
        let times = b"\x17\x0d491231235959Z\x18\x0f20500101000000Z";
        let want = "2049-12-31 23:59:59 UTC 2050-01-01 00:00:00 UTC";
        assert_eq!(told(&certificate(&[], times)), want);
        assert_eq!(told(&certificate(&[VERSION, 3, INTEGER, 1, 2], times)), want);
        let old = certificate(&[], b"\x17\x0d500101000000Z\x17\x0d991231235959Z");
        assert_eq!(told(&old), "1950-01-01 00:00:00 UTC 1999-12-31 23:59:59 UTC");
    }

    #[test]
    fn what_is_cut_off_or_no_time_is_none() {
        let whole = certificate(&[], b"\x17\x0d491231235959Z\x18\x0f20500101000000Z");
        for len in 0..whole.len() {
            assert_eq!(told(&whole[..len]), "none", "{len} bytes");
        }
        assert_eq!(told(&certificate(&[], b"\x17\x0d499931235959Z\x17\x00")), "none");
        assert_eq!(told(&[SEQUENCE, 0x80]), "none");
        assert_eq!(told(&[SEQUENCE, 0x85, 0, 0, 0, 0, 1, 0]), "none");
    }
}
