//! Who may ask: this host, and the private networks it is asked from by name.
//!
//! Law: nobody at a public address is answered but this host. A server that looks up any name for
//! anybody is a weapon in the hands of who forges the sender.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use nix::ifaddrs::getifaddrs;

use crate::network::{Network, bits};

/// How often interfaces are looked at for the sake of strangers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Those who may ask, as the interfaces say: the bridge may come after us.
#[derive(Debug)]
pub(crate) struct Guests {
    /// Where we listen.
    at: Vec<IpAddr>,
    known: ArcSwap<Vec<Network>>,
    looked: Mutex<Option<Instant>>,
}

impl Guests {
    /// Those who may ask servers that listen `at`.
    pub(crate) fn of(at: Vec<IpAddr>) -> Guests {
        Guests { at, known: ArcSwap::default(), looked: Mutex::default() }
    }

    /// Whether `ip` may ask.
    pub(crate) fn may(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        if ip.is_loopback() || self.at.contains(&ip) {
            return true;
        }
        let known = || self.known.load().iter().any(|network| network.has(ip));
        // The networks are private ones, so for a public address nothing need be looked at.
        is_private(ip) && (known() || (self.look() && known()))
    }

    /// Look at the interfaces, where nobody did lately; whether it was done.
    fn look(&self) -> bool {
        // Who finds another one looking has a stranger, too.
        let Ok(mut looked) = self.looked.try_lock() else { return false };
        if looked.is_some_and(|then| then.elapsed() < LOOK_EVERY) {
            return false;
        }
        *looked = Some(Instant::now());
        if let Ok(networks) = around(&self.at) {
            self.known.store(networks.into());
        }
        true
    }
}

/// The private networks in which this machine has one of the addresses.
fn around(at: &[IpAddr]) -> nix::Result<Vec<Network>> {
    let every = at.iter().any(IpAddr::is_unspecified);
    let mut networks = Vec::new();
    for interface in getifaddrs()? {
        let ip = interface.address.as_ref().and_then(super::peer::of);
        let mask = interface.netmask.as_ref().and_then(super::peer::of);
        if let (Some(ip), Some(mask)) = (ip.map(|at| at.ip()), mask.map(|at| at.ip()))
            && (every || at.contains(&ip))
            && is_private(ip)
        {
            networks.push(Network::new(ip, bits(mask).leading_ones()));
        }
    }
    Ok(networks)
}

/// Whether nobody in the world has the address (RFC 1918, 3927, 6598, 4193, 4291).
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            ip.is_private() || ip.is_link_local() || shared
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_ends_where_its_bits_end() {
        let guests = Guests::of(vec!["192.0.2.7".parse().unwrap()]);
        let network = Network::new("10.89.0.1".parse().unwrap(), 16);
        guests.known.store(vec![network].into());
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
            ("192.0.2.7", true),
            ("192.0.2.8", false),
        ] {
            assert_eq!(guests.may(ip.parse().unwrap()), may, "{ip}");
        }
    }

    #[test]
    fn interfaces_are_looked_at_once_for_a_flood_of_strangers() {
        let guests = Guests::of(vec!["127.0.0.1".parse().unwrap()]);
        assert!(!guests.may("10.1.2.3".parse().unwrap()));
        let looked = *guests.looked.lock().unwrap();
        for _ in 0..1000 {
            assert!(!guests.may("10.1.2.3".parse().unwrap()));
        }
        assert!(looked.is_some());
        assert_eq!(looked, *guests.looked.lock().unwrap());
        assert_eq!(**guests.known.load(), [], "loopback's network is no private one");
    }
}
