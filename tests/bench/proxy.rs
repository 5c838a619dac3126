//! The edge as a proxy, beside Debian's nginx, haproxy and caddy: requests a second through 64
//! keep-alive connections, the 99th percentile, and processor time a request. Each proxy has one
//! core and one thread, the load and what is behind have the other; rounds take turns.

use crate::backend::Backend;
use crate::figure::Figure;
use crate::machine;
use crate::proxies::{Peer, Proxy, Setup};
use crate::server::{place, programs};
use crate::turns::turns;
use crate::wrk::wrk;

/// Turns of every proxy.
const ROUNDS: usize = 7;
/// How long wrk asks in one.
const SECONDS: u32 = 4;
/// Connections that only stand open.
const IDLE: usize = 10_000;

/// Figures of one proxy, or of one way to ask it.
pub(crate) struct Load {
    rate: Figure,
    p99: Figure,
    cpu: Figure,
}

/// Measures all of them.
///
/// # Errors
/// One that is installed does not serve, or wrk is not there.
pub(crate) fn measure() -> Result<(), String> {
    let (bin, place) = (programs()?, place()?);
    machine::more_files(IDLE as u64 + 1_000)?;
    let backend = Backend::start(&place.path().join("backend"), false)?;
    let setup =
        Setup { dir: place.path(), bin: &bin, backend: &backend, certificate: None, http2: None };
    let proxies = Proxy::all(&setup)?.into_iter();
    let named = |proxy: Proxy| (Load::new(&format!("proxy, {}", proxy.peer.name())), proxy);
    let mut proxies: Vec<(Load, Proxy)> = proxies.map(named).collect();
    turns(ROUNDS, &mut proxies, |(load, proxy)| {
        load.wrk(proxy, &format!("http://127.0.0.1:{}/", proxy.port), SECONDS, &["-H", SHOP])
    })?;
    print(&proxies);
    drop(proxies);
    idle(&setup)
}

/// The header that asks for the route that is there.
pub(crate) const SHOP: &str = "Host: shop.test";

impl Load {
    /// No round yet.
    pub(crate) fn new(what: &str) -> Load {
        Load {
            rate: Figure::new(format!("{what}, requests a second"), ""),
            p99: Figure::new(format!("{what}, 99th percentile"), "ms"),
            cpu: Figure::new(format!("{what}, processor time a request"), "us"),
        }
    }

    /// All of them, the rate first.
    pub(crate) fn figures(&self) -> [&Figure; 3] {
        [&self.rate, &self.p99, &self.cpu]
    }

    /// A round of wrk.
    ///
    /// # Errors
    /// An answer was not 200.
    pub(crate) fn wrk(
        &mut self,
        proxy: &Proxy,
        url: &str,
        seconds: u32,
        words: &[&str],
    ) -> Result<(), String> {
        let before = proxy.program.cpu_us();
        let round = wrk(url, seconds, words)?;
        let requests = round.per_second * f64::from(seconds);
        self.rate.add(round.per_second);
        self.p99.add(round.p99_ms);
        self.cpu.add((proxy.program.cpu_us() - before) / requests);
        Ok(())
    }
}

/// Every figure, and how it stands to nginx's of the same round.
pub(crate) fn print(proxies: &[(Load, Proxy)]) {
    let nginx = proxies.iter().find(|(_, proxy)| proxy.peer == Peer::Nginx);
    for (load, _) in proxies {
        for (number, figure) in load.figures().into_iter().enumerate() {
            figure.print(&match nginx {
                Some((nginx, _)) => {
                    let ratio = figure.ratio(nginx.figures()[number], "");
                    format!("{:.2} of nginx", ratio.median())
                }
                None => String::new(),
            });
        }
    }
}

/// Memory of connections that only stand open.
fn idle(setup: &Setup<'_>) -> Result<(), String> {
    let dir = setup.dir.join("idle");
    let Some(proxy) = Proxy::start(Peer::Edge, &Setup { dir: &dir, ..*setup })? else {
        return Ok(());
    };
    let before = proxy.program.memory();
    let mut open = Vec::with_capacity(IDLE);
    for _ in 0..IDLE {
        open.push(proxy.ask_and_stay()?);
    }
    let mut figure = Figure::new(format!("proxy, edge, {IDLE} idle connections, each"), "KiB");
    let grown = proxy.program.memory().saturating_sub(before);
    figure.add(grown as f64 / 1024.0 / IDLE as f64);
    figure.print("(target under 20 KiB)");
    Ok(())
}
