//! One line of a manifest's text, found or changed without reading the rest.

use std::ops::Range;

use crate::place::Place;
use crate::version::check_name;
use crate::words::{Word, words};

const KEY: &str = "replicas";
const APP: &str = "app";

/// The text with this number of replicas: the `replicas` line is changed where it stands, or one
/// is added at the end; comments, blanks and line ends stay.
#[must_use]
pub fn with_replicas(text: &str, replicas: u32) -> String {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut start = mark;
    for line in text[mark..].split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let words = words(body, Place::START).unwrap_or_default();
        if let Some(found) = number_of(&words) {
            let Range { start: from, end: to } = found;
            let space = if from == to { " " } else { "" };
            let (before, after) = (&text[..start + from], &text[start + to..]);
            return format!("{before}{space}{replicas}{after}");
        }
        start += line.len();
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { end };
    format!("{text}{gap}{KEY} {replicas}{end}")
}

/// The app that a text in the flat language says it belongs to, whatever else is wrong with it.
#[must_use]
pub fn app_of(text: &str) -> Option<String> {
    let begins = |line: &&str| line.trim_start().starts_with(APP);
    let words_of = |line: &str| words(line.trim_end_matches('\r'), Place::START).ok();
    let mut lines = text.lines().filter(begins).filter_map(words_of);
    lines.find_map(|words| match &words[..] {
        [key, name] if key.text == APP && check_name(&name.text).is_ok() => Some(name.text.clone()),
        _ => None,
    })
}

/// Where the number of a `replicas` line stands, or, where it is missing, should.
fn number_of(words: &[Word]) -> Option<Range<usize>> {
    let key = words.first().filter(|word| word.text == KEY)?;
    let end = key.span.end;
    Some(words.get(1).map_or(end..end, |word| word.span.clone()))
}
