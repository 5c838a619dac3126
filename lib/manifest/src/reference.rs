//! Where an image is.

use std::fmt;

use crate::error::Error;
use crate::limits::{REPOSITORY_CHARS_MAX, TAG_CHARS_MAX};
use crate::paths::check_path;

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
        /// What the image's digest must be.
        digest: Option<String>,
    },
    /// `oci-archive:FILE[:tag]`: an OCI image layout as a tar file.
    OciArchive {
        /// Absolute path.
        file: String,
        /// Name of the image in the layout's index.
        tag: Option<String>,
        /// What the image's digest must be.
        digest: Option<String>,
    },
    /// `docker-archive:FILE[:tag]`: what `docker save` writes.
    DockerArchive {
        /// Absolute path.
        file: String,
        /// Tag of one of the images in it.
        tag: Option<String>,
        /// What the image's digest must be.
        digest: Option<String>,
    },
    /// `dir:ROOTFS`: a directory that is the root file system.
    Rootfs {
        /// Absolute path, colons and all.
        dir: String,
        /// What the directory's digest must be.
        digest: Option<String>,
    },
}

/// A repository of a registry, and which image of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `host[:port]` when the reference names one: its first part has a dot or a colon, or is
    /// `localhost`, as registries' clients have always told hosts from repositories.
    pub registry: Option<String>,
    /// `team/app`, without the registry.
    pub repository: String,
    /// The tag, when the reference names one.
    pub tag: Option<String>,
    /// `sha256:` and 64 hex digits, when the reference names one.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference. A digest is what follows `@sha256:`, a tag what follows the last colon
    /// before it and has no slash; the rest is a path, whatever is in it. Paths are absolute,
    /// because the server has no current directory that its users would know.
    ///
    /// # Errors
    /// [`Error`], saying which part is wrong and how it is written.
    pub fn parse(text: &str) -> Result<Reference, Error> {
        if let Some(path) = text.strip_prefix("oci:") {
            let Local { path: dir, tag, digest } = Local::parse(path)?;
            return Ok(Reference::OciLayout { dir, tag, digest });
        }
        if let Some(path) = text.strip_prefix("oci-archive:") {
            let Local { path: file, tag, digest } = Local::parse(path)?;
            return Ok(Reference::OciArchive { file, tag, digest });
        }
        if let Some(path) = text.strip_prefix("docker-archive:") {
            let Local { path: file, tag, digest } = Local::parse(path)?;
            return Ok(Reference::DockerArchive { file, tag, digest });
        }
        if let Some(path) = text.strip_prefix("dir:") {
            let (dir, digest) = split_digest(path)?;
            check_path(dir)?;
            return Ok(Reference::Rootfs { dir: dir.to_owned(), digest });
        }
        Repository::parse(text).map(Reference::Registry)
    }

    /// The digest the reference itself names: such an image needs no resolving.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        match self {
            Reference::Registry(Repository { digest, .. })
            | Reference::OciLayout { digest, .. }
            | Reference::OciArchive { digest, .. }
            | Reference::DockerArchive { digest, .. }
            | Reference::Rootfs { digest, .. } => digest.as_deref(),
        }
    }

    /// The text that always means these bytes: `repo@sha256:…` without the tag, or
    /// `oci:/dir:tag@sha256:…`.
    #[must_use]
    pub fn at_digest(&self, digest: &str) -> String {
        match self {
            Reference::Registry(repository) => format!("{}@{digest}", repository.path()),
            Reference::OciLayout { .. }
            | Reference::OciArchive { .. }
            | Reference::DockerArchive { .. }
            | Reference::Rootfs { .. } => format!("{}@{digest}", self.place()),
        }
    }

    /// The text without the digest.
    fn place(&self) -> String {
        let (kind, path, tag) = match self {
            Reference::Registry(repository) => return with_tag(repository.path(), &repository.tag),
            Reference::OciLayout { dir, tag, .. } => ("oci", dir, tag),
            Reference::OciArchive { file, tag, .. } => ("oci-archive", file, tag),
            Reference::DockerArchive { file, tag, .. } => ("docker-archive", file, tag),
            Reference::Rootfs { dir, .. } => ("dir", dir, &None),
        };
        with_tag(format!("{kind}:{path}"), tag)
    }
}

/// What follows the kind of an image on the server's machine.
struct Local {
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Local {
    fn parse(text: &str) -> Result<Local, Error> {
        let (rest, digest) = split_digest(text)?;
        let (path, tag) = split_tag(rest);
        check_path(path)?;
        Ok(Local { path: path.to_owned(), tag: tag.map(check_tag).transpose()?, digest })
    }
}

impl Repository {
    fn parse(text: &str) -> Result<Repository, Error> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(check_digest(digest)?)),
            None => (text, None),
        };
        let (path, tag) = split_tag(rest);
        // A digest alone, or a piece of one, names no image.
        if text.starts_with("sha256:") {
            return Err(Error::Image(text.to_owned()));
        }
        let tag = tag.map(check_tag).transpose()?;
        if path.len() > REPOSITORY_CHARS_MAX {
            return Err(Error::RepositoryLong(path.to_owned()));
        }
        let (registry, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                (Some(host.to_owned()), rest)
            }
            Some(_) | None => (None, path),
        };
        let host_is_right = registry.as_deref().is_none_or(is_registry);
        if !host_is_right || !repository.split('/').all(is_component) {
            return Err(Error::Image(text.to_owned()));
        }
        Ok(Repository { registry, repository: repository.to_owned(), tag, digest })
    }

    /// Registry and repository, without tag and digest.
    #[must_use]
    pub fn path(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())?;
        self.digest().iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

fn with_tag(mut text: String, tag: &Option<String>) -> String {
    text.extend(tag.iter().flat_map(|tag| [":", tag]));
    text
}

/// What follows `@sha256:`, which no path has.
fn split_digest(text: &str) -> Result<(&str, Option<String>), Error> {
    match text.split_once("@sha256:") {
        Some((rest, _)) => Ok((rest, Some(check_digest(&text[rest.len() + 1..])?))),
        None => Ok((text, None)),
    }
}

/// What follows the last colon, when it is no part of a host's port or of a path.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag)),
        Some(_) | None => (text, None),
    }
}

fn check_tag(tag: &str) -> Result<String, Error> {
    let right = (1..=TAG_CHARS_MAX).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if right { Ok(tag.to_owned()) } else { Err(Error::Tag(tag.to_owned())) }
}

fn check_digest(digest: &str) -> Result<String, Error> {
    let hex = digest.strip_prefix("sha256:").unwrap_or_default();
    if hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(digest.to_owned())
    } else {
        Err(Error::Digest(digest.to_owned()))
    }
}

/// `host[:port]`, or an IPv6 address in brackets.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let host_is_right = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        }),
    };
    host_is_right && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// One part of a repository: `[a-z0-9]+` joined by `.`, `_`, `__` or dashes (OCI distribution
/// specification, pulling manifests).
fn is_component(text: &str) -> bool {
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let ends = text.starts_with(['.', '_', '-']) || text.ends_with(['.', '_', '-']);
    let known = |separator: &str| {
        matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
    };
    !text.is_empty() && !ends && separators.into_iter().all(known)
}
