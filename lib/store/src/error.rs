//! What can go wrong; each text says what, where and what to do.

use std::path::PathBuf;

use crate::{Lease, Revision};

/// Why a store did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another process has the file open.
    #[error("{0}: another server runs on this state: stop it or choose another state directory")]
    Locked(PathBuf),
    /// The file is not a store or is damaged.
    #[error("{path}: not a usable store ({why}): restore a copy or move the file away")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No space left; the store stopped.
    #[error("{0}: no space left on the disk: make room and try again")]
    Full(PathBuf),
    /// Reading or writing failed; the store stopped.
    #[error("{path}: {why}: mend it and try again")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// The store cannot be reached now; nothing happened.
    #[error("the store is unavailable: try again")]
    Unavailable,
    /// The answer was lost; it may have happened or not.
    #[error("the store's answer was lost: the outcome is unknown")]
    Unknown,
    /// The change log before this revision is gone.
    #[error("changes before revision {0} are compacted: list again")]
    Compacted(Revision),
    /// A revision that is not there yet.
    #[error("revision {asked} is not there yet, the store is at {current}")]
    Future {
        /// What was asked for.
        asked: Revision,
        /// What is there.
        current: Revision,
    },
    /// A put is bound to a lease that is gone.
    #[error("lease {0} is gone")]
    NoLease(Lease),
    /// A key without a letter.
    #[error("a key must not be empty")]
    NoKey,
    /// A lease shorter than the limit.
    #[error("a lease of {asked} s is too short: at least {} s", crate::LEASE_TTL_S_MIN)]
    ShortLease {
        /// What was asked for.
        asked: u32,
    },
    /// A key twice in one transaction.
    #[error("key `{0}` is named twice in one transaction")]
    Twice(String),
    /// A key, value or transaction beyond its limit.
    #[error("{what} of {size} is over the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large.
        size: usize,
        /// The limit.
        limit: usize,
    },
}

impl Error {
    /// Whether the write may have happened all the same.
    pub fn unknown(&self) -> bool {
        match self {
            Error::Unknown | Error::Full(_) | Error::Io { .. } | Error::Closed => true,
            Error::Locked(_) | Error::Corrupt { .. } | Error::Unavailable => false,
            Error::Compacted(_) | Error::Future { .. } | Error::NoLease(_) => false,
            Error::Twice(_) | Error::TooLarge { .. } => false,
            Error::NoKey | Error::ShortLease { .. } => false,
        }
    }
}
