//! Instances that are somewhere: placed, found, and removed.

use crate::error::Error;
use crate::fleet::{Fleet, WantId};

/// Where an instance is, and what it is an instance of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) slot: u32,
    pub(crate) want: u32,
}

impl Fleet {
    /// Chooses a node for an instance and reserves what it needs there, before anything is
    /// started; `after` is an instance of the service that leaves once this one serves. The
    /// instance's number is the caller's, and no two have the same.
    ///
    /// # Errors
    /// No node fits, the want is not declared, or the instance is somewhere already.
    pub fn place(
        &mut self,
        instance: u64,
        want: WantId,
        after: Option<u64>,
    ) -> Result<&str, Error> {
        self.is_new(instance)?;
        let slot = self.choose(self.kept(want)?, self.leaver(after));
        let slot = slot.ok_or(Error::NoRoom(instance))?;
        self.sit(instance, Seat { slot, want: want.0 });
        Ok(&self.nodes.at(slot).machine.name)
    }

    /// The node that [`Fleet::place`] would choose.
    ///
    /// # Errors
    /// The want is not declared.
    pub fn would_place(&self, want: WantId, after: Option<u64>) -> Result<Option<&str>, Error> {
        let slot = self.choose(self.kept(want)?, self.leaver(after));
        Ok(slot.map(|slot| self.nodes.at(slot).machine.name.as_str()))
    }

    /// An instance that is on a node already, as after a restart: it counts there whether or not
    /// it would be placed there now.
    ///
    /// # Errors
    /// There is no such node or want, or the instance is somewhere already.
    pub fn put(&mut self, instance: u64, want: WantId, node: &str) -> Result<(), Error> {
        self.is_new(instance)?;
        self.kept(want)?;
        let slot = self.slot(node)?;
        self.sit(instance, Seat { slot, want: want.0 });
        Ok(())
    }

    /// An instance is gone, and all it had is free; its volumes stay.
    ///
    /// # Errors
    /// There is no such instance.
    pub fn remove(&mut self, instance: u64) -> Result<(), Error> {
        let seat = self.instances.remove(&instance).ok_or(Error::NoInstance(instance))?;
        let Some(mut kept) = self.wants[seat.want as usize].take() else { return Ok(()) };
        self.unlist(seat.slot);
        let post = self.nodes.at_mut(seat.slot);
        post.used.cpu_milli -= u64::from(kept.want.needs.cpu_milli);
        post.used.memory_bytes -= u128::from(kept.want.needs.memory_bytes);
        post.used.volume_bytes -= u128::from(kept.want.own_bytes());
        for port in &kept.want.ports {
            if let Ok(at) = post.ports.binary_search(port) {
                post.ports.remove(at);
            }
        }
        self.services.at_mut(kept.service).take(seat.slot, post.class);
        if !kept.apart.is_empty() {
            kept.seats.take(seat.slot);
        }
        kept.instances -= 1;
        self.wants[seat.want as usize] = Some(kept);
        self.list(seat.slot);
        self.forget(seat.want);
        Ok(())
    }

    /// The node an instance is on.
    #[must_use]
    pub fn node_of(&self, instance: u64) -> Option<&str> {
        let seat = self.instances.get(&instance)?;
        Some(&self.nodes.at(seat.slot).machine.name)
    }

    /// The instances on a node, in order. All instances are looked at.
    ///
    /// # Errors
    /// There is no such node.
    pub fn instances_on(&self, node: &str) -> Result<Vec<u64>, Error> {
        Ok(self.instances_at(self.slot(node)?))
    }

    pub(crate) fn instances_at(&self, slot: u32) -> Vec<u64> {
        let here = self.instances.iter().filter(|(_, seat)| seat.slot == slot);
        here.map(|(instance, _)| *instance).collect()
    }

    fn is_new(&self, instance: u64) -> Result<(), Error> {
        match self.node_of(instance) {
            Some(node) => Err(Error::Placed(instance, node.to_owned())),
            None => Ok(()),
        }
    }

    /// The seat that is left, when the one who leaves is still known.
    fn leaver(&self, after: Option<u64>) -> Option<Seat> {
        self.instances.get(&after?).copied()
    }

    fn sit(&mut self, instance: u64, seat: Seat) {
        let Some(mut kept) = self.wants[seat.want as usize].take() else { return };
        self.unlist(seat.slot);
        let post = self.nodes.at_mut(seat.slot);
        post.used.cpu_milli += u64::from(kept.want.needs.cpu_milli);
        post.used.memory_bytes += u128::from(kept.want.needs.memory_bytes);
        post.used.volume_bytes += u128::from(kept.want.own_bytes());
        for port in &kept.want.ports {
            let at = post.ports.partition_point(|taken| taken < port);
            post.ports.insert(at, *port);
        }
        let (class, of) = (post.class, self.nodes.width());
        self.services.at_mut(kept.service).add(seat.slot, class, of);
        for volume in kept.want.bound() {
            self.grow(&volume.name, seat.slot, volume.bytes);
        }
        if !kept.apart.is_empty() {
            kept.seats.add(seat.slot, of);
        }
        kept.instances += 1;
        self.wants[seat.want as usize] = Some(kept);
        self.list(seat.slot);
        self.instances.insert(instance, seat);
    }
}
