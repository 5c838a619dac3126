//! Names as they go over the wire: labels, each behind a byte that counts it, and the root's 0.

use std::net::IpAddr;

/// The name of the zone.
pub(crate) const ZONE: &[u8] = b"\x06deploy\x00";

/// Bytes a label may have (RFC 1035, 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// Append `label`; `false`, and nothing appended, when it is none: empty, too long, or with a dot.
pub(crate) fn push(name: &mut Vec<u8>, label: &str) -> bool {
    let fits = (1..=LABEL_BYTES_MAX).contains(&label.len()) && !label.contains('.');
    if fits {
        name.push(label.len() as u8);
        name.extend_from_slice(label.as_bytes());
    }
    fits
}

/// The name under which an address is looked up backwards (RFC 1035, 3.5; RFC 3596, 2.5).
pub(crate) fn arpa(ip: IpAddr) -> Vec<u8> {
    let mut name = Vec::new();
    match ip {
        IpAddr::V4(ip) => {
            for byte in ip.octets().iter().rev() {
                push(&mut name, &byte.to_string());
            }
            push(&mut name, "in-addr");
        }
        IpAddr::V6(ip) => {
            for byte in ip.octets().iter().rev() {
                push(&mut name, &format!("{:x}", byte & 15));
                push(&mut name, &format!("{:x}", byte >> 4));
            }
            push(&mut name, "ip6");
        }
    }
    push(&mut name, "arpa");
    name.push(0);
    name
}
