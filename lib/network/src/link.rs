//! One netlink connection and the few requests we make of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage, State};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage};
use rtnetlink::proto::Connection;
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};
use tokio::task::AbortHandle;

use crate::Error;

/// Routing table of the kernel's own addresses (rtnetlink(7)): not somebody's choice.
const TABLE_LOCAL: u8 = 255;

/// The first wait for a link to carry packets; each is twice as long, up to 255 ms in all.
const CARRY_WAIT_MS: u64 = 1;
const CARRY_WAIT_MS_MAX: u64 = 256;

/// A connection to the kernel, speaking of the network namespace it was opened in.
#[derive(Clone, Debug)]
pub(crate) struct Netlink {
    handle: Handle,
    _driver: Arc<Driver>,
}

#[derive(Debug)]
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A link as the kernel lists it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mtu: u32,
    /// The bridge it is a port of.
    pub(crate) controller: Option<u32>,
    /// Whether it carries packets (RFC 2863 operational state).
    pub(crate) carries: bool,
}

/// Addresses that are spoken for.
#[derive(Clone, Debug)]
pub(crate) struct Use {
    pub(crate) address: Ipv4Addr,
    pub(crate) bits: u8,
    /// The link's index; 0 for a route without one.
    pub(crate) link: u32,
}

impl Netlink {
    /// Connects to the namespace of the calling thread. Must be called within a runtime, which
    /// then drives the connection.
    pub(crate) fn open() -> Result<Netlink, Error> {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|why| Error::Io { what: "netlink socket".to_owned(), why })?;
        Ok(Netlink::driven(connection, handle))
    }

    fn driven(connection: Connection<RouteNetlinkMessage>, handle: Handle) -> Netlink {
        let driver = tokio::spawn(connection).abort_handle();
        Netlink { handle, _driver: Arc::new(Driver(driver)) }
    }

    /// Makes a link.
    pub(crate) async fn add(&self, what: &str, message: LinkMessage) -> Result<(), Error> {
        self.handle.link().add(message).execute().await.map_err(|e| refused(what, e))
    }

    /// Changes a link.
    pub(crate) async fn change(&self, what: &str, message: LinkMessage) -> Result<(), Error> {
        self.handle.link().change(message).execute().await.map_err(|e| refused(what, e))
    }

    /// Deletes a link by its name; false when there is none.
    pub(crate) async fn delete(&self, name: &str) -> Result<bool, Error> {
        let message = LinkUnspec::new_with_name(name).build();
        match self.handle.link().del_with_message(message).execute().await {
            Ok(()) => Ok(true),
            Err(error) if absent(&error) => Ok(false),
            Err(error) => Err(refused(&format!("delete link {name}"), error)),
        }
    }

    /// All links.
    pub(crate) async fn links(&self) -> Result<Vec<Link>, Error> {
        let links = self.handle.link().get().execute().map_ok(Link::from);
        links.try_collect().await.map_err(|e| refused("list links", e))
    }

    /// The link of this name.
    pub(crate) async fn link(&self, name: &str) -> Result<Option<Link>, Error> {
        let mut found =
            std::pin::pin!(self.handle.link().get().match_name(name.to_owned()).execute());
        match found.try_next().await {
            Ok(message) => Ok(message.map(Link::from)),
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(refused(&format!("find link {name}"), error)),
        }
    }

    /// Waits until a link carries packets. A link that was just brought up drops them until the
    /// kernel's link watch has run; on Linux 6.8 and later asking makes it run, before that it
    /// takes a moment. One that does not come up in time is left to itself.
    pub(crate) async fn carrying(&self, name: &str) -> Result<(), Error> {
        let mut wait_ms = CARRY_WAIT_MS;
        while wait_ms < CARRY_WAIT_MS_MAX {
            if self.link(name).await?.is_some_and(|link| link.carries) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            wait_ms *= 2;
        }
        tracing::warn!("link {name} does not carry packets yet");
        Ok(())
    }

    /// Puts an address on a link; one that is there already is fine.
    pub(crate) async fn address(&self, link: u32, at: Ipv4Addr, bits: u8) -> Result<(), Error> {
        let added = self.handle.address().add(link, IpAddr::V4(at), bits).replace();
        added.execute().await.map_err(|e| refused(&format!("add address {at}"), e))
    }

    /// Takes every IPv4 address but `keep` off a link.
    pub(crate) async fn only_address(&self, link: u32, keep: Option<Use>) -> Result<(), Error> {
        for message in self.address_messages().await? {
            let Some(held) = held(&message) else { continue };
            let kept =
                keep.as_ref().is_some_and(|k| k.address == held.address && k.bits == held.bits);
            if held.link == link && !kept {
                let deleted = self.handle.address().del(message).execute().await;
                deleted.map_err(|e| refused(&format!("delete address {}", held.address), e))?;
            }
        }
        Ok(())
    }

    /// The IPv4 addresses of all links.
    pub(crate) async fn addresses(&self) -> Result<Vec<Use>, Error> {
        Ok(self.address_messages().await?.iter().filter_map(held).collect())
    }

    async fn address_messages(&self) -> Result<Vec<AddressMessage>, Error> {
        let messages = self.handle.address().get().execute();
        messages.try_collect().await.map_err(|e| refused("list addresses", e))
    }

    /// The IPv4 routes, default routes (0 bits) among them.
    pub(crate) async fn routes(&self) -> Result<Vec<Use>, Error> {
        let all = RouteMessageBuilder::<Ipv4Addr>::new().table_id(0).build();
        let messages = self.handle.route().get(all).execute();
        let messages: Vec<RouteMessage> =
            messages.try_collect().await.map_err(|e| refused("list routes", e))?;
        Ok(messages.iter().filter(|m| m.header.table != TABLE_LOCAL).filter_map(routed).collect())
    }

    /// Sets the default route.
    pub(crate) async fn default_route(&self, gateway: Ipv4Addr) -> Result<(), Error> {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).build();
        let added = self.handle.route().add(route).execute().await;
        added.map_err(|e| refused(&format!("default route by {gateway}"), e))
    }
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Link {
        let index = message.header.index;
        let mut link =
            Link { index, name: String::new(), mtu: 0, controller: None, carries: false };
        for attribute in message.attributes {
            if let LinkAttribute::IfName(name) = attribute {
                link.name = name;
            } else if let LinkAttribute::Mtu(mtu) = attribute {
                link.mtu = mtu;
            } else if let LinkAttribute::Controller(index) = attribute {
                link.controller = Some(index);
            } else if let LinkAttribute::OperState(state) = attribute {
                link.carries = state == State::Up;
            }
        }
        link
    }
}

