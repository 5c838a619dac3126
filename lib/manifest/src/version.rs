//! The name of a manifest's meaning.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::keys::{self, Id};
use crate::limits::NAME_CHARS_MAX;
use crate::manifest::Manifest;
use crate::print::changed_lines;

/// Hex digits of a version's name.
const VERSION_CHARS: usize = 12;

/// The first 12 hex digits of the SHA-256 of a manifest's canonical form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionName(String);

impl VersionName {
    /// Reads a version's name.
    ///
    /// # Errors
    /// When it is not 12 lower-case hex digits.
    pub fn parse(text: &str) -> Result<VersionName, Error> {
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == VERSION_CHARS && text.bytes().all(hex) {
            Ok(VersionName(text.to_owned()))
        } else {
            Err(Error::Version(text.to_owned()))
        }
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
    /// The text whose hash is the version: a line a key, keys and the lines of one key sorted,
    /// defaults left out, times and sizes normalised.
    ///
    /// The image is its digest alone: a tag that moved is another version, and the same bytes
    /// under another tag or from another registry are the same one. The name is left out: a
    /// version is always a version of a service. So are `source` and `build`: the same bytes are
    /// the same version, whoever made them wherever.
    #[must_use]
    pub fn canonical(&self, image_digest: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        for key in keys::keys() {
            if key.id == Id::Image {
                lines.push(format!("image {image_digest}\n"));
            } else if key.is_of_version() {
                lines.extend(changed_lines(key, self).map(|line| line + "\n"));
            }
        }
        lines.sort_unstable();
        lines.concat()
    }

    /// The version this manifest is with its image resolved to a digest.
    #[must_use]
    pub fn version(&self, image_digest: &str) -> VersionName {
        let hash = Sha256::digest(self.canonical(image_digest));
        let hex = hash.iter().take(VERSION_CHARS / 2).map(|byte| format!("{byte:02x}"));
        VersionName(hex.collect())
    }
}

/// Checks the name of a service: 1 to 40 of a-z, 0-9 and `-`, not beginning or ending with `-`
/// (with its instance's number it becomes a host name, RFC 1123, 2.1).
///
/// # Errors
/// [`Error::Name`], quoting it.
pub fn check_name(name: &str) -> Result<(), Error> {
    let known = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let right = (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(known)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if right { Ok(()) } else { Err(Error::Name(name.to_owned())) }
}
