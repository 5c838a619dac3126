//! Tokens to items. An error ends the item it stands in and no other: reading goes on behind it,
//! so that all errors of a text are told at once.

use super::syntax::{Content, Item, Name, Value};
use super::token::{Kind, Piece, Token};
use crate::error::quoted;
use crate::limits::{DEPTH_MAX, LABELS_MAX};
use crate::place::Place;
use crate::problem::Problem;

/// An error was told.
struct Told;

type Result<T> = std::result::Result<T, Told>;

/// Tokens that are being read; the last one is [`Kind::End`] and is never passed.
struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    problems: Vec<Problem>,
}

/// All items of a text, and what is wrong with the rest.
pub(super) fn read(tokens: &[Token]) -> (Vec<Item>, Vec<Problem>) {
    let mut reader = Reader { tokens, at: 0, depth: 0, problems: Vec::new() };
    let mut items = Vec::new();
    while !reader.is_at_end() {
        items.extend(reader.body());
        if !reader.is_at_end() {
            let place = reader.place();
            let _: Result<()> = reader.wrong(place, "} closes nothing; remove it");
            reader.at += 1;
        }
    }
    (items, reader.problems)
}

impl Reader<'_> {
    /// Items up to the `}` that is not theirs, or the end.
    fn body(&mut self) -> Vec<Item> {
        let mut items = Vec::new();
        loop {
            while matches!(self.peek(), Kind::Line | Kind::Sign(';')) {
                self.at += 1;
            }
            if self.is_at_end() || self.sees('}') {
                return items;
            }
            let (begin, depth) = (self.at, self.depth);
            match self.item().and_then(|item| self.end_of_item().map(|()| item)) {
                Ok(item) => items.push(item),
                Err(Told) => self.recover(begin),
            }
            self.depth = depth;
        }
    }

    fn item(&mut self) -> Result<Item> {
        let name = self.name("a key or a block")?;
        if self.sees('=') {
            self.at += 1;
            let value = self.value()?;
            return Ok(Item::Attribute { name, value });
        }
        let mut labels = Vec::new();
        while matches!(self.peek(), Kind::Name(_) | Kind::Text(_)) && labels.len() < LABELS_MAX {
            labels.push(self.name("a label")?);
        }
        if !self.sees('{') {
            let (what, after) = (self.peek().call(), quoted(&name.text));
            let usage = "write NAME = VALUE, or NAME { … }";
            let text = format!("{what} cannot stand behind {after}; {usage}");
            let place = self.place();
            return self.wrong(place, text);
        }
        let open = self.place();
        self.enter(open)?;
        let body = self.body();
        self.depth -= 1;
        match self.sees('}') {
            true => self.at += 1,
            false => self.not_closed(open, '{', '}')?,
        }
        Ok(Item::Block { kind: name, labels, body })
    }

    /// A name, or a string without anything to work out.
    fn name(&mut self, what: &str) -> Result<Name> {
        let place = self.place();
        let text = match self.peek() {
            Kind::Name(text) => text.clone(),
            Kind::Text(pieces) => match &pieces[..] {
                [] => String::new(),
                [Piece::Plain(text)] => text.clone(),
                [Piece::Bad, ..] => return Err(Told),
                _ => return self.wrong(place, "a name is written out; ${ } cannot stand in it"),
            },
            Kind::Bad => return Err(Told),
            other @ (Kind::Number(_) | Kind::Sign(_) | Kind::Line | Kind::End) => {
                let text = format!("{} cannot stand here; {what} was expected", other.call());
                return self.wrong(place, text);
            }
        };
        self.at += 1;
        Ok(Name { text, place })
    }

    fn value(&mut self) -> Result<Value> {
        let place = self.place();
        let content = match self.peek() {
            Kind::Text(pieces) => Content::Text(pieces.clone()),
            Kind::Number(text) => Content::Plain(text.clone()),
            Kind::Name(text) if text == "true" || text == "false" => Content::Plain(text.clone()),
            Kind::Name(text) => {
                let text = format!("a word is no value; write {}", quoted(text));
                return self.wrong(place, text);
            }
            Kind::Bad => Content::Bad,
            Kind::Sign('[') => return self.list(place),
            Kind::Sign('{') => return self.map(place),
            other @ (Kind::Sign(_) | Kind::Line | Kind::End) => {
                let text = format!("{} cannot stand here; a value was expected", other.call());
                return self.wrong(place, text);
            }
        };
        self.at += 1;
        Ok(Value { place, content })
    }

    fn list(&mut self, open: Place) -> Result<Value> {
        self.enter(open)?;
        let mut values = Vec::new();
        loop {
            self.skip_lines();
            if self.sees(']') {
                break;
            }
            if self.is_at_end() || self.sees('}') || self.at_next_item() {
                return self.not_closed(open, '[', ']');
            }
            let (begin, depth) = (self.at, self.depth);
            match self.value() {
                Ok(value) => values.push(value),
                Err(Told) => {
                    self.skip_to(&[',', ']'], begin);
                    values.push(Value { place: open, content: Content::Bad });
                }
            }
            self.depth = depth;
            self.skip_lines();
            if self.sees(',') {
                self.at += 1;
            } else if !self.sees(']') {
                return self.not_closed(open, '[', ']');
            }
        }
        self.at += 1;
        self.depth -= 1;
        Ok(Value { place: open, content: Content::List(values) })
    }

    fn map(&mut self, open: Place) -> Result<Value> {
        self.enter(open)?;
        let mut entries = Vec::new();
        let mut bad = false;
        loop {
            while matches!(self.peek(), Kind::Line | Kind::Sign(',' | ';')) {
                self.at += 1;
            }
            if self.sees('}') {
                break;
            }
            if self.is_at_end() {
                return self.not_closed(open, '{', '}');
            }
            let (begin, depth) = (self.at, self.depth);
            match self.entry() {
                Ok(entry) => entries.push(entry),
                Err(Told) => {
                    bad = true;
                    self.skip_to(&[',', '}', ';'], begin);
                }
            }
            self.depth = depth;
        }
        self.at += 1;
        self.depth -= 1;
        let content = if bad { Content::Bad } else { Content::Map(entries) };
        Ok(Value { place: open, content })
    }

    /// `name = value` or `name: value` of an object.
    fn entry(&mut self) -> Result<(Name, Value)> {
        let name = self.name("a name")?;
        if !self.sees('=') && !self.sees(':') {
            let what = self.peek().call();
            let text = format!("{what} cannot stand behind {}; write = VALUE", quoted(&name.text));
            let place = self.place();
            return self.wrong(place, text);
        }
        self.at += 1;
        let value = self.value()?;
        let ends = matches!(self.peek(), Kind::Line | Kind::Sign(',' | '}' | ';') | Kind::End);
        if ends { Ok((name, value)) } else { self.too_much("write , or end the line") }
    }

    /// Goes into a bracket, as deep as is allowed; one too deep is passed over as a whole.
    fn enter(&mut self, open: Place) -> Result<()> {
        if self.depth < DEPTH_MAX {
            self.depth += 1;
            self.at += 1;
            return Ok(());
        }
        self.skip_group();
        self.wrong(open, format!("stands in {DEPTH_MAX} others, which is as deep as they may be"))
    }

    fn end_of_item(&mut self) -> Result<()> {
        match self.peek() {
            Kind::Line | Kind::End | Kind::Sign(';' | '}') => Ok(()),
            Kind::Bad => Err(Told),
            Kind::Name(_) | Kind::Number(_) | Kind::Text(_) | Kind::Sign(_) => {
                self.too_much("end the line, or write ;")
            }
        }
    }

    fn too_much<T>(&mut self, instead: &str) -> Result<T> {
        if *self.peek() == Kind::Bad || self.is_behind_bad() {
            return Err(Told);
        }
        let (place, what) = (self.place(), self.peek().call());
        self.wrong(place, format!("{what} cannot stand here; {instead}"))
    }

    /// What opened at `open` has no end here.
    fn not_closed<T>(&mut self, open: Place, bracket: char, close: char) -> Result<T> {
        let place = self.place();
        let what = self.peek().call();
        let line = open.line;
        if *self.peek() == Kind::Bad || self.is_behind_bad() {
            return Err(Told);
        }
        let text = format!(
            "{what} cannot stand here; {bracket} of line {line} is not closed: write {close}"
        );
        self.wrong(place, text)
    }

    /// Whether an item begins here, on a line of its own, that no list has.
    fn at_next_item(&self) -> bool {
        let after = self.tokens.get(self.at + 1).map(|token| &token.kind);
        let opens = matches!(after, Some(Kind::Sign('=' | '{')));
        matches!(self.peek(), Kind::Name(_)) && opens && self.is_behind_line()
    }

    /// Whether what stands here is only odd because of what an error was told of.
    fn is_behind_bad(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|before| self.tokens.get(before));
        before.is_some_and(|token| token.kind == Kind::Bad)
    }

    fn is_behind_line(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|before| self.tokens.get(before));
        before.is_none_or(|token| token.kind == Kind::Line)
    }

    /// Passes over the rest of an item that began at `begin` and has an error.
    fn recover(&mut self, begin: usize) {
        if self.at > begin && self.is_behind_line() {
            return;
        }
        while !matches!(self.peek(), Kind::End | Kind::Line | Kind::Sign(';' | '}')) {
            self.skip_one();
        }
    }

    /// Passes over the rest of an entry up to one of these signs or the end of its line.
    fn skip_to(&mut self, signs: &[char], begin: usize) {
        if self.at > begin && self.is_behind_line() {
            return;
        }
        let ends = |kind: &Kind| match kind {
            Kind::End | Kind::Line => true,
            Kind::Sign(sign) => *sign == '}' || signs.contains(sign),
            Kind::Name(_) | Kind::Number(_) | Kind::Text(_) | Kind::Bad => false,
        };
        while !ends(self.peek()) {
            self.skip_one();
        }
    }

    /// Passes over a token, or a bracket with all that is in it.
    fn skip_one(&mut self) {
        if self.sees('{') || self.sees('[') { self.skip_group() } else { self.at += 1 }
    }

    /// Passes over a bracket with all that is in it, however deep.
    fn skip_group(&mut self) {
        let mut open = 0_usize;
        while !self.is_at_end() {
            open += usize::from(self.sees('{') || self.sees('['));
            open -= usize::from(self.sees('}') || self.sees(']'));
            self.at += 1;
            if open == 0 {
                return;
            }
        }
    }

    fn skip_lines(&mut self) {
        while *self.peek() == Kind::Line {
            self.at += 1;
        }
    }

    fn sees(&self, sign: char) -> bool {
        *self.peek() == Kind::Sign(sign)
    }

    fn is_at_end(&self) -> bool {
        *self.peek() == Kind::End
    }

    fn peek(&self) -> &Kind {
        self.tokens.get(self.at).map_or(&Kind::End, |token| &token.kind)
    }

    fn place(&self) -> Place {
        let token = self.tokens.get(self.at).or(self.tokens.last());
        token.map_or(Place::START, |token| token.place)
    }

    fn wrong<T>(&mut self, place: Place, text: impl Into<String>) -> Result<T> {
        self.problems.push(place.problem(text.into()));
        Err(Told)
    }
}
