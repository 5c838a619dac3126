//! What can go wrong, with the exit status of each.

use crate::exit::Exit;
use crate::parse::Usage;
use ninep::client::ClientError;
use ninep::{numberless, words};
use thiserror::Error;

/// Why the command does not do what was asked. `Display` is what the user reads.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(#[from] Usage),
    /// Nobody answers.
    #[error("{address}: {why}; is deployfs running there? say where with -a or DEPLOY_ADDR")]
    Unreachable {
        /// Where.
        address: String,
        /// What the system says, without the address.
        why: String,
    },
    /// The connection ended in the middle.
    #[error("{0}; deploy status shows how things are at the server")]
    Lost(String),
    /// The server said no, to this file.
    #[error("{path}: {text}")]
    Refused {
        /// The file.
        path: String,
        /// The server's text.
        text: String,
    },
    /// There is no such service.
    #[error("service {0} does not exist; deploy status shows those that do")]
    NoService(String),
    /// Manifests have errors; they are told already.
    #[error("{0}")]
    Manifests(String),
    /// A file on this side.
    #[error("{path}: {}", words(.why))]
    Local {
        /// The file.
        path: String,
        /// What the system says.
        why: std::io::Error,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
    /// There is no room, as was found before anything was asked for.
    #[error("{0}")]
    NoRoom(String),
    /// An update is in flight, as was found before anything was asked for.
    #[error("{0}")]
    Busy(String),
    /// What goes wrong with one service of several.
    #[error("{why}")]
    Of {
        /// Which.
        service: String,
        /// What.
        why: Box<Error>,
    },
    /// The time is over.
    #[error("{0}")]
    TimeOver(String),
    /// Nobody reads what is printed.
    #[error("standard output: {}", words(.0))]
    Output(std::io::Error),
}

/// What an operation gives.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What the command ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Error::Usage(_) => Exit::Usage,
            Error::Unreachable { .. } | Error::Lost(_) => Exit::Unreachable,
            Error::Refused { text, .. } => refusal(text),
            Error::Manifests(_) => Exit::Refused,
            Error::TimeOver(_) => Exit::TimeOver,
            Error::NoRoom(_) => Exit::NoRoom,
            Error::Busy(_) => Exit::Locked,
            Error::Of { why, .. } => why.exit(),
            Error::NoService(_) | Error::Local { .. } | Error::Other(_) => Exit::Other,
            // `deploy events | head` has what it wanted.
            Error::Output(why) if why.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
            Error::Output(_) => Exit::Other,
        }
    }

    /// The same as what goes wrong with that service.
    pub(crate) fn of(self, service: &str) -> Error {
        Error::Of { service: service.to_string(), why: Box::new(self) }
    }

    /// What it says where the file is known already.
    pub(crate) fn text(&self) -> String {
        numberless(&self.refused().map_or(self.to_string(), |(_, text)| text.to_string()))
    }

    /// The file at which the server said no, and its words.
    pub(crate) fn refused(&self) -> Option<(&str, &str)> {
        if let Error::Of { why, .. } = self {
            return why.refused();
        }
        if let Error::Refused { path, text } = self { Some((path, text)) } else { None }
    }

    /// What went wrong at a file of the tree.
    pub(crate) fn at(path: &str, error: ClientError) -> Error {
        match error {
            ClientError::Lost(_) | ClientError::Protocol(_) => Error::Lost(error.to_string()),
            // The path is named once.
            ClientError::Path(_, why) => Error::Refused { path: cut(path), text: why.to_string() },
            ClientError::Refused(_)
            | ClientError::Unreachable(_)
            | ClientError::TooLong { .. }
            | ClientError::Short { .. }
            | ClientError::Full(_) => {
                Error::Refused { path: path.to_string(), text: error.to_string() }
            }
        }
    }
}

/// Letters of what somebody else wrote that a message repeats.
const QUOTED_CHARS: usize = 60;

/// A word as a message repeats it: with an end.
pub(crate) fn cut(word: &str) -> String {
    match word.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &word[..end]),
        None => word.to_string(),
    }
}

/// What a refusal of the server means for the exit status.
pub(crate) fn refusal(text: &str) -> Exit {
    // A refused verb is quoted before its reason: `apply: no room: …`.
    let reason = text.split_once(": ").map_or(text, |(_, reason)| reason);
    let begins = |word: &str| text.starts_with(word) || reason.starts_with(word);
    if begins("manifest refused") {
        Exit::Refused
    } else if begins("lock is ") || begins("lock was ") || is_busy(text) {
        Exit::Locked
    } else if is_no_room(text) {
        Exit::NoRoom
    } else {
        Exit::Other
    }
}

/// Whether a reason is that somebody deploys already.
fn is_busy(reason: &str) -> bool {
    let busy = [
        " in flight; wait for it",
        " in flight since ",
        "apply is in flight, ",
        "with others, which are in flight",
    ];
    busy.iter().any(|words| reason.contains(words))
}

/// Whether a reason is that there is no room: on any node, or on a disk.
pub(crate) fn is_no_room(reason: &str) -> bool {
    // What it is about stands before it: `apply: no room: …`, `web:2: no room: …`.
    let said = |words: &str| reason.starts_with(words) || reason.contains(&format!(": {words}"));
    said("no room") || said("no space left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_the_system_are_not_told() {
        let why = std::io::Error::from_raw_os_error(2);
        assert_eq!(words(&why), "no such file or directory");
        let path = "a".to_string();
        assert_eq!(Error::Local { path, why }.to_string(), "a: no such file or directory");
        let text = "a: Is a directory (os error 21); b: no (os error 2)";
        assert_eq!(numberless(text), "a: Is a directory; b: no");
        assert_eq!(numberless("an (os) error"), "an (os) error");
    }

    #[track_caller]
    fn check(text: &str, want: u8) {
        assert_eq!(refusal(text).code(), want, "of {text:?}");
    }

    #[test]
    fn a_refusal_has_the_exit_status_of_its_reason() {
        check("manifest refused: line 3, column 10: …", 65);
        check("manifest refused, 2 errors\nline 1", 65);
        check("apply: no room: node-1: cpu 0.25 asked, 0.10 free", 8);
        check("push web:2: no room: needs 84 MB, 3 MB free on /var/lib/deploy", 8);
        check("scale web 2: no space left on the disk for the state in /a: make room", 8);
        check("apply: no room for a second instance beside the one that runs", 8);
        check("apply: update to v3 in flight; wait for it, or cancel it first", 6);
        check("apply: another apply, by ann, is in flight since …, phase pull; wait for it", 6);
        check("pause: an apply is in flight, its image is being fetched; wait for it", 6);
        check("apply: deployed all or none with others, which are in flight yet; wait", 6);
        check("cancel: no update in flight", 1);
        check("permission denied", 1);
        check("lock is in use by ann (uid 1000) since …, phase build; wait for it: …", 6);
        check("apply: lock was taken by bob (uid 1001) at …; nothing you write counts …", 6);
    }
}
