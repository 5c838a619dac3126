//! The network as its users hold it.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use rtnetlink::{LinkBridge, LinkVeth};

use crate::instance::{self, Bridge, PREFIX};
use crate::link::Netlink;
use crate::{Cidr, Error, Settings, bridge, table};

/// An open network: the bridge is there and instances can be joined to it.
#[derive(Debug)]
pub struct Network {
    tag: String,
    bridge: Bridge,
    netlink: Netlink,
    warnings: Vec<String>,
}

impl Network {
    /// Whether this process can make bridges and namespaces, tried for real in a namespace that
    /// is gone afterwards. The error's text says why not; then `network host` is what is left.
    pub async fn usable() -> Result<(), Error> {
        let host = Netlink::open()?;
        // The kernel asks for the privilege before it looks for the link.
        host.delete("dp-none").await?;
        let space = instance::namespace().await?;
        space.netlink.add("make a bridge", LinkBridge::new("probe0").build()).await?;
        space.netlink.add("make a veth pair", LinkVeth::new("probe1", "probe2").build()).await
    }

    /// Makes the bridge, its address and the table, or finds them as an earlier run left them;
    /// what cannot be had but is not needed becomes a warning. Nothing new is left when it fails.
    ///
    /// Errors: no privilege, no kernel support, addresses in use by another link.
    pub async fn open(settings: Settings) -> Result<Network, Error> {
        let Settings { tag, table, host_ports, .. } = &settings;
        if !bridge::is_tag(tag) {
            return Err(Error::Tag(tag.clone()));
        }
        let netlink = Netlink::open()?;
        let bridge::Ensured { bridge, warning } = bridge::ensure(&netlink, &settings).await?;
        let mut warnings: Vec<String> = warning.into_iter().collect();
        if *table {
            warnings.extend(table::write(tag, bridge.cidr, host_ports).await);
        }
        Ok(Network { tag: settings.tag, bridge, netlink, warnings })
    }

    /// The addresses in use, for [`crate::Pool::new`].
    pub fn cidr(&self) -> Cidr {
        self.bridge.cidr
    }

    /// The host's address on the bridge: an instance's default route and name server.
    pub fn gateway(&self) -> Ipv4Addr {
        self.bridge.cidr.gateway()
    }

    /// The bridge's name, `dp<tag>`.
    pub fn bridge(&self) -> String {
        bridge::name(&self.tag)
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
        let cidr = self.bridge.cidr;
        let number = address.to_bits();
        if number < cidr.first() || number > cidr.last() {
            return Err(Error::Outside { address, cidr });
        }
        let name = instance::link_name(&self.tag, id);
        instance::join(&self.netlink, &self.bridge, &name, address).await
    }

    /// Takes the instance's link away; one that is gone already is fine. The kernel needs 15 to
    /// 35 ms for it, so do not make anybody wait.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        self.netlink.delete(&instance::link_name(&self.tag, id)).await.map(drop)
    }

    /// Removes every link on our bridge that no id in `keep` owns; answers their names.
    pub async fn sweep(&self, keep: &[String]) -> Result<Vec<String>, Error> {
        let kept: HashSet<String> =
            keep.iter().map(|id| instance::link_name(&self.tag, id)).collect();
        let mut gone = Vec::new();
        for link in self.netlink.links().await? {
            let ours = link.controller == Some(self.bridge.index) && link.name.starts_with(PREFIX);
            if ours && !kept.contains(&link.name) && self.netlink.delete(&link.name).await? {
                gone.push(link.name);
            }
        }
        Ok(gone)
    }

    /// Takes everything away: all instances' links, the bridge, the table; and forwarding, when
    /// it was off before and no other server needs it.
    pub async fn close(self) -> Result<(), Error> {
        self.sweep(&[]).await?;
        self.netlink.delete(&self.bridge()).await?;
        if let Err(why) = table::remove(&self.tag, &self.netlink).await {
            // Most often there is no nft, and then there was never a table.
            tracing::debug!("table deploy_{}: {why}", self.tag);
        }
        Ok(())
    }
}
