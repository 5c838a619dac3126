//! The keys of a manifest: one table for parser, printer, diff and help.

/// One key of the language.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key as it is written.
    pub name: &'static str,
    /// The words after it, for help.
    pub words: &'static str,
    /// What stands without it, for help.
    pub default: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// Whether it may stand more than once.
    pub repeat: bool,
    /// Whether this version of deploy does what it says.
    pub when: When,
    /// What a change of it needs.
    pub effect: Effect,
}

/// Whether a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It does.
    Ready,
    /// It is known and checked, and using it is an error.
    NotYet,
}

/// What a change of a key needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing restarts: instances never see the key.
    InPlace,
    /// Instances are replaced.
    Restart,
}

/// All keys, in the order of help and print.
#[must_use]
pub fn keys() -> &'static [Key] {
    todo!()
}

/// The known key nearest to a word, when one is near enough to be what was meant.
#[must_use]
pub fn nearest_key(_word: &str) -> Option<&'static str> {
    todo!()
}
