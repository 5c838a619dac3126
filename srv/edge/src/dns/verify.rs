//! Whether a listener answers what it should by now: asked before an old instance is stopped.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RecordType;

use crate::Error;

/// How long a listener may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// The addresses that the listener at `at` gives for `name` now, of both kinds. Nothing is kept
/// from one time to the next, and nobody is asked twice.
pub(crate) async fn addresses(at: SocketAddr, name: &str) -> Result<BTreeSet<IpAddr>, Error> {
    let failed = |why: NetError| Error::Io {
        what: format!("asking {at} for {name}"),
        why: std::io::Error::other(why),
    };
    let mut server = NameServerConfig::udp_and_tcp(at.ip());
    server.connections.iter_mut().for_each(|connection| connection.port = at.port());
    let mut options = ResolverOpts::default();
    (options.cache_size, options.attempts, options.timeout) = (0, 0, ANSWER_WITHIN);
    options.use_hosts_file = ResolveHosts::Never;
    let config = ResolverConfig::from_name_servers(vec![server]);
    let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    let resolver = builder.with_options(options).build().map_err(failed)?;
    let one = |kind| resolver.lookup(name, kind);
    let (a, aaaa) = tokio::join!(one(RecordType::A), one(RecordType::AAAA));
    let mut found = BTreeSet::new();
    for told in [a, aaaa] {
        match told {
            Ok(told) => found.extend(told.answers().iter().filter_map(|one| one.data.ip_addr())),
            Err(NetError::Dns(DnsError::NoRecordsFound(_))) => {}
            Err(why) => return Err(failed(why)),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::server::at_loopback;
    use super::*;

    fn set(addresses: &[&str]) -> BTreeSet<IpAddr> {
        addresses.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_listener_tells_each_generation_as_it_is_served() {
        let (server, names) = at_loopback(super::super::asking::names(), "").await;
        let asked = async |name: &str| addresses(server.at, name).await.unwrap();
        assert_eq!(asked("web.deploy.").await, set(&["10.89.0.5", "10.89.0.6", "10.89.0.7"]));
        assert_eq!(asked("db.deploy.").await, set(&["10.89.1.9", "fd00::9"]));
        assert_eq!(asked("idle.deploy.").await, set(&[]));
        names.store(super::super::names::Names::of(8, [("web", vec![])]).into());
        assert_eq!(asked("web.deploy.").await, set(&[]));
        assert_eq!(asked("db.deploy.").await, set(&[]));
    }

    #[tokio::test]
    async fn many_addresses_are_told_whole() {
        let at = |number: u32| super::super::names::Instance {
            number,
            address: (std::net::Ipv4Addr::from_bits(0x0a59_0000 + number), 80).into(),
        };
        let names = super::super::names::Names::of(1, [("web", (0..300).map(at))]);
        let (server, _names) = at_loopback(names, "").await;
        assert_eq!(addresses(server.at, "web.deploy.").await.unwrap().len(), 300);
    }

    #[tokio::test]
    async fn a_listener_that_says_nothing_is_an_error_in_time() {
        let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = silent.local_addr().unwrap();
        let began = std::time::Instant::now();
        let told = addresses(at, "web.deploy.").await.unwrap_err().to_string();
        assert!(told.starts_with(&format!("asking {at} for web.deploy.: ")), "{told}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
