//! Why the door does not open, in words for the person who must mend it.

use std::io;
use std::path::PathBuf;

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The words after `deployfs web` make no sense.
    #[error(
        "{0}; usage: deployfs web -r STATEDIR -s ADDRESS --listen ADDR [--token FILE] [-g GROUP] \
         [-v]"
    )]
    Usage(String),
    /// A token that protects nothing.
    #[error("{}: {why}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// A socket or thread that could not be had.
    #[error("{what}: {}", ninep::words(.why))]
    Io {
        /// What was tried on what.
        what: String,
        /// What the system said.
        why: io::Error,
    },
    /// Whoever is at the other end of the leash does not answer as a door does.
    #[error("{0}")]
    Leash(String),
}

impl Error {
    /// An error of the system with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |why| Error::Io { what, why }
    }
}
