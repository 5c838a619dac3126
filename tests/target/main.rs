//! The program behind the edge in the loss test: it answers at once or slowly, takes bodies,
//! streams events, echoes over a websocket, and ends on TERM in the way it was told to.
//!
//! ```text
//! PORT     where it listens
//! START_MS how long it takes until it listens
//! ON_TERM  graceful: no new connections, and an end when the last answer is out
//!          exit: at once    ignore: not at all
//! ```

mod answer;
mod socket;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// What TERM does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnTerm {
    Graceful,
    Exit,
    Ignore,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let word = |name: &str| std::env::var(name).unwrap_or_default();
    let on_term = match word("ON_TERM").as_str() {
        "exit" => OnTerm::Exit,
        "ignore" => OnTerm::Ignore,
        _ => OnTerm::Graceful,
    };
    let start_ms = word("START_MS").parse().unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(start_ms)).await;
    let port = word("PORT").parse().unwrap_or(8080);
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    println!("listening on {}", listener.local_addr()?.port());
    let mut term = signal(SignalKind::terminate())?;
    let name: Arc<str> = format!("{} {}\n", word("INSTANCE_ID"), word("VERSION")).into();
    let (builder, graceful) = (Builder::new(TokioExecutor::new()), GracefulShutdown::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let name = Arc::clone(&name);
                let service = service_fn(move |request| {
                    let name = Arc::clone(&name);
                    async move { Ok::<_, Infallible>(answer::to(request, &name).await) }
                });
                let conn = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
                let watched = graceful.watch(conn.into_owned());
                // A connection that ended badly is the client's to tell of.
                tokio::spawn(async move { drop(watched.await) });
            }
            _ = term.recv() => match on_term {
                OnTerm::Graceful => break,
                OnTerm::Exit => return Ok(()),
                OnTerm::Ignore => {}
            },
        }
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}
