//! Blocks in a service: `health`, `update`, `route`, `volume`, `secret`.

use super::block::Block;
use super::syntax::{Content, Name, Value};
use crate::keys::{self, Id, Key};
use crate::place::Place;
use crate::words::Word;

/// A value with its name, in a block in a service.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) name: &'a Name,
    pub(super) value: &'a Value,
}

/// What a member of a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A key of its own.
    Key(Id),
    /// A word of the block's key, where the names stand in this order.
    Word,
    /// Several words of it.
    Words,
    /// A word that is the member's name, when it is true.
    Flag,
}

use Role::{Flag, Word as OneWord, Words};

/// The members of each block; of those that are words, what `put` makes is in their order.
const MEMBERS: [(Id, &str, Role); 26] = [
    (Id::Health, "path", OneWord),
    (Id::Health, "tcp", Flag),
    (Id::Health, "exec", Words),
    (Id::Health, "file", OneWord),
    (Id::Health, "port", OneWord),
    (Id::Health, "interval", Role::Key(Id::HealthInterval)),
    (Id::Health, "timeout", Role::Key(Id::HealthTimeout)),
    (Id::Health, "failure_threshold", Role::Key(Id::HealthRetries)),
    (Id::Health, "retries", Role::Key(Id::HealthRetries)),
    (Id::Health, "deadline", Role::Key(Id::HealthDeadline)),
    (Id::Update, "strategy", Role::Key(Id::Update)),
    (Id::Update, "batch", Role::Key(Id::UpdateBatch)),
    (Id::Update, "pause", Role::Key(Id::UpdatePause)),
    (Id::Update, "failure", Role::Key(Id::UpdateFailure)),
    (Id::Update, "progress_deadline", Role::Key(Id::ProgressDeadline)),
    (Id::Update, "validate", Role::Key(Id::Validate)),
    (Id::Update, "min_healthy_time", Role::Key(Id::MinHealthyTime)),
    (Id::Route, "path", OneWord),
    (Id::Route, "port", OneWord),
    (Id::Route, "websocket", Flag),
    (Id::Volume, "path", OneWord),
    (Id::Volume, "ephemeral", Flag),
    (Id::Volume, "shared", Flag),
    (Id::Volume, "size", OneWord),
    (Id::Volume, "ro", Flag),
    (Id::Secret, "env", OneWord),
];

/// A member's name and its words.
type Said = (&'static str, Vec<Word>);

impl Block<'_> {
    /// The members of `health` or `update`.
    pub(super) fn members(&mut self, key: &'static Key, place: Place, members: Vec<Member<'_>>) {
        let told = self.told.errors.len();
        let said = self.said(key, members);
        let words = said.filter(|_| key.id == Id::Health).and_then(|said| self.probe(key, said));
        if words.is_none() && self.told.errors.len() > told {
            self.note(key, place);
        }
        self.directive(key, place, words);
    }

    /// A block that its label names.
    pub(super) fn labelled(
        &mut self,
        key: &'static Key,
        place: Place,
        label: &Name,
        members: Vec<Member<'_>>,
    ) {
        let Some(mut said) = self.said(key, members) else { return };
        let mut words = vec![word(&label.text, label.place)];
        if key.id == Id::Route && label.text != "tcp" && !said.iter().any(|(n, _)| *n == "path") {
            said.insert(0, ("path", vec![word("/", label.place)]));
        }
        // In the order of the flat language, which is the table's.
        said.sort_by_key(|(name, _)| MEMBERS.iter().position(|(_, known, _)| known == name));
        for (name, more) in said {
            if key.id == Id::Secret {
                words.push(word(name, label.place));
            }
            words.extend(more);
        }
        self.directive(key, place, Some(words));
    }

    /// What the members say that are words of the block's own key; the others are read as the
    /// keys they are. None when one is wrong.
    fn said(&mut self, key: &'static Key, members: Vec<Member<'_>>) -> Option<Vec<Said>> {
        let mut said: Vec<Said> = Vec::new();
        let mut right = true;
        for Member { name, value } in members {
            let known = MEMBERS.iter().filter(|(block, _, _)| *block == key.id);
            let Some((_, member, role)) = known.clone().find(|(_, member, _)| *member == name.text)
            else {
                let what = format!("is nothing that {} has", key.name);
                self.unknown(name, &what, known.map(|(_, member, _)| *member));
                right = false;
                continue;
            };
            if said.iter().any(|(before, _)| before == member) {
                self.wrong(key, name.place, format!("{member} stands twice; remove one"));
                right = false;
                continue;
            }
            let words = match role {
                Role::Key(id) => {
                    self.attribute(keys::of(*id), name.place, value);
                    continue;
                }
                OneWord => self.word(key, value).map(|word| vec![word]),
                Words => self.words_of(key, value),
                Flag => match self.flag(key, name, value) {
                    Some(true) => Some(vec![word(member, value.place)]),
                    Some(false) => continue,
                    None => None,
                },
            };
            right &= words.is_some();
            said.extend(words.map(|words| (*member, words)));
        }
        right.then_some(said)
    }

    /// The words of `health`: one kind of probe, and the port behind it.
    fn probe(&mut self, key: &'static Key, said: Vec<Said>) -> Option<Vec<Word>> {
        let (port, mut kinds): (Vec<Said>, Vec<Said>) =
            said.into_iter().partition(|(name, _)| *name == "port");
        let port: Vec<Word> = port.into_iter().flat_map(|(_, words)| words).collect();
        if kinds.len() > 1 {
            let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
            let place = kinds.last().and_then(|(_, words)| words.first()).map(|word| word.place)?;
            let names = names.join(" and ");
            self.wrong(key, place, format!("{names} are different probes; remove all but one"));
            return None;
        }
        let first = kinds.pop();
        let place = first.as_ref().map_or(&port, |(_, words)| words).first()?.place;
        let (kind, words) = match first {
            None | Some(("tcp", _)) => ("tcp", Vec::new()),
            Some(("path", words)) => ("http", words),
            Some((kind, words)) => (kind, words),
        };
        if let (Some(port), "exec" | "file") = (port.first(), kind) {
            self.wrong(key, port.place, format!("{kind} is probed without a port; remove it"));
            return None;
        }
        Some([vec![word(kind, place)], words, port].concat())
    }

    fn words_of(&mut self, key: &'static Key, value: &Value) -> Option<Vec<Word>> {
        match &value.content {
            Content::List(values) => values.iter().map(|value| self.word(key, value)).collect(),
            Content::Text(_) | Content::Plain(_) | Content::Map(_) | Content::Bad => {
                self.word(key, value).map(|word| vec![word])
            }
        }
    }

    fn flag(&mut self, key: &'static Key, name: &Name, value: &Value) -> Option<bool> {
        let word = self.word(key, value)?;
        match word.text.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => {
                self.wrong(key, word.place, format!("{} is true or false", name.text));
                None
            }
        }
    }
}

fn word(text: &str, place: Place) -> Word {
    Word { text: text.to_owned(), place, span: 0..0 }
}
