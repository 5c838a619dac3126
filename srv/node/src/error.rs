//! Everything the node refuses or fails at, as one short lower-case text each.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// The result of this crate's functions.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What was refused or failed, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The words after `deployfs node` make no sense.
    #[error("{0}; usage: deployfs node -r STATEDIR [--net CIDR] [-D] [-v]")]
    Usage(String),
    /// A name that cannot be an instance's.
    #[error("bad instance name '{0}': 1 to 63 of a-z, 0-9 and '-' are needed")]
    Name(String),
    /// No such instance.
    #[error("no instance {0}")]
    NoInstance(String),
    /// It is on its way out.
    #[error("instance {0} is being removed: make a new one")]
    Removing(String),
    /// A directory of that name is there.
    #[error("instance {0} exists")]
    Exists(String),
    /// A second, different spec.
    #[error("instance {0} has another spec: a spec is written once, make a new instance")]
    SpecFixed(String),
    /// A spec that cannot be read.
    #[error("spec of {id}: {why}")]
    Spec {
        /// The instance.
        id: String,
        /// What is wrong with it.
        why: String,
    },
    /// A start without a spec.
    #[error("instance {0} has no spec: write its spec before start")]
    NoSpec(String),
    /// A start without the secrets that its spec names, or with those of a node that has ended.
    #[error("instance {0} was handed no secrets: write its secrets before start")]
    NoSecrets(String),
    /// A signal for a program that does not run.
    #[error("instance {0} is not running")]
    NotRunning(String),
    /// A verb that is not in the table.
    #[error("no verb '{verb}' in '{line}': one of {known} is needed")]
    Verb {
        /// The word.
        verb: String,
        /// The line it stands in.
        line: String,
        /// The verbs there are.
        known: String,
    },
    /// A verb with words that do not fit.
    #[error("'{line}': {why}")]
    Words {
        /// The line.
        line: String,
        /// What is wrong with its words.
        why: String,
    },
    /// A write without a verb.
    #[error("nothing to do in an empty write")]
    Empty,
    /// More bytes than a file takes.
    #[error("{what} takes {max} bytes")]
    TooLong {
        /// The file.
        what: &'static str,
        /// Its limit in bytes.
        max: usize,
    },
    /// More instances than the node keeps.
    #[error("{0} instances are kept: remove some that have ended")]
    TooMany(usize),
    /// More work on images than the node keeps in mind.
    #[error("{0} pulls and pushes wait already")]
    Busy(usize),
    /// A push of a name that is being pushed.
    #[error("{0} is being pushed: wait for it, or cancel-push {0}")]
    Pushing(String),
    /// A push that is to be given up has ended, or never was.
    #[error("no push of {0} goes on")]
    NoPush(String),
    /// A collection while another goes on: by its turn, what it is to leave would be of old.
    #[error("a collection goes on: wait for its end")]
    Collecting,
    /// What a collection is to leave cannot be read.
    #[error("gc: {0}; nothing was removed")]
    Keep(String),
    /// More orders than are kept for an instance that takes none at the moment.
    #[error("{waiting} orders wait for instance {id} already")]
    Orders {
        /// The instance.
        id: String,
        /// Orders that wait.
        waiting: usize,
    },
    /// A volume that is to be removed is used.
    #[error("volume {volume} is used by instance {by}")]
    VolumeUsed {
        /// The volume.
        volume: String,
        /// An instance that has not ended.
        by: String,
    },
    /// A start while the node takes everything down.
    #[error("nothing is started any more")]
    GoingDown,
    /// The loop has ended.
    #[error("nothing is taken any more")]
    Ended,
    /// Another node has the state directory.
    #[error("{} is served by another node{who}: end it first or choose another -r", .dir.display())]
    Locked {
        /// The state directory.
        dir: PathBuf,
        /// ` (pid N)` where it is known.
        who: String,
    },
    /// A directory of the state that another user could change.
    #[error("{} belongs to user {uid}, not to {own}: give it back or choose another -r",
        .dir.display())]
    NotOurs {
        /// The directory.
        dir: PathBuf,
        /// Whose it is.
        uid: u32,
        /// Whose this process is.
        own: u32,
    },
    /// The image store's.
    #[error(transparent)]
    Image(#[from] image::Error),
    /// The network's.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// The transport's.
    #[error("{0}")]
    Serve(String),
    /// The shim could not be run or answered nonsense.
    #[error("shim of {id}: {why}")]
    Shim {
        /// The instance.
        id: String,
        /// What happened.
        why: String,
    },
    /// The operating system said no.
    #[error("{what} {}: {why}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's answer.
        why: io::Error,
    },
}

