//! What can be wrong with a container, said so that its owner can mend it.

use std::path::PathBuf;

/// An error of this crate; Display is the text users read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image names no command and the manifest neither.
    #[error("no command: the image has neither entry point nor command; set `command`")]
    NoCommand,
    /// The program is not in the image.
    #[error("command not found in the image: {0:?}")]
    CommandNotFound(String),
    /// The program is there and cannot be executed.
    #[error("cannot execute {path:?}: {why}")]
    NotExecutable {
        /// As found in the container.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A word of the plan cannot be given to a program.
    #[error("{what} contains a zero byte or no `=`: {text:?}")]
    Word {
        /// Which word.
        what: &'static str,
        /// Its text.
        text: String,
    },
    /// Not a capability.
    #[error("no such capability: {0:?}")]
    Capability(String),
    /// Not a signal.
    #[error("no such signal: {0:?}")]
    Signal(String),
    /// The user cannot be found in the image.
    #[error("user {user:?}: {why}")]
    User {
        /// As written.
        user: String,
        /// What is wrong with it.
        why: String,
    },
    /// A directory of the machine cannot be used.
    #[error("host:{}: {why}", .dir.display())]
    HostDir {
        /// As written.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The working directory cannot be used.
    #[error("working directory {path:?}: {why}")]
    WorkDir {
        /// As written.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A limit no container can live in.
    #[error("{what} of {given} is below the least, {least}")]
    Limit {
        /// Which limit.
        what: &'static str,
        /// As written.
        given: u64,
        /// What it must be at least.
        least: u64,
    },
    /// A cgroup path that is not absolute and plain.
    #[error("cgroup path {0:?} must be absolute and without `..`")]
    CgroupPath(String),
    /// No cgroup hierarchy is mounted.
    #[error("no cgroup file system is mounted below /sys/fs/cgroup")]
    NoCgroups,
    /// Processes of a cgroup outlived every attempt to kill them.
    #[error("cgroup {path:?} could not be removed within {within_ms} ms: {why}")]
    CgroupBusy {
        /// Its directory.
        path: PathBuf,
        /// How long it was tried.
        within_ms: u128,
        /// The kernel's last word.
        why: std::io::Error,
    },
    /// Something of the root file system.
    #[error("{what} {path:?}: {why}")]
    Io {
        /// What was done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's answer.
        why: std::io::Error,
    },
    /// What was given as secrets is none; the text says nothing of what it is.
    #[error("secrets: {0}")]
    Secrets(&'static str),
    /// A secret that was to be a variable cannot be one.
    #[error("secret for variable {0} contains a zero byte; give it as a file")]
    SecretEnv(String),
    /// The filter does not compile.
    #[error("seccomp: {0}")]
    Seccomp(String),
    /// libcontainer refused or failed.
    #[error("container runtime: {0}")]
    Runtime(String),
}

impl Error {
    /// Whether another try with the same spec and image must fail in the same way.
    pub fn permanent(&self) -> bool {
        match self {
            Error::NoCommand
            | Error::CommandNotFound(_)
            | Error::NotExecutable { .. }
            | Error::Word { .. }
            | Error::Capability(_)
            | Error::Signal(_)
            | Error::User { .. }
            | Error::WorkDir { .. }
            | Error::HostDir { .. }
            | Error::Limit { .. }
            | Error::Secrets(_)
            | Error::SecretEnv(_)
            | Error::CgroupPath(_) => true,
            Error::NoCgroups
            | Error::CgroupBusy { .. }
            | Error::Io { .. }
            | Error::Seccomp(_)
            | Error::Runtime(_) => false,
        }
    }

    /// The exit status a shell would give: 127 not found, 126 not executable, 125 anything else.
    pub fn code(&self) -> i32 {
        match self {
            Error::CommandNotFound(_) => 127,
            Error::NotExecutable { .. } => 126,
            Error::NoCommand
            | Error::Word { .. }
            | Error::Capability(_)
            | Error::Signal(_)
            | Error::User { .. }
            | Error::WorkDir { .. }
            | Error::HostDir { .. }
            | Error::Limit { .. }
            | Error::CgroupPath(_)
            | Error::NoCgroups
            | Error::CgroupBusy { .. }
            | Error::Io { .. }
            | Error::Secrets(_)
            | Error::SecretEnv(_)
            | Error::Seccomp(_)
            | Error::Runtime(_) => 125,
        }
    }

    pub(crate) fn seccomp(error: impl std::fmt::Display) -> Error {
        Error::Seccomp(error.to_string())
    }

    pub(crate) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |why| Error::Io { what, path, why }
    }

    pub(crate) fn os(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(nix::errno::Errno) -> Error {
        let path = path.into();
        move |why| Error::Io { what, path, why: why.into() }
    }
}
