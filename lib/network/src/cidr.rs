//! A range of IPv4 addresses as people write it: `10.89.0.0/16`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::Error;

/// Prefix lengths that leave room for a gateway and at least one instance, and are not so wide
/// that they swallow half the private space.
const PREFIX_BITS: std::ops::RangeInclusive<u8> = 8..=30;

/// A range of addresses; the first is the network, the second the gateway, the last broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: u32,
    bits: u8,
}

impl Cidr {
    /// The range of `bits` leading bits that holds `address`. Errors: a prefix outside 8 to 30.
    pub fn new(address: Ipv4Addr, bits: u8) -> Result<Cidr, Error> {
        if !PREFIX_BITS.contains(&bits) {
            return Err(Error::Cidr(format!("{address}/{bits}")));
        }
        Ok(Cidr { network: address.to_bits() & mask(bits), bits })
    }

    /// The leading bits that are fixed: 16 in `10.89.0.0/16`.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// The first usable address, the host's own.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network + 1)
    }

    /// Whether `address` lies in the range.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.bits) == self.network
    }

    /// The first address an instance may have.
    pub(crate) fn first(self) -> u32 {
        self.network + 2
    }

    /// The last address an instance may have.
    pub(crate) fn last(self) -> u32 {
        self.network + !mask(self.bits) - 1
    }

    /// Whether the range and `bits` leading bits of `address` share an address.
    pub(crate) fn overlaps(self, address: Ipv4Addr, bits: u8) -> bool {
        let wider = mask(self.bits.min(bits));
        (self.network ^ address.to_bits()) & wider == 0
    }
}

fn mask(bits: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}/{}", Ipv4Addr::from_bits(self.network), self.bits)
    }
}

impl FromStr for Cidr {
    type Err = Error;

    fn from_str(text: &str) -> Result<Cidr, Error> {
        let bad = || Error::Cidr(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(bad)?;
        let (Ok(address), Ok(bits)) = (address.parse(), bits.parse()) else { return Err(bad()) };
        let cidr = Cidr::new(address, bits).map_err(|_| bad())?;
        if cidr.network != address.to_bits() {
            return Err(bad());
        }
        Ok(cidr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, gateway: &str, last: &str) {
        let cidr: Cidr = text.parse().unwrap();
        assert_eq!(cidr.to_string(), text);
        assert_eq!(cidr.gateway().to_string(), gateway);
        assert_eq!(Ipv4Addr::from_bits(cidr.last()).to_string(), last);
    }

    #[test]
    fn a_range_keeps_its_gateway_first_and_its_broadcast_last() {
        check("10.89.0.0/16", "10.89.0.1", "10.89.255.254");
        check("192.168.7.0/24", "192.168.7.1", "192.168.7.254");
        check("10.0.0.4/30", "10.0.0.5", "10.0.0.6");
    }

    #[test]
    fn what_is_no_range_of_usable_size_is_refused() {
        for text in ["", "10.89.0.0", "10.89.0.1/16", "10.0.0.0/31", "0.0.0.0/0", "::/64", "a/b"] {
            let error = text.parse::<Cidr>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("bad address range `{text}`")), "{error}");
        }
    }

    #[test]
    fn two_ranges_overlap_when_the_wider_holds_the_other() {
        let cidr: Cidr = "10.89.0.0/16".parse().unwrap();
        for (address, bits, overlaps) in [
            ([10, 89, 3, 0], 24, true),
            ([10, 0, 0, 0], 8, true),
            ([0, 0, 0, 0], 0, true),
            ([10, 90, 0, 0], 16, false),
            ([10, 88, 0, 0], 16, false),
        ] {
            assert_eq!(cidr.overlaps(Ipv4Addr::from(address), bits), overlaps, "{address:?}");
        }
    }
}
