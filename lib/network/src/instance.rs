//! One instance's namespace and its veth pair.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sched::{CloneFlags, unshare};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkMessage};
use rtnetlink::{LinkUnspec, LinkVeth};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::link::Netlink;
use crate::{Cidr, Error};

/// Every host side name begins with it, so that people see whose they are.
pub(crate) const PREFIX: &str = "dv";
/// The instance's side.
const INSIDE: &str = "eth0";
/// The loopback link is the first of every namespace.
const LOOPBACK_INDEX: u32 = 1;
/// Settings of the new namespace a container without capabilities needs: low ports and ping for
/// every user. In the instance's own namespace they give away nothing. Best effort, since
/// /proc/sys may be read-only; both exist since Linux 4.11.
const SYSCTLS: [(&str, &str); 2] = [
    ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"),
];

/// A new network namespace and a connection into it.
pub(crate) struct Namespace {
    pub(crate) fd: OwnedFd,
    pub(crate) netlink: Netlink,
}

/// Where instances are attached.
#[derive(Clone, Debug)]
pub(crate) struct Bridge {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) cidr: Cidr,
    pub(crate) mtu: u32,
}

/// Makes an empty namespace. A thread that ends at once makes it: a namespace belongs to a
/// thread, and no thread of the runtime may be left in a foreign one.
pub(crate) async fn namespace() -> Result<Namespace, Error> {
    let runtime = Handle::current();
    let (tell, told) = oneshot::channel();
    let failed = |why| Error::Io { what: "thread for a namespace".to_owned(), why };
    let make = move || {
        let made = unshared(&runtime);
        // Nobody listening: the caller went away, and the namespace goes with the descriptor.
        let _ = tell.send(made);
    };
    std::thread::Builder::new().name("netns".to_owned()).spawn(make).map_err(failed)?;
    told.await.map_err(|_| failed(io::Error::other("it died")))?
}

fn unshared(runtime: &Handle) -> Result<Namespace, Error> {
    let what = "make a network namespace";
    let refused = |why| Error::from_kernel(what, why);
    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| refused(e.into()))?;
    let fd = File::open("/proc/thread-self/ns/net").map_err(refused)?.into();
    for (path, value) in SYSCTLS {
        if let Err(error) = std::fs::write(path, value) {
            tracing::debug!("{path}: {error}");
        }
    }
    let _within = runtime.enter();
    Ok(Namespace { fd, netlink: Netlink::open()? })
}

/// Makes the pair and sets up the instance's side.
pub(crate) async fn join(
    host: &Netlink,
    bridge: &Bridge,
    name: &str,
    address: Ipv4Addr,
) -> Result<OwnedFd, Error> {
    let Namespace { fd, netlink } = namespace().await?;
    let pair = || pair(&fd, bridge, name, address);
    let what = format!("make the link {name}");
    if let Err(error) = host.add(&what, pair()).await {
        if !error.exists() {
            return Err(error);
        }
        // Left by a server that died in between; whoever had it is not started or is gone.
        host.delete(name).await?;
        host.add(&what, pair()).await?;
    }
    netlink.change("bring up lo", LinkUnspec::new_with_index(LOOPBACK_INDEX).up().build()).await?;
    let lost = || Error::Io { what: what.clone(), why: io::ErrorKind::NotFound.into() };
    let inside = netlink.link(INSIDE).await?.ok_or_else(lost)?;
    netlink.change("bring up eth0", LinkUnspec::new_with_index(inside.index).up().build()).await?;
    netlink.address(inside.index, address, bridge.cidr.bits()).await?;
    netlink.default_route(bridge.cidr.gateway()).await?;
    // Else the program's first packet may be lost, and TCP sends it again only after a second.
    // The port before the bridge: its first port is what makes the bridge carry.
    host.carrying(name).await?;
    host.carrying(&bridge.name).await?;
    netlink.carrying(INSIDE).await?;
    Ok(fd)
}

/// One message for all of it: the host side on the bridge and up, the peer made in the
/// namespace. The peer's hardware address follows from its address, so that nobody's ARP cache
/// is wrong when the address gets a new owner. It cannot be brought up here: veth refuses while
/// the pair is not complete.
fn pair(namespace: &OwnedFd, bridge: &Bridge, name: &str, address: Ipv4Addr) -> LinkMessage {
    let [a, b, c, d] = address.octets();
    let peer = LinkUnspec::new_with_name(INSIDE)
        .setns_by_fd(namespace.as_raw_fd())
        .address(vec![0x0a, 0x58, a, b, c, d])
        .mtu(bridge.mtu)
        .build();
    LinkVeth::new(name, INSIDE)
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .mtu(bridge.mtu)
        .controller(bridge.index)
        .up()
        .build()
}

/// The host side's name: the prefix and 52 bits of a hash (FNV-1a) of tag and id, since a link's
/// name has at most 15 bytes.
pub(crate) fn link_name(tag: &str, id: &str) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let bytes = tag.bytes().chain([b'/']).chain(id.bytes());
    let hash = bytes.fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    format!("{PREFIX}{:013x}", hash >> 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_name_fits_the_kernel_and_tells_servers_and_instances_apart() {
        let mut names: Vec<String> = Vec::new();
        for tag in ["00000000", "00000001"] {
            names.extend((0..500).map(|number| link_name(tag, &format!("web-{number}"))));
        }
        assert!(names.iter().all(|name| name.len() == 15 && name.starts_with("dv")));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 1000);
    }
}
