//! What a file server writes: a tree of places and what is open in it.
//!
//! The session does the rest: fids, walks of several names, `..`, rights by the mode bits,
//! directory reads, both dialects. A tree is called from many connections at once and must not
//! block; what takes time is answered `Later`.

use std::pin::Pin;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::stat::Stat;
use crate::user::User;

/// A result, now or later.
pub enum Answer<T> {
    /// It is known.
    Now(Result<T>),
    /// It takes time.
    ///
    /// What only finds something out, a read and an open that does not empty the file, is given
    /// up when the request is flushed, its connection lost or (of a *wait* file) its fid given
    /// up: the future is dropped, and with it the work.
    ///
    /// What changes something, a write, `create`, `remove`, `rename`, `truncate`, an open that
    /// empties and `close`, is run to its end whatever becomes of the request and of the
    /// connection, for nobody could say how much of it has happened. A flush of it is answered
    /// after it, so it must not wait without end.
    Later(Later<T>),
}

/// A result that takes time.
pub type Later<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

impl<T> Answer<T> {
    /// An answer that takes time.
    pub fn later(work: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self::Later(Box::pin(work))
    }
}

impl<T> From<Result<T>> for Answer<T> {
    fn from(result: Result<T>) -> Self {
        Self::Now(result)
    }
}

/// How a file is to be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct How {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Empty it first.
    pub truncate: bool,
    /// Every write goes to the end.
    pub append: bool,
}

/// What is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// A directory.
    pub dir: bool,
    /// The nine permission bits, as the protocol derives them from those asked for.
    pub mode: u32,
    /// The name must be free. The session has looked; a tree that can change meanwhile looks
    /// again.
    pub exclusive: bool,
}

/// A tree of files.
pub trait Tree: Send + Sync + 'static {
    /// A place in the tree: cheap to clone. It stays valid in the hands of a client for as long
    /// as it likes; calls on a place that is gone answer `Error::NotFound`.
    type Node: Clone + Send + Sync + 'static;

    /// Where `user` begins; `aname` may choose a subtree and is empty for the whole.
    ///
    /// # Errors
    /// `NotFound` for a name that is none, `PermissionDenied`.
    fn attach(&self, user: &User, aname: &[u8]) -> Result<Self::Node>;

    /// One step down. `name` is never empty, `.` or `..` and has no slash; it may be no UTF-8.
    ///
    /// # Errors
    /// `NotFound`, `NotDir`.
    fn walk(&self, at: &Self::Node, name: &[u8]) -> Result<Self::Node>;

    /// One step up; the root's parent is the root.
    fn parent(&self, at: &Self::Node) -> Self::Node;

    /// What is known of the place, open or not.
    ///
    /// # Errors
    /// `NotFound` when it is gone.
    fn stat(&self, at: &Self::Node) -> Result<Stat>;

    /// What is in the directory, without `.` and `..`.
    ///
    /// # Errors
    /// `NotFound` when it is gone, `NotDir`.
    fn entries(&self, at: &Self::Node) -> Result<Vec<Stat>>;

    /// Opens a file (never a directory). The mode bits have been checked.
    fn open(&self, at: &Self::Node, how: How, user: &User) -> Answer<Box<dyn Open>>;

    /// Makes `name` in `dir` and opens it `how`; without an open the session opens it by `open`.
    /// The directory's mode bits have been checked. Nothing can be made unless a tree says so.
    fn create(
        &self,
        dir: &Self::Node,
        name: &[u8],
        new: NewFile,
        how: How,
        user: &User,
    ) -> Answer<Created<Self::Node>> {
        let _ = (dir, name, new, how, user);
        Answer::Now(Err(Error::PermissionDenied))
    }

    /// Removes the file, or the directory if it is empty. The mode bits of the directory it is
    /// in have been checked. Nothing can be removed unless a tree says so.
    fn remove(&self, at: &Self::Node, user: &User) -> Answer<()> {
        let _ = (at, user);
        Answer::Now(Err(Error::PermissionDenied))
    }

    /// Moves the file to `dir`, where it is to be called `name`; a file of that name is replaced.
    /// The mode bits of both directories have been checked. Nothing can be renamed unless a tree
    /// says so.
    fn rename(&self, at: &Self::Node, dir: &Self::Node, name: &[u8], user: &User) -> Answer<()> {
        let _ = (at, dir, name, user);
        Answer::Now(Err(Error::PermissionDenied))
    }

    /// Gives the file a length without an open that could be told. The mode bits have been
    /// checked. Unless a tree says otherwise 0 is fine and means nothing, for a shell's `>` asks
    /// for it before it writes to a ctl file.
    fn truncate(&self, at: &Self::Node, length: u64, user: &User) -> Answer<()> {
        let _ = (at, user);
        Answer::Now(if length == 0 { Ok(()) } else { Err(Error::Length) })
    }
}

/// What `create` made: the place, and the file if it is open already.
pub type Created<N> = (N, Option<Box<dyn Open>>);

/// An open file: one fid's.
pub trait Open: Send {
    /// At most `count` bytes from `offset` on; none is the end of the file. A file that is only
    /// written need not have it.
    fn read(&mut self, offset: u64, count: u32) -> Answer<Bytes> {
        let _ = (offset, count);
        Answer::Now(Err(Error::PermissionDenied))
    }

    /// Takes `data` for `offset` and answers how many bytes of it were taken. A file that is only
    /// read need not have it: root, whom no mode holds up, is refused here.
    fn write(&mut self, offset: u64, data: &[u8]) -> Answer<u32> {
        let _ = (offset, data);
        Answer::Now(Err(Error::PermissionDenied))
    }

    /// Gives the file a length. Unless a file says otherwise 0 is fine and means nothing.
    ///
    /// # Errors
    /// `Error::Length` when it cannot have that length.
    fn truncate(&mut self, length: u64) -> Result<()> {
        if length == 0 { Ok(()) } else { Err(Error::Length) }
    }

    /// Whether this is a *wait* file: a read at its end waits for more. Such a read holds up
    /// nothing else on its fid and is given up when the fid is; on 9P2000.L the session delimits
    /// its short reads.
    fn stream(&self) -> bool {
        false
    }

    /// Whether nobody else is to see what is written here: it stands in no transcript, and where it
    /// lay on its way is wiped. The file itself sees to what it keeps.
    fn sealed(&self) -> bool {
        false
    }

    /// Nobody wants what runs on this file any more: a `write` that takes time was flushed, or
    /// the peer sends nothing more. It is run to its end and answered all the same; a file that
    /// can bring the end about sooner may do so.
    fn interrupt(&mut self) {}

    /// The last call, exactly once, when the fid is given up or its connection lost; then the
    /// value is dropped. Its result is the answer to Tclunk. When a connection is lost a `write`
    /// answered `Later` may still be under way.
    fn close(&mut self) -> Answer<()> {
        Answer::Now(Ok(()))
    }
}
