//! Where volumes are; they outlive the instances they were made for.

use crate::error::Error;
use crate::fleet::Fleet;

/// The node a volume is on, and what is reserved for it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) slot: u32,
    pub(crate) bytes: u64,
}

impl Fleet {
    /// A volume that is on a node, and may grow to so many bytes; one that is there already never
    /// becomes smaller.
    ///
    /// # Errors
    /// There is no such node, or the volume is on another one.
    pub fn hold(&mut self, volume: &str, node: &str, bytes: u64) -> Result<(), Error> {
        let slot = self.slot(node)?;
        if let Some(home) = self.volumes.get(volume).filter(|home| home.slot != slot) {
            let there = self.nodes.at(home.slot).machine.name.clone();
            return Err(Error::Bound(volume.to_owned(), there));
        }
        self.grow(volume, slot, bytes);
        Ok(())
    }

    /// A volume is deleted, and its bytes are free.
    ///
    /// # Errors
    /// There is no such volume.
    pub fn drop_volume(&mut self, volume: &str) -> Result<(), Error> {
        let home = self.volumes.remove(volume);
        let home = home.ok_or_else(|| Error::NoVolume(volume.to_owned()))?;
        self.nodes.at_mut(home.slot).used.volume_bytes -= u128::from(home.bytes);
        Ok(())
    }

    /// The node a volume is on.
    #[must_use]
    pub fn volume_node(&self, volume: &str) -> Option<&str> {
        let home = self.volumes.get(volume)?;
        Some(&self.nodes.at(home.slot).machine.name)
    }

    /// Makes a volume, or gives it more; one that is elsewhere stays as it is.
    pub(crate) fn grow(&mut self, volume: &str, slot: u32, bytes: u64) {
        let new = !self.volumes.contains_key(volume);
        let home = match new {
            true => self.volumes.entry(volume.to_owned()).or_insert(Home { slot, bytes: 0 }),
            false => match self.volumes.get_mut(volume) {
                Some(home) if home.slot == slot => home,
                Some(_) | None => return,
            },
        };
        let more = bytes.saturating_sub(home.bytes);
        home.bytes += more;
        self.nodes.at_mut(slot).used.volume_bytes += u128::from(more);
    }
}
