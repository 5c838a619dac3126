//! The flat language: text to a manifest and all its problems.

use crate::args::{Args, Place, Told};
use crate::check::{check, settle};
use crate::error::quoted;
use crate::keys::{self, Key, When};
use crate::limits::{LINE_BYTES_MAX, LINE_WORDS_MAX, PROBLEMS_MAX, REPEATS_MAX, TEXT_BYTES_MAX};
use crate::manifest::Manifest;
use crate::problem::Problem;
use crate::read::read;
use crate::reference::Reference;
use crate::version::check_name;
use crate::words::{Word, words};

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The manifest; there is one exactly when there are no errors.
    pub manifest: Option<Manifest>,
    /// All that refuses it, in the order of the text.
    pub errors: Vec<Problem>,
    /// What the writer should know and what refuses nothing, in the order of the text.
    pub warnings: Vec<Problem>,
}

/// Reads the flat language. `name` is the manifest's file name, which is the service's name.
#[must_use]
pub fn parse(name: &str, text: &str) -> Parsed {
    parse_keys(name, text, true)
}

/// As [`parse`]; whether keys that do not take effect yet are errors is the caller's to say.
pub(crate) fn parse_keys(name: &str, text: &str, ready_only: bool) -> Parsed {
    let mut told = Told::new(ready_only);
    let start = Place { line: 1, column: 1 };
    if let Err(error) = check_name(name) {
        told.errors.push(start.problem(format!("the file's name {error}")));
    }
    // No text has this image: a manifest leaves here only when `image` was read.
    let mut manifest = Manifest::new(name, Reference::Rootfs { dir: String::new(), digest: None });
    if text.len() > TEXT_BYTES_MAX {
        let (bytes, max) = (text.len(), TEXT_BYTES_MAX);
        let text = format!("the manifest has {bytes} bytes; the most is {max}");
        told.errors.push(start.problem(text));
        return finish(manifest, told);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut uses = vec![0_usize; keys::keys().len()];
    for (line, number) in text.split('\n').zip(1..) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        directive(&mut manifest, &mut told, &mut uses, line, number);
    }
    settle(&mut manifest, &told);
    check(&manifest, &mut told);
    finish(manifest, told)
}

fn directive(m: &mut Manifest, told: &mut Told, uses: &mut [usize], line: &str, number: u32) {
    let Some(words) = line_words(told, line, number) else { return };
    let Some(first) = words.first() else { return };
    let place = Place { line: number, column: first.column };
    let Some(key) = keys::find(&first.text) else {
        unknown(told, place, &first.text);
        return;
    };
    let earlier = told.keys.get(&key.id).map(|place| place.line);
    told.keys.entry(key.id).or_insert(place);
    let used = &mut uses[key.id as usize];
    *used += 1;
    if let Some(text) = refusal(key, told.ready_only, earlier, *used) {
        told.errors.push(place.problem(format!("{}: {text}", key.name)));
    }
    let mut args = Args::new(key, told, number, &words);
    if read(m, &mut args).is_some() {
        args.end();
    }
}

/// The words of a line within its limits.
fn line_words(told: &mut Told, line: &str, number: u32) -> Option<Vec<Word>> {
    let mut wrong = |column: u32, text: String| {
        told.errors.push(Place { line: number, column }.problem(text));
        None
    };
    if line.len() > LINE_BYTES_MAX {
        let bytes = line.len();
        return wrong(1, format!("the line has {bytes} bytes; the most is {LINE_BYTES_MAX}"));
    }
    match words(line) {
        Err(unreadable) => wrong(unreadable.column, unreadable.text),
        Ok(words) => match words.get(LINE_WORDS_MAX) {
            Some(word) => {
                let count = words.len();
                let text = format!("the line has {count} words; the most is {LINE_WORDS_MAX}");
                wrong(word.column, text)
            }
            None => Some(words),
        },
    }
}

/// An unknown key refuses nothing, because old servers must take new manifests.
fn unknown(told: &mut Told, place: Place, word: &str) {
    // Looking for the nearest costs time, and nobody is shown more than these.
    let near = match told.warnings.len() < PROBLEMS_MAX {
        true => keys::nearest_key(word),
        false => None,
    };
    let text = match near {
        Some(near) => format!("{} is no key and is ignored; did you mean {near}?", quoted(word)),
        None => {
            format!("{} is no key and is ignored; deploy help manifest lists them", quoted(word))
        }
    };
    told.warnings.push(place.problem(text));
}

/// Why a key cannot stand here, whatever its words are.
fn refusal(key: &Key, ready_only: bool, earlier: Option<u32>, used: usize) -> Option<String> {
    if key.when == When::NotYet && ready_only {
        return Some("not yet supported by this version of deploy; remove the line".to_owned());
    }
    match earlier {
        Some(line) if !key.repeat => {
            Some(format!("stands twice, first on line {line}; remove one"))
        }
        Some(_) if used == REPEATS_MAX + 1 => {
            Some(format!("stands more than {REPEATS_MAX} times; remove some"))
        }
        Some(_) | None => None,
    }
}

fn finish(manifest: Manifest, told: Told) -> Parsed {
    let manifest = told.errors.is_empty().then_some(manifest);
    Parsed { manifest, errors: in_order(told.errors), warnings: in_order(told.warnings) }
}

/// Problems in the order of the text; a flood of them is cut where nobody reads on.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| (problem.line, problem.column));
    if let Some(next) = problems.get(PROBLEMS_MAX) {
        let more = problems.len() - PROBLEMS_MAX;
        let text = format!("and {more} more from here on; mend the others first");
        let last = Problem { text, ..next.clone() };
        problems.truncate(PROBLEMS_MAX);
        problems.push(last);
    }
    problems
}
