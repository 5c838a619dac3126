//! The bridge: made once, found again, never on addresses somebody else uses.

use std::io;
use std::net::Ipv4Addr;

use rtnetlink::{LinkBridge, LinkUnspec};

use crate::instance::Bridge;
use crate::link::{Link, Netlink, Use};
use crate::{Cidr, Error, Settings};

/// The ranges tried when none is asked for: 10.89.0.0/16 to 10.99.0.0/16.
const DEFAULT_NET: u8 = 10;
const DEFAULT_FIRST: u8 = 89;
const DEFAULT_OTHERS: u8 = 10;
const DEFAULT_BITS: u8 = 16;
/// Bytes of a tag.
const TAG_BYTES: usize = 8;
/// Ethernet's, when there is no default route to follow.
const MTU_USUAL: u32 = 1500;

/// What came of [`ensure`].
pub(crate) struct Ensured {
    pub(crate) bridge: Bridge,
    pub(crate) warning: Option<String>,
}

/// Makes the bridge or finds it, with its address and MTU, and brings it up. One that was made
/// for nothing is taken away again.
pub(crate) async fn ensure(net: &Netlink, settings: &Settings) -> Result<Ensured, Error> {
    let name = name(&settings.tag);
    let new = made(net, &name, &settings.tag).await?;
    let ensured = ready(net, settings, name.clone()).await;
    if new
        && ensured.is_err()
        && let Err(error) = net.delete(&name).await
    {
        tracing::warn!("{name} is left: {error}");
    }
    ensured
}

async fn ready(net: &Netlink, settings: &Settings, name: String) -> Result<Ensured, Error> {
    let lost = || Error::Io { what: name.clone(), why: io::ErrorKind::NotFound.into() };
    let index = net.link(&name).await?.ok_or_else(lost)?.index;
    let mtu = match settings.mtu {
        Some(mtu) => mtu,
        None => uplink_mtu(net).await?,
    };
    quiet_ipv6(&name);
    let what = format!("bring up {name}");
    net.change(&what, LinkUnspec::new_with_index(index).mtu(mtu).up().build()).await?;
    let had = net.addresses().await?.into_iter().find(|held| held.link == index);
    let had = had.and_then(|held| Cidr::new(held.address, held.bits).ok());
    let (cidr, warning) = match (settings.cidr, had) {
        (None, Some(had)) => (had, None),
        (Some(asked), Some(had)) if asked == had => (had, None),
        (Some(asked), Some(had)) if has_ports(net, index).await? => {
            let text = format!("addresses {had} stay until no instance runs; {asked} comes then");
            (had, Some(text))
        }
        (Some(asked), _) => {
            clash(net, index, asked).await?.map_or(Ok(()), Err)?;
            (asked, None)
        }
        (None, None) => (free_default(net, index, &settings.tag).await?, None),
    };
    net.address(index, cidr.gateway(), cidr.bits()).await?;
    let keep = Use { address: cidr.gateway(), bits: cidr.bits(), link: index };
    net.only_address(index, Some(keep)).await?;
    Ok(Ensured { bridge: Bridge { name, index, cidr, mtu }, warning })
}

/// `dp<tag>`.
pub(crate) fn name(tag: &str) -> String {
    format!("dp{tag}")
}

/// Whether `name` is a server's bridge by the look of it.
pub(crate) fn is_one(name: &str) -> bool {
    name.strip_prefix("dp").is_some_and(is_tag)
}

/// Whether `text` can be a tag: eight lower-case hex digits.
pub(crate) fn is_tag(text: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == TAG_BYTES && text.bytes().all(hex)
}

/// Makes the bridge; false when it is there already.
async fn made(net: &Netlink, name: &str, tag: &str) -> Result<bool, Error> {
    if net.link(name).await?.is_some() {
        return Ok(false);
    }
    let what = format!("make the bridge {name}");
    // Its own hardware address: else it takes that of the lowest port, and every instance that
    // comes or goes would make the others' ARP entries for the gateway wrong.
    let [a, b, c, d] = u32::from_str_radix(tag, 16).unwrap_or(0).to_be_bytes();
    let message = LinkBridge::new(name).address(vec![0x0a, 0x59, a, b, c, d]).build();
    match net.add(&what, message).await {
        Err(error) if error.exists() => Ok(false),
        other => other.map(|()| true),
    }
}

