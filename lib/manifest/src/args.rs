//! The words of one directive, taken one after the other; every problem is put where its word is.

use std::collections::BTreeMap;

use crate::error::{Error, quoted};
use crate::form::Form;
use crate::keys::{Id, Key};
use crate::nearest::nearest;
use crate::paths::{check_path, check_side_path};
use crate::place::Place;
use crate::problem::Problem;
use crate::units::{parse_size_bytes, parse_time_ms, show_size, show_time};
use crate::version::check_name;
use crate::words::Word;

/// What a text has told so far that single values do not hold.
#[derive(Debug)]
pub(crate) struct Told {
    /// Which language the text is of, so that what is said is said in it.
    pub(crate) form: Form,
    /// Whether keys and words that do not take effect yet are errors.
    pub(crate) ready_only: bool,
    pub(crate) errors: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// What does not take effect yet, where that is no error.
    pub(crate) later: Vec<Problem>,
    /// Where each key stands first.
    pub(crate) keys: BTreeMap<Id, Place>,
    /// How often each key that may stand more than once stands.
    pub(crate) uses: BTreeMap<Id, usize>,
    /// The line of each thing that must be named once under its key.
    names: BTreeMap<(Id, String), u32>,
}

impl Told {
    pub(crate) fn new(form: Form, ready_only: bool) -> Told {
        let (errors, warnings, later) = (Vec::new(), Vec::new(), Vec::new());
        let (keys, uses, names) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Told { form, ready_only, errors, warnings, later, keys, uses, names }
    }

    /// Where routes begin.
    pub(crate) fn place_of_routes(&self) -> Option<Place> {
        self.keys.get(&Id::Route).copied()
    }

    /// Tells what does not take effect yet.
    pub(crate) fn not_yet(&mut self, problem: Problem) {
        let list = if self.ready_only { &mut self.errors } else { &mut self.later };
        list.push(problem);
    }
}

/// The words after a key. Methods give `None` when they have told an error.
pub(crate) struct Args<'a> {
    pub(crate) key: &'static Key,
    pub(crate) told: &'a mut Told,
    place: Place,
    words: &'a [Word],
    next: usize,
}

impl<'a> Args<'a> {
    /// Of a key at a place and the words behind it.
    pub(crate) fn new(
        key: &'static Key,
        told: &'a mut Told,
        place: Place,
        words: &'a [Word],
    ) -> Self {
        Args { key, told, place, words, next: 0 }
    }

    /// An error at the word taken last, or at the key where none was.
    pub(crate) fn wrong<T>(&mut self, text: impl std::fmt::Display) -> Option<T> {
        let problem = self.problem(&text);
        self.told.errors.push(problem);
        None
    }

    /// A warning at the word taken last.
    pub(crate) fn warn(&mut self, text: &str) {
        let problem = self.problem(&text);
        self.told.warnings.push(problem);
    }

    /// Tells that a word of a key does not take effect yet.
    pub(crate) fn not_yet(&mut self, word: &str, instead: &str) {
        let text = format!("{word} is not yet supported by this version of deploy; {instead}");
        let problem = self.problem(&text);
        self.told.not_yet(problem);
    }

    fn problem(&self, text: &dyn std::fmt::Display) -> Problem {
        let last = self.next.checked_sub(1).and_then(|last| self.words.get(last));
        let place = last.map_or(self.place, |word| word.place);
        place.problem(format!("{}: {text}", self.key.name))
    }

    /// How the key is written.
    fn usage(&self) -> String {
        match self.told.form {
            Form::Flat => format!("{} {}", self.key.name, self.key.words),
            Form::Hcl => self.key.hcl.to_owned(),
        }
    }

    /// The next word, if there is one.
    pub(crate) fn maybe(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(&word.text)
    }

    /// The next word, if it is this one.
    pub(crate) fn flag(&mut self, flag: &str) -> bool {
        let found = self.words.get(self.next).is_some_and(|word| word.text == flag);
        self.next += usize::from(found);
        found
    }

