//! Measures what README promises, with release programs on this machine, and prints a line a
//! figure: `cargo run --release -p tests --bin bench [-- WORD...]`, the words of `ALL`.
//!
//! Never: passes or fails by a time (a target stands beside its figure, for the reader to judge);
//! sleeps to wait for something of ours (another's proxy is asked until it answers); leaves a
//! server, container, mount or file behind.

mod answerer;
mod apps;
mod backend;
mod certificate;
mod dns;
mod dnsperf;
mod edge;
mod figure;
mod h2load;
mod load;
mod machine;
mod many;
mod memory;
mod names;
mod nginx;
mod node;
mod peer;
mod place;
mod place_mix;
mod program;
mod proxies;
mod proxy;
mod publish;
mod publisher;
mod quota;
mod reads;
mod routes;
mod server;
mod start;
mod swap;
mod table;
mod tls;
mod turns;
mod update;
mod wrk;

use server::Server;
use std::process::ExitCode;

/// What can be measured, in the order in which it is.
const ALL: &[&str] = &[
    "update", "apps", "start", "memory", "reads", "many", "proxy", "routes", "dns", "swap", "tls",
    "place",
];

fn main() -> ExitCode {
    match measure(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: Vec<String>) -> Result<(), String> {
    if let Some(word) = words.iter().find(|word| !ALL.contains(&word.as_str())) {
        return Err(format!("no figure {word:?}; there are {}", ALL.join(", ")));
    }
    machine::check()?;
    println!("{}", machine::line());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        for what in ALL {
            if words.is_empty() || words.iter().any(|word| word == what) {
                tokio::select! {
                    measured = one(what) => measured?,
                    _ = tokio::signal::ctrl_c() => return Err("interrupted".to_string()),
                }
            }
        }
        Ok(())
    })
}

/// Measures one thing on a private server of its own, so that none disturbs another.
async fn one(what: &str) -> Result<(), String> {
    match what {
        "many" => return many::measure().await,
        "proxy" => return proxy::measure(),
        "routes" => return routes::measure().await,
        "dns" => return dns::measure(),
        "tls" => return tls::measure(),
        "swap" => return swap::measure().await,
        "place" => return place::measure(),
        _ => {}
    }
    let server = Server::open()?;
    match what {
        "update" => update::measure(&server)?,
        "apps" => apps::measure(&server)?,
        "start" => start::measure(&server).await?,
        "memory" => memory::measure(&server)?,
        _ => reads::measure(&server).await?,
    }
    server.close()
}
