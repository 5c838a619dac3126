//! Image references: which source, which name in it, which digest it must have.

use std::fmt;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::{Error, Result};

/// Bytes of a path (the kernel's PATH_MAX less its end).
const PATH_LEN_MAX: usize = 4095;
/// Bytes of a repository with its registry (distribution-spec, "Pulling manifests").
const REPOSITORY_LEN_MAX: usize = 255;
/// Bytes a tag may have (distribution-spec, "Pulling manifests").
const TAG_LEN_MAX: usize = 128;
/// The registry of names that have none.
const DEFAULT_HOST: &str = "docker.io";
/// What is said of anything else behind an `@`.
const NO_DIGEST: &str = "what follows '@' is not sha256: and 64 hex digits";
/// What is said of a digest, or a piece of one, that stands where a name should.
const ONLY_DIGEST: &str = "a digest has a name and '@' before it";
/// What is said of a path no file can have.
const PATH_LONG: &str = "the path is longer than 4095 bytes";
/// The tag of names that have none.
const DEFAULT_TAG: &str = "latest";

/// A parsed reference. Display gives the full form, which is the key in the tags file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// An image of a registry.
    Registry(Remote),
    /// An image that lies on this machine.
    File(Lying),
    /// `dir:ROOTFS`, a root file system used where it lies, and what its digest must be.
    Dir(PathBuf, Option<Digest>),
}

/// The place of an image on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lying {
    pub(crate) form: Form,
    pub(crate) path: PathBuf,
    pub(crate) tag: Option<String>,
    /// What the image's digest must be.
    pub(crate) digest: Option<Digest>,
}

/// The forms an image on this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `oci:DIR[:tag]`, an OCI image layout.
    Layout,
    /// `oci-archive:FILE[:tag]`, a layout in a tar.
    OciArchive,
    /// `docker-archive:FILE[:tag]`, what `docker save` writes.
    DockerArchive,
}

/// The word before the first colon of each.
const FORMS: [(Form, &str); 3] = [
    (Form::Layout, "oci:"),
    (Form::OciArchive, "oci-archive:"),
    (Form::DockerArchive, "docker-archive:"),
];

/// The place of an image in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// `docker.io`, `localhost:5000`
    pub(crate) host: String,
    /// `library/redis`
    pub(crate) repository: String,
    /// Set unless only a digest was given.
    pub(crate) tag: Option<String>,
    /// What the bytes must be.
    pub(crate) digest: Option<Digest>,
    /// `name:tag` as a push would have it, when no registry was named.
    pub(crate) short: Option<String>,
}

impl Reference {
    /// Reads a reference; the error says what is wrong with it. A digest is what follows
    /// `@sha256:`, a tag what follows the last colon before it and has no slash; the rest is a
    /// path, whatever is in it.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| Error::Reference { reference: text.to_owned(), why: why.to_owned() };
        for (form, word) in FORMS {
            let Some(rest) = text.strip_prefix(word) else { continue };
            let (rest, digest) = split_digest(rest).map_err(bad)?;
            let (path, tag) = match rest.rsplit_once(':') {
                Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
                Some(_) | None => (rest, None),
            };
            tag.map_or(Ok(()), check_tag).map_err(bad)?;
            if path.is_empty() {
                return Err(bad("no path after the first ':'"));
            }
            if path.len() > PATH_LEN_MAX {
                return Err(bad(PATH_LONG));
            }
            let (path, tag) = (PathBuf::from(path), tag.map(str::to_owned));
            return Ok(Self::File(Lying { form, path, tag, digest }));
        }
        let Some(rest) = text.strip_prefix("dir:") else {
            return Remote::parse(text).map(Self::Registry).map_err(bad);
        };
        match split_digest(rest).map_err(bad)? {
            ("", _) => Err(bad("no path after 'dir:'")),
            (dir, _) if dir.len() > PATH_LEN_MAX => Err(bad(PATH_LONG)),
            (dir, digest) => Ok(Self::Dir(PathBuf::from(dir), digest)),
        }
    }
}

/// What follows `@sha256:`, which no path has.
fn split_digest(text: &str) -> Result<(&str, Option<Digest>), &'static str> {
    let Some((rest, _)) = text.split_once("@sha256:") else { return Ok((text, None)) };
    let digest = Digest::parse(&text[rest.len() + 1..]).ok_or(NO_DIGEST)?;
    Ok((rest, Some(digest)))
}

