//! A manifest as text.

use crate::manifest::Manifest;

/// The manifest in the flat language, keys in the table's order, defaults left out. Parsed
/// again under the same name it gives an equal manifest.
#[must_use]
pub fn print(_manifest: &Manifest) -> String {
    todo!()
}
