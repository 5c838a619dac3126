//! Addresses for instances, round robin: one that was given back is given out again only after
//! every other free one, so that nobody's stale connection or name meets a new owner.

use std::net::Ipv4Addr;

use crate::ring::Ring;
use crate::{Cidr, Error};

/// The addresses of one range and who has them.
#[derive(Debug)]
pub struct Pool {
    cidr: Cidr,
    ring: Ring,
}

impl Pool {
    /// All addresses of `cidr` but network, gateway and broadcast.
    pub fn new(cidr: Cidr) -> Pool {
        Pool { cidr, ring: Ring::new(cidr.first()..=cidr.last(), 0) }
    }

    /// The address free for longest. Errors: none is free.
    pub fn take(&mut self) -> Result<Ipv4Addr, Error> {
        let number = self.ring.take(|_| true);
        let none = || Error::Exhausted { what: "address", range: self.cidr.to_string() };
        number.map(Ipv4Addr::from_bits).ok_or_else(none)
    }

    /// Marks an address as taken, as found after a restart; false when it was taken already or
    /// does not lie in the range. Claims come before the first `take`: the pool then goes on
    /// behind the last of them.
    pub fn claim(&mut self, address: Ipv4Addr) -> bool {
        self.ring.claim(address.to_bits())
    }

    /// Gives an address back; it rests until the others were used. One that is not taken is
    /// ignored.
    pub fn give_back(&mut self, address: Ipv4Addr) {
        self.ring.give_back(address.to_bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_never_gives_network_gateway_or_broadcast() {
        let mut pool = Pool::new("10.0.0.0/29".parse().unwrap());
        let given: Vec<String> =
            std::iter::from_fn(|| pool.take().ok()).map(|a| a.to_string()).collect();
        assert_eq!(given, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
    }

    #[test]
    fn an_empty_pool_says_what_to_do() {
        let mut pool = Pool::new("10.0.0.0/30".parse().unwrap());
        assert_eq!(pool.take().unwrap().to_string(), "10.0.0.2");
        let text = pool.take().unwrap_err().to_string();
        assert_eq!(text, "no address left in 10.0.0.0/30: stop instances or widen the range");
    }

    #[test]
    fn an_address_outside_the_range_cannot_be_claimed() {
        let mut pool = Pool::new("10.0.0.0/29".parse().unwrap());
        for (address, claimed) in [([10, 0, 0, 1], false), ([10, 0, 0, 2], true)] {
            assert_eq!(pool.claim(Ipv4Addr::from(address)), claimed, "{address:?}");
        }
        assert_eq!(pool.take().unwrap().to_string(), "10.0.0.3");
    }
}
