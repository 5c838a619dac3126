//! The flat language: text to a manifest and all its problems.

use crate::manifest::Manifest;
use crate::problem::Problem;

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
pub fn parse(_name: &str, _text: &str) -> Parsed {
    todo!()
}
