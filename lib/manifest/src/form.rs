//! Which of the two languages a text is of.

/// A language of manifests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One directive a line.
    Flat,
    /// Blocks.
    Hcl,
}

impl Form {
    /// What is said in one and in the other.
    pub(crate) fn say(self, flat: &'static str, hcl: &'static str) -> &'static str {
        match self {
            Form::Flat => flat,
            Form::Hcl => hcl,
        }
    }
}
