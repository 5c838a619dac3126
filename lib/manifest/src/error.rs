//! What can be wrong with one value, whatever key it stands at.

/// A value that is not what it should be; Display quotes it and says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a service's name.
    #[error("{} is not a name; use 1 to 40 of a-z, 0-9 and, inside, -", quoted(.0))]
    Name(String),
    /// Not a version's name.
    #[error("{} is not a version; use its 12 digits of 0-9 and a-f", quoted(.0))]
    Version(String),
    /// Not a time.
    #[error("{} is not a time; write seconds (10, 0.5), 500ms, 1m30s or 2h", quoted(.0))]
    Time(String),
    /// Not a size.
    #[error("{} is not a size; write 64K, 64M, 1.5G, 512Ki, 512Mi or bytes", quoted(.0))]
    Size(String),
    /// Not a number of cores.
    #[error("{} is not a number of cores; write 0.25 or 2", quoted(.0))]
    Cpu(String),
    /// More digits behind the point than mean anything.
    #[error("{} is finer than {}; leave the last digits out", quoted(.0), .1)]
    Fine(String, &'static str),
    /// More digits before the point than any limit allows.
    #[error("{} is too large; the most is {}", quoted(.0), .1)]
    Large(String, &'static str),
    /// Not a repository.
    #[error(
        "{} is not an image; write registry/repo:tag in lower case, or oci:DIR, \
         oci-archive:FILE[:TAG], docker-archive:FILE[:TAG], dir:ROOTFS",
        quoted(.0)
    )]
    Image(String),
    /// A repository longer than registries take.
    #[error("{} is too long for a repository; the most is 255 characters", quoted(.0))]
    RepositoryLong(String),
    /// Not a tag.
    #[error(
        "{} is not a tag; use 1 to 128 of A-Z, a-z, 0-9, _, . and -, \
         not beginning with . or -",
        quoted(.0)
    )]
    Tag(String),
    /// Not a digest.
    #[error("{} is not a digest; write sha256: and 64 digits of 0-9 and a-f", quoted(.0))]
    Digest(String),
    /// Not an absolute path.
    #[error("{} is not an absolute path; begin it with / and leave .. out", quoted(.0))]
    Path(String),
    /// No path on the user's side.
    #[error("{} is no path; write a directory, as . or ../app", quoted(.0))]
    SidePath(String),
    /// A path longer than the kernel takes.
    #[error("{} is too long for a path; the most is 4095 bytes", quoted(.0))]
    PathLong(String),
}

/// Characters of a word that an error shows; a hostile text must not fill a terminal.
const QUOTED_CHARS_MAX: usize = 60;

/// The word in quotes, with everything unprintable escaped, cut when it is long.
pub(crate) fn quoted(word: &str) -> String {
    if word.chars().count() <= QUOTED_CHARS_MAX {
        return format!("{word:?}");
    }
    let head: String = word.chars().take(QUOTED_CHARS_MAX).collect();
    format!("{:?}", head + "…")
}
