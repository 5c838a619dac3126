//! The one nft table: written once when the network opens, replaced as a whole.
//!
//! Another firewall on the machine has its own say: a packet passes only where every table lets
//! it pass, so a `forward` policy of `drop` (Docker sets one) keeps instances from the world
//! whatever stands here.
//!
//! Forwarding is one switch for the whole machine. Where it was off, the table gets the chain
//! [`GUARD`], so that switching it on for instances does not make the machine a router between
//! its other links. Whether we were the ones is read back from that chain, for as long as it runs.

use std::fmt::Write as _;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::link::Netlink;
use crate::{Cidr, bridge};

/// The longest we wait for `nft`; it needs 17 to 25 ms.
const NFT_MS_MAX: u64 = 5_000;
/// Where it is looked for: services often have no sbin in their PATH.
const NFT_PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// The chain that drops what neither comes from nor goes to an instance. IPv4 alone: the switch
/// is for that alone, and forwarding IPv6 is none of ours.
const GUARD: &str = "guard";

/// Writes the table and lets the kernel forward; what failed or what it means for the rest of the
/// machine, as a warning.
pub(crate) async fn write(tag: &str, cidr: Cidr, host_ports: &[u16]) -> Option<String> {
    match written(tag, cidr, host_ports).await {
        Ok(false) => None,
        Ok(true) => Some(format!(
            "packet forwarding was off here and is on for instances alone; \
             to forward all else too: nft delete chain inet deploy_{tag} {GUARD}"
        )),
        Err(why) => Some(format!("instances cannot reach beyond this machine: {why}")),
    }
}

/// The same; whether the guard is there.
async fn written(tag: &str, cidr: Cidr, host_ports: &[u16]) -> Result<bool, String> {
    let on = forwards()?;
    // Another server that has switched it on may go before us, and its guard with it.
    let guarded = !on || !guarded().await?.is_empty();
    // The guard before the switch: in between the machine would be a router.
    nft(&text(tag, cidr, host_ports, guarded)).await?;
    if !on {
        forward(true)?;
    }
    Ok(guarded)
}

/// Takes the table away; one that is not there is fine. The bridge must be gone already. With the
/// last guard forwarding ends, since nobody but instances could use it.
pub(crate) async fn remove(tag: &str, net: &Netlink) -> Result<(), String> {
    if guarded().await?.iter().any(|name| name == tag) && !any_bridge(net).await? {
        forward(false)?;
        // A server that came meanwhile may have seen it on.
        if any_bridge(net).await? {
            forward(true)?;
        }
    }
    // Added first, since deleting what is not there is an error and nft 1.0.6 has no `destroy`.
    let script = format!("add table inet deploy_{tag}\ndelete table inet deploy_{tag}\n");
    nft(&script).await.map(drop)
}

/// The tags of all servers whose tables have the guard.
async fn guarded() -> Result<Vec<String>, String> {
    let listed = nft("list chains inet\n").await?;
    let (mut table, mut found) = ("", Vec::new());
    for line in listed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["table", "inet", name, ..] => table = name.strip_prefix("deploy_").unwrap_or(""),
            ["chain", GUARD, ..] if !table.is_empty() => found.push(table.to_owned()),
            _ => {}
        }
    }
    Ok(found)
}

async fn any_bridge(net: &Netlink) -> Result<bool, String> {
    let links = net.links().await.map_err(|error| error.to_string())?;
    Ok(links.iter().any(|link| bridge::is_one(&link.name)))
}

/// The table's text.
fn text(tag: &str, cidr: Cidr, host_ports: &[u16], guarded: bool) -> String {
    let (table, link) = (format!("inet deploy_{tag}"), bridge::name(tag));
    let guard = if guarded { guard() } else { String::new() };
    let mut ports = String::new();
    for port in host_ports {
        let comma = if ports.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(ports, "{comma}{port}");
    }
    let host = if ports.is_empty() {
        String::new()
    } else {
        format!("tcp dport {{ {ports} }} accept\n    udp dport {{ {ports} }} accept")
    };
    format!(
        r#"add table {table}
delete table {table}
table {table} {{
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname != "{link}" accept
    ip daddr 169.254.0.0/16 drop
    ct state established,related accept
    icmp type echo-request accept
    {host}
    drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{link}" oifname "{link}" accept
    iifname "{link}" ip daddr 169.254.0.0/16 drop
    iifname "{link}" ip saddr != {cidr} drop
    oifname "{link}" ct state established,related accept
    oifname "{link}" drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {cidr} ip daddr != {cidr} oifname != "{link}" masquerade
  }}
{guard}}}
"#
    )
}

/// Every server's bridge is let pass: what may go there its own table says.
fn guard() -> String {
    let ours = bridge::name("*");
    format!(
        r#"  chain {GUARD} {{
    type filter hook forward priority filter; policy accept;
    iifname "{ours}" accept
    oifname "{ours}" accept
    meta nfproto ipv4 drop
  }}
"#
    )
}

/// Whether the kernel forwards.
fn forwards() -> Result<bool, String> {
    let text = std::fs::read_to_string(IP_FORWARD).map_err(|why| format!("{IP_FORWARD}: {why}"))?;
    Ok(text.trim() == "1")
}

fn forward(on: bool) -> Result<(), String> {
    let written = std::fs::write(IP_FORWARD, if on { "1" } else { "0" });
    written.map_err(|why| format!("{IP_FORWARD}: {why}"))
}

/// Runs a script; what it prints.
async fn nft(script: &str) -> Result<String, String> {
    for program in NFT_PROGRAMS {
        let limit = Duration::from_millis(NFT_MS_MAX);
        match tokio::time::timeout(limit, run(program, script)).await {
            Err(_) => return Err(format!("{program} did not end within {NFT_MS_MAX} ms")),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(Err(error)) => return Err(format!("{program}: {error}")),
            Ok(Ok(output)) if output.status.success() => {
                return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
            }
            Ok(Ok(output)) => {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(format!("{program}: {}", said.lines().next().unwrap_or("failed")));
            }
        }
    }
    Err("nft is not installed".to_owned())
}

async fn run(program: &str, script: &str) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.args(["-f", "-"]).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).await?;
    }
    child.wait_with_output().await
}
