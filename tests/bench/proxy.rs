//! The edge as a proxy, beside Debian's nginx, haproxy and caddy: requests a second through 64
//! keep-alive connections, the 99th percentile, and processor time a request. Each proxy has one
//! core and one thread, the load and what is behind have the other; rounds take turns.

use crate::figure::Figure;
use crate::machine;
use crate::proxies::{Backend, PEERS, Peer, Proxy};
use crate::server::programs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Turns of every proxy.
const ROUNDS: usize = 7;
/// How long wrk asks in one.
const SECONDS: u32 = 4;
/// Its connections.
const CONNECTIONS: u32 = 64;
/// Connections that only stand open.
const IDLE: usize = 10_000;
/// Routes of the large table.
pub(crate) const ROUTES: usize = 10_000;

/// What wrk told of a round.
struct Round {
    per_second: f64,
    p99_ms: f64,
}

/// Figures of one proxy.
struct Figures {
    rate: Figure,
    p99: Figure,
    cpu: Figure,
}

/// Measures all of them.
///
/// # Errors
/// One that is installed does not serve, or wrk is not there.
pub(crate) fn measure() -> Result<(), String> {
    let bin = &programs()?;
    let place = tempfile::Builder::new().prefix("deploy-bench-").tempdir();
    let place = place.map_err(|error| format!("no temporary directory: {error}"))?;
    let dir = place.path();
    machine::more_files(IDLE as u64 + 1_000)?;
    let backend = Backend::start(dir)?;
    let mut proxies = Vec::new();
    for peer in PEERS {
        match Proxy::start(*peer, dir, bin, &backend)? {
            Some(proxy) => proxies.push((proxy, figures(*peer))),
            None => println!("{:<44} is not installed", peer.name()),
        }
    }
    for turn in 0..ROUNDS {
        let count = proxies.len();
        for place in 0..count {
            // Whoever comes first in a round has no advantage of it in the next.
            let (proxy, figures) = &mut proxies[(turn + place) % count];
            let before = proxy.cpu_us();
            let round = wrk(proxy.port(), SECONDS)?;
            let requests = round.per_second * f64::from(SECONDS);
            figures.rate.add(round.per_second);
            figures.p99.add(round.p99_ms);
            figures.cpu.add((proxy.cpu_us() - before) / requests);
        }
    }
    print(&proxies);
    idle(dir, bin, &backend)
}

fn figures(peer: Peer) -> Figures {
    let name = peer.name();
    Figures {
        rate: Figure::new(format!("proxy, {name}, requests a second"), ""),
        p99: Figure::new(format!("proxy, {name}, 99th percentile"), "ms"),
        cpu: Figure::new(format!("proxy, {name}, processor time a request"), "us"),
    }
}

/// Every figure, and how it stands to nginx's of the same run.
fn print(proxies: &[(Proxy, Figures)]) {
    let nginx = proxies.iter().find(|(proxy, _)| proxy.peer == Peer::Nginx);
    for (_, figures) in proxies {
        let beside = |own: &Figure, of: fn(&Figures) -> &Figure| match nginx {
            Some((_, nginx)) => format!("{:.2} of nginx", own.median() / of(nginx).median()),
            None => String::new(),
        };
        figures.rate.print(&beside(&figures.rate, |figures| &figures.rate));
        figures.p99.print(&beside(&figures.p99, |figures| &figures.p99));
        figures.cpu.print(&beside(&figures.cpu, |figures| &figures.cpu));
    }
}

/// Memory of connections that only stand open.
fn idle(dir: &Path, bin: &Path, backend: &Backend) -> Result<(), String> {
    let dir = dir.join("idle");
    let Some(proxy) = Proxy::start(Peer::Edge, &dir, bin, backend)? else { return Ok(()) };
    let before = proxy.memory();
    let mut open = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        open.push(proxy.ask_and_stay()?);
    }
    let mut figure = Figure::new(format!("proxy, edge, {IDLE} idle connections, each"), "KiB");
    figure.add((proxy.memory().saturating_sub(before)) as f64 / 1024.0 / IDLE as f64);
    figure.print("(target under 20 KiB)");
    Ok(())
}

fn wrk(port: u16, seconds: u32) -> Result<Round, String> {
    let output = Command::new("taskset")
        .args(["-c", "1", "wrk", "-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")])
        .args(["--latency", "-H", "Host: shop.test", &format!("http://127.0.0.1:{port}/")])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run wrk: {error}; install Debian's wrk"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("port {port}: {text}"));
    }
    let after = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.map(|rest| rest.trim().to_owned()).ok_or_else(|| format!("wrk said: {text}"))
    };
    let per_second = after("Requests/sec:")?.parse().map_err(|error| format!("{error}"))?;
    Ok(Round { per_second, p99_ms: milliseconds(&after("99%")?)? })
}

/// A time as wrk writes it: `840.00us`, `4.95ms`, `1.20s`.
fn milliseconds(text: &str) -> Result<f64, String> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let found = units.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, ms)));
    let (number, ms) = found.ok_or_else(|| format!("no time: {text}"))?;
    number.parse::<f64>().map(|number| number * ms).map_err(|error| format!("{text}: {error}"))
}
