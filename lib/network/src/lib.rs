//! The network of one machine's instances: one bridge, a network namespace and a veth pair an
//! instance, addresses from a pool, and one static nft table for the way out.
//!
//! ```text
//! instance eth0 ── dv… ┐
//! instance eth0 ── dv… ┼─ bridge dp<tag> (gateway, DNS) ── nft table deploy_<tag> ── the world
//! ```
//!
//! Instances of one server reach each other and the world; nobody outside reaches an instance
//! but this host. Of the host an instance reaches ping and the ports in [`Settings`], no more.
//!
//! Never: forks (the one program it starts is `nft`), keeps a file or a pin (everything is read
//! back from the kernel), maps ports, knows what an instance runs.

mod bridge;
mod cidr;
mod error;
mod instance;
mod link;
mod network;
mod pool;
mod ports;
mod ring;
mod table;

pub use cidr::Cidr;
pub use error::Error;
pub use network::Network;
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
    /// Ports of this host, TCP and UDP, that instances may reach, at whatever address of it.
    pub host_ports: Vec<u16>,
}

impl Settings {
    /// The usual settings for `tag`: default addresses, the uplink's MTU, the table, and the host
    /// ports of DNS and of the web (an instance may call a public name that this host serves).
    pub fn new(tag: impl Into<String>) -> Settings {
        let host_ports = vec![53, 80, 443, 5353];
        Settings { tag: tag.into(), cidr: None, mtu: None, table: true, host_ports }
    }
}
