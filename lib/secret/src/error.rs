//! What can go wrong with keys and sealed values.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::sealed::KeyId;
use crate::value::VALUE_BYTES_MAX;

/// Why a value cannot be sealed or opened, or the key file not be used.
#[derive(Debug, Error)]
pub enum Error {
    /// A value has a limit.
    #[error("a secret has {VALUE_BYTES_MAX} bytes at most")]
    TooLong,
    /// The system gives no random bytes, or the cipher refused.
    #[error("sealing failed: the system gives no random bytes")]
    Seal,
    /// Its key is not in the key file.
    #[error(
        "{name} version {version} is sealed under key {key}, which is not in {KEY}; put that \
         file back, or set the secret anew",
        KEY = crate::keys::KEY_FILE
    )]
    UnknownKey {
        /// The secret.
        name: String,
        /// Its version.
        version: u32,
        /// The key.
        key: KeyId,
    },
    /// The bytes were changed, or belong to another secret.
    #[error("{name} version {version} cannot be opened: what is stored is not what was sealed")]
    Changed {
        /// The secret.
        name: String,
        /// Its version.
        version: u32,
    },
    /// Stored bytes that are no sealed value.
    #[error("what is stored is no sealed value of this version of deploy")]
    Form,
    /// The key file cannot be read as one.
    #[error("{path}: line {line} is no key; put back the file as it was")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// Somebody else can read the keys.
    #[error("{path}: others may read it (mode {mode:o}); make it 400, then rotate the key")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refused something.
    #[error("{what} {path}: {why}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |why| Error::Io { what, path, why }
    }
}
