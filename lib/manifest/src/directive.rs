//! A key and its words, whichever language they were written in, into a manifest.

use crate::args::{Args, Told};
use crate::form::Form;
use crate::keys::{Key, When};
use crate::limits::REPEATS_MAX;
use crate::manifest::Manifest;
use crate::place::Place;
use crate::read::read;
use crate::words::Word;

/// A key and the words behind it.
#[derive(Clone, Debug)]
pub(crate) struct Directive {
    pub(crate) key: &'static Key,
    /// Where the key stands.
    pub(crate) place: Place,
    pub(crate) words: Vec<Word>,
}

/// Reads a directive into its field, or tells why it cannot be.
pub(crate) fn take(m: &mut Manifest, told: &mut Told, directive: &Directive) {
    let Directive { key, place, words } = directive;
    if !key.of.has(m.is_task()) {
        misplaced(told, key, *place, m.is_task());
        return;
    }
    let earlier = told.keys.get(&key.id).map(|place| place.line);
    told.keys.entry(key.id).or_insert(*place);
    let used = told.uses.entry(key.id).or_default();
    *used += 1;
    let used = *used;
    let named = |text: String| place.problem(format!("{}: {text}", key.name));
    if key.when == When::NotYet {
        let line = "not yet supported by this version of deploy; remove the line";
        told.not_yet(named(line.to_owned()));
    }
    if let Some(text) = too_often(key, earlier, used) {
        told.errors.push(named(text));
    }
    let mut args = Args::new(key, told, *place, words);
    if read(m, &mut args).is_some() {
        args.end();
    }
}

/// A service's key in a task, or a task's in a service: in the flat language as an unknown one.
fn misplaced(told: &mut Told, key: &Key, place: Place, task: bool) {
    let (whose, not) = if task { ("services", "a task") } else { ("tasks", "a service") };
    let what = told.form.say(" and is ignored; remove the line", "; remove it");
    let text = format!("{}: is a key of {whose}, which {not} does not have{what}", key.name);
    match told.form {
        Form::Flat => told.warnings.push(place.problem(text)),
        Form::Hcl => told.errors.push(place.problem(text)),
    }
}

/// Why a key cannot stand here once more.
fn too_often(key: &Key, earlier: Option<u32>, used: usize) -> Option<String> {
    match earlier {
        Some(line) if !key.repeat => {
            Some(format!("stands twice, first on line {line}; remove one"))
        }
        Some(_) if used == REPEATS_MAX + 1 => {
            Some(format!("stands more than {REPEATS_MAX} times; remove some"))
        }
        Some(_) | None => None,
    }
}
