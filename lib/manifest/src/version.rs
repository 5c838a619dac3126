//! The name of a manifest's meaning.

use std::fmt;

use crate::error::Error;
use crate::manifest::Manifest;

/// The first 12 hex digits of the SHA-256 of a manifest's canonical form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionName(String);

impl VersionName {
    /// Reads a version's name.
    ///
    /// # Errors
    /// When it is not 12 lower-case hex digits.
    pub fn parse(_text: &str) -> Result<VersionName, Error> {
        todo!()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Manifest {
    /// The text whose hash is the version: keys sorted, defaults left out, times and sizes
    /// normalised, and the image as its digest alone.
    #[must_use]
    pub fn canonical(&self, _image_digest: &str) -> String {
        todo!()
    }

    /// The version this manifest is with its image resolved to a digest.
    #[must_use]
    pub fn version(&self, _image_digest: &str) -> VersionName {
        todo!()
    }
}

/// Checks the name of a service: 1 to 40 of a-z, 0-9 and `-`, not beginning or ending with `-`.
///
/// # Errors
/// [`Error::Name`], quoting it.
pub fn check_name(_name: &str) -> Result<(), Error> {
    todo!()
}
