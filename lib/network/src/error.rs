//! What can go wrong; the texts are what a user reads in a node's warning.

use std::io;
use std::net::Ipv4Addr;

use nix::libc;

use crate::Cidr;

/// Why the network did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A range that cannot be read or used.
    #[error("bad address range `{0}`: write the first address and 8 to 30 bits, as 10.89.0.0/16")]
    Cidr(String),
    /// A tag that is not eight lower-case hex digits.
    #[error("bad network tag `{0}`: eight lower-case hex digits are needed")]
    Tag(String),
    /// The range is somebody else's.
    #[error("address range {ours} overlaps {theirs} of {link}: choose another range")]
    Overlap {
        /// The range we wanted.
        ours: Cidr,
        /// What is there.
        theirs: String,
        /// The link that has it.
        link: String,
    },
    /// The process lacks CAP_NET_ADMIN or CAP_SYS_ADMIN here.
    #[error("no privilege to {0}: CAP_NET_ADMIN and CAP_SYS_ADMIN are needed")]
    Privilege(String),
    /// The kernel lacks a part.
    #[error("the kernel cannot {0}: load or build its modules bridge and veth")]
    Kernel(String),
    /// An address that the range does not hold.
    #[error("address {address} is not one for an instance in {cidr}")]
    Outside {
        /// The address.
        address: Ipv4Addr,
        /// The range.
        cidr: Cidr,
    },
    /// Every address or port is taken.
    #[error("no {what} left in {range}: stop instances or widen the range")]
    Exhausted {
        /// `address` or `port`.
        what: &'static str,
        /// The range.
        range: String,
    },
    /// Anything else the kernel answered.
    #[error("{what}: {why}")]
    Io {
        /// What was tried.
        what: String,
        /// What the kernel said.
        why: io::Error,
    },
}

impl Error {
    /// The kernel's `why` when it was asked to `what`, with the two cases people can mend told
    /// apart.
    pub(crate) fn from_kernel(what: &str, why: io::Error) -> Error {
        match why.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Error::Privilege(what.to_owned()),
            Some(libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => {
                Error::Kernel(what.to_owned())
            }
            Some(_) | None => Error::Io { what: what.to_owned(), why },
        }
    }

    /// Whether the kernel said that it is there already.
    pub(crate) fn exists(&self) -> bool {
        matches!(self, Error::Io { why, .. } if why.kind() == io::ErrorKind::AlreadyExists)
    }
}
