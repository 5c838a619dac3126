//! Who may ask: this host, and the networks it is asked from by name.
//!
//! Everybody else is refused: a server that looks up any name for anybody is a weapon in the hands
//! of who forges the sender.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

/// Those who may ask, besides loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allowed {
    networks: Vec<Network>,
}

/// Addresses whose first `bits` are those of `ip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    ip: IpAddr,
    bits: u32,
}

impl Allowed {
    /// The networks in which this machine has one of `addresses`, as its interfaces say now.
    pub(crate) fn around(addresses: &[IpAddr]) -> nix::Result<Allowed> {
        let mut networks = Vec::new();
        for interface in getifaddrs()? {
            let part = |storage: Option<nix::sys::socket::SockaddrStorage>| {
                storage.as_ref().and_then(super::peer::of).map(|peer| peer.ip())
            };
            let (Some(ip), Some(mask)) = (part(interface.address), part(interface.netmask)) else {
                continue;
            };
            if addresses.contains(&ip) && !ip.is_loopback() {
                networks.push(Network { ip, bits: bits(mask).leading_ones() });
            }
        }
        Ok(Allowed { networks })
    }

    /// Whether `ip` may ask.
    pub(crate) fn may(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_loopback() || self.networks.iter().any(|network| network.has(ip))
    }
}

impl Network {
    fn has(&self, ip: IpAddr) -> bool {
        let differ = bits(self.ip) ^ bits(ip);
        self.ip.is_ipv4() == ip.is_ipv4() && differ.leading_zeros() >= self.bits
    }
}

/// The address, its first bit the upper one.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_ends_where_its_bits_end() {
        let network = Network { ip: "10.89.0.1".parse().unwrap(), bits: 16 };
        let allowed = Allowed { networks: vec![network] };
        for (ip, may) in [
            ("10.89.0.1", true),
            ("10.89.255.255", true),
            ("::ffff:10.89.3.4", true),
            ("10.90.0.0", false),
            ("10.88.255.255", false),
            ("127.3.4.5", true),
            ("::1", true),
            ("a59::1", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(allowed.may(ip.parse().unwrap()), may, "{ip}");
        }
    }

    #[test]
    fn nobody_but_loopback_may_ask_a_server_on_loopback() {
        let allowed = Allowed::around(&["127.0.0.1".parse().unwrap()]).unwrap();
        assert_eq!(allowed, Allowed::default());
    }
}
