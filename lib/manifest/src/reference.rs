//! Where an image is.

use std::fmt;

use crate::error::Error;

/// An image as a manifest names it; Display is the text it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `registry/repo:tag`, `repo@sha256:…`: in a registry, or pushed to the node.
    Registry(Repository),
    /// `oci:DIR[:tag]`: an OCI image layout in a directory of the server's machine.
    OciLayout {
        /// Absolute path.
        dir: String,
        /// Name of the image in the layout's index.
        tag: Option<String>,
    },
    /// `oci-archive:FILE`: an OCI image layout as a tar file.
    OciArchive {
        /// Absolute path.
        file: String,
    },
    /// `docker-archive:FILE`: what `docker save` writes.
    DockerArchive {
        /// Absolute path.
        file: String,
    },
    /// `dir:ROOTFS`: a directory that is the root file system.
    Rootfs {
        /// Absolute path.
        dir: String,
    },
}

/// A repository of a registry, and which image of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `host[:port]` when the reference names one.
    pub registry: Option<String>,
    /// `team/app`, without the registry.
    pub repository: String,
    /// The tag, when the reference names one.
    pub tag: Option<String>,
    /// `sha256:` and 64 hex digits, when the reference names one.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference.
    ///
    /// # Errors
    /// [`Error`], saying which part is wrong and how it is written.
    pub fn parse(_text: &str) -> Result<Reference, Error> {
        todo!()
    }

    /// The digest the reference itself names: such an image needs no resolving.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        match self {
            Reference::Registry(repository) => repository.digest.as_deref(),
            Reference::OciLayout { .. }
            | Reference::OciArchive { .. }
            | Reference::DockerArchive { .. }
            | Reference::Rootfs { .. } => None,
        }
    }

    /// The reference that always means these bytes: `repo@sha256:…`, `oci:/dir@sha256:…`.
    #[must_use]
    pub fn at_digest(&self, _digest: &str) -> String {
        todo!()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
