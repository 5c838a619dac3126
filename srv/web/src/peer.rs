//! Who is at the other end of a connection from this machine, as the kernel says: the owner of the
//! socket there, by its row in /proc/net/tcp (proc_net_tcp in the kernel's documentation).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The tables of the kernel: a socket of either family can be the other end.
const TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// The column of the state, and what stands there of a connection that both sides have open.
const STATE_COLUMN: usize = 3;
const ESTABLISHED: &str = "01";
/// The column of the owner.
const UID_COLUMN: usize = 7;

/// The owner of the socket that `from` is, connected to `to`; none when there is no such socket,
/// or no more. One that was closed has no owner, and there stands the number of root.
pub(crate) fn uid(from: SocketAddr, to: SocketAddr) -> Option<u32> {
    TABLES.iter().find_map(|path| find(&std::fs::read_to_string(path).ok()?, from, to))
}

fn find(table: &str, from: SocketAddr, to: SocketAddr) -> Option<u32> {
    table.lines().skip(1).find_map(|row| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let ends = (address(columns.get(1)?)?, address(columns.get(2)?)?);
        let same = |one: SocketAddr, other: SocketAddr| {
            one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
        };
        let open = columns.get(STATE_COLUMN) == Some(&ESTABLISHED);
        let ours = open && same(ends.0, from) && same(ends.1, to);
        ours.then(|| columns.get(UID_COLUMN)?.parse().ok()).flatten()
    })
}

/// `0100007F:1F93`: words in the order of the machine, the port in that of the network.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(host.get(at..at + 8)?, 16).ok();
    let ip = match host.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_mut(4).enumerate() {
                part.copy_from_slice(&word(at * 8)?.to_ne_bytes());
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_owner_of_the_other_end_is_who_the_kernel_says() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may have no IPv6.
            let Ok(listener) = TcpListener::bind(at) else { continue };
            let to = listener.local_addr().unwrap();
            let stream = TcpStream::connect(to).unwrap();
            let from = stream.local_addr().unwrap();
            assert_eq!(uid(from, to), Some(nix::unistd::geteuid().as_raw()));
            let other = SocketAddr::new(from.ip(), 1);
            assert_eq!(uid(other, to), None);
            // Closed on that side, with what was sent still to be read on this one.
            let (held, _) = listener.accept().unwrap();
            drop(stream);
            assert_eq!(uid(from, to), None);
            drop(held);
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_row_is_read_as_the_kernel_writes_it() {
        let v4 = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retr uid\n\
                  0: 0100007F:A1B2 0100007F:1FA3 01 00000000:00000000 00:00000000 0000 1001 0 1\n";
        let ends = ("127.0.0.1:41394".parse().unwrap(), "127.0.0.1:8099".parse().unwrap());
        assert_eq!(find(v4, ends.0, ends.1), Some(1001));
        assert_eq!(find(v4, ends.1, ends.0), None);
        for closed in ["04", "05", "06", "08"] {
            let row = v4.replace(" 01 ", &format!(" {closed} ")).replace("1001", "0");
            assert_eq!(find(&row, ends.0, ends.1), None, "closed by one side, and nobody's");
        }
        let mapped = v4
            .replace("0100007F:A1B2", "0000000000000000FFFF00000100007F:A1B2")
            .replace("0100007F:1FA3", "0000000000000000FFFF00000100007F:1FA3");
        assert_eq!(find(&mapped, ends.0, ends.1), Some(1001));
        assert_eq!(find("nonsense\n1: 2 3", ends.0, ends.1), None);
    }
}
