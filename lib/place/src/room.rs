//! How many instances fit, found without placing them.

use crate::error::Error;
use crate::fleet::{Fleet, Kept, WantId};

impl Fleet {
    /// How many of `count` further instances fit, all alike: as many as could be placed one
    /// after the other. All nodes are looked at.
    ///
    /// # Errors
    /// The want is not declared.
    pub fn room(&self, want: WantId, count: u32) -> Result<u32, Error> {
        let kept = self.kept(want)?;
        let sum = if self.first_binds(kept) {
            self.choose(kept, None).map_or(0, |slot| self.room_on(kept, slot))
        } else {
            let each = self.nodes.slots().iter().map(|slot| self.room_on(kept, *slot));
            each.fold(0, u64::saturating_add)
        };
        Ok(u32::try_from(sum).map_or(count, |sum| sum.min(count)))
    }

    /// Whether all others must go where the first one does: where its volume is made, or beside
    /// it.
    fn first_binds(&self, kept: &Kept) -> bool {
        let mut bound = kept.want.bound();
        bound.any(|volume| !self.volumes.contains_key(&volume.name))
            || kept.near.iter().any(|other| self.is_first(kept, *other))
    }

    /// How many fit on one node.
    fn room_on(&self, kept: &Kept, slot: u32) -> u64 {
        if !self.fits(kept, slot) {
            return 0;
        }
        let (want, post) = (&kept.want, self.nodes.at(slot));
        if !want.ports.is_empty() || kept.apart.contains(&kept.service) {
            return 1;
        }
        let bytes = post.free_volume_bytes() - self.bound_bytes(kept, slot);
        let by_volumes = bytes.checked_div(want.own_bytes()).unwrap_or(u64::MAX);
        want.needs.times_in(post.free()).min(by_volumes)
    }
}