/// No IPv6 on the bridge: a link-local address would let instances reach every program of the
/// host that listens on `[::]`, and the host would believe their router advertisements. Best
/// effort: without IPv6 in the kernel there is no such file.
fn quiet_ipv6(name: &str) {
    let path = format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6");
    if let Err(error) = std::fs::write(&path, "1") {
        tracing::debug!("{path}: {error}");
    }
}

async fn has_ports(net: &Netlink, index: u32) -> Result<bool, Error> {
    Ok(net.links().await?.iter().any(|link| link.controller == Some(index)))
}

/// The MTU of the link the default route uses.
async fn uplink_mtu(net: &Netlink) -> Result<u32, Error> {
    let routes = net.routes().await?;
    let Some(uplink) = routes.iter().find(|route| route.bits == 0 && route.link != 0) else {
        return Ok(MTU_USUAL);
    };
    let links = net.links().await?;
    Ok(links.iter().find(|link| link.index == uplink.link).map_or(MTU_USUAL, |link| link.mtu))
}

/// Who else uses an address of `cidr`, as the error to give. Default routes do not count, nor
/// does what is on our own bridge.
async fn clash(net: &Netlink, own: u32, cidr: Cidr) -> Result<Option<Error>, Error> {
    let mut uses = net.routes().await?;
    uses.extend(net.addresses().await?);
    let links = net.links().await?;
    let other = |used: &&Use| used.bits > 0 && used.link != own;
    let found = uses.iter().filter(other).find(|used| cidr.overlaps(used.address, used.bits));
    Ok(found.map(|used| overlap(cidr, used, &links)))
}

fn overlap(ours: Cidr, used: &Use, links: &[Link]) -> Error {
    let link = links.iter().find(|link| link.index == used.link);
    let link = link.map_or_else(|| "a route".to_owned(), |link| link.name.clone());
    Error::Overlap { ours, theirs: format!("{}/{}", used.address, used.bits), link }
}

/// Takes the first free default range. Two servers may look at the same moment, so whoever sees
/// another one after having set its own gives way: the later of the two always sees it.
async fn free_default(net: &Netlink, index: u32, tag: &str) -> Result<Cidr, Error> {
    let mut last = None;
    for cidr in defaults(tag)? {
        if let Some(error) = clash(net, index, cidr).await? {
            last = Some(error);
            continue;
        }
        net.address(index, cidr.gateway(), cidr.bits()).await?;
        match clash(net, index, cidr).await? {
            None => return Ok(cidr),
            Some(error) => {
                net.only_address(index, None).await?;
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| Error::Tag(tag.to_owned())))
}

/// 10.89 for the usual single server, then the other ten from a place the tag decides, so that
/// servers that start together do not chase each other from one to the next.
fn defaults(tag: &str) -> Result<Vec<Cidr>, Error> {
    let bad = || Error::Tag(tag.to_owned());
    let number = u32::from_str_radix(tag, 16).map_err(|_| bad())?;
    let turn = u8::try_from(number % u32::from(DEFAULT_OTHERS)).map_err(|_| bad())?;
    let others = (0..DEFAULT_OTHERS).map(|n| DEFAULT_FIRST + 1 + (n + turn) % DEFAULT_OTHERS);
    let seconds = std::iter::once(DEFAULT_FIRST).chain(others);
    seconds.map(|b| Cidr::new(Ipv4Addr::new(DEFAULT_NET, b, 0, 0), DEFAULT_BITS)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: &str, first: &[&str]) {
        let all: Vec<String> = defaults(tag).unwrap().iter().map(Cidr::to_string).collect();
        assert_eq!(all[..first.len()], *first, "{tag}");
        let mut sorted = all.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), 11, "{all:?}");
    }

    #[test]
    fn the_default_ranges_begin_with_10_89_and_go_on_where_the_tag_says() {
        check("00000000", &["10.89.0.0/16", "10.90.0.0/16", "10.91.0.0/16"]);
        check("00000009", &["10.89.0.0/16", "10.99.0.0/16", "10.90.0.0/16"]);
        check("0000000d", &["10.89.0.0/16", "10.93.0.0/16", "10.94.0.0/16"]);
    }
}
