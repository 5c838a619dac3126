//! Who asks, and what the mode bits let them do.

use crate::dial::Peer;
use crate::stat::Stat;

/// The user and the group of somebody who is nobody here.
pub(crate) const NOBODY: u32 = 65_534;

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// User id; 0 may do everything.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// All groups.
    pub groups: Vec<u32>,
    /// Name.
    pub name: String,
    /// The connection it speaks over, by a number that is never used twice; 0 is none. Users of
    /// one mount share one.
    pub connection: u64,
}

/// What somebody wants of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it, or list it.
    Read,
    /// Write it, or make and remove what is in it.
    Write,
    /// Execute it, or go through it.
    Execute,
}

impl User {
    /// Somebody without a name here: other people's rights only.
    #[must_use]
    pub fn nobody() -> Self {
        let name = "none".to_owned();
        Self { uid: NOBODY, gid: NOBODY, groups: Vec::new(), name, connection: 0 }
    }

    /// The user at the other end of a connection: what the kernel says of a unix socket, nobody
    /// on TCP.
    #[must_use]
    pub fn of_peer(peer: &Peer) -> Self {
        match peer {
            Peer::Unix { uid, gid, groups, name, pid: _ } => {
                let (groups, name) = (groups.clone(), name.clone());
                Self { uid: *uid, gid: *gid, groups, name, connection: 0 }
            }
            Peer::Tcp(_) => Self::nobody(),
        }
    }

    /// Whether the mode bits let the user do it. As in Unix one class of bits decides, the
    /// owner's for the owner, the group's for its members, else the others'; Linux checks the
    /// same before it asks. Root may.
    #[must_use]
    pub fn may(&self, stat: &Stat, access: Access) -> bool {
        let class = if self.uid == stat.uid {
            stat.mode >> 6
        } else if self.gid == stat.gid || self.groups.contains(&stat.gid) {
            stat.mode >> 3
        } else {
            stat.mode
        };
        let bit = match access {
            Access::Read => 4,
            Access::Write => 2,
            Access::Execute => 1,
        };
        self.uid == 0 || class & bit != 0
    }
}
