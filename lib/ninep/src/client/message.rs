//! What a client asks of a fid, and what may be answered.

use bytes::Bytes;

use super::{ClientError, Mode};
use crate::Stat;
use crate::wire::{Data, Dialect, Names, QIdType, Record, Rmsg, Tmsg, Wrapped, dm, om, records};

/// The fid of the tree's root, from attach on.
pub(super) const ROOT: u32 = 0;

/// The bit of Tcreate's permissions that asks for a directory.
pub(super) const DIRECTORY: u32 = dm::DIR;

/// Data shorter than this is copied out of the receive buffer, in bytes: a line that is kept
/// must not keep the rest of the buffer.
const COPIED_BELOW: usize = 4096;

/// A request on a fid.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ask<'a> {
    /// One name further, the fid with it.
    Step {
        name: &'a str,
    },
    Open {
        mode: Mode,
    },
    Create {
        name: &'a str,
        perm: u32,
        mode: Mode,
    },
    Read {
        offset: u64,
        count: u32,
    },
    Write {
        offset: u64,
        data: &'a [u8],
        /// Nobody else is to see it.
        sealed: bool,
    },
    Clunk,
    Remove,
    Stat,
    /// Another name in the same directory.
    Rename {
        name: &'a str,
    },
}

impl<'a> Ask<'a> {
    /// The message to send.
    pub(super) fn message(self, fid: u32) -> Tmsg<'a> {
        match self {
            Self::Step { name } => Tmsg::Walk { fid, newfid: fid, names: few(&[name]) },
            Self::Open { mode } => Tmsg::Open { fid, mode: mode.bits() },
            Self::Create { name, perm, mode } => {
                Tmsg::Create { fid, name: name.as_bytes(), perm, mode: mode.bits() }
            }
            Self::Read { offset, count } => Tmsg::Read { fid, offset, count },
            Self::Write { offset, data, .. } => Tmsg::Write { fid, offset, data: Data(data) },
            Self::Clunk => Tmsg::Clunk { fid },
            Self::Remove => Tmsg::Remove { fid },
            Self::Stat => Tmsg::Stat { fid },
            Self::Rename { name } => {
                let record = Record { name: name.as_bytes(), ..Record::UNTOUCHED };
                Tmsg::Wstat { fid, stat: Wrapped(record) }
            }
        }
    }

    /// The answer it may have.
    pub(super) fn expect(self) -> Expect {
        match self {
            Self::Step { .. } => Expect::Walk(1),
            Self::Open { .. } => Expect::Open,
            Self::Create { .. } => Expect::Create,
            Self::Read { count, .. } => Expect::Read(count),
            Self::Write { data, .. } => Expect::Write(data.len()),
            Self::Clunk => Expect::Clunk,
            Self::Remove => Expect::Remove,
            Self::Stat => Expect::Stat,
            Self::Rename { .. } => Expect::Wstat,
        }
    }

    /// Bytes of its name or data.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Step { name } | Self::Create { name, .. } => name.len(),
            // With a stat of fields that are left alone.
            Self::Rename { name } => name.len() + 64,
            Self::Write { data, .. } => data.len(),
            Self::Open { .. } | Self::Read { .. } | Self::Clunk | Self::Remove | Self::Stat => 0,
        }
    }

    /// Whether the fid is gone after it, whatever the answer.
    pub(super) fn ends_fid(self) -> bool {
        matches!(self, Self::Clunk | Self::Remove)
    }
}

/// The answer a request may have, besides Rerror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expect {
    /// Rwalk of at most so many names.
    Walk(usize),
    Open,
    Create,
    /// Rread of at most so many bytes.
    Read(u32),
    /// Rwrite of at most so many bytes.
    Write(usize),
    Clunk,
    Remove,
    Stat,
    Wstat,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Walk { names: usize, whole: bool },
    Open { directory: bool, unit: u32 },
    Read(Bytes),
    Write(u32),
    Stat(Box<Stat>),
    Done,
}

/// An answer as it came.
pub(super) struct Answer<'a> {
    pub(super) tag: u16,
    message: Rmsg<'a>,
    frame: &'a Bytes,
}

impl<'a> Answer<'a> {
    pub(super) fn decode(frame: &'a Bytes) -> Result<Self, String> {
        match Rmsg::decode(frame, Dialect::P9) {
            Ok((tag, message)) => Ok(Self { tag, message, frame }),
            Err(why) => Err(why.to_string()),
        }
    }

    pub(super) fn is_flush(&self) -> bool {
        matches!(self.message, Rmsg::Flush {})
    }

    /// Rerror is as good: the fid is gone either way.
    pub(super) fn is_clunk(&self) -> bool {
        matches!(self.message, Rmsg::Clunk {} | Rmsg::Error { .. })
    }
}

