//! What can go wrong; the texts are what a user reads in a node's warning.

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
    #[error("no privilege for {0}: run as root with CAP_NET_ADMIN and CAP_SYS_ADMIN")]
    Privilege(&'static str),
    /// The kernel lacks a part.
    #[error("the kernel cannot do {0}: load or build the modules bridge and veth")]
    Kernel(&'static str),
    /// An address that the range does not hold.
    #[error("address {address} is not in {cidr}")]
    Outside {
        /// The address.
        address: std::net::Ipv4Addr,
        /// The range.
        cidr: Cidr,
    },
    /// Every address or port is taken or resting.
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
        why: std::io::Error,
    },
}
