//! Addresses for instances, round robin: one that was given back is given out again only after
//! every other free one, so that nobody's stale connection or name meets a new owner.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use crate::{Cidr, Error};

/// The addresses of one range and who has them.
#[derive(Debug)]
pub struct Pool {
    cidr: Cidr,
    next: u32,
    taken: HashSet<u32>,
}

impl Pool {
    /// All addresses of `cidr` but network, gateway and broadcast.
    pub fn new(cidr: Cidr) -> Pool {
        Pool { cidr, next: cidr.first(), taken: HashSet::new() }
    }

    /// The address free for longest. Errors: none is free.
    pub fn take(&mut self) -> Result<Ipv4Addr, Error> {
        todo!()
    }

    /// Marks an address as taken, as found after a restart; false when it was taken already or
    /// does not lie in the range.
    pub fn claim(&mut self, address: Ipv4Addr) -> bool {
        todo!("{address}")
    }

    /// Gives an address back; it rests until the others were used.
    pub fn give_back(&mut self, address: Ipv4Addr) {
        todo!("{address}")
    }
}
