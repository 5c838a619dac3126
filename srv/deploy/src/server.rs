//! The server as a process: from its words to a served tree, and its end.

use crate::act::Hands;
use crate::arrival::Arrival;
use crate::config::{self, Config};
use crate::edge::{self, EdgeLink};
use crate::edges::Edges;
use crate::files::Files;
use crate::link;
use crate::run::{ARRIVALS_MAX, End, Loop};
use crate::save::Journal;
use crate::vault::Vault;
use crate::web::{self, WebLink};
use crate::world::Shared;
use ninep::client::{Client, ClientError};
use ninep::dial::{Address, Listener};
use ninep::{Limits, Server, numberless};
use nix::sys::stat::{Mode, umask};
use secret::Keys;
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

/// Serves until SIGTERM, SIGINT or the verb `down`; gives the process' exit status: 0 after an
/// end that was asked for, 1 when it could not serve, 64 when the words make no sense.
pub fn run(words: Vec<OsString>) -> i32 {
    let config = match config::parse(words, |name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(error) => return complain(&error.to_string(), 64),
    };
    log_to_stderr(&config);
    let (journal, keys) = match journal(&config) {
        Ok(opened) => opened,
        Err(error) => return complain(&error, 1),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("cannot start: {error}"), 1),
    };
    let code = match runtime.block_on(serve(config, journal, keys)) {
        Ok(()) => 0,
        Err(error) => complain(&error, 1),
    };
    // Readers that block for ever are not waited for.
    runtime.shutdown_background();
    code
}

/// Asks the server that runs to end everything, and itself.
pub fn down(words: impl Iterator<Item = OsString>) -> i32 {
    let config = match config::parse(words, |name| std::env::var_os(name)) {
        Ok(config) => config,
        Err(error) => return complain(&error.to_string(), 64),
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return complain("cannot start", 1);
    };
    let Some(address) = config.addresses.first() else { return 64 };
    let node = link::address(&config);
    let asked = runtime.block_on(async {
        match ask_down(address).await {
            // The server is gone, and its node may not be.
            Err(ClientError::Unreachable(_)) => {
                let node = ask_down(&node).await;
                if node.is_ok() {
                    link::gone(&config.state).await;
                }
                web::end_alone(&config.state).await;
                // An edge alone may be left.
                match edge::end_alone(&config.state).await {
                    Err(ClientError::Unreachable(_)) => node,
                    ended => ended,
                }
            }
            other => other,
        }
    });
    match asked {
        Ok(()) => 0,
        Err(ClientError::Unreachable(_)) => {
            let state = config.state.display();
            complain(&format!("nothing runs at {address}, and no node in {state}"), 69)
        }
        Err(error) => complain(&error.to_string(), 69),
    }
}

/// Writes `down`, and waits until whoever took it is gone.
async fn ask_down(address: &Address) -> Result<(), ClientError> {
    let client = Client::dial(address, "").await?;
    client.write("ctl", b"down").await?;
    client.closed().await;
    Ok(())
}

/// Opens the journal, before there is any other thread: whoever could open its file could keep
/// the server from starting by a lock on it, so it is made under a mask that lets nobody.
fn journal(config: &Config) -> Result<(Journal, Keys), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("must be root: containers need namespaces, mounts and cgroups".to_string());
    }
    let state = config.state.display();
    std::fs::create_dir_all(&config.state).map_err(|e| format!("{state}: {e}"))?;
    let mask = umask(Mode::from_bits_truncate(0o077));
    let journal = Journal::open(&config.state).map_err(|e| e.to_string());
    umask(mask);
    let keys = Keys::open(&config.state).map_err(|e| e.to_string())?;
    Ok((journal?, keys))
}

