//! What can go wrong with a shim itself.

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// An error of the shim; Display is the reason users read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The words do not fit.
    #[error("usage: shim DIR | shim --reap DIR | shim --sweep CGROUP-PARENT [ID...]")]
    Usage,
    /// A file or directory of the instance.
    #[error("{what} {path:?}: {why}")]
    Io {
        /// What was done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's answer.
        why: std::io::Error,
    },
    /// A call that has no file.
    #[error("{what}: {why}")]
    Call {
        /// What was asked of the kernel.
        what: &'static str,
        /// Its answer.
        why: nix::errno::Errno,
    },
    /// `shim.json` does not say what it must.
    #[error("shim.json: {0}")]
    Config(serde_json::Error),
    /// There is no such directory, or it is no instance's.
    #[error("{0:?} is not there: the node makes an instance's directory and its shim.json")]
    Absent(PathBuf),
    /// Another shim lives in the directory.
    #[error("{0:?} has a shim already")]
    Busy(PathBuf),
    /// The container.
    #[error(transparent)]
    Container(#[from] container::Error),
}

impl Error {
    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |why| Error::Io { what, path, why }
    }

    /// The same for what must be there before the node starts a shim.
    pub(crate) fn found(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |why| match why.kind() == ErrorKind::NotFound {
            true => Error::Absent(path),
            false => Error::Io { what, path, why },
        }
    }

    pub(crate) fn call(what: &'static str) -> impl FnOnce(nix::errno::Errno) -> Error {
        move |why| Error::Call { what, why }
    }

    /// Whether another try with the same spec must fail in the same way.
    pub(crate) fn permanent(&self) -> bool {
        match self {
            Error::Container(error) => error.permanent(),
            Error::Config(_) | Error::Usage => true,
            Error::Io { .. } | Error::Call { .. } | Error::Absent(_) | Error::Busy(_) => false,
        }
    }
}

/// Says on standard error what went wrong. That is a file on the instance's disk, and one that
/// takes nothing more must not end the shim, as it would with the standard library's macros.
pub(crate) fn complain(what: impl Display) {
    // In one piece: the file has several writers.
    let _ = std::io::stderr().write_all(format!("shim: {what}\n").as_bytes());
}
