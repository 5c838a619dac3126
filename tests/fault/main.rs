//! The program that goes wrong when it is told to: the failures and repairs under test.
//!
//! ```text
//! PORT     where it listens, and answers /health
//! SICK     is never healthy
//! LINES    writes so many lines first
//! LEAVE    once healthy ends with that status, at the second probe
//! QUIT     ends with that status at once
//! ABORT    ends by a signal at once: SEGV, for the first process does not take ABRT
//! HOG      takes memory until it is killed
//! DEAF     does not end on TERM
//! USR1     is sick from now on    HUP  is well again    USR2  ends with status 7
//! ```

use nix::sys::signal::{SigSet, Signal};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Bytes taken at a time, and touched.
const MEAL: usize = 1 << 20;

/// What decides the answers.
struct State {
    sick: AtomicBool,
    probes: AtomicU32,
    leave: Option<i32>,
}

fn word(name: &str) -> Option<i32> {
    std::env::var(name).ok()?.parse().ok()
}

fn main() -> std::io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    for line in 0..word("LINES").unwrap_or(1) {
        println!("line {line}");
    }
    if let Some(code) = word("QUIT") {
        exit(code);
    }
    if word("ABORT").is_some() {
        std::process::abort();
    }
    if word("HOG").is_some() {
        let mut eaten = Vec::new();
        loop {
            eaten.push(vec![1_u8; MEAL]);
        }
    }
    let sick = AtomicBool::new(word("SICK").is_some());
    let state = Arc::new(State { sick, probes: AtomicU32::new(0), leave: word("LEAVE") });
    let port = u16::try_from(word("PORT").unwrap_or(8080)).unwrap_or(8080);
    let listener = TcpListener::bind(("0.0.0.0", port))?;
    let answering = Arc::clone(&state);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // One that hung up half-way wants no answer.
            let _ = answer(stream, &answering);
        }
    });
    loop {
        let signal = signals.wait()?;
        if signal == Signal::SIGTERM && word("DEAF").is_some() {
            println!("hears nothing");
        } else if signal == Signal::SIGTERM {
            return Ok(());
        } else if signal == Signal::SIGUSR2 {
            exit(7);
        } else {
            state.sick.store(signal == Signal::SIGUSR1, Ordering::SeqCst);
        }
    }
}

fn answer(stream: TcpStream, state: &State) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let (status, body) = match state.sick.load(Ordering::SeqCst) {
        true => ("503 Service Unavailable", "not well\n"),
        false => ("200 OK", "ok\n"),
    };
    let length = body.len();
    write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let before = state.probes.fetch_add(1, Ordering::SeqCst);
    if let Some(code) = state.leave.filter(|_| before > 0) {
        println!("leaves with {code}");
        exit(code);
    }
    Ok(())
}
