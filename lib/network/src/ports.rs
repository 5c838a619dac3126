//! Ports for instances on the host's own network, round robin like addresses; the kernel is
//! asked whether a port is free, since everybody on the machine takes ports.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::ops::RangeInclusive;

use crate::Error;
use crate::ring::Ring;

/// Ports of this host and who has them.
#[derive(Debug)]
pub struct Ports {
    range: RangeInclusive<u16>,
    ring: Ring,
}

impl Ports {
    /// The usual range: below the kernel's ephemeral ports (32768 up, ip(7)), above what people
    /// choose by hand.
    pub const USUAL: RangeInclusive<u16> = 20_000..=29_999;

    /// All ports of `range`.
    pub fn new(range: RangeInclusive<u16>) -> Ports {
        let ring = Ring::new(u32::from(*range.start())..=u32::from(*range.end()), 0);
        Ports { range, ring }
    }

    /// The same ports begun at a place `tag` decides. A port is free until its program listens,
    /// so two servers that both began with the first would take the same one.
    pub fn starting_at(self, tag: &str) -> Ports {
        let (first, last) = (u32::from(*self.range.start()), u32::from(*self.range.end()));
        let offset =
            tag.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
        Ports { ring: Ring::new(first..=last, offset), ..self }
    }

    /// The port free for longest on which nobody listens. Errors: none is free.
    pub fn take(&mut self) -> Result<u16, Error> {
        let number = self.ring.take(|port| u16::try_from(port).is_ok_and(nobody_listens));
        let range = || format!("{}-{}", self.range.start(), self.range.end());
        let port = number.and_then(|port| u16::try_from(port).ok());
        port.ok_or_else(|| Error::Exhausted { what: "port", range: range() })
    }

    /// Marks a port as taken, as found after a restart; false when it was taken already or does
    /// not lie in the range.
    pub fn claim(&mut self, port: u16) -> bool {
        self.ring.claim(u32::from(port))
    }

    /// Gives a port back; it rests until the others were used. One that is not taken is ignored.
    pub fn give_back(&mut self, port: u16) {
        self.ring.give_back(u32::from(port));
    }
}

/// Whether a program could listen on `port` at any address. A machine without IPv6 refuses the
/// second bind for another reason than a listener.
fn nobody_listens(port: u16) -> bool {
    let busy = |address: IpAddr| {
        TcpListener::bind((address, port)).is_err_and(|e| e.kind() == ErrorKind::AddrInUse)
    };
    !busy(Ipv4Addr::UNSPECIFIED.into()) && !busy(Ipv6Addr::UNSPECIFIED.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port somebody listens on, as the first of a range of one.
    fn check(address: IpAddr) {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut ports = Ports::new(port..=port);
        let text = ports.take().unwrap_err().to_string();
        assert!(text.starts_with(&format!("no port left in {port}-{port}")), "{text}");
        drop(listener);
        assert_eq!(ports.take().unwrap(), port);
    }

    #[test]
    fn a_port_somebody_listens_on_is_not_given() {
        check(Ipv4Addr::LOCALHOST.into());
        check(Ipv6Addr::LOCALHOST.into());
        check(Ipv4Addr::UNSPECIFIED.into());
    }

    #[test]
    fn two_servers_begin_at_different_ports() {
        let mut first = Ports::new(Ports::USUAL).starting_at("0badcafe");
        let mut second = Ports::new(Ports::USUAL).starting_at("0badcaff");
        let (first, second) = (first.take().unwrap(), second.take().unwrap());
        assert_ne!(first, second);
        assert!(Ports::USUAL.contains(&first) && Ports::USUAL.contains(&second));
    }
}
