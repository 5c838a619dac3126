//! A disk that loses power, fills up and breaks, for tests. Nothing that was not synced is sure:
//! after a power cut each written sector is there or not by chance, and the length as well.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::redb::StorageBackend;

/// What a disk writes at once.
const SECTOR: usize = 512;

/// A file on the disk; clones are the same file.
#[derive(Clone, Debug)]
pub(super) struct Disk(Arc<Mutex<Platter>>);

#[derive(Debug, Default)]
struct Platter {
    durable: Vec<u8>,
    cached: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// The longest the file may become.
    room: Option<usize>,
    /// Writes and syncs until the power is cut.
    left: Option<u64>,
    chance: u64,
    /// What the power cut left.
    image: Option<Vec<u8>>,
    broken: bool,
}

impl Disk {
    /// A disk with this file.
    pub(super) fn holding(bytes: Vec<u8>) -> Disk {
        let platter = Platter { durable: bytes.clone(), cached: bytes, ..Platter::default() };
        Disk(Arc::new(Mutex::new(platter)))
    }

    /// Cuts the power after `left` more writes and syncs; `seed` decides what stays.
    pub(super) fn cut_after(self, left: u64, seed: u64) -> Disk {
        let mut platter = self.held();
        (platter.left, platter.chance) = (Some(left), seed);
        drop(platter);
        self
    }

    /// Lets the file grow to `room` bytes.
    pub(super) fn limit(&self, room: Option<usize>) {
        self.held().room = room;
    }

    /// From now on nothing can be written.
    pub(super) fn break_down(&self) {
        self.held().broken = true;
    }

    /// What is on the disk: after the power cut, or else what was synced.
    pub(super) fn image(&self) -> Vec<u8> {
        let platter = self.held();
        platter.image.clone().unwrap_or_else(|| platter.durable.clone())
    }

    fn held(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Platter {
    /// One more write or sync.
    fn act(&mut self) -> io::Result<()> {
        if self.broken || self.image.is_some() {
            return Err(io::Error::other("the disk does not answer"));
        }
        let Some(left) = self.left else { return Ok(()) };
        if left == 0 {
            self.image = Some(self.survivors());
            return Err(io::Error::other("the disk does not answer"));
        }
        self.left = Some(left - 1);
        Ok(())
    }

    fn survivors(&mut self) -> Vec<u8> {
        let mut survived = self.durable.clone();
        if self.coin() {
            survived.resize(self.cached.len(), 0);
        }
        for sector in std::mem::take(&mut self.dirty) {
            let start = sector * SECTOR;
            let end = (start + SECTOR).min(survived.len()).min(self.cached.len());
            if start < end && self.coin() {
                survived[start..end].copy_from_slice(&self.cached[start..end]);
            }
        }
        survived
    }

    fn coin(&mut self) -> bool {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.chance >> 63 == 1
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.held().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.held();
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let found = platter.cached.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut platter = self.held();
        platter.act()?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        if platter.room.is_some_and(|room| len > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        platter.cached.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.held();
        platter.act()?;
        platter.durable = platter.cached.clone();
        platter.dirty.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut platter = self.held();
        platter.act()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start + data.len();
        let place = platter.cached.get_mut(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        place.copy_from_slice(data);
        platter.dirty.extend(start / SECTOR..end.div_ceil(SECTOR));
        Ok(())
    }
}
