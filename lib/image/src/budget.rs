//! The room one pull may take: what it unpacks is counted in one place, over all of its layers,
//! and the disk is asked every so often, so that the image that lies about its size is stopped
//! before anybody else on the machine is without room.

use std::io;
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;

use crate::Error;
use crate::disk::{Disk, RESERVE_BYTES, RESERVE_INODES};

/// Bytes taken between two looks at the disk; a fraction of the reserve.
const LOOK_BYTES: u64 = 16 << 20;
/// The same for inodes.
const LOOK_INODES: u64 = 1024;

/// What a pull took since the disk was last looked at: bytes and inodes; none before the first.
#[derive(Debug, Default)]
pub(crate) struct Budget(Mutex<Option<(u64, u64)>>);

impl Budget {
    /// Takes so much, before it is written. The error is the system's own for a full disk, which
    /// [`Disk::full`] puts into words.
    pub(crate) fn charge(&self, disk: &Disk, bytes: u64, inodes: u64) -> io::Result<()> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (b, i) = taken.unwrap_or((LOOK_BYTES, LOOK_INODES));
        let (b, i) = (b.saturating_add(bytes), i.saturating_add(inodes));
        *taken = Some((b, i));
        if b < LOOK_BYTES && i < LOOK_INODES {
            return Ok(());
        }
        let bytes = bytes.saturating_add(RESERVE_BYTES);
        match disk.check_room(bytes, inodes.saturating_add(RESERVE_INODES)) {
            Ok(()) => *taken = Some((0, 0)),
            Err(Error::Room { .. } | Error::Inodes { .. }) => return Err(Errno::NOSPC.into()),
            Err(other) => return Err(io::Error::other(other)),
        }
        Ok(())
    }
}
