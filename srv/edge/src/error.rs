//! What can go wrong at the edge, in words for the person who must mend it.

use std::io;

/// Why the edge did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The words after `deployfs edge` make no sense.
    #[error(
        "{0}\nusage: deployfs edge -r STATEDIR [-s ADDRESS] [-n NAME] [--http ADDR] [--https ADDR] \
         [--dns ADDR] [--certs DIR] [--acme URL [--acme-contact MAIL] \
         [--acme-ca FILE]] [--trust NETWORK] [--access-log FILE|-|none] [-D] [-v]"
    )]
    Usage(String),
    /// A process of the edge that did not do its part.
    #[error("{0}")]
    Process(String),
    /// A table that is not taken; the one before stays.
    #[error("table line {line}: {what}")]
    Table {
        /// Line of the table, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// A table older than the one that is served.
    #[error("table of generation {given} is older than {served}, which is served")]
    Older {
        /// Generation of the table that was given.
        given: u64,
        /// Generation that is served.
        served: u64,
    },
    /// A socket, file or thread that could not be had.
    #[error("{what}: {why}")]
    Io {
        /// What was tried on what.
        what: String,
        /// What the system said.
        why: io::Error,
    },
}

impl Error {
    /// An error of the system with what was tried: `.map_err(Error::io("listen on 80"))`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |why| Error::Io { what, why }
    }
}
