//! HTTPS with TLS 1.3 and one certificate, the edge beside Debian's nginx, haproxy and caddy:
//! HTTP/1.1 over connections that are kept, new connections with one request each, HTTP/2, and
//! POST by HTTP/2 on both sides, as gRPC has it. Each proxy has one core and one thread, the load
//! and what is behind have the other; rounds take turns.

use crate::backend::Backend;
use crate::certificate::{Certificate, NAME};
use crate::figure::Figure;
use crate::h2load::h2load;
use crate::program::put;
use crate::proxies::{Peer, Proxy, Setup};
use crate::server::{place, programs};
use crate::turns::turns;

/// Turns of every proxy.
const ROUNDS: usize = 5;
/// Bytes of what is posted.
const POSTED_BYTES: usize = 1024;
/// Ways to ask: what it is called, h2load's words, whether there is a body and HTTP/2 behind.
const WAYS: &[(&str, &[&str], bool)] = &[
    ("HTTP/1.1, 64 connections", &["--h1", "-c64", "-D1"], false),
    ("a connection a request", &["--h1", "-c1000", "-n1000"], false),
    ("HTTP/2, 8 connections of 8 streams", &["-c8", "-m8", "-D1"], false),
    ("POST by HTTP/2, behind too", &["-c8", "-m8", "-D1"], true),
];

/// Measures all of them.
///
/// # Errors
/// One that is installed does not serve, or h2load is not there.
pub(crate) fn measure() -> Result<(), String> {
    let (bin, place) = (programs()?, place()?);
    let certificate = Certificate::make(place.path())?;
    let backend = Backend::start(&place.path().join("backend"), false)?;
    let http2 = Backend::start(&place.path().join("http2"), true)?;
    let posted = put(place.path(), "posted", &"x".repeat(POSTED_BYTES))?.display().to_string();
    for posts in [false, true] {
        let setup = Setup {
            dir: &place.path().join(if posts { "posts" } else { "gets" }),
            bin: &bin,
            backend: &backend,
            certificate: Some(&certificate),
            http2: posts.then_some(&http2),
        };
        let proxies = Proxy::all(&setup)?;
        for (what, words, _) in WAYS.iter().filter(|(.., post)| *post == posts) {
            let body = ["-d", posted.as_str()].into_iter().filter(|_| posts);
            let words: Vec<&str> = words.iter().copied().chain(body).collect();
            way(what, &words, &proxies)?;
        }
    }
    Ok(())
}

/// Asks all of them one way, and prints that.
fn way(what: &str, words: &[&str], proxies: &[Proxy]) -> Result<(), String> {
    let named = |proxy: &Proxy| {
        let name = proxy.peer.name();
        let rate = Figure::new(format!("tls, {name}, {what}, a second"), "");
        (rate, Figure::new(format!("tls, {name}, {what}, processor time"), "us"))
    };
    let mut all: Vec<_> = proxies.iter().map(|proxy| (named(proxy), proxy)).collect();
    turns(ROUNDS, &mut all, |((rate, cpu), proxy)| {
        let before = proxy.program.cpu_us();
        let url = format!("https://{NAME}:{}/", proxy.port);
        let (per_second, count) = h2load(&url, words)?;
        rate.add(per_second);
        cpu.add((proxy.program.cpu_us() - before) / count);
        Ok(())
    })?;
    let nginx = all.iter().find(|(_, proxy)| proxy.peer == Peer::Nginx);
    for ((rate, cpu), _) in &all {
        let beside = |own: &Figure, of: fn(&(Figure, Figure)) -> &Figure| {
            nginx.map_or(String::new(), |(nginx, _)| {
                format!("{:.2} of nginx", own.ratio(of(nginx), "").median())
            })
        };
        rate.print(&beside(rate, |both| &both.0));
        cpu.print(&beside(cpu, |both| &both.1));
    }
    Ok(())
}
