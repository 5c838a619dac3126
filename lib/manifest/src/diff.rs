//! What changed between two manifests, key by key, and what that costs.

use crate::keys::{Effect, Id, Key, keys};
use crate::kinds::Secret;
use crate::manifest::Manifest;
use crate::print::changed;
use crate::show;
use crate::words::join;

/// One changed key. `env` and `config` change entry by entry (`env LANG`), and `secret` where its
/// value is known by its version; of other keys that repeat, each line is a change of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The key, with the entry's name where it has one.
    pub key: String,
    /// Its words before; `None` when it was left to its default.
    pub old: Option<String>,
    /// Its words now; `None` when it is left to its default.
    pub new: Option<String>,
    /// What the change needs.
    pub effect: Effect,
}

/// What all changes together need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing changed: no update, no restart.
    Unchanged,
    /// Everything that changed is applied without restarting anything.
    InPlace,
    /// Instances are replaced.
    Update,
}

/// The changes from `old` to `new`, in the table's order, each manifest with the digest its image
/// was resolved to: an image that moved or was renamed and has the same digest did not change.
/// There are none exactly when both have the same version.
#[must_use]
pub fn diff(old: &Manifest, old_digest: &str, new: &Manifest, new_digest: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    for key in keys() {
        if key.id == Id::Image && old_digest != new_digest {
            changes.push(Change {
                key: key.name.to_owned(),
                old: Some(image(old, old_digest)),
                new: Some(image(new, new_digest)),
                effect: key.effect,
            });
        } else if key.repeat && !matches!(key.id, Id::CapAdd | Id::CapDrop) {
            repeated(key, old, new, &mut changes);
        } else if key.id != Id::Image && key.is_of_version() {
            single(key, old, new, &mut changes);
        }
    }
    changes
}

/// What these changes need.
#[must_use]
pub fn outcome(changes: &[Change]) -> Outcome {
    if changes.is_empty() {
        Outcome::Unchanged
    } else if changes.iter().all(|change| change.effect != Effect::Restart) {
        Outcome::InPlace
    } else {
        Outcome::Update
    }
}

/// The bytes, and in brackets what they were called: `app@sha256:… (app:1.9)`.
fn image(manifest: &Manifest, digest: &str) -> String {
    format!("{} ({})", manifest.image.at_digest(digest), manifest.image)
}

fn single(key: &Key, old: &Manifest, new: &Manifest, changes: &mut Vec<Change>) {
    let text = |m: &Manifest| changed(key, m).first().map(|words| join(words));
    let (old, new) = (text(old), text(new));
    if old != new {
        changes.push(Change { key: key.name.to_owned(), old, new, effect: key.effect });
    }
}

fn repeated(key: &Key, old: &Manifest, new: &Manifest, changes: &mut Vec<Change>) {
    let (old, new) = (entries(key, old), entries(key, new));
    let names = old.iter().chain(new.iter().filter(|entry| find(&old, &entry.name).is_none()));
    for Entry { name, named, .. } in names {
        let (before, after) = (find(&old, name), find(&new, name));
        if before != after {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let (old, new) = (owned(before), owned(after));
            let key_name =
                if *named { format!("{} {name}", key.name) } else { key.name.to_owned() };
            changes.push(Change { key: key_name, old, new, effect: key.effect });
        }
    }
}

/// A line of a key, and what it is known by.
struct Entry {
    name: String,
    text: String,
    /// It is told with its name: known by less than the whole line.
    named: bool,
}

fn entries(key: &Key, manifest: &Manifest) -> Vec<Entry> {
    if key.id == Id::Secret {
        return manifest.secrets.iter().map(secret).collect();
    }
    let named = matches!(key.id, Id::Env | Id::Config);
    let lines = changed(key, manifest);
    let entry = |words: Vec<String>| match words.first().and_then(|word| word.split_once('=')) {
        Some((name, value)) if named => {
            Entry { name: name.to_owned(), text: join(&[value.to_owned()]), named }
        }
        Some(_) | None => Entry { name: join(&words), text: join(&words), named: false },
    };
    lines.into_iter().map(entry).collect()
}

/// A secret is known by all but the version of its value, so that another value is one change.
fn secret(secret: &Secret) -> Entry {
    let name = join(&show::secret(&Secret { version: 0, ..secret.clone() }));
    match secret.version {
        0 => Entry { text: name.clone(), name, named: false },
        _ => Entry { text: show::version_of(secret), name, named: true },
    }
}

fn find<'a>(entries: &'a [Entry], name: &str) -> Option<&'a str> {
    entries.iter().find(|entry| entry.name == name).map(|entry| entry.text.as_str())
}
