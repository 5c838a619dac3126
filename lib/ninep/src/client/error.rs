//! What can go wrong for a client.

/// Why an operation of a client did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The server's own text, exactly as it came.
    #[error("{0}")]
    Refused(String),
    /// The server could not be reached: the dial error's text.
    #[error("{0}")]
    Unreachable(String),
    /// The connection is gone: why.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The server sent what the protocol does not allow, and the connection was ended for it.
    #[error("the server does not keep to 9P: {0}")]
    Protocol(String),
    /// A path that no message can carry.
    #[error("bad path {0:?}: {1}")]
    Path(String, &'static str),
    /// More than fits: what, how many there are, how many may be.
    #[error("{what} is too long: {have} bytes, at most {most}")]
    TooLong {
        /// What is too long.
        what: String,
        /// Bytes it has, or at least has.
        have: u64,
        /// Bytes it may have.
        most: u64,
    },
    /// The server took only the beginning of a write that must be taken whole.
    #[error("{path}: only {taken} of {sent} bytes were taken")]
    Short {
        /// The file.
        path: String,
        /// Bytes the server took.
        taken: u64,
        /// Bytes it was given.
        sent: u64,
    },
    /// As many files are open on this connection as can be.
    #[error("{0} files are open on this connection: close some")]
    Full(u32),
}
