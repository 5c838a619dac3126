//! A small web server to deploy: it says its version and its instance, ends well on TERM, and,
//! where it is told so, never becomes healthy or takes a while to come up.
//!
//! Never: more than a demonstration needs; it is what gets deployed, not a part of the product.

use nix::sys::signal::{SigSet, Signal};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a client may take to ask, and the server to finish when it is told to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves `$PORT` (8080) until TERM. `healthy` is what `/health` says. The word
/// `--up-after-ms N` delays the first listen: a program that takes its time to start.
///
/// # Errors
/// The port is taken, or cannot be had.
pub fn serve(version: &'static str, healthy: bool) -> std::io::Result<()> {
    let mut term = SigSet::empty();
    term.add(Signal::SIGTERM);
    term.add(Signal::SIGINT);
    // Before any thread is made: as the first process of a container it gets no signal that it
    // does not ask for.
    term.thread_block()?;
    let words: Vec<String> = std::env::args().collect();
    if let [_, flag, ms] = words.as_slice()
        && flag == "--up-after-ms"
    {
        std::thread::sleep(Duration::from_millis(ms.parse().unwrap_or(0)));
    }
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    println!("{version} serves port {port}");
    let busy = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&busy);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || {
                let _ = answer(stream, version, healthy);
                counted.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    let signal = term.wait()?;
    println!("{version} ends on {signal}, {} requests in flight", busy.load(Ordering::SeqCst));
    Ok(())
}

/// Answers the requests of one connection.
fn answer(stream: TcpStream, version: &str, healthy: bool) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(request) = lines.next() {
        let request = request?;
        while lines.next().transpose()?.is_some_and(|header| !header.is_empty()) {}
        let path = request.split(' ').nth(1).unwrap_or("/").to_string();
        let instance = std::env::var("INSTANCE_ID").unwrap_or_else(|_| "nobody".to_string());
        let (status, body) = match (path.as_str(), healthy) {
            ("/health", false) => ("503 Service Unavailable", "not feeling well\n".to_string()),
            ("/health", true) => ("200 OK", "ok\n".to_string()),
            _ => ("200 OK", format!("hello from {version}, instance {instance}\n")),
        };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
        out.write_all((head + &body).as_bytes())?;
    }
    Ok(())
}
