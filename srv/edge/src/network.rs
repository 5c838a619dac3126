//! Networks: addresses that begin alike.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses whose first `bits` are those of `ip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    ip: IpAddr,
    bits: u32,
}

impl Network {
    pub(crate) fn new(ip: IpAddr, bits: u32) -> Self {
        Self { ip, bits }
    }

    /// Whether `ip` is one of them; one of IPv4 that is written as one of IPv6 is none.
    pub(crate) fn has(&self, ip: IpAddr) -> bool {
        let differ = bits(self.ip) ^ bits(ip);
        self.ip.is_ipv4() == ip.is_ipv4() && differ.leading_zeros() >= self.bits
    }
}

/// The address, its first bit the upper one.
pub(crate) fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl FromStr for Network {
    type Err = String;

    /// `ADDRESS/BITS`, or an address alone, which is a network of one.
    fn from_str(text: &str) -> Result<Self, String> {
        let (ip, len) = text.split_once('/').map_or((text, None), |(ip, len)| (ip, Some(len)));
        let wrong = || format!("`{text}` is no network: want ADDRESS or ADDRESS/BITS");
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let most = if ip.is_ipv4() { 32 } else { 128 };
        let len = len.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if len > most {
            return Err(wrong());
        }
        if bits(ip).checked_shl(len).is_some_and(|rest| rest != 0) {
            return Err(format!("`{text}` is no network: there is more than its first {len} bits"));
        }
        Ok(Self { ip, bits: len })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_and_written_and_has_what_begins_alike() {
        for (text, has, not) in [
            ("203.0.113.0/24", "203.0.113.255", "203.0.114.0"),
            ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::/0", "::1", "8.8.8.8"),
        ] {
            let network: Network = text.parse().unwrap();
            assert!(network.has(has.parse().unwrap()), "{text} {has}");
            assert!(!network.has(not.parse().unwrap()), "{text} {not}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        for text in ["", "x", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8/8", "10.0.0.1/8"] {
            assert!(text.parse::<Network>().unwrap_err().contains("is no network"), "{text}");
        }
    }
}