impl Remote {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.starts_with("sha256:") {
            return Err(ONLY_DIGEST);
        }
        let (rest, digest) = match text.split_once('@') {
            None => (text, None),
            Some((rest, digest)) => (rest, Some(Digest::parse(digest).ok_or(NO_DIGEST)?)),
        };
        let (host, path) = match rest.split_once('/') {
            Some((first, path)) if is_host(first) => (Some(first), path),
            _ => (None, rest),
        };
        // A colon in the last part is a tag; before that, only a host has one.
        let slash = path.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match path[slash..].split_once(':') {
            Some((last, tag)) => (&path[..slash + last.len()], Some(tag)),
            None => (path, None),
        };
        let tag_len = tag.map_or(0, |tag| tag.len() + 1);
        if rest.len() - tag_len > REPOSITORY_LEN_MAX {
            return Err("the name is longer than 255 bytes");
        }
        check_name(name)?;
        if let Some(tag) = tag {
            check_tag(tag)?;
        }
        let short = host.is_none().then(|| format!("{name}:{}", tag.unwrap_or(DEFAULT_TAG)));
        let host = host.unwrap_or(DEFAULT_HOST);
        let official = host == DEFAULT_HOST && !name.contains('/');
        let repository = if official { format!("library/{name}") } else { name.to_owned() };
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_TAG.to_owned()),
        };
        Ok(Self { host: host.to_owned(), repository, tag, digest, short })
    }

    /// The full form without the digest.
    pub(crate) fn tagged(&self) -> Option<String> {
        let tag = self.tag.as_ref()?;
        Some(format!("{}/{}:{tag}", self.host, self.repository))
    }
}

/// Checks the `name[:tag]` of a push and gives it its tag: two texts that mean one name are one.
///
/// # Errors
/// [`Error::Reference`] when nothing can be pushed under that name.
pub fn local_name(text: &str) -> Result<String> {
    let bad = |why: &str| Error::Reference { reference: text.to_owned(), why: why.to_owned() };
    let remote = Remote::parse(text).map_err(bad)?;
    match (remote.short, remote.digest) {
        (Some(_), Some(_)) => Err(bad("a pushed image is given a name and a tag, no digest")),
        (Some(short), None) => Ok(short),
        (None, _) => Err(bad("a pushed image has no registry in its name")),
    }
}

/// The rule everybody follows: a first part with a dot or a colon, or `localhost`, is a host.
fn is_host(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b);
    (part.contains(['.', ':']) || part == "localhost") && part.bytes().all(plain)
}

