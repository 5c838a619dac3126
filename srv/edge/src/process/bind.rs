//! Making the sockets that users connect to.
//!
//! An address need not be up yet (`IP_FREEBIND` of ip(7)): the bridge comes with the first
//! instance. Sockets are passed on, never bound a second time beside the first (`SO_REUSEPORT`):
//! what waits at a socket that is closed is lost.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// Connections that may wait to be taken; the kernel takes its own limit when that is less.
const WAITING_MAX: i32 = 4096;
/// Where names are asked for, and where when that may not be had.
const DNS_PORTS: [u16; 2] = [53, 5353];
/// Tries to find one free port for datagrams and streams.
const PAIR_TRIES: usize = 8;

/// What is wrong with the text of an address; where it leads otherwise.
pub(crate) fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    if let Some(port) = text.strip_prefix(':') {
        let port = port.parse().map_err(|_| format!("`{text}`: want HOST:PORT or :PORT"))?;
        return Ok(vec![every(Ipv6Addr::UNSPECIFIED, port), every(Ipv4Addr::UNSPECIFIED, port)]);
    }
    match text.to_socket_addrs() {
        Ok(found) => Ok(found.collect()),
        Err(why) => Err(format!("`{text}`: want HOST:PORT or :PORT ({why})")),
    }
}

fn every(ip: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(ip.into(), port)
}

/// A listening socket at the first of the addresses that `text` leads to.
pub(crate) fn stream(text: &str) -> io::Result<OwnedFd> {
    first(&addresses(text).map_err(io::Error::other)?, stream_at)
}

/// A listening socket at that port, on the same addresses as `text` is.
pub(crate) fn stream_beside(text: &str, port: u16) -> io::Result<OwnedFd> {
    let mut all = addresses(text).map_err(io::Error::other)?;
    all.iter_mut().for_each(|address| address.set_port(port));
    first(&all, stream_at)
}

/// Sockets for datagrams and for streams, both at one port: the one that is told, else the first
/// of those that are meant for names.
pub(crate) fn names(text: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let at: Vec<SocketAddr> = match text.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => DNS_PORTS.map(|port| every(ip, port)).to_vec(),
        Err(_) => addresses(text).map_err(io::Error::other)?,
    };
    first(&at, pair_at)
}

fn first<T>(at: &[SocketAddr], bind: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut failed = io::Error::other("it leads nowhere");
    for (number, address) in at.iter().enumerate() {
        match bind(*address) {
            Ok(bound) => return Ok(bound),
            // The first is the one that was asked for.
            Err(why) if number == 0 => failed = why,
            Err(_) => {}
        }
    }
    Err(failed)
}

fn pair_at(at: SocketAddr) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut tries = PAIR_TRIES;
    loop {
        let datagrams = bind(at, SocketType::DGRAM)?;
        let port = local(&datagrams)?.port();
        tries -= 1;
        match stream_at(SocketAddr::new(at.ip(), port)) {
            Ok(streams) => return Ok((datagrams, streams)),
            Err(why) if at.port() != 0 || tries == 0 => return Err(why),
            Err(_) => {}
        }
    }
}

fn stream_at(at: SocketAddr) -> io::Result<OwnedFd> {
    let socket = bind(at, SocketType::STREAM)?;
    rustix::net::listen(&socket, WAITING_MAX)?;
    Ok(socket)
}

fn bind(at: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    match at {
        SocketAddr::V4(_) => sockopt::set_ip_freebind(&socket, true)?,
        SocketAddr::V6(_) => {
            sockopt::set_ipv6_freebind(&socket, true)?;
            sockopt::set_ipv6_v6only(&socket, !at.ip().is_unspecified())?;
        }
    }
    if kind == SocketType::STREAM {
        // Connections of a process before must not keep the port from us.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &at)?;
    Ok(socket)
}

/// Where a socket is.
pub(crate) fn local(socket: &OwnedFd) -> io::Result<SocketAddr> {
    let at = rustix::net::getsockname(socket)?;
    SocketAddr::try_from(at).map_err(|_| io::Error::other("not a socket of the internet"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn an_address_has_a_port_and_may_have_no_host() {
        let check = |text: &str, want: &[&str]| {
            let got: Vec<String> = addresses(text).unwrap().iter().map(|a| a.to_string()).collect();
            assert_eq!(got, want, "{text}");
        };
        check("127.0.0.1:80", &["127.0.0.1:80"]);
        check("[::1]:80", &["[::1]:80"]);
        check(":80", &["[::]:80", "0.0.0.0:80"]);
        for bad in ["", "80", ":x", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(addresses(bad).unwrap_err().contains("want HOST:PORT"), "{bad}");
        }
    }

    #[test]
    fn the_system_chooses_a_port_and_a_taken_one_is_refused() {
        let socket = stream("127.0.0.1:0").unwrap();
        let at = local(&socket).unwrap();
        assert!(at.port() != 0);
        assert_eq!(stream(&at.to_string()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let beside = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        assert_eq!(local(&stream_beside(&at.to_string(), beside).unwrap()).unwrap().port(), beside);
    }

    #[test]
    fn names_are_asked_for_at_one_port_both_ways() {
        let (datagrams, streams) = names("127.0.0.1:0").unwrap();
        assert_eq!(local(&datagrams).unwrap(), local(&streams).unwrap());
    }

    #[test]
    fn an_address_that_is_not_up_yet_is_bound() {
        // Of TEST-NET-1 (RFC 5737): no machine has it.
        let at = local(&stream("192.0.2.1:0").unwrap()).unwrap();
        assert_eq!(at.ip().to_string(), "192.0.2.1");
    }
}
