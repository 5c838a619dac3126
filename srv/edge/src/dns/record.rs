//! Records as they go over the wire (RFC 1035, 3.2.1), all with a time to live of 0: an instance
//! comes and goes, and whoever keeps its address keeps a dead one.

use std::net::IpAddr;

/// A pointer to the name of the question, which stands right behind the header.
pub(crate) const QUESTION: [u8; 2] = [0xc0, 12];
/// Bytes of an A record whose owner is the question.
pub(crate) const A_BYTES: usize = 16;
/// Bytes of an AAAA record whose owner is the question.
pub(crate) const AAAA_BYTES: usize = 28;

/// The class of the Internet; there is no other one here.
pub(crate) const CLASS_IN: u16 = 1;
const TTL_S: u32 = 0;

/// What a question asks for, as far as this server tells types apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Hosts and ports.
    Srv,
    /// The name of an address.
    Ptr,
    /// The zone's own record.
    Soa,
    /// Anything (RFC 8482).
    Any,
    /// Types that are none of data: transfers, keys and signatures of messages, OPT.
    Meta,
    /// Every other one.
    Other,
}

impl Kind {
    /// All of them, in the order of their places in figures.
    pub(crate) const ALL: [Kind; 8] =
        [Kind::A, Kind::Aaaa, Kind::Srv, Kind::Ptr, Kind::Soa, Kind::Any, Kind::Meta, Kind::Other];

    /// By the number of the type (IANA, DNS parameters).
    pub(crate) fn of(number: u16) -> Kind {
        match number {
            1 => Kind::A,
            28 => Kind::Aaaa,
            33 => Kind::Srv,
            12 => Kind::Ptr,
            6 => Kind::Soa,
            255 => Kind::Any,
            0 | 41 | 128..=254 => Kind::Meta,
            _ => Kind::Other,
        }
    }

    /// The name by which `dig` and others call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Srv => "SRV",
            Kind::Ptr => "PTR",
            Kind::Soa => "SOA",
            Kind::Any => "ANY",
            Kind::Meta => "meta",
            Kind::Other => "other",
        }
    }
}

/// An A or AAAA record.
pub(crate) fn address(owner: &[u8], ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => record(owner, 1, &[&ip.octets()]),
        IpAddr::V6(ip) => record(owner, 28, &[&ip.octets()]),
    }
}

/// An SRV record of the question. Its target must not be compressed (RFC 2782).
pub(crate) fn srv(port: u16, target: &[u8]) -> Vec<u8> {
    let (priority, weight) = (0u16.to_be_bytes(), 1u16.to_be_bytes());
    record(&QUESTION, 33, &[&priority, &weight, &port.to_be_bytes(), target])
}

/// A PTR record of the question.
pub(crate) fn pointer(target: &[u8]) -> Vec<u8> {
    record(&QUESTION, 12, &[target])
}

/// What is said to who asks for anything (RFC 8482, 4.2).
pub(crate) fn anything() -> Vec<u8> {
    record(&QUESTION, 13, &[b"\x07RFC8482\x00"])
}

/// Bytes of the SOA record.
const SOA_BYTES: usize = 50;
/// Its name, type, class, time to live and length of what follows, and the master's name; the two
/// names are pointers, filled in.
const SOA_HEAD: [u8; 14] = [0, 0, 0, 6, 0, 1, 0, 0, 0, 0, 0, 38, 0, 0];
/// Nobody reads mail about it (RFC 6303, 3).
const SOA_MAIL: [u8; 16] = *b"\x06nobody\x07invalid\x00";
/// Refresh, retry and expiry mean nothing here, since nothing copies the zone; the last says how
/// long one may keep that there is no such name or record: not at all, it may come at once.
const SOA_TIMES_S: [u32; 4] = [3600, 600, 86400, TTL_S];

/// The SOA record of the zone, whose name begins at `zone` in the message.
pub(crate) fn soa(zone: u16, serial: u32) -> [u8; SOA_BYTES] {
    let zone = (0xc000 | zone).to_be_bytes();
    let mut out = [0; SOA_BYTES];
    out[..14].copy_from_slice(&SOA_HEAD);
    out[..2].copy_from_slice(&zone);
    out[12..14].copy_from_slice(&zone);
    out[14..30].copy_from_slice(&SOA_MAIL);
    out[30..34].copy_from_slice(&serial.to_be_bytes());
    for (place, seconds) in out[34..].chunks_exact_mut(4).zip(SOA_TIMES_S) {
        place.copy_from_slice(&seconds.to_be_bytes());
    }
    out
}

fn record(owner: &[u8], kind: u16, data: &[&[u8]]) -> Vec<u8> {
    let bytes: usize = data.iter().map(|part| part.len()).sum();
    let mut out = owner.to_vec();
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&CLASS_IN.to_be_bytes());
    out.extend_from_slice(&TTL_S.to_be_bytes());
    out.extend_from_slice(&(bytes as u16).to_be_bytes());
    out.extend(data.iter().copied().flatten());
    out
}
