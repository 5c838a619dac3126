//! The store in one file: redb with two-phase commit, one writer thread, group commit.

use std::path::Path;

use crate::Error;

/// A store in one file, for one process.
#[derive(Debug)]
pub struct Redb {}

impl Redb {
    /// Opens the file or makes it. Leases are renewed in full: nobody could keep them alive while
    /// the store was away.
    ///
    /// Errors: locked by another server, not a store, damaged, not readable.
    pub fn open(path: &Path) -> Result<Redb, Error> {
        todo!("{path:?}")
    }
}
