//! The flat language: text to a manifest and all its problems.

use crate::args::Told;
use crate::check::{check, settle};
use crate::directive::{Directive, take};
use crate::error::quoted;
use crate::form::Form;
use crate::keys;
use crate::limits::{LINE_BYTES_MAX, LINE_WORDS_MAX, PROBLEMS_MAX, TEXT_BYTES_MAX};
use crate::manifest::Manifest;
use crate::place::Place;
use crate::problem::{Problem, in_order};
use crate::reference::Reference;
use crate::version::check_name;
use crate::words::{MORE, Word, words};

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

/// No text has this image: a manifest leaves here only when `image` was read.
pub(crate) const NO_IMAGE: Reference = Reference::Rootfs { dir: String::new(), digest: None };

/// Reads a service in the flat language. `name` is the manifest's file name, which is the
/// service's name.
#[must_use]
pub fn parse(name: &str, text: &str) -> Parsed {
    parse_keys(Manifest::new(name, NO_IMAGE), text, true)
}

/// Reads a task in the flat language. `name` is the task's.
#[must_use]
pub fn parse_task(name: &str, text: &str) -> Parsed {
    parse_keys(Manifest::new_task(name, NO_IMAGE), text, true)
}

/// As [`parse`] with keys that do not take effect yet.
#[cfg(test)]
pub(crate) fn parse_whole(name: &str, text: &str) -> Parsed {
    parse_keys(Manifest::new(name, NO_IMAGE), text, false)
}

/// As [`parse_task`] with keys that do not take effect yet.
#[cfg(test)]
pub(crate) fn parse_whole_task(name: &str, text: &str) -> Parsed {
    parse_keys(Manifest::new_task(name, NO_IMAGE), text, false)
}

/// As [`parse`], of a service or a task that says nothing yet; whether keys that do not take
/// effect yet are errors is the caller's to say.
fn parse_keys(mut manifest: Manifest, text: &str, ready_only: bool) -> Parsed {
    let mut told = Told::new(Form::Flat, ready_only);
    if let Err(error) = check_name(&manifest.name) {
        told.errors.push(Place::START.problem(format!("the file's name {error}")));
    }
    if text.len() > TEXT_BYTES_MAX {
        let (bytes, max) = (text.len(), TEXT_BYTES_MAX);
        let text = format!("the manifest has {bytes} bytes; the most is {max}");
        told.errors.push(Place::START.problem(text));
        return finish(manifest, told);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut last = Last::Nothing;
    for (line, number) in text.split('\n').zip(1..) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let Some(words) = line_words(&mut told, line, number) else {
            last.end(&mut manifest, &mut told, Last::Unreadable);
            continue;
        };
        let mut words = words.into_iter();
        match words.next() {
            Some(first) if first.text == MORE => last.more(&mut told, first.place, words),
            Some(first) => {
                let next = begin(&mut told, &first, words.collect());
                last.end(&mut manifest, &mut told, next);
            }
            None => {}
        }
    }
    last.end(&mut manifest, &mut told, Last::Nothing);
    settle(&mut manifest, &told);
    check(&manifest, &mut told, Place::START);
    finish(manifest, told)
}

/// The directive that a line may go on with.
enum Last {
    /// There is none before.
    Nothing,
    /// Something was told of it already, or it is ignored.
    Unreadable,
    /// All its lines so far.
    Directive(Directive),
}

impl Last {
    /// Reads the directive, which has all its lines, and begins another one.
    fn end(&mut self, m: &mut Manifest, told: &mut Told, next: Last) {
        if let Last::Directive(directive) = std::mem::replace(self, next) {
            take(m, told, &directive);
        }
    }

    /// Goes on with the last word after a line end, then with more words.
    fn more(&mut self, told: &mut Told, place: Place, mut words: impl Iterator<Item = Word>) {
        let Last::Directive(directive) = self else {
            if matches!(self, Last::Nothing) {
                let text = format!("{MORE} goes on with no line; put a key before it");
                told.errors.push(place.problem(text));
            }
            return;
        };
        let Some(last) = directive.words.last_mut().filter(|_| directive.key.is_free()) else {
            let text = format!("{}: has no words that go on in the next line", directive.key.name);
            told.errors.push(place.problem(text));
            *self = Last::Unreadable;
            return;
        };
        last.text.push('\n');
        last.text.extend(words.next().map(|word| word.text));
        directive.words.extend(words);
        if let Some(word) = directive.words.get(LINE_WORDS_MAX) {
            let count = directive.words.len();
            let text = format!("the line has {count} words; the most is {LINE_WORDS_MAX}");
            told.errors.push(word.place.problem(text));
            *self = Last::Unreadable;
        }
    }
}

/// A line that begins a directive; an unknown key refuses nothing, because old servers must take
/// new manifests.
fn begin(told: &mut Told, first: &Word, words: Vec<Word>) -> Last {
    match keys::find(&first.text) {
        Some(key) => Last::Directive(Directive { key, place: first.place, words }),
        None => {
            unknown(told, first.place, &first.text);
            Last::Unreadable
        }
    }
}

/// The words of a line within its limits.
fn line_words(told: &mut Told, line: &str, number: u32) -> Option<Vec<Word>> {
    let start = Place { line: number, column: 1 };
    let mut wrong = |place: Place, text: String| {
        told.errors.push(place.problem(text));
        None
    };
    if line.len() > LINE_BYTES_MAX {
        let bytes = line.len();
        return wrong(start, format!("the line has {bytes} bytes; the most is {LINE_BYTES_MAX}"));
    }
    match words(line, start) {
        Err(unreadable) => wrong(unreadable.place, unreadable.text),
        Ok(words) => match words.get(LINE_WORDS_MAX) {
            Some(word) => {
                let count = words.len();
                let text = format!("the line has {count} words; the most is {LINE_WORDS_MAX}");
                wrong(word.place, text)
            }
            None => Some(words),
        },
    }
}

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

fn finish(manifest: Manifest, told: Told) -> Parsed {
    let manifest = told.errors.is_empty().then_some(manifest);
    Parsed { manifest, errors: in_order(told.errors), warnings: in_order(told.warnings) }
}
