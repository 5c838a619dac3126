//! What a text of the HCL language says, before anybody asks what it means.

use super::token::Piece;
use crate::place::Place;

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// `name = value`, or a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// `name = value`
    Attribute { name: Name, value: Value },
    /// `kind "label" { … }`
    Block { kind: Name, labels: Vec<Name>, body: Vec<Item> },
}

impl Item {
    pub(crate) fn name(&self) -> &Name {
        match self {
            Item::Attribute { name, .. } | Item::Block { kind: name, .. } => name,
        }
    }
}

/// What stands behind `=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

/// The kinds of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A string.
    Text(Vec<Piece>),
    /// A number with its unit, or a boolean: as it is written.
    Plain(String),
    List(Vec<Value>),
    Map(Vec<(Name, Value)>),
    /// Something of which an error was told.
    Bad,
}