    /// The next word, if it is an absolute path.
    pub(crate) fn bare_path(&mut self) -> Option<&'a str> {
        let path = self.words.get(self.next).filter(|word| word.text.starts_with('/'))?;
        self.next += 1;
        Some(&path.text)
    }

    /// Whether words are left.
    pub(crate) fn more(&self) -> bool {
        self.next < self.words.len()
    }

    /// The next word, which must be there.
    pub(crate) fn word(&mut self) -> Option<&'a str> {
        match self.maybe() {
            Some(word) => Some(word),
            None => {
                let what = self.told.form.say("word", "value");
                self.wrong(format!("a {what} is missing; write {}", self.usage()))
            }
        }
    }

    /// All words left, of which there must be one, and the first not empty.
    pub(crate) fn rest(&mut self) -> Option<Vec<String>> {
        let first = self.word()?.to_owned();
        if first.is_empty() {
            return self.wrong("the first word is empty; name a program");
        }
        let mut all = vec![first];
        while let Some(word) = self.maybe() {
            all.push(word.to_owned());
        }
        Some(all)
    }

    /// Tells of a word too many.
    pub(crate) fn end(&mut self) {
        if let Some(word) = self.maybe() {
            let usage = self.usage();
            let text = format!("{} is a word too many; write {usage}", quoted(word));
            let _: Option<()> = self.wrong(text);
        }
    }

    /// A value read by a function of its own.
    pub(crate) fn value<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Error>) -> Option<T> {
        let word = self.word()?;
        read(word).map_or_else(|error| self.wrong(error), Some)
    }

    /// A whole number in a range; `of` is what it counts.
    pub(crate) fn number(&mut self, min: u32, max: u32, of: &str) -> Option<u32> {
        let word = self.word()?;
        let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        match word.parse::<u32>() {
            Ok(number) if digits && (min..=max).contains(&number) => Some(number),
            Ok(_) | Err(_) => {
                let what = if digits { "out of range" } else { "not a number" };
                self.wrong(format!("{} is {what}; write {min} to {max} {of}", quoted(word)))
            }
        }
    }

    /// A TCP port.
    pub(crate) fn port(&mut self) -> Option<u16> {
        let number = self.number(1, u32::from(u16::MAX), "(a TCP port)")?;
        u16::try_from(number).ok()
    }

    /// A time in milliseconds, within a range or, where `zero` is allowed, 0.
    pub(crate) fn time(&mut self, min_ms: u64, max_ms: u64, zero: bool) -> Option<u64> {
        let time_ms = self.value(parse_time_ms)?;
        if (min_ms..=max_ms).contains(&time_ms) || (zero && time_ms == 0) {
            return Some(time_ms);
        }
        let or_zero = if zero { "0, or " } else { "" };
        let (min, max) = (show_time(min_ms), show_time(max_ms));
        let time = show_time(time_ms);
        self.wrong(format!(
            "a time of {time} is out of range; write {or_zero}{min} to {max} (seconds)"
        ))
    }

    /// A size in bytes within a range.
    pub(crate) fn size(&mut self, min: u64, max: u64) -> Option<u64> {
        let bytes = self.value(parse_size_bytes)?;
        if (min..=max).contains(&bytes) {
            return Some(bytes);
        }
        let (size, min, max) = (show_size(bytes), show_size(min), show_size(max));
        self.wrong(format!("a size of {size} is out of range; write {min} to {max} (bytes)"))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, known: &[(&str, T)]) -> Option<T> {
        let word = self.word()?;
        if let Some((_, value)) = known.iter().find(|(name, _)| *name == word) {
            return Some(*value);
        }
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let text = match nearest(word, names.iter().copied()) {
            Some(near) => format!("{} is not known; did you mean {near}?", quoted(word)),
            None => format!("{} is not known; write {}", quoted(word), names.join(", ")),
        };
        self.wrong(text)
    }

    /// An absolute path.
    pub(crate) fn path(&mut self) -> Option<String> {
        self.value(|word| check_path(word).map(|()| word.to_owned()))
    }

    /// A name of a service's letters.
    pub(crate) fn name(&mut self) -> Option<String> {
        self.value(|word| check_name(word).map(|()| word.to_owned()))
    }

    /// A path on the user's side.
    pub(crate) fn side_path(&mut self) -> Option<String> {
        self.value(|word| check_side_path(word).map(|()| word.to_owned()))
    }

    /// Tells when something is named a second time under this key.
    pub(crate) fn once(&mut self, name: &str) -> Option<()> {
        self.once_of(self.key.id, name)
    }

    /// As [`Args::once`], where another key names such things too.
    pub(crate) fn once_of(&mut self, id: Id, name: &str) -> Option<()> {
        let named = (id, name.to_owned());
        match self.told.names.get(&named).copied() {
            Some(first) => self
                .wrong(format!("{} stands twice, first on line {first}; remove one", quoted(name))),
            None => {
                self.told.names.insert(named, self.place.line);
                Some(())
            }
        }
    }
}
