//! What a fid stands for.

use std::sync::Arc;

use crate::stat::Stat;
use crate::tree::Open;
use crate::user::User;
use crate::wire::{QIdType, Qid};

/// Who attached, and where: a walk up stops there.
pub(super) struct Identity {
    pub(super) user: User,
    /// qid.path of the place attached to.
    pub(super) root: u64,
}

/// A place in the tree in the hands of somebody, perhaps open.
pub(super) struct Fid<N> {
    pub(super) node: N,
    pub(super) qid: Qid,
    pub(super) who: Arc<Identity>,
    pub(super) open: Option<Opened>,
}

/// What is open, and for what.
pub(super) struct Opened {
    pub(super) what: What,
    pub(super) read: bool,
    pub(super) write: bool,
    /// Remove the file when the fid is given up (`ORCLOSE`, open(5)).
    pub(super) remove: bool,
}

/// What is open.
pub(super) enum What {
    Dir(Listing),
    File(Box<dyn Open>, Option<Stream>),
}

/// The state of a *wait* file's open.
#[derive(Default)]
pub(super) struct Stream {
    /// The offset at which the next read is answered with nothing, at once.
    pub(super) delimit_at: Option<u64>,
}

/// A directory as it was when it was last read from the start.
#[derive(Default)]
pub(super) struct Listing {
    pub(super) stats: Vec<Stat>,
    /// 9P2000: the entry that comes next.
    pub(super) next: usize,
    /// 9P2000: the offset at which it comes.
    pub(super) offset: u64,
}

impl<N> Fid<N> {
    pub(super) fn is_dir(&self) -> bool {
        self.qid.kind & QIdType::DIR.bits() != 0
    }

    pub(super) fn is_root(&self) -> bool {
        self.qid.path == self.who.root
    }

    pub(super) fn user(&self) -> &User {
        &self.who.user
    }
}

impl Opened {
    pub(super) fn sealed(&self) -> bool {
        match &self.what {
            What::Dir(_) => false,
            What::File(open, _) => open.sealed(),
        }
    }

    pub(super) fn dir() -> Self {
        Self { what: What::Dir(Listing::default()), read: true, write: false, remove: false }
    }
}
