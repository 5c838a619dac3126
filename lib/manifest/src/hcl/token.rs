//! What the HCL language is made of.

use crate::place::Place;

/// A token and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `replicas`, `true`: what begins with a letter.
    Name(String),
    /// `3`, `0.5`, `-1`, `5s`, `512Mi`, `25%`: as it is written.
    Number(String),
    /// A string or a here document.
    Text(Vec<Piece>),
    /// One of `{ } [ ] = , ; :`.
    Sign(char),
    /// The end of a line.
    Line,
    /// Something of which an error was told.
    Bad,
    /// The end of the text.
    End,
}

/// A part of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Characters as they are.
    Plain(String),
    /// `${secret(NAME)}`.
    Secret { name: String, place: Place },
    /// `${service.NAME.address}`.
    Address { service: String, place: Place },
    /// Something of which an error was told.
    Bad,
}

impl Kind {
    /// What it is called in an error.
    pub(crate) fn call(&self) -> String {
        match self {
            Kind::Name(text) | Kind::Number(text) => crate::error::quoted(text),
            Kind::Text(_) => "a string".to_owned(),
            Kind::Sign(sign) => sign.to_string(),
            Kind::Line => "the end of the line".to_owned(),
            Kind::Bad => "this".to_owned(),
            Kind::End => "the end of the file".to_owned(),
        }
    }
}