async fn serve(config: Config, journal: Journal, keys: Keys) -> Result<(), String> {
    // Before anything is begun, so that whatever was begun is ended in order.
    let signals = [on(SignalKind::terminate())?, on(SignalKind::interrupt())?];
    let state = config.state.display().to_string();
    let mut world = journal.load().await.map_err(|e| e.to_string())?;
    world.lock_force_ms = config.lock_force_s.saturating_mul(1_000);
    world.allow_host.clone_from(&config.allow_host);
    if config.edge.runs {
        world.edges = Edges::with_own(edge::NAME);
    }
    let world = Shared::new(world);
    let config = Arc::new(config);
    let (sender, arrivals) = mpsc::channel(ARRIVALS_MAX);
    let listeners = listen(&config).await?;
    let vault = Vault::new(world.clone(), keys);
    let link = link::keep(Arc::clone(&config), sender.clone()).with_vault(vault.clone());
    let hands = Hands::new(link.clone(), sender.clone());
    if nix::unistd::Group::from_name(&config.group).ok().flatten().is_none() {
        tracing::warn!("there is no group {}: only root may write; see -g", config.group);
    }
    let edge = match config.edge.runs {
        true => edge::keep(Arc::clone(&config), world.clone(), sender.clone()),
        false => EdgeLink::none(),
    };
    let web = web::keep(Arc::clone(&config), sender.clone());
    let files = Files::new(world.clone(), sender.clone(), (link, edge.clone()), &config.group);
    let files = files.with_vault(vault.clone());
    serve_tree(&config, files, listeners);
    let turning = tokio::spawn(Loop::new(world.clone(), journal, hands).run(arrivals));
    let resealing = sender.clone();
    tokio::spawn(async move { vault.go_on(&resealing).await });
    tokio::spawn(async move {
        world.node_tried().await;
        tracing::info!("serving, state in {state}");
        // A supervisor that asked to be told is told; without one there is nobody to tell.
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
            tracing::warn!("cannot tell the supervisor: {error}");
        }
    });
    let turning = async { turning.await.unwrap_or(End::Alone) };
    ended(turning, signals, sender, &config, (&edge, &web)).await
}

fn on(kind: SignalKind) -> Result<Signal, String> {
    signal(kind).map_err(|error| format!("signals: {error}"))
}

/// Listens on every address, before anything is started that would have to be ended again.
async fn listen(config: &Config) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    let own = edge::server_address(&config.state);
    let parts = config.edge.runs || config.web.is_some();
    let for_parts = Some(&own).filter(|own| parts && !config.addresses.contains(own));
    for address in config.addresses.iter().chain(for_parts) {
        listeners.push(ninep::dial::listen(address).await.map_err(|e| e.to_string())?);
        tracing::info!("listening on {address}");
    }
    Ok(listeners)
}

fn serve_tree(config: &Config, files: Files, listeners: Vec<Listener>) {
    let server = Server::new(Arc::new(files), Limits::default()).trace(config.transcript);
    let server = Arc::new(server);
    for listener in listeners {
        let server = Arc::clone(&server);
        tokio::spawn(async move {
            if let Err(error) = server.serve(listener).await {
                tracing::error!("{error}");
            }
        });
    }
}

/// Waits for an end that was asked for: containers and node go on, but after `down`.
async fn ended(
    turning: impl Future<Output = End>,
    signals: [Signal; 2],
    sender: mpsc::Sender<Arrival>,
    config: &Config,
    (edge, web): (&EdgeLink, &WebLink),
) -> Result<(), String> {
    let [mut terminate, mut interrupt] = signals;
    tokio::select! {
        end = turning => match end {
            End::Down => {
                link::gone(&config.state).await;
                web.end().await;
                // Last of all: while instances ended it told whoever asked.
                if let Err(error) = edge.end().await {
                    tracing::warn!("the edge does not end: {error}");
                }
                tracing::info!("down: node and edge have ended, and so does this server");
                Ok(())
            }
            End::Alone => Err("nothing is left that could arrive".to_string()),
        },
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }?;
    drop(sender);
    Ok(())
}

fn log_to_stderr(config: &Config) {
    let level = if config.verbose { "debug" } else { "info" };
    let filter = EnvFilter::try_from_env("DEPLOYFS_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let plain = std::env::var_os("NO_COLOR").is_some_and(|word| !word.is_empty());
    log.with_ansi(!plain && std::io::stderr().is_terminal()).init();
}

fn complain(text: &str, code: i32) -> i32 {
    let _ = writeln!(std::io::stderr(), "deployfs: {}", numberless(text));
    code
}
