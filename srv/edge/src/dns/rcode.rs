//! How an answer says what came of the question (RFC 1035, 4.1.1; RFC 6891, 9).

/// The codes this server gives; a resolver's other ones become `ServFail`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rcode {
    /// The name exists; there may be no record of the type, though.
    NoError,
    /// The message cannot be read.
    FormErr,
    /// Nobody could be asked, or none answered.
    ServFail,
    /// The name does not exist.
    NxDomain,
    /// The operation is none of ours.
    NotImp,
    /// Not for this one, or not this.
    Refused,
    /// The version of EDNS is not 0.
    BadVers,
}

impl Rcode {
    /// All of them, in the order of their places in figures.
    pub(crate) const ALL: [Rcode; 7] = [
        Rcode::NoError,
        Rcode::FormErr,
        Rcode::ServFail,
        Rcode::NxDomain,
        Rcode::NotImp,
        Rcode::Refused,
        Rcode::BadVers,
    ];

    /// The number in the message; above 15 its upper bits are in OPT.
    pub(crate) fn number(self) -> u16 {
        match self {
            Rcode::NoError => 0,
            Rcode::FormErr => 1,
            Rcode::ServFail => 2,
            Rcode::NxDomain => 3,
            Rcode::NotImp => 4,
            Rcode::Refused => 5,
            Rcode::BadVers => 16,
        }
    }

    /// The name by which `dig` and others call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rcode::NoError => "NOERROR",
            Rcode::FormErr => "FORMERR",
            Rcode::ServFail => "SERVFAIL",
            Rcode::NxDomain => "NXDOMAIN",
            Rcode::NotImp => "NOTIMP",
            Rcode::Refused => "REFUSED",
            Rcode::BadVers => "BADVERS",
        }
    }
}
