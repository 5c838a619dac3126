//! The one nft table: written once when the network opens, replaced as a whole.
//!
//! Another firewall on the machine has its own say: a packet passes only where every table lets
//! it pass, so a `forward` policy of `drop` (Docker sets one) keeps instances from the world
//! whatever stands here.

use std::fmt::Write as _;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::Cidr;
use crate::bridge;

/// The longest we wait for `nft`; it needs 17 to 25 ms.
const NFT_MS_MAX: u64 = 5_000;
/// Where it is looked for: services often have no sbin in their PATH.
const NFT_PROGRAMS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];
const IP_FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Writes the table and lets the kernel forward; what failed, and what it means, as a warning.
pub(crate) async fn write(tag: &str, cidr: Cidr, host_ports: &[u16]) -> Option<String> {
    let failed = match nft(&text(tag, cidr, host_ports)).await {
        Ok(()) => forward().err(),
        Err(why) => Some(why),
    };
    failed.map(|why| format!("instances cannot reach beyond this machine: {why}"))
}

/// Takes the table away; one that is not there is fine.
pub(crate) async fn remove(tag: &str) -> Result<(), String> {
    // Added first, since deleting what is not there is an error and nft 1.0.6 has no `destroy`.
    nft(&format!("add table inet deploy_{tag}\ndelete table inet deploy_{tag}\n")).await
}

/// The table's text.
fn text(tag: &str, cidr: Cidr, host_ports: &[u16]) -> String {
    let (table, link) = (format!("inet deploy_{tag}"), bridge::name(tag));
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
}}
"#
    )
}

/// Forwarding is the whole machine's switch; our table lets nothing new in through it.
fn forward() -> Result<(), String> {
    let wrong = |why: io::Error| format!("{IP_FORWARD}: {why}");
    if std::fs::read_to_string(IP_FORWARD).map_err(wrong)?.trim() == "1" {
        return Ok(());
    }
    std::fs::write(IP_FORWARD, "1").map_err(wrong)
}

async fn nft(script: &str) -> Result<(), String> {
    for program in NFT_PROGRAMS {
        let limit = Duration::from_millis(NFT_MS_MAX);
        match tokio::time::timeout(limit, run(program, script)).await {
            Err(_) => return Err(format!("{program} did not end within {NFT_MS_MAX} ms")),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(Err(error)) => return Err(format!("{program}: {error}")),
            Ok(Ok(output)) if output.status.success() => return Ok(()),
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
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).await?;
    }
    child.wait_with_output().await
}
