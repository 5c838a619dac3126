//! The machine's resolvers as `/etc/resolv.conf` names them, with what they answered before.
//!
//! The file is looked at whenever they are asked, as the C library does it, and once a second where
//! what they answered before is told again; what others answered is forgotten with them. A resolver
//! that is ourselves, or that asks us in its turn, is left out.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{ResponseCache, TokioResolver, TtlConfig, system_conf};

/// Where the machine names its resolvers, and the port at which they listen.
const FILE: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
/// Answers that are kept.
const KEPT_MAX: u64 = 4096;
/// Failures that are kept, and for how long: a client tries again at once, twice and more, and is
/// not to wait as long each time (RFC 9520, 3.2: one second at least).
const FAILED_MAX: u64 = 1024;
const FAILED_FOR: Duration = Duration::from_secs(2);
/// How old a look at the file may be for who is told what is kept.
const LOOK_MS: u64 = 1000;
/// How long one try of a resolver may take.
const TRY_MS: u64 = 2000;
/// Tries after the first one.
const RETRIES: usize = 1;
/// The last label of the questions by which a circle is found out: nobody has it.
const PROBE_ZONE: &str = "deploy-circle";

/// The machine's resolvers, whatever the file says now.
#[derive(Debug)]
pub(crate) struct Resolvers {
    file: PathBuf,
    /// The port at which resolvers listen: 53, but for tests.
    port: u16,
    own: Vec<SocketAddr>,
    now: ArcSwap<Known>,
    /// When the file was looked at last, in milliseconds after `made`.
    looked_ms: AtomicU64,
    made: Instant,
    /// Resolvers that ask us, by which file they were named.
    circling: Mutex<(Stamp, BTreeSet<IpAddr>)>,
}

/// What one state of the file names.
#[derive(Debug, Default)]
pub(crate) struct Known {
    stamp: Stamp,
    asked: Option<Asked>,
    /// The question by which each is found out.
    probes: Vec<(Vec<u8>, IpAddr)>,
}

/// Resolvers that can be asked, and what they answered.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Asks them.
    pub(crate) resolver: TokioResolver,
    /// What they answered.
    pub(crate) kept: ResponseCache,
    /// Questions that none of them answered just now; what is kept of each means nothing.
    pub(crate) failed: ResponseCache,
}

/// What tells one state of a file from another; all 0 where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stamp(u64, u64, i64, i64, u64);

impl Known {
    /// Those that can be asked; `None` when there are none.
    pub(crate) fn asked(&self) -> Option<&Asked> {
        self.asked.as_ref()
    }
}

impl Resolvers {
    /// Those of this machine.
    pub(crate) fn of_machine() -> Resolvers {
        Resolvers::named_in(FILE.into(), PORT)
    }

    /// Those that `file` names, at `port`.
    pub(crate) fn named_in(file: PathBuf, port: u16) -> Resolvers {
        let (now, circling) = (ArcSwap::from_pointee(Known::default()), Mutex::default());
        let (looked_ms, made) = (AtomicU64::new(0), Instant::now());
        Resolvers { file, port, own: Vec::new(), now, looked_ms, made, circling }
    }

    /// The same but for ourselves, who listen at `own`.
    pub(crate) fn without(self, own: &[SocketAddr]) -> Resolvers {
        Resolvers { own: own.to_vec(), ..self }
    }

    /// Those that the file named a moment ago. Must be called where tasks can be started.
    pub(crate) fn lately(&self) -> Arc<Known> {
        let now_ms = u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked_ms = self.looked_ms.load(Ordering::Relaxed);
        let (yes, no) = (Ordering::Relaxed, Ordering::Relaxed);
        // Of many who find it too long ago one looks.
        match now_ms >= looked_ms.saturating_add(LOOK_MS)
            && self.looked_ms.compare_exchange(looked_ms, now_ms, yes, no).is_ok()
        {
            true => self.now(),
            false => self.now.load_full(),
        }
    }

    /// Those that the file names now. Must be called where tasks can be started.
    pub(crate) fn now(&self) -> Arc<Known> {
        let stamp = self.stamp();
        let known = self.now.load_full();
        if known.stamp == stamp {
            return known;
        }
        let circling = self.circling();
        // Of many who see the change one reads.
        let known = self.now.load_full();
        if known.stamp == stamp { known } else { self.read(stamp, &circling) }
    }

