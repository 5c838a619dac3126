//! The names the store knows and the digest each had when it was last pulled or pushed.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::disk::{Disk, io_error};
use crate::{Error, Result};

/// The tags file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tags {
    /// By full reference, or by `name:tag` when pushed.
    pub(crate) references: BTreeMap<String, Tag>,
}

/// What a name stood for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tag {
    /// `sha256:…`
    pub(crate) digest: String,
    /// Made here, so nowhere to be had again.
    pub(crate) pushed: bool,
    /// Seconds since 1970 when it was last pulled, pushed or handed out.
    pub(crate) at_s: u64,
}

impl Tag {
    pub(crate) fn new(digest: &Digest, pushed: bool) -> Self {
        Self { digest: digest.to_string(), pushed, at_s: now_s() }
    }
}

impl Tags {
    /// Reads the file; none is an empty one.
    pub(crate) fn load(disk: &Disk) -> Result<Self> {
        let path = disk.tags();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(io_error("read", &path, e)),
        };
        serde_json::from_slice(&bytes).map_err(|e| Error::Document {
            what: path.display().to_string(),
            why: format!("{e}; move it away to start with no names"),
        })
    }

    /// Writes the file durably.
    pub(crate) fn save(&self, disk: &Disk) -> Result<()> {
        let path = disk.tags();
        let bytes = serde_json::to_vec_pretty(self).map_err(|e| Error::Document {
            what: path.display().to_string(),
            why: e.to_string(),
        })?;
        disk.replace(&path, &bytes)
    }

    /// The digest a name stands for.
    pub(crate) fn digest(&self, reference: &str) -> Option<Digest> {
        Digest::parse(&self.references.get(reference)?.digest)
    }
}

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |d| d.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_there_after_a_restart_and_a_broken_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let digest = Digest::of(b"x");
        let mut tags = Tags::load(&disk).unwrap();
        assert_eq!(tags, Tags::default());
        tags.references.insert("web:1".into(), Tag::new(&digest, true));
        tags.save(&disk).unwrap();
        assert_eq!(Tags::load(&disk).unwrap(), tags);
        assert_eq!(tags.digest("web:1"), Some(digest));
        assert_eq!(tags.digest("web:2"), None);
        fs::write(disk.tags(), "{").unwrap();
        let text = Tags::load(&disk).unwrap_err().to_string();
        assert!(text.contains("/tags: ") && text.contains("move it away"), "{text}");
    }
}