/// A repository name: parts of `[a-z0-9]` joined by `.`, `_`, `__` or dashes, between slashes
/// (distribution-spec, "Pulling manifests").
fn check_name(name: &str) -> Result<(), &'static str> {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    for part in name.split('/') {
        let (Some(first), Some(last)) = (part.bytes().next(), part.bytes().last()) else {
            return Err("the name or a part of it is empty");
        };
        if part.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err("the name must be lower case");
        }
        if !part.bytes().all(|b| alnum(b) || b"._-".contains(&b)) {
            return Err("the name may have only a-z 0-9 . _ - and /");
        }
        if !alnum(first) || !alnum(last) || part.contains("..") {
            return Err("each part of the name begins and ends with a-z or 0-9, without '..'");
        }
    }
    Ok(())
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    match tag.bytes().next() {
        None => Err("empty tag"),
        Some(_) if tag.len() > TAG_LEN_MAX => Err("the tag is longer than 128 bytes"),
        Some(first) if !word(first) || !tag.bytes().all(|b| word(b) || b".-".contains(&b)) => {
            Err("the tag may have only letters, digits, _ . and -, and begins with none of . -")
        }
        Some(_) => Ok(()),
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = match self {
            Self::Registry(remote) => return remote.fmt(f),
            Self::Dir(dir, digest) => {
                write!(f, "dir:{}", dir.display())?;
                digest
            }
            Self::File(Lying { form, path, tag, digest }) => {
                let word = FORMS.iter().find(|(is, _)| is == form).map_or("", |(_, word)| word);
                write!(f, "{word}{}", path.display())?;
                tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
                digest
            }
        };
        digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_reference_is_shown_in_its_full_form() {
        let check = |text: &str, full: &str| {
            let read = Reference::parse(text).unwrap();
            assert_eq!(read.to_string(), full);
            let again = Reference::parse(full).unwrap();
            assert_eq!(again.to_string(), full, "the full form is its own full form");
        };
        check("redis", "docker.io/library/redis:latest");
        check("redis:7", "docker.io/library/redis:7");
        check("team/app", "docker.io/team/app:latest");
        check("localhost/app:1", "localhost/app:1");
        check("127.0.0.1:5000/a/b:x", "127.0.0.1:5000/a/b:x");
        check("[::1]:5000/a", "[::1]:5000/a:latest");
        check(&format!("quay.io/a/b@{D}"), &format!("quay.io/a/b@{D}"));
        check(&format!("quay.io/a/b:1@{D}"), &format!("quay.io/a/b:1@{D}"));
        check("oci:/srv/x:1", "oci:/srv/x:1");
        check("oci-archive:x.tar", "oci-archive:x.tar");
        check("docker-archive:x.tar:app:1", "docker-archive:x.tar:app:1");
        check("dir:/srv/a:b", "dir:/srv/a:b");
    }

    /// The table the reader of manifests has to understand too.
    const CASES: &str = include_str!("../../manifest/src/tests/references.txt");

    #[test]
    fn references_are_read_as_the_table_says() {
        for line in CASES.lines().filter(|line| !line.starts_with('#')) {
            let line = line.replace("@D", &format!("@{D}")).replace("| D", &format!("| {D}"));
            let line = [255, 256, 4094, 4095]
                .iter()
                .fold(line, |line, n: &usize| line.replace(&format!("{{{n}}}"), &"a".repeat(*n)));
            let (text, want) = line.split_once(" | ").unwrap();
            let or = |text: Option<String>| text.unwrap_or("-".to_owned());
            let got = match Reference::parse(text) {
                Err(_) => "refused".to_owned(),
                Ok(Reference::Registry(it)) => {
                    // What was left out is filled in; the table has what was written.
                    let (host, name) = match text.split_once('/') {
                        Some((host, _)) if host == it.host => (host, it.repository),
                        _ => ("-", it.repository.trim_start_matches("library/").to_owned()),
                    };
                    let digest = or(it.digest.map(|d| d.to_string()));
                    format!("registry | {host} | {name} | {} | {digest}", or(it.tag))
                }
                Ok(Reference::File(it)) => {
                    let word = text.split(':').next().unwrap();
                    let (path, digest) = (it.path.display(), or(it.digest.map(|d| d.to_string())));
                    format!("{word} | - | {path} | {} | {digest}", or(it.tag))
                }
                Ok(Reference::Dir(dir, digest)) => {
                    format!(
                        "dir | - | {} | - | {}",
                        dir.display(),
                        or(digest.map(|d| d.to_string()))
                    )
                }
            };
            assert_eq!(got, want, "{text}");
        }
    }

    #[test]
    fn a_bad_reference_says_why() {
        let check = |text: &str, why: &str| {
            let error = Reference::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        };
        check("", "empty");
        check("Redis", "lower case");
        check("a//b", "empty");
        check("a/../b", "begins and ends");
        check("redis:", "empty tag");
        check("redis:-x", "the tag may have");
        check("redis@sha256:12", "64 hex");
        check("quay.io/", "empty");
        check("a b", "only a-z");
        check("oci:", "no path");
        check("oci:x:", "empty tag");
        check("dir:", "no path");
        check("sha256:12", "a name and '@' before it");
        check(&"a".repeat(2000), "longer than 255 bytes");
        let long = Reference::parse(&format!("oci:/{}", "a".repeat(5000))).unwrap_err().to_string();
        assert!(long.len() < 200 && long.ends_with("longer than 4095 bytes"), "{long}");
    }

    #[test]
    fn only_a_name_without_registry_can_be_pushed() {
        assert_eq!(local_name("web").unwrap(), "web:latest");
        assert_eq!(local_name("team/web:1").unwrap(), "team/web:1");
        assert!(local_name("localhost:5000/web:1").is_err());
        assert!(local_name(&format!("web@{D}")).is_err());
        assert!(local_name("Web:1").is_err());
    }
}
