//! How long it takes from a table that changes to the first request that the new instance has
//! answered, under load: the edge by a table that it follows, haproxy by its runtime commands,
//! nginx by a reload. Measured from outside: the clock starts before the table is published, the
//! command written, the signal sent, and stops when the new instance has written its answer.

use crate::answerer::Answerer;
use crate::backend::until;
use crate::edge::edge;
use crate::figure::Figure;
use crate::load::{Load, Much};
use crate::nginx;
use crate::program::{MEASURED_CORE, OTHER_CORE, Program, free_port, put};
use crate::publisher::Publisher;
use crate::server::{place, programs};
use crate::table::HOST;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Reloads: each takes a hundred times as long.
const RELOADS: usize = 30;
/// Requests that the new instance answers before the next swap: whatever was on its way to the
/// old one has been answered then.
const BETWEEN: usize = 128;
/// The longest that the new instance is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Measures each.
///
/// # Errors
/// One that is installed does not serve, or loses a request.
pub(crate) async fn measure() -> Result<(), String> {
    let (bin, place) = (programs()?, place()?);
    // What answers is in this process, which has to leave the other core alone.
    pin(&[OTHER_CORE])?;
    let both = [Answerer::start().await?, Answerer::start().await?];
    let measured = all(&bin, place.path(), &both).await;
    pin(&[MEASURED_CORE, OTHER_CORE])?;
    measured
}

async fn all(bin: &Path, dir: &Path, both: &[Answerer; 2]) -> Result<(), String> {
    for (much, place) in [(Much::Some, dir.join("some")), (Much::All, dir.join("all"))] {
        by_table(bin, &place.join("edge"), both, much).await?;
        by_command(&place.join("haproxy"), both, much).await?;
    }
    by_reload(&dir.join("nginx"), both, Much::All).await
}

fn pin(cores: &[u32]) -> Result<(), String> {
    let mut set = CpuSet::new();
    let added = cores.iter().try_for_each(|core| set.set(*core as usize));
    let pinned = added.and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
    pinned.map_err(|error| format!("cannot have core {cores:?}: {error}"))
}

async fn by_table(bin: &Path, dir: &Path, both: &[Answerer; 2], much: Much) -> Result<(), String> {
    std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    let mut publisher = Publisher::start(dir).await?;
    let port = free_port()?;
    let (at, first) = (format!("127.0.0.1:{port}"), table(0, both[0].port));
    publisher.publish(1, &first);
    let words = [("--http", at.as_str()), ("-s", &publisher.address)];
    let _edge = edge(dir, bin, &first, &words)?;
    publisher.hears("serves 1").await?;
    let load = Load::start(port, much).await?;
    let under = much.name();
    let mut swap = Figure::new(format!("swap, edge, table to first answer, {under}"), "ms");
    let mut ack = Figure::new(format!("swap, edge, table to acknowledged, {under}"), "ms");
    for round in 1..=much.rounds() {
        let (new, generation) = (&both[round % 2], round as u64 + 1);
        new.forget();
        let began = publisher.publish(generation, &table(round, new.port));
        add(&mut swap, began, new).await?;
        let heard = publisher.hears(&format!("serves {generation}")).await?;
        ack.add((heard - began).as_secs_f64() * 1e3);
        publisher.hears(&format!("drained shop-{}", round - 1)).await?;
        settle(new).await?;
    }
    print(&swap, &load.stop().await?, "(target under 2 ms)");
    ack.print("");
    Ok(())
}

/// The table of one instance, which never was before.
fn table(round: usize, port: u16) -> String {
    format!("generation {}\n{HOST} / shop - 0/shop-{round}/0=127.0.0.1:{port}\n", round + 1)
}