    /// Whether `key`, the name of a question in small letters, is a probe of ours that came back;
    /// the resolver that brought it is asked no more.
    pub(crate) fn came_back(&self, key: &[u8]) -> bool {
        let known = self.now.load_full();
        let Some((_, ip)) = known.probes.iter().find(|(probe, _)| probe == key) else {
            return false;
        };
        let mut circling = self.circling();
        if circling.0 != known.stamp {
            *circling = (known.stamp, BTreeSet::new());
        }
        if circling.1.insert(*ip) {
            self.read(known.stamp, &circling);
        }
        true
    }

    fn circling(&self) -> MutexGuard<'_, (Stamp, BTreeSet<IpAddr>)> {
        self.circling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stamp(&self) -> Stamp {
        let told = fs::metadata(&self.file);
        told.map_or(Stamp::default(), |meta| {
            Stamp(meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size())
        })
    }

    fn read(&self, stamp: Stamp, circling: &(Stamp, BTreeSet<IpAddr>)) -> Arc<Known> {
        let none = BTreeSet::new();
        let circling = if circling.0 == stamp { &circling.1 } else { &none };
        let servers = self.servers(circling).unwrap_or_default();
        let mut known = Known { stamp, ..Known::default() };
        if !servers.is_empty() {
            known.asked = build(servers.clone()).ok().map(|resolver| {
                let kept = ResponseCache::new(KEPT_MAX, TtlConfig::default());
                let mut options = ResolverOpts::default();
                options.positive_min_ttl = Some(FAILED_FOR);
                let failed = ResponseCache::new(FAILED_MAX, TtlConfig::from_opts(&options));
                Asked { resolver, kept, failed }
            });
        }
        for server in servers {
            if let Some((probe, name)) = probe() {
                known.probes.push((probe, server.ip));
                search_circle(server, name);
            }
        }
        let known = Arc::new(known);
        self.now.store(Arc::clone(&known));
        known
    }

    fn is_own(&self, ip: IpAddr) -> bool {
        let every = |at: &SocketAddr| at.ip().is_unspecified() && ip.is_loopback();
        self.own.iter().any(|at| at.port() == self.port && (at.ip() == ip || every(at)))
    }

    /// The resolvers that the file names, without ourselves and those who ask us.
    fn servers(&self, circling: &BTreeSet<IpAddr>) -> io::Result<Vec<NameServerConfig>> {
        let text = fs::read(&self.file)?;
        let (config, _) = system_conf::parse_resolv_conf(text).map_err(io::Error::other)?;
        let mut servers = config.name_servers().to_vec();
        servers.retain(|server| !self.is_own(server.ip) && !circling.contains(&server.ip));
        for connection in servers.iter_mut().flat_map(|server| &mut server.connections) {
            connection.port = self.port;
        }
        Ok(servers)
    }
}

/// A resolver that asks `servers` and keeps nothing itself.
fn build(servers: Vec<NameServerConfig>) -> Result<TokioResolver, NetError> {
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_millis(TRY_MS);
    options.attempts = RETRIES;
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    let config = ResolverConfig::from_name_servers(servers);
    let provider = TokioRuntimeProvider::default();
    TokioResolver::builder_with_config(config, provider).with_options(options).build()
}

/// A question that nobody asks but we, in wire form and as a name.
fn probe() -> Option<(Vec<u8>, Name)> {
    let text = format!("{:016x}.{PROBE_ZONE}.", RandomState::new().hash_one(PROBE_ZONE));
    let mut wire = Vec::new();
    for label in text.trim_end_matches('.').split('.') {
        super::label::push(&mut wire, label);
    }
    wire.push(0);
    Name::from_ascii(text).ok().map(|name| (wire, name))
}

/// Ask `server` for `name`: if it asks us in its turn, the question comes to our desk.
fn search_circle(server: NameServerConfig, name: Name) {
    if let Ok(resolver) = build(vec![server]) {
        // What it answers means nothing.
        tokio::spawn(async move { drop(resolver.lookup(name, RecordType::TXT).await) });
    }
}

#[cfg(test)]
#[path = "resolvers_test.rs"]
mod tests;
