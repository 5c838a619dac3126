//! A `service` or a `task` block to a manifest: every item becomes the directives that the flat
//! language has for it, and these are read and checked as there.

use super::nested::Member;
use super::refer::Services;
use super::syntax::{Content, Item, Name, Value};
use super::token::Piece;
use crate::args::Told;
use crate::check::{check, settle};
use crate::directive::{Directive, take};
use crate::error::quoted;
use crate::form::Form;
use crate::keys::{self, Id, Key, Shape};
use crate::limits::{LINE_BYTES_MAX, LINE_WORDS_MAX, PROBLEMS_MAX, TEXT_BYTES_MAX};
use crate::manifest::Manifest;
use crate::nearest::nearest;
use crate::place::Place;
use crate::print::print;
use crate::words::{Word, words};

/// A manifest that is being put together.
pub(super) struct Block<'a> {
    pub(super) manifest: Manifest,
    pub(super) told: Told,
    services: &'a Services,
}

/// Reads the items of a block that begins at `place`, on top of what `manifest` says already.
pub(super) fn block<'a>(
    manifest: Manifest,
    place: Place,
    body: &[Item],
    services: &'a Services,
) -> Block<'a> {
    let told = Told::new(Form::Hcl, false);
    let mut block = Block { manifest, told, services };
    for item in body {
        block.item(item);
    }
    settle(&mut block.manifest, &block.told);
    check(&block.manifest, &mut block.told, place);
    if block.told.errors.is_empty() {
        block.check_flat(place);
    }
    block
}