impl Error {
    /// An I/O error with what was tried: `.map_err(Error::io("write", &path))`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |why| Error::Io { what, path, why }
    }

    /// Whether another try with the same spec must fail in the same way.
    pub(crate) fn permanent(&self) -> bool {
        match self {
            Error::Image(error) => error.permanent(),
            Error::Spec { .. } | Error::NoSpec(_) | Error::Name(_) => true,
            Error::Usage(_)
            | Error::NoInstance(_)
            | Error::Removing(_)
            | Error::Exists(_)
            | Error::SpecFixed(_)
            | Error::NoSecrets(_)
            | Error::NotRunning(_)
            | Error::Verb { .. }
            | Error::Words { .. }
            | Error::Empty
            | Error::TooLong { .. }
            | Error::TooMany(_)
            | Error::Busy(_)
            | Error::Pushing(_)
            | Error::NoPush(_)
            | Error::Collecting
            | Error::Keep(_)
            | Error::VolumeUsed { .. }
            | Error::Orders { .. }
            | Error::GoingDown
            | Error::Ended
            | Error::Locked { .. }
            | Error::NotOurs { .. }
            | Error::Network(_)
            | Error::Serve(_)
            | Error::Shim { .. }
            | Error::Io { .. } => false,
        }
    }

    /// The text a client gets.
    ///
    /// Law: clients tell by the first words what to do. `temporary: ` begins what may be asked
    /// again as it is, `node is ending: ` what the next node is to be asked; everything else fails
    /// in the same way again.
    pub(crate) fn refusal(&self) -> String {
        match self {
            Error::GoingDown | Error::Ended => format!("node is ending: {self}"),
            Error::TooMany(_)
            | Error::Busy(_)
            | Error::Orders { .. }
            | Error::NoSecrets(_)
            | Error::Network(_)
            | Error::Shim { .. }
            | Error::Io { .. } => format!("temporary: {self}"),
            Error::Image(error) if !error.permanent() => format!("temporary: {self}"),
            Error::Image(_)
            | Error::Usage(_)
            | Error::Name(_)
            | Error::NoInstance(_)
            | Error::Pushing(_)
            | Error::NoPush(_)
            | Error::Collecting
            | Error::Keep(_)
            | Error::VolumeUsed { .. }
            | Error::Removing(_)
            | Error::Exists(_)
            | Error::SpecFixed(_)
            | Error::Spec { .. }
            | Error::NoSpec(_)
            | Error::NotRunning(_)
            | Error::Verb { .. }
            | Error::Words { .. }
            | Error::Empty
            | Error::TooLong { .. }
            | Error::Locked { .. }
            | Error::NotOurs { .. }
            | Error::Serve(_) => self.to_string(),
        }
    }

    /// The number a 9P2000.L client gets in place of the text.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Error::NoInstance(_) => Errno::ENOENT,
            Error::Exists(_) => Errno::EEXIST,
            Error::SpecFixed(_) | Error::NotOurs { .. } => Errno::EPERM,
            Error::NotRunning(_) | Error::NoPush(_) => Errno::ESRCH,
            Error::TooLong { .. } => Errno::EFBIG,
            Error::TooMany(_) => Errno::ENOSPC,
            Error::Busy(_) | Error::Orders { .. } => Errno::EAGAIN,
            Error::GoingDown
            | Error::Removing(_)
            | Error::Pushing(_)
            | Error::Collecting
            | Error::VolumeUsed { .. }
            | Error::Locked { .. } => Errno::EBUSY,
            Error::Usage(_)
            | Error::Name(_)
            | Error::Spec { .. }
            | Error::NoSpec(_)
            | Error::NoSecrets(_)
            | Error::Verb { .. }
            | Error::Words { .. }
            | Error::Keep(_)
            | Error::Empty => Errno::EINVAL,
            Error::Ended | Error::Image(_) | Error::Network(_) => Errno::EIO,
            Error::Serve(_) | Error::Shim { .. } => Errno::EIO,
            Error::Io { why, .. } => match why.raw_os_error().map(Errno::from_raw) {
                // That number means that there is no such instance, and nothing else.
                Some(Errno::ENOENT) | None => Errno::EIO,
                Some(errno) => errno,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: Error, text: &str) {
        assert_eq!(error.refusal(), text);
    }

    #[test]
    fn what_may_be_asked_again_says_so_first_and_so_does_an_ending_node() {
        let io = |errno| io::Error::from_raw_os_error(errno);
        check(Error::TooMany(9), "temporary: 9 instances are kept: remove some that have ended");
        check(Error::Busy(9), "temporary: 9 pulls and pushes wait already");
        let id = "a".to_owned();
        check(Error::Orders { id, waiting: 9 }, "temporary: 9 orders wait for instance a already");
        check(
            Error::io("write", Path::new("/a"))(io(28)),
            "temporary: write /a: No space left on device (os error 28)",
        );
        let (dir, free) = (PathBuf::from("/a"), 0);
        let room = image::Error::Inodes { dir, needs: 1, free };
        check(room.into(), "temporary: no room: needs 1 inodes, 0 free on /a");
        let (path, why) = (PathBuf::from("/a"), "no".to_owned());
        check(image::Error::Source { path, why }.into(), "/a: no");
        check(Error::GoingDown, "node is ending: nothing is started any more");
        check(Error::Ended, "node is ending: nothing is taken any more");
        check(Error::NoSpec("a".into()), "instance a has no spec: write its spec before start");
    }

    #[test]
    fn only_an_instance_that_is_not_there_has_the_number_of_that() {
        let gone = io::Error::from_raw_os_error(Errno::ENOENT as i32);
        assert_eq!(Error::io("read", Path::new("/a"))(gone).errno(), Errno::EIO);
        assert_eq!(Error::NoInstance("a".into()).errno(), Errno::ENOENT);
        assert_ne!(Error::Removing("a".into()).errno(), Errno::ENOENT);
    }
}
