//! The place of an instance in the network: an address and a namespace on the node's bridge, or,
//! where that is not wanted or not possible, a port on the machine's own addresses.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use network::{Cidr, Network, Pool, Ports, Settings};
use tokio::sync::RwLock;

use crate::error::Result;
use crate::id::Id;
use crate::spec::{Health, Spec, Wanted};

/// Name server lists of this machine, the first that helps is used: systemd's own has the real
/// servers where `/etc/resolv.conf` has only its stub.
const RESOLV: [&str; 2] = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"];
/// Name servers the C library looks at (resolv.conf(5), MAXNS).
const SERVERS_MAX: usize = 3;

/// The network of this node.
#[derive(Debug)]
pub(crate) struct Net {
    bridge: Option<Bridge>,
    ports: Mutex<Ports>,
    warnings: Vec<String>,
}

#[derive(Debug)]
struct Bridge {
    /// None after it was closed.
    network: RwLock<Option<Network>>,
    pool: Mutex<Pool>,
    cidr: Cidr,
}

/// What an instance has of the network; dropping it gives address and port back.
#[derive(Debug)]
pub(crate) struct Lease {
    net: Arc<Net>,
    address: Option<Ipv4Addr>,
    port: Option<u16>,
}

/// Everything of the network that an instance starts with.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its address or port.
    pub(crate) lease: Lease,
    /// Its namespace; none: the machine's.
    pub(crate) netns: Option<OwnedFd>,
    /// The spec with the port the program must listen on and be probed at.
    pub(crate) spec: Spec,
    /// What it did not get.
    pub(crate) warnings: Vec<String>,
}

impl Net {
    /// Opens the bridge; where that is not possible everything runs in the machine's network.
    pub(crate) async fn open(tag: &str, cidr: Option<Cidr>) -> Arc<Net> {
        let settings = Settings { cidr, ..Settings::new(tag) };
        match Network::open(settings).await {
            Ok(network) => {
                let (cidr, warnings) = (network.cidr(), network.warnings().to_vec());
                let pool = Mutex::new(Pool::new(cidr));
                let bridge = Bridge { network: RwLock::new(Some(network)), pool, cidr };
                Net::new(tag, Some(bridge), warnings)
            }
            Err(error) => {
                let warning = format!("instances share the machine's network: {error}");
                Net::new(tag, None, vec![warning])
            }
        }
    }

    fn new(tag: &str, bridge: Option<Bridge>, warnings: Vec<String>) -> Arc<Net> {
        let ports = Mutex::new(Ports::new(Ports::USUAL).starting_at(tag));
        Arc::new(Net { bridge, ports, warnings })
    }

    /// What could not be had.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The bridge's address, when there is a bridge.
    pub(crate) fn gateway(&self) -> Option<Ipv4Addr> {
        self.bridge.as_ref().map(|bridge| bridge.cidr.gateway())
    }

    /// Makes the place of an instance.
    pub(crate) async fn place(self: &Arc<Net>, id: &Id, spec: &Spec) -> Result<Place> {
        let mut lease = Lease { net: self.clone(), address: None, port: None };
        let mut spec = spec.clone();
        if let (Wanted::Bridge, Some(bridge)) = (spec.network, &self.bridge) {
            let address = lock(&bridge.pool).take()?;
            lease.address = Some(address);
            let network = bridge.network.read().await;
            let netns = match network.as_ref() {
                Some(network) => Some(network.create(id.as_str(), address).await?),
                None => None,
            };
            return Ok(Place { lease, netns, spec, warnings: Vec::new() });
        }
        let port = lock(&self.ports).take()?;
        lease.port = Some(port);
        let warnings = match spec.network {
            Wanted::Bridge => {
                vec![format!("no network of its own: listens on port {port} of the machine")]
            }
            Wanted::Host => Vec::new(),
        };
        move_port(&mut spec, port);
        Ok(Place { lease, netns: None, spec, warnings })
    }

    /// The place of an instance that has it from an earlier node.
    pub(crate) fn adopt(self: &Arc<Net>, address: Option<Ipv4Addr>, port: Option<u16>) -> Lease {
        let claimed = |address: &Ipv4Addr| {
            self.bridge.as_ref().is_some_and(|bridge| lock(&bridge.pool).claim(*address))
        };
        // On the bridge the port is the program's own; only the machine's are ours to lend.
        let port = port.filter(|port| address.is_none() && lock(&self.ports).claim(*port));
        Lease { net: self.clone(), address: address.filter(claimed), port }
    }

    /// Takes the instance's link away when the kernel has not done so yet.
    pub(crate) async fn leave(&self, id: &Id) {
        let Some(bridge) = &self.bridge else { return };
        if let Some(network) = bridge.network.read().await.as_ref()
            && let Err(error) = network.delete(id.as_str()).await
        {
            tracing::warn!("link of {id}: {error}");
        }
    }

    /// Removes the links that none of `keep` owns.
    pub(crate) async fn sweep(&self, keep: &[String]) {
        let Some(bridge) = &self.bridge else { return };
        let network = bridge.network.read().await;
        let Some(network) = network.as_ref() else { return };
        match network.sweep(keep).await {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => tracing::info!("removed links nobody owns: {}", gone.join(" ")),
            Err(error) => tracing::warn!("sweep of links: {error}"),
        }
    }

    /// Takes the bridge and the table away.
    pub(crate) async fn close(&self) -> Result<()> {
        let Some(bridge) = &self.bridge else { return Ok(()) };
        match bridge.network.write().await.take() {
            Some(network) => Ok(network.close().await?),
            None => Ok(()),
        }
    }