impl Block<'_> {
    fn item(&mut self, item: &Item) {
        let name = item.name();
        let Some(key) = keys::find(&name.text) else {
            let known = keys::keys().iter().map(|key| key.name);
            self.unknown(name, "is no key", known);
            return;
        };
        if key.id == Id::App {
            self.wrong(key, name.place, "stands before all blocks, once for the whole file");
            return;
        }
        match item {
            Item::Attribute { value, .. } => self.attribute(key, name.place, value),
            Item::Block { labels, body, .. } => self.block(key, name.place, labels, body),
        }
    }

    /// `key = value`, and a member of a block that is a key of its own.
    pub(super) fn attribute(&mut self, key: &'static Key, place: Place, value: &Value) {
        match (&value.content, key.shape) {
            (Content::Map(entries), Shape::Map) => {
                entries.iter().for_each(|(name, value)| self.entry(key, name, value));
            }
            (Content::Map(entries), Shape::Words) if matches!(key.id, Id::Health | Id::Update) => {
                let members = entries.iter().map(|(name, value)| Member { name, value }).collect();
                return self.members(key, place, members);
            }
            (Content::List(values), Shape::Words) => {
                let words = values.iter().map(|value| self.word(key, value)).collect();
                self.directive(key, place, words);
            }
            (Content::List(values), Shape::Lines) => {
                values.iter().for_each(|value| self.line(key, value.place, value));
            }
            (Content::Text(_) | Content::Plain(_), Shape::Words | Shape::Lines) => {
                self.line(key, place, value);
            }
            (_, Shape::Word | Shape::Map | Shape::Words | Shape::Lines) => {
                let word = self.word(key, value);
                self.directive(key, place, word.map(|word| vec![word]));
            }
        }
        self.note(key, place);
    }

    /// A key that is there and wrong is not missing.
    pub(super) fn note(&mut self, key: &Key, place: Place) {
        self.told.keys.entry(key.id).or_insert(place);
    }

    /// `key "label" { … }`
    fn block(&mut self, key: &'static Key, place: Place, labels: &[Name], body: &[Item]) {
        let plain = matches!(key.id, Id::Env | Id::Config | Id::Health | Id::Update);
        if !plain && !matches!(key.id, Id::Route | Id::Volume | Id::Secret) {
            self.note(key, place);
            return self.wrong(key, place, format!("is no block; write {}", key.hcl));
        }
        let count = usize::from(!plain);
        let (label, extra) = (labels.first(), labels.get(count));
        if let Some(label) = extra {
            let label = quoted(&label.text);
            self.wrong(key, place, format!("{label} is a label too many; write {}", key.hcl));
            return;
        }
        let mut members = Vec::new();
        for item in body {
            match item {
                Item::Attribute { name, value } => members.push(Member { name, value }),
                Item::Block { kind, .. } => {
                    let text = format!("a block cannot stand here; write {}", key.hcl);
                    self.wrong(key, kind.place, text);
                }
            }
        }
        match (key.id, label) {
            (Id::Env | Id::Config, _) => {
                members.iter().for_each(|member| self.entry(key, member.name, member.value));
            }
            (Id::Health | Id::Update, _) => self.members(key, place, members),
            (_, Some(label)) => self.labelled(key, place, label, members),
            (_, None) => self.wrong(key, place, format!("needs a label; write {}", key.hcl)),
        }
    }

    /// A name and its value in `env` or `config`.
    fn entry(&mut self, key: &'static Key, name: &Name, value: &Value) {
        let word = |text: &str, place| Word { text: text.to_owned(), place, span: 0..0 };
        if let (Id::Env, Content::Text(pieces)) = (key.id, &value.content)
            && let [Piece::Secret { name: secret, place }] = &pieces[..]
        {
            let words = [(secret.as_str(), *place), ("env", *place), (&name.text, name.place)];
            let words = words.map(|(text, place)| word(text, place));
            self.directive(keys::of(Id::Secret), name.place, Some(words.into()));
            return;
        }
        if name.text.contains('=') {
            self.wrong(key, name.place, format!("{} has a = in it", quoted(&name.text)));
            return;
        }
        let value = self.text(key, value);
        let entry = value.map(|value| vec![word(&format!("{}={value}", name.text), name.place)]);
        self.directive(key, name.place, entry);
    }

    /// A directive written as in the flat language.
    fn line(&mut self, key: &'static Key, place: Place, value: &Value) {
        let Some(text) = self.text(key, value) else { return };
        let words = match words(&text, value.place) {
            Ok(words) => {
                Some(words.into_iter().map(|word| Word { place: value.place, ..word }).collect())
            }
            Err(unreadable) => {
                self.wrong(key, value.place, unreadable.text);
                None
            }
        };
        self.directive(key, place, words);
    }

    pub(super) fn word(&mut self, key: &'static Key, value: &Value) -> Option<Word> {
        let text = self.text(key, value)?;
        Some(Word { text, place: value.place, span: 0..0 })
    }

    /// A value as text, its references resolved.
    fn text(&mut self, key: &'static Key, value: &Value) -> Option<String> {
        let what = match &value.content {
            Content::Plain(text) => return Some(text.clone()),
            Content::Text(pieces) => {
                let text = self.pieces(key, pieces)?;
                if text.contains('\n') && !key.is_free() {
                    self.wrong(key, value.place, "a line end cannot stand in it");
                    return None;
                }
                return Some(text);
            }
            Content::List(_) => "a list",
            Content::Map(_) => "an object",
            Content::Bad => return None,
        };
        self.wrong(key, value.place, format!("{what} cannot stand here; write {}", key.hcl));
        None
    }

    fn pieces(&mut self, key: &'static Key, pieces: &[Piece]) -> Option<String> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Plain(plain) => text.push_str(plain),
                Piece::Address { service, place } => match self.services.address(service) {
                    Ok(address) => text.push_str(&address),
                    Err(why) => {
                        self.wrong(key, *place, why);
                        return None;
                    }
                },
                Piece::Secret { name, place } => {
                    let text = format!(
                        "a secret is the whole value of a variable, and nothing else has one: \
                         write env {{ KEY = \"${{secret({name})}}\" }}, or secret = \"{name}\" \
                         for the file /secret/{name}"
                    );
                    self.wrong(key, *place, text);
                    return None;
                }
                Piece::Bad => return None,
            }
        }
        Some(text)
    }

    /// Reads a directive of words, of which none is left when an error was told.
    pub(super) fn directive(&mut self, key: &'static Key, place: Place, words: Option<Vec<Word>>) {
        let Some(words) = words else { return };
        // The key is a word of its line, too.
        if let Some(word) = words.get(LINE_WORDS_MAX - 1) {
            let (place, count) = (word.place, words.len());
            let text = format!("{count} words are too many; the most is {}", LINE_WORDS_MAX - 1);
            self.wrong(key, place, text);
            return;
        }
        take(&mut self.manifest, &mut self.told, &Directive { key, place, words });
    }

    pub(super) fn wrong(&mut self, key: &Key, place: Place, text: impl Into<String>) {
        self.told.errors.push(place.problem(format!("{}: {}", key.name, text.into())));
    }

    /// Tells of a name that nothing has, and which one may have been meant.
    pub(super) fn unknown<'k>(
        &mut self,
        name: &Name,
        what: &str,
        known: impl Iterator<Item = &'k str>,
    ) {
        // Looking for the nearest costs time, and nobody is shown more than these.
        let near = match self.told.errors.len() < PROBLEMS_MAX {
            true => nearest(&name.text, known),
            false => None,
        };
        let word = quoted(&name.text);
        let text = match near {
            Some(near) => format!("{word} {what}; did you mean {near}?"),
            None => format!("{word} {what}; deploy help manifest lists them"),
        };
        self.told.errors.push(name.place.problem(text));
    }

    /// What a service says has to be said in the flat language, which is what a server keeps.
    fn check_flat(&mut self, place: Place) {
        let text = print(&self.manifest);
        let longest = text.split('\n').map(str::len).max().unwrap_or_default();
        for (what, bytes, most) in
            [("all that it says", text.len(), TEXT_BYTES_MAX), ("a line", longest, LINE_BYTES_MAX)]
        {
            if bytes > most {
                let name = &self.manifest.name;
                let text = format!("{name}: {what} has {bytes} bytes; the most is {most}");
                self.told.errors.push(place.problem(text));
            }
        }
    }
}