async fn by_command(dir: &Path, both: &[Answerer; 2], much: Much) -> Result<(), String> {
    let (port, [a, b], socket) = (free_port()?, both, dir.join("admin"));
    let text = format!(
        "global\n nbthread 1\n maxconn 4000\n stats socket {} level admin\ndefaults\n mode http\n \
         timeout client 30s\n timeout server 30s\n timeout connect 5s\n option http-keep-alive\n \
         http-reuse always\nfrontend f\n bind 127.0.0.1:{port}\n default_backend b\n\
         backend b\n server s0 127.0.0.1:{}\n server s1 127.0.0.1:{} disabled\n",
        socket.display(),
        a.port,
        b.port
    );
    let config = put(dir, "haproxy.cfg", &text)?;
    let words = ["-db".as_ref(), "-f".as_ref(), config.as_os_str()];
    let Some(_server) = Program::start(MEASURED_CORE, "haproxy", words, dir)? else {
        println!("haproxy is not installed");
        return Ok(());
    };
    connects(port)?;
    let load = Load::start(port, much).await?;
    let mut swap =
        Figure::new(format!("swap, haproxy, command to first answer, {}", much.name()), "ms");
    for round in 1..=much.rounds() {
        let (on, off) = (round % 2, (round + 1) % 2);
        let command = format!("set server b/s{on} state ready; set server b/s{off} state maint\n");
        let mut admin = UnixStream::connect(&socket).await.map_err(|error| error.to_string())?;
        both[on].forget();
        let began = Instant::now();
        admin.write_all(command.as_bytes()).await.map_err(|error| error.to_string())?;
        add(&mut swap, began, &both[on]).await?;
        let mut said = String::new();
        let read = admin.read_to_string(&mut said).await;
        if read.is_err() || !said.trim().is_empty() {
            return Err(format!("haproxy said {said:?}"));
        }
        settle(&both[on]).await?;
    }
    print(&swap, &load.stop().await?, "");
    Ok(())
}

async fn by_reload(dir: &Path, both: &[Answerer; 2], much: Much) -> Result<(), String> {
    let port = free_port()?;
    let servers = |at: u16| {
        format!(
            "upstream back {{ server 127.0.0.1:{at}; keepalive 128; }}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://back; \
             proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}\n"
        )
    };
    let Some(server) = nginx::start(dir, &servers(both[0].port), MEASURED_CORE)? else {
        println!("nginx is not installed");
        return Ok(());
    };
    connects(port)?;
    let load = Load::start(port, much).await?;
    let mut swap =
        Figure::new(format!("swap, nginx, reload to first answer, {}", much.name()), "ms");
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap_or_default());
    for round in 1..=RELOADS {
        let new = &both[round % 2];
        nginx::configure(dir, &servers(new.port))?;
        new.forget();
        let began = Instant::now();
        kill(pid, Signal::SIGHUP).map_err(|error| format!("nginx: {error}"))?;
        add(&mut swap, began, new).await?;
        // A worker of two configurations ago would ask the same instance.
        until(|| if server.family().len() == 2 { Ok(()) } else { Err("its workers stay") })?;
        settle(new).await?;
    }
    print(&swap, &load.stop().await?, "");
    Ok(())
}

async fn add(figure: &mut Figure, began: Instant, new: &Answerer) -> Result<(), String> {
    let first = tokio::time::timeout(PATIENCE, new.first()).await;
    let first = first.ok().flatten().ok_or("the new instance is never asked")?;
    figure.add((first - began).as_secs_f64() * 1e3);
    Ok(())
}

async fn settle(new: &Answerer) -> Result<(), String> {
    let asked = async {
        for _ in 0..BETWEEN {
            new.forget();
            new.first().await;
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asked).await;
    asked.map_err(|_| "the load ended before what is measured under it".to_owned())
}

/// The figure with its 99th percentile and what was cut of the load meanwhile.
fn print(figure: &Figure, cut: &str, target: &str) {
    figure.print(&format!("p99 {:.2} ms, {cut} {target}", figure.percentile(99)));
}

fn connects(port: u16) -> Result<(), String> {
    let tried = until(|| std::net::TcpStream::connect(("127.0.0.1", port)));
    tried.map(drop).map_err(|error| format!("port {port}: {error}"))
}
