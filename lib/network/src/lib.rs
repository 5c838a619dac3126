//! The network of one machine's instances: one bridge, a network namespace and a veth pair an
//! instance, addresses from a pool, and one static nft table for the way out.
//!
//! ```text
//! instance eth0 ── dv… ┐
//! instance eth0 ── dv… ┼─ bridge dp<tag> (gateway, DNS) ── nft table deploy_<tag> ── the world
//! ```
//!
//! Instances of one server reach each other and the world; nobody outside reaches an instance
//! but this host. Of the host an instance reaches the DNS ports and what [`Settings`] adds.
//!
//! Never: forks (the one program it starts is `nft`), keeps a file or a pin (everything is read
//! back from the kernel), maps ports, knows what an instance runs.

mod bridge;
mod cidr;
mod error;
mod instance;
mod link;
mod pool;
mod ports;
mod table;

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

pub use cidr::Cidr;
pub use error::Error;
pub use pool::Pool;
pub use ports::Ports;

/// What a server wants of its network.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Eight lower-case hex digits that tell this server from others on the machine; they name
    /// the bridge and the table.
    pub tag: String,
    /// The addresses to use, its first the gateway. `None`: what the bridge has when it is there
    /// already, else the first free /16 of 10.89 to 10.99, looked for from 10.89 and then from a
    /// place the tag decides, so that two servers starting together part at once.
    pub cidr: Option<Cidr>,
    /// Bytes of the largest packet; `None`: that of the link the default route uses, else 1500.
    pub mtu: Option<u32>,
    /// Whether to keep the nft table; without it instances have no way out of the machine.
    pub table: bool,
    /// Ports of this host, TCP and UDP, that instances may reach at the gateway.
    pub host_ports: Vec<u16>,
}

impl Settings {
    /// The usual settings for `tag`: default addresses, the uplink's MTU, the table, DNS ports.
    pub fn new(tag: impl Into<String>) -> Settings {
        let host_ports = vec![53, 5353];
        Settings { tag: tag.into(), cidr: None, mtu: None, table: true, host_ports }
    }
}

/// An open network: the bridge is there and instances can be joined to it.
#[derive(Debug)]
pub struct Network {
    tag: String,
    cidr: Cidr,
    warnings: Vec<String>,
}

impl Network {
    /// Whether this process can make bridges and namespaces, tried for real in a namespace that
    /// is gone afterwards. The error's text says why not; then `network host` is what is left.
    pub async fn usable() -> Result<(), Error> {
        todo!()
    }

    /// Makes the bridge, its address and the table, or finds them as an earlier run left them;
    /// what cannot be had but is not needed becomes a warning.
    ///
    /// Errors: no privilege, no kernel support, addresses in use by another link.
    pub async fn open(settings: Settings) -> Result<Network, Error> {
        todo!("{settings:?}")
    }

    /// The addresses in use, for [`Pool::new`].
    pub fn cidr(&self) -> Cidr {
        self.cidr
    }

    /// The host's address on the bridge: an instance's default route and name server.
    pub fn gateway(&self) -> Ipv4Addr {
        self.cidr.gateway()
    }

    /// The bridge's name, `dp<tag>`.
    pub fn bridge(&self) -> String {
        format!("dp{}", self.tag)
    }

    /// What could not be had, a line each, for the node's status.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Makes a network namespace for instance `id` with `lo` and `eth0` up, `address` on `eth0`
    /// and the default route through the bridge. Nothing pins it: it lives as long as the
    /// descriptor or a process in it, and the kernel takes the veth pair away with it.
    /// A half-made one of the same id is replaced.
    pub async fn create(&self, id: &str, address: Ipv4Addr) -> Result<OwnedFd, Error> {
        todo!("{id} {address}")
    }

    /// Takes the instance's link away; one that is gone already is fine. The kernel needs 15 to
    /// 35 ms for it, so do not make anybody wait.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        todo!("{id}")
    }

    /// Removes every link on our bridge that no id in `keep` owns; answers their names.
    pub async fn sweep(&self, keep: &[String]) -> Result<Vec<String>, Error> {
        todo!("{keep:?}")
    }

    /// Takes everything away: all instances' links, the bridge, the table. `ip_forward` stays as
    /// it is, since others may rely on it by now.
    pub async fn close(self) -> Result<(), Error> {
        todo!()
    }
}
