//! Work that takes time, with what is to happen when it has ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::error::Result;
use crate::tree::{Answer, Created, How, Later, Open};
use crate::user::User;
use crate::wire::{Qid, Rmsg};

/// Work that takes time. The future's output goes back to the session.
pub struct Job<N>(Work<N>);

/// What came of a job.
pub struct Outcome<N>(pub(super) Done<N>);

/// A job whose end answers a request of kind `then`.
pub(super) enum Work<N> {
    User(Later<User>, Attaching),
    Open(Later<Box<dyn Open>>, Opening<N>),
    Create(Later<Created<N>>, Creating<N>),
    Read(Later<Bytes>, Reading),
    Write(Later<u32>, u32),
    Plain(Later<()>, Plain),
    Remove(Later<()>, u32),
    Close(Later<()>, Closing),
}

/// The end of the work of the same name.
pub(super) enum Done<N> {
    User(Result<User>, Attaching),
    Open(Result<Box<dyn Open>>, Opening<N>),
    Create(Result<Created<N>>, Creating<N>),
    Read(Result<Bytes>, Reading),
    Write(Result<u32>, u32),
    Plain(Result<()>, Plain),
    Remove(Result<()>, u32),
    Close(Result<()>, Closing),
}

/// An attach whose user is being found.
#[derive(Clone)]
pub(super) struct Attaching {
    pub(super) fid: u32,
    pub(super) aname: Vec<u8>,
}

/// An open of `fid`, which has been found to be allowed.
#[derive(Clone)]
pub(super) struct Opening<N> {
    pub(super) fid: u32,
    pub(super) how: How,
    pub(super) remove: bool,
    pub(super) qid: Qid,
    /// The file in a directory that the fid stands for until the file is open.
    pub(super) file: Option<N>,
    pub(super) answer: OpenAnswer,
}

/// Which message says that a file is open.
#[derive(Clone, Copy)]
pub(super) enum OpenAnswer {
    Open,
    Lopen,
    Create,
    Lcreate,
}

/// A file that is being made.
#[derive(Clone)]
pub(super) enum Creating<N> {
    /// It will be open on the fid of its directory.
    Open { opening: Opening<N>, dir: bool },
    /// A directory that no fid is moved to.
    Mkdir,
}

/// A read: where, and how much was asked for.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) fid: u32,
    pub(super) offset: u64,
    pub(super) count: u32,
}

/// A fid that is given up: what to answer, and what came of the work before.
#[derive(Clone)]
pub(super) struct Closing {
    pub(super) answer: Plain,
    pub(super) before: Result<()>,
}

/// An answer that says no more than that it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plain {
    Clunk,
    Remove,
    Unlinkat,
    Rename,
    Renameat,
    Wstat,
    Setattr,
}

impl Plain {
    pub(super) fn message(self) -> Rmsg<'static> {
        match self {
            Self::Clunk => Rmsg::Clunk {},
            Self::Remove => Rmsg::Remove {},
            Self::Unlinkat => Rmsg::Unlinkat {},
            Self::Rename => Rmsg::Rename {},
            Self::Renameat => Rmsg::Renameat {},
            Self::Wstat => Rmsg::Wstat {},
            Self::Setattr => Rmsg::Setattr {},
        }
    }
}

impl<N> Job<N> {
    pub(super) fn new(work: Work<N>) -> Self {
        Self(work)
    }

    /// Whether the job is to be run to its end even if the request is flushed or the connection
    /// lost: it changes something.
    #[must_use]
    pub fn must_end(&self) -> bool {
        self.0.changes()
    }
}

impl<N> Work<N> {
    /// Whether it changes something, so that nobody could tell how far it had come when it was
    /// dropped.
    pub(super) fn changes(&self) -> bool {
        match self {
            Self::User(..) | Self::Read(..) => false,
            Self::Open(_, Opening { how, answer, .. }) => match answer {
                OpenAnswer::Open | OpenAnswer::Lopen => how.truncate,
                OpenAnswer::Create | OpenAnswer::Lcreate => true,
            },
            Self::Create(..)
            | Self::Write(..)
            | Self::Plain(..)
            | Self::Remove(..)
            | Self::Close(..) => true,
        }
    }
}

impl<N> Outcome<N> {
    /// What is still to be run when nobody waits for the outcome any more: what was opened is
    /// closed.
    #[must_use]
    pub fn leave(self) -> Option<Job<N>> {
        let (Done::Open(Ok(mut open), _) | Done::Create(Ok((_, Some(mut open))), _)) = self.0
        else {
            return None;
        };
        match open.close() {
            Answer::Now(_) => None,
            Answer::Later(work) => {
                let closing = Closing { answer: Plain::Clunk, before: Ok(()) };
                Some(Job(Work::Close(work, closing)))
            }
        }
    }
}

/// Nothing in it is pinned: the work is on the heap.
impl<N> Unpin for Job<N> {}

impl<N: Clone> Future for Job<N> {
    type Output = Outcome<N>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<N>> {
        // What follows is small, and is copied once for a job that took time.
        let done = match &mut self.0 {
            Work::User(work, then) => Done::User(ready!(work.as_mut().poll(cx)), then.clone()),
            Work::Open(work, then) => Done::Open(ready!(work.as_mut().poll(cx)), then.clone()),
            Work::Create(work, then) => Done::Create(ready!(work.as_mut().poll(cx)), then.clone()),
            Work::Read(work, then) => Done::Read(ready!(work.as_mut().poll(cx)), *then),
            Work::Write(work, then) => Done::Write(ready!(work.as_mut().poll(cx)), *then),
            Work::Plain(work, then) => Done::Plain(ready!(work.as_mut().poll(cx)), *then),
            Work::Remove(work, then) => Done::Remove(ready!(work.as_mut().poll(cx)), *then),
            Work::Close(work, then) => Done::Close(ready!(work.as_mut().poll(cx)), then.clone()),
        };
        Poll::Ready(Outcome(done))
    }
}
