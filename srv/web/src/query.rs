//! The words after the `?` of a request, checked by the row of what is asked for.

use crate::refusal::{Refusal, Result};
use crate::routes::{Kind, Route, Word};
use std::collections::BTreeMap;

/// Letters of a line of text.
const LINE_CHARS_MAX: usize = 200;

/// Words of a request, each as its row wants it.
#[derive(Debug, Default)]
pub(crate) struct Query(BTreeMap<&'static str, String>);

impl Query {
    /// Reads what stands after the `?`.
    ///
    /// # Errors
    /// All words that the row does not have, that are twice, missing, or not what they should be.
    pub(crate) fn read(text: &str, route: &Route) -> Result<Query> {
        let (mut query, mut wrong) = (Query::default(), Vec::new());
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (plain(name), plain(value)) else {
                wrong.push("a word is not UTF-8 or has a broken escape".to_string());
                continue;
            };
            let Some(word) = route.words.iter().find(|word| word.name == name) else {
                let known: Vec<&str> = route.words.iter().map(|word| word.name).collect();
                let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
                wrong.push(format!("{}: no such word; there are: {known}", shown(&name)));
                continue;
            };
            if query.0.contains_key(word.name) {
                wrong.push(format!("{}: stands twice", word.name));
            }
            match check(word, &value) {
                Ok(()) => drop(query.0.insert(word.name, value)),
                Err(why) => wrong.push(format!("{}: {why}, not {}", word.name, shown(&value))),
            }
        }
        let missing =
            route.words.iter().filter(|word| word.must && !query.0.contains_key(word.name));
        if wrong.is_empty() {
            wrong.extend(missing.map(|word| format!("{}: is missing", word.name)));
        }
        match wrong.is_empty() {
            true => Ok(query),
            false => Err(Refusal::bad(wrong.join("; "))
                .hint("GET /v1/openapi.json says what may stand after the ?")),
        }
    }

    /// A word, as it was given.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    /// Whether it is there, and not `false`.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.text(name).is_some_and(|text| text != "false")
    }
}

fn check(word: &Word, value: &str) -> std::result::Result<(), String> {
    let fine = match word.kind {
        Kind::Number(most) => {
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            let number = value.parse::<u64>().ok().filter(|number| digits && *number <= most);
            return number.map(drop).ok_or(format!("a number from 0 to {most}"));
        }
        // `?follow` alone is plain enough.
        Kind::Truth => matches!(value, "" | "true" | "false"),
        Kind::Service => manifest::check_name(value).is_ok(),
        Kind::Version => is_version(value),
        Kind::Line => {
            !value.is_empty()
                && value.chars().count() <= LINE_CHARS_MAX
                && !value.contains(char::is_control)
        }
    };
    let wanted = match word.kind {
        Kind::Truth => "true or false",
        Kind::Service => "the name of a service",
        Kind::Version => "a version, v3 or its 12 digits",
        Kind::Line => "a line of 1 to 200 letters",
        Kind::Number(_) => "a number",
    };
    fine.then_some(()).ok_or_else(|| wanted.to_string())
}

/// `v3`, or 12 hex digits.
fn is_version(text: &str) -> bool {
    let count = text.strip_prefix('v').unwrap_or_default();
    let count = (1..=9).contains(&count.len()) && count.bytes().all(|b| b.is_ascii_digit());
    count || manifest::VersionName::parse(text).is_ok()
}

/// A word without its escapes (RFC 3986, section 2.1; `+` is a blank, as forms write it); none
/// when they are broken, or what they stand for is no text.
pub(crate) fn plain(text: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                rest = after;
                let digit = |at: usize| char::from(digits[at]).to_digit(16);
                u8::try_from(digit(0)? * 16 + digit(1)?).ok()?
            }
            b'+' => b' ',
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A word as an answer repeats it: with an end.
fn shown(word: &str) -> String {
    let cut: String = word.chars().take(40).collect();
    format!("{cut:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::{Found, ROUTES, Way, find};

    fn row(way: Way, path: &str) -> &'static Route {
        match find(Some(way), path) {
            Found::Route(route, _) => route,
            Found::Otherwise(_) | Found::Nothing => panic!("{path} is one of {}", ROUTES.len()),
        }
    }

    #[test]
    fn words_are_read_as_their_row_wants_them() {
        let log = row(Way::Get, "/v1/services/web/log");
        let query = Query::read("lines=20&follow", log).unwrap();
        assert_eq!((query.number("lines"), query.is("follow")), (Some(20), true));
        assert!(!Query::read("follow=false", log).unwrap().is("follow"));
        let back = row(Way::Post, "/v1/services/web/rollback");
        assert_eq!(Query::read("version=v3", back).unwrap().text("version"), Some("v3"));
        let deploy = row(Way::Post, "/v1/deploy");
        let query = Query::read("message=to+m%c3%bcnchen", deploy).unwrap();
        assert_eq!(query.text("message"), Some("to münchen"));
    }

    #[test]
    fn all_wrong_words_are_told_at_once() {
        let check = |way, path, text, want: &[&str]| {
            let refusal = Query::read(text, row(way, path)).unwrap_err();
            assert_eq!(refusal.status.as_u16(), 400);
            for want in want {
                assert!(refusal.error.contains(want), "{text}: {}", refusal.error);
            }
        };
        let log = "/v1/services/web/log";
        check(
            Way::Get,
            log,
            "lines=x&frob=1",
            &["lines: a number from 0 to 10000", "\"frob\": no such"],
        );
        check(Way::Get, log, "lines=10001", &["lines: a number"]);
        check(Way::Get, log, "lines=+1", &["lines: a number"]);
        check(Way::Get, log, "lines=%zz", &["broken escape"]);
        check(Way::Get, log, "lines=1&lines=2", &["lines: stands twice"]);
        check(Way::Get, "/v1/services", "x", &["there are: none"]);
        check(Way::Get, "/v1/events", "service=../etc", &["service: the name of a service"]);
        check(Way::Post, "/v1/services/web/scale", "", &["replicas: is missing"]);
        check(Way::Post, "/v1/services/web/rollback", "version=v3%0Astop", &["version: a version"]);
        check(Way::Post, "/v1/deploy", "message=a%0Aapply", &["message: a line"]);
    }
}
