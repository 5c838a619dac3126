//! Refusals: one text and one number for each fact.

use std::borrow::Cow;

use nix::errno::Errno;
use rs9p::errstr;

use crate::wire::Malformed;

/// What an operation of a tree or of the protocol gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a request is refused.
///
/// `Display` is the text of 9P2000's Rerror; where Linux' 9p client has a text for the fact
/// (net/9p/error.c), it is that one, so that its programs get the right errno. `errno` is
/// what 9P2000.L's Rlerror carries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such name.
    #[error("{}", errstr::ENOENT_FILE2)]
    NotFound,
    /// The mode bits, or the tree, say no.
    #[error("{}", errstr::EACCES2)]
    PermissionDenied,
    /// The name is taken.
    #[error("{}", errstr::EEXIST3)]
    Exists,
    /// A directory is needed here.
    #[error("{}", errstr::ENOTDIR2)]
    NotDir,
    /// A directory will not do here.
    #[error("is a directory")]
    IsDir,
    /// It still has entries.
    #[error("{}", errstr::ENOTEMPTY2)]
    NotEmpty,
    /// The file is open already and allows one at a time.
    #[error("{}", errstr::EAGAIN2)]
    InUse,
    /// The root stays.
    #[error("{}", errstr::EPERM_RMROOT)]
    IsRoot,
    /// An open mode that makes no sense here.
    #[error("{}", errstr::EINVAL2)]
    BadMode,
    /// A name no file can have.
    #[error("{}", errstr::ENAMETOOLONG2)]
    BadName,
    /// A directory read that neither starts again nor goes on.
    #[error("{}", errstr::ESPIPE2)]
    BadOffset,
    /// A count below what one directory entry needs.
    #[error("count is too small for one directory entry")]
    SmallCount,
    /// A generated file can be emptied but not given a length.
    #[error("{}", errstr::EPERM_TRUNCATE)]
    Length,
    /// A fid nobody made.
    #[error("{}", errstr::EBADF2)]
    UnknownFid,
    /// A new fid that is in use.
    #[error("{}", errstr::EBADF4)]
    FidInUse,
    /// The fid is not open, or not for this, or open where it must not be.
    #[error("{}", errstr::EBADF3)]
    BadUse,
    /// A tag whose request has not been answered yet.
    #[error("tag already in use")]
    TagInUse,
    /// A limit of the server is reached; it is named.
    #[error("{0}: try again later")]
    TooMany(&'static str),
    /// Nobody need prove who they are by Tauth.
    #[error("authentication not required")]
    NoAuth,
    /// A request before Tversion agreed on a dialect.
    #[error("no version agreed on: send Tversion first")]
    NoVersion,
    /// An msize a session cannot live with.
    #[error("msize {0} is too small: {1} is the least")]
    SmallMsize(u32, u32),
    /// The message is not as the protocol says.
    #[error("protocol botch: {0}")]
    Malformed(#[from] Malformed),
    /// The answer does not fit into one message.
    #[error("answer is larger than msize")]
    TooLarge,
    /// The operation is none of this server's.
    #[error("{}", errstr::EOPNOTSUPP)]
    NotSupported,
    /// The request was given up before it had an answer.
    #[error("interrupted")]
    Interrupted,
    /// The fact is the tree's own: a short lower-case text and the nearest errno.
    #[error("{text}")]
    Text {
        /// The nearest number of Linux' errno(3).
        errno: u32,
        /// What is wrong, where, and what to do.
        text: Cow<'static, str>,
    },
}

impl Error {
    /// A refusal in the tree's own words, with `EINVAL` as its number.
    #[must_use]
    pub fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::with(Errno::EINVAL as u32, text)
    }

    /// A refusal in the tree's own words with an errno(3) of its own.
    #[must_use]
    pub fn with(errno: u32, text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text { errno, text: text.into() }
    }

    /// The number 9P2000.L carries, one of errno(3) as Linux' generic table has it.
    #[must_use]
    pub fn errno(&self) -> u32 {
        let errno = match self {
            Self::NotFound => Errno::ENOENT,
            Self::PermissionDenied => Errno::EACCES,
            Self::Exists => Errno::EEXIST,
            Self::NotDir => Errno::ENOTDIR,
            Self::IsDir => Errno::EISDIR,
            Self::NotEmpty => Errno::ENOTEMPTY,
            Self::InUse | Self::IsRoot => Errno::EBUSY,
            Self::BadMode | Self::SmallCount | Self::SmallMsize(..) => Errno::EINVAL,
            Self::BadName => Errno::ENAMETOOLONG,
            Self::BadOffset => Errno::ESPIPE,
            Self::Length => Errno::EPERM,
            Self::UnknownFid | Self::FidInUse | Self::BadUse => Errno::EBADF,
            Self::Malformed(Malformed::Type(_)) => Errno::EOPNOTSUPP,
            Self::TagInUse | Self::NoVersion | Self::Malformed(_) => Errno::EPROTO,
            Self::TooLarge => Errno::EMSGSIZE,
            Self::TooMany(_) => Errno::EAGAIN,
            // What diod's programs take for "go on without".
            Self::NoAuth => Errno::ENOENT,
            Self::NotSupported => Errno::EOPNOTSUPP,
            Self::Interrupted => Errno::EINTR,
            Self::Text { errno, .. } => return *errno,
        };
        errno as u32
    }
}

/// What the system says, as our texts are written: in lower case, and without its number.
#[must_use]
pub fn words(why: &std::io::Error) -> String {
    let text = numberless(&why.to_string());
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        // `I/O error` stays.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text,
    }
}

/// A text without the system's numbers, for the edge where it comes in or goes out:
/// ` (os error 2)` helps nobody.
#[must_use]
pub fn numberless(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| {
        let after = part.trim_start_matches(|c: char| c.is_ascii_digit());
        text + after.strip_prefix(')').unwrap_or(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_come_without_its_number() {
        let check = |errno, want| {
            assert_eq!(words(&std::io::Error::from_raw_os_error(errno as i32)), want);
        };
        check(Errno::ENOENT, "no such file or directory");
        check(Errno::ECONNREFUSED, "connection refused");
        let own = std::io::Error::other("I/O is over");
        assert_eq!(words(&own), "I/O is over");
    }

    #[track_caller]
    fn check(error: Error, text: &str, errno: Errno) {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.errno(), errno as u32, "{text}");
    }

    #[test]
    fn a_refusal_is_a_text_and_a_number() {
        check(Error::NotFound, "file does not exist", Errno::ENOENT);
        check(Error::PermissionDenied, "permission denied", Errno::EACCES);
        check(Error::Exists, "file already exists", Errno::EEXIST);
        check(Error::InUse, "exclusive use file already open", Errno::EBUSY);
        check(Error::TooMany("too many fids"), "too many fids: try again later", Errno::EAGAIN);
        check(Error::SmallMsize(5, 7), "msize 5 is too small: 7 is the least", Errno::EINVAL);
        check(
            Malformed::Short.into(),
            "protocol botch: message is too short for its fields",
            Errno::EPROTO,
        );
        check(
            Malformed::Type(1).into(),
            "protocol botch: message type 1 is not known here",
            Errno::EOPNOTSUPP,
        );
        check(Error::invalid("no such verb"), "no such verb", Errno::EINVAL);
        check(Error::with(28, "disk is full"), "disk is full", Errno::ENOSPC);
    }
}