    /// The text of the instance's `/etc/resolv.conf`: `names` alone, which knows the services and
    /// asks others about the rest; where nobody is there, the bridge's server and the machine's.
    pub(crate) fn resolv(&self, lease: &Lease, names: Option<IpAddr>) -> String {
        let text = RESOLV.iter().find_map(|path| fs::read_to_string(path).ok());
        resolv(&text.unwrap_or_default(), lease.gateway(), names)
    }
}

impl Lease {
    /// Where the instance is reached.
    pub(crate) fn ip(&self) -> IpAddr {
        self.address.unwrap_or(Ipv4Addr::LOCALHOST).into()
    }

    /// Its address on the bridge as `address/bits`.
    pub(crate) fn with_bits(&self) -> Option<String> {
        let bits = self.net.bridge.as_ref()?.cidr.bits();
        self.address.map(|address| format!("{address}/{bits}"))
    }

    /// The bridge's address, when the instance is on it.
    pub(crate) fn gateway(&self) -> Option<Ipv4Addr> {
        let bridge = self.net.bridge.as_ref()?;
        self.address.map(|_| bridge.cidr.gateway())
    }

    /// The text of the instance's `/etc/hosts`.
    pub(crate) fn hosts(&self, hostname: &str) -> String {
        let own = self.ip();
        format!("127.0.0.1 localhost\n::1 localhost ip6-localhost\n{own} {hostname}\n")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let (Some(address), Some(bridge)) = (self.address, &self.net.bridge) {
            lock(&bridge.pool).give_back(address);
        }
        if let Some(port) = self.port {
            lock(&self.net.ports).give_back(port);
        }
    }
}

/// Pools change in one call each, so a panic elsewhere leaves them whole.
fn lock<T>(pool: &Mutex<T>) -> MutexGuard<'_, T> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the program listen, and its probes look, at `port` in place of the one it asked for. A
/// check of another port than the program's stays as it is.
fn move_port(spec: &mut Spec, port: u16) {
    let own = spec.port;
    match &mut spec.health {
        Health::Http { port: at, .. } | Health::Tcp { port: at } => {
            if own.is_none_or(|own| own == *at) {
                *at = port;
            }
        }
        Health::Exec { .. } | Health::File { .. } | Health::Running => {}
    }
    spec.port = Some(port);
}

/// `text` as an instance behind `gateway` can use it: a server on the machine's loopback is not
/// there from inside a namespace. Where `names` are answered by the gateway nobody else is asked:
/// some C libraries ask all servers at once, and another one knows nothing of services.
fn resolv(text: &str, gateway: Option<Ipv4Addr>, names: Option<IpAddr>) -> String {
    let Some(gateway) = gateway else { return text.to_owned() };
    if names == Some(IpAddr::V4(gateway)) {
        return format!("nameserver {gateway}\nsearch deploy.\noptions ndots:1\n");
    }
    let reachable = |server: &&str| server.parse::<IpAddr>().is_ok_and(|ip| !ip.is_loopback());
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let servers = servers.map(str::trim).filter(reachable).map(str::to_owned);
    let servers = std::iter::once(gateway.to_string()).chain(servers).take(SERVERS_MAX);
    let kept = text.lines().filter(|line| {
        line.starts_with("search") || line.starts_with("options") || line.starts_with("domain")
    });
    servers
        .map(|server| format!("nameserver {server}\n"))
        .chain(kept.map(|line| format!("{line}\n")))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::spec::tests::text;

    /// A network without a bridge.
    pub(crate) fn host() -> Arc<Net> {
        Net::new("0badcafe", None, Vec::new())
    }

    fn check(text: &str, gateway: Option<[u8; 4]>, expected: &str) {
        assert_eq!(resolv(text, gateway.map(Ipv4Addr::from), None), expected);
    }

    #[test]
    fn name_servers_are_those_that_an_instance_can_reach() {
        let ours = "nameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch a.b\n# x\n";
        check(ours, None, ours);
        check(ours, Some([10, 89, 0, 1]), "nameserver 10.89.0.1\nnameserver 9.9.9.9\nsearch a.b\n");
        check("", Some([10, 89, 0, 1]), "nameserver 10.89.0.1\n");
    }

    #[test]
    fn where_the_bridge_answers_for_names_it_is_asked_alone() {
        let (ours, bridge) = ("nameserver 9.9.9.9\n", Ipv4Addr::new(10, 89, 0, 1));
        let names = Some(IpAddr::V4(bridge));
        let alone = "nameserver 10.89.0.1\nsearch deploy.\noptions ndots:1\n";
        assert_eq!(resolv(ours, Some(bridge), names), alone);
        assert_eq!(resolv(ours, None, names), ours, "the machine's network has no bridge");
        let other = Some(Ipv4Addr::new(10, 90, 0, 1));
        assert!(resolv(ours, other, names).contains("9.9.9.9"));
    }

    #[test]
    fn a_moved_program_is_probed_where_it_listens() {
        let spec = |health: serde_json::Value| {
            let text = text(serde_json::json!({"health": health}));
            let mut spec = Spec::parse(&"web-1".parse().unwrap(), &text).unwrap();
            move_port(&mut spec, 20_001);
            assert_eq!(spec.port, Some(20_001));
            spec.health
        };
        let tcp = |port: u16| spec(serde_json::json!({"kind": "tcp", "port": port}));
        assert_eq!(tcp(8080), Health::Tcp { port: 20_001 });
        assert_eq!(tcp(9000), Health::Tcp { port: 9000 });
    }
}