impl Expect {
    /// Takes an answer: the reply or the server's refusal. An error says why it is no answer to
    /// this.
    pub(super) fn check(self, answer: Answer<'_>) -> Result<Result<Reply, ClientError>, String> {
        let more = |what, got: usize, asked: usize| match got > asked {
            true => Err(format!("{what} of {got} where {asked} were asked for")),
            false => Ok(()),
        };
        let reply = match (self, answer.message) {
            (_, Rmsg::Error { ename }) => return Ok(Err(refused(ename))),
            (Self::Walk(asked), Rmsg::Walk { qids }) => {
                let names = qids.as_slice().len();
                more("a walk", names, asked)?;
                Reply::Walk { names, whole: names == asked }
            }
            (Self::Open, Rmsg::Open { qid, iounit: unit })
            | (Self::Create, Rmsg::Create { qid, iounit: unit }) => {
                Reply::Open { directory: qid.kind & QIdType::DIR.bits() != 0, unit }
            }
            (Self::Read(asked), Rmsg::Read { data: Data(data) }) => {
                more("a read", data.len(), asked as usize)?;
                Reply::Read(match data.len() {
                    0..COPIED_BELOW => Bytes::copy_from_slice(data),
                    _ => answer.frame.slice_ref(data),
                })
            }
            (Self::Write(sent), Rmsg::Write { count }) => {
                more("a write", count as usize, sent)?;
                Reply::Write(count)
            }
            (Self::Stat, Rmsg::Stat { stat: Wrapped(record) }) => {
                Reply::Stat(Box::new(Stat::from(&record)))
            }
            (Self::Clunk, Rmsg::Clunk {})
            | (Self::Remove, Rmsg::Remove {})
            | (Self::Wstat, Rmsg::Wstat {}) => Reply::Done,
            (_, other) => {
                return Err(format!("{} in answer to {}", other.name(), self.question()));
            }
        };
        Ok(Ok(reply))
    }

    fn question(self) -> &'static str {
        match self {
            Self::Walk(_) => "Twalk",
            Self::Open => "Topen",
            Self::Create => "Tcreate",
            Self::Read(_) => "Tread",
            Self::Write(_) => "Twrite",
            Self::Clunk => "Tclunk",
            Self::Remove => "Tremove",
            Self::Stat => "Tstat",
            Self::Wstat => "Twstat",
        }
    }
}

impl Reply {
    pub(super) fn opened(self) -> Result<Opened, ClientError> {
        let Self::Open { directory, unit } = self else { return Err(odd()) };
        Ok(Opened { directory, unit })
    }

    pub(super) fn data(self) -> Result<Bytes, ClientError> {
        let Self::Read(data) = self else { return Err(odd()) };
        Ok(data)
    }

    pub(super) fn taken(self) -> Result<u32, ClientError> {
        let Self::Write(count) = self else { return Err(odd()) };
        Ok(count)
    }

    pub(super) fn stat(self) -> Result<Stat, ClientError> {
        let Self::Stat(stat) = self else { return Err(odd()) };
        Ok(*stat)
    }

    pub(super) fn done(self) -> Result<(), ClientError> {
        let Self::Done = self else { return Err(odd()) };
        Ok(())
    }
}

/// Each answer was checked against its question when it came, so this is said to nobody.
fn odd() -> ClientError {
    ClientError::Protocol("an answer of another kind".to_owned())
}

/// What Ropen or Rcreate says.
pub(super) struct Opened {
    pub(super) directory: bool,
    /// The most bytes the server takes or gives at once; 0 leaves it to msize.
    pub(super) unit: u32,
}

impl Mode {
    /// The mode byte of Topen and Tcreate (open(5)).
    fn bits(self) -> u8 {
        match self {
            Self::Read => om::READ,
            Self::Write => om::WRITE,
            Self::ReadWrite => om::RDWR,
            Self::Truncate => om::WRITE | om::TRUNC,
        }
    }
}

/// The server's text as a refusal.
pub(super) fn refused(ename: &[u8]) -> ClientError {
    ClientError::Refused(String::from_utf8_lossy(ename).into_owned())
}

/// The names of one Twalk; the caller has no more than one takes.
pub(super) fn few<'a>(names: &[&'a str]) -> Names<'a> {
    let mut few = Names::default();
    for name in names {
        few.push(name.as_bytes());
    }
    few
}

/// Adds the entries in a directory's data to `to`.
pub(super) fn entries(data: &[u8], to: &mut Vec<Stat>) -> Result<(), String> {
    for record in records(data) {
        to.push(Stat::from(&record.map_err(|why| format!("a directory entry: {why}"))?));
    }
    Ok(())
}
