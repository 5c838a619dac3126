//! What can be wrong with one value, whatever key it stands at.

/// A value that is not what it should be; Display says what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a service's name.
    #[error("{0:?} is not a name; use 1 to 40 of a-z, 0-9 and -, beginning with a letter or digit")]
    Name(String),
}
