//! A manifest as text.

use crate::keys::{Id, Key, keys};
use crate::manifest::Manifest;
use crate::show::{Words, show};
use crate::words::join;

/// The manifest in the flat language, keys in the table's order, defaults left out. Parsed
/// again under the same name it gives an equal manifest.
#[must_use]
pub fn print(manifest: &Manifest) -> String {
    if manifest.secrets.iter().any(|secret| secret.version > 0) {
        // Which value it is stands in no manifest.
        let mut plain = manifest.clone();
        plain.secrets_are(|_| 0);
        return print(&plain);
    }
    keys().iter().flat_map(|key| changed_lines(key, manifest)).map(|line| line + "\n").collect()
}

/// The lines of one key, none when it has its default. The name and the image have no default.
pub(crate) fn changed_lines(key: &Key, manifest: &Manifest) -> impl Iterator<Item = String> {
    changed(key, manifest).into_iter().map(|words| format!("{} {}", key.name, join(&words)))
}

/// The words of a key's directives, none when it has its default.
pub(crate) fn changed(key: &Key, manifest: &Manifest) -> Vec<Words> {
    let lines = show(manifest, key.id);
    let always = matches!(key.id, Id::Name | Id::Image);
    if always || lines != show(&manifest.defaults(), key.id) { lines } else { Vec::new() }
}