fn held(message: &AddressMessage) -> Option<Use> {
    let (bits, link) = (message.header.prefix_len, message.header.index);
    message.attributes.iter().find_map(|attribute| {
        let AddressAttribute::Local(IpAddr::V4(address)) = attribute else { return None };
        Some(Use { address: *address, bits, link })
    })
}

fn routed(message: &RouteMessage) -> Option<Use> {
    use rtnetlink::packet_route::AddressFamily::Inet;
    use rtnetlink::packet_route::route::RouteAddress;
    let RouteHeader { address_family, destination_prefix_length: bits, .. } = message.header;
    let mut found = Use { address: Ipv4Addr::UNSPECIFIED, bits, link: 0 };
    for attribute in &message.attributes {
        if let RouteAttribute::Destination(RouteAddress::Inet(address)) = attribute {
            found.address = *address;
        } else if let RouteAttribute::Oif(link) = attribute {
            found.link = *link;
        }
    }
    (address_family == Inet).then_some(found)
}

/// Whether the kernel said that there is no such link.
fn absent(error: &rtnetlink::Error) -> bool {
    let rtnetlink::Error::NetlinkError(message) = error else { return false };
    message.to_io().raw_os_error() == Some(nix::libc::ENODEV)
}

fn refused(what: &str, error: rtnetlink::Error) -> Error {
    let why = if let rtnetlink::Error::NetlinkError(message) = error {
        message.to_io()
    } else {
        io::Error::other(error)
    };
    Error::from_kernel(what, why)
}
