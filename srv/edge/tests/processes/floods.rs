//! Users who mean ill, over HTTP/2: each is ended, others are served meanwhile, and no memory is
//! lost over it. The frames are made by hand: a client would refuse to send them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Backend, echo};
use crate::keeping::route;
use crate::server::Deployfs;
use crate::trial::{Case, Trial, WAIT_MAX};
use crate::users::Load;

/// How long a flood may go on before it is ended.
const ENDED_WITHIN: Duration = Duration::from_secs(15);
/// Bytes that the process may hold for a flood.
const MEMORY_MAX: u64 = 48 << 20;
/// Bytes that are sent at a time.
const BATCH_BYTES: usize = 16 * 1024;

pub(crate) const ALL: &[Case] = &[
    ("requests that are given up at once end the connection", || flood(rapid_reset)),
    ("a head that never ends ends the connection", || flood(endless_head)),
    ("settings without end end the connection", || flood(settings)),
    ("pings without end end the connection", || flood(pings)),
    ("priorities and empty bodies without end end the connection", || flood(nothing)),
    ("ten thousand streams at once end the connection", || flood(streams)),
    ("both ends of a plain stream are asked whether they are there", kept_alive),
    ("fields that grow when they are read end the connection", || flood(header_bomb)),
];

const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A request for `/` of the host `shop` (RFC 7541, appendix A: 2, 6 and 4 of the static table).
fn request(stream: u32) -> Vec<u8> {
    frame(1, END_STREAM | END_HEADERS, stream, b"\x82\x86\x84\x01\x04shop")
}

/// The bytes of the next frames, for the stream of this number.
type Round = fn(u32) -> Vec<u8>;

fn rapid_reset(stream: u32) -> Vec<u8> {
    [request(stream), frame(3, 0, stream, &[0, 0, 0, 8])].concat()
}

fn endless_head(stream: u32) -> Vec<u8> {
    match stream {
        1 => frame(1, END_STREAM, 1, b"\x82\x86\x84\x01\x04shop"),
        // A field of 100 bytes that is not kept.
        _ => frame(9, 0, 1, &[&b"\0\x01x\x64"[..], &[b'y'; 100]].concat()),
    }
}

fn settings(_: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])
}

fn pings(_: u32) -> Vec<u8> {
    frame(6, 0, 0, &[7; 8])
}

fn nothing(stream: u32) -> Vec<u8> {
    match stream {
        1 => frame(1, END_HEADERS, 1, b"\x83\x86\x84\x01\x04shop"),
        _ => [frame(0, 0, 1, &[]), frame(2, 0, 1, &[0, 0, 0, 0, 9])].concat(),
    }
}

/// Requests whose bodies never come, so that none of them ends.
fn streams(stream: u32) -> Vec<u8> {
    frame(1, END_HEADERS, stream, b"\x83\x86\x84\x01\x04shop")
}

/// A field of 3 KiB that is kept, and then named a thousand times by a byte each.
fn header_bomb(stream: u32) -> Vec<u8> {
    let kept = [&b"\x40\x01x\x7f\x81\x17"[..], &[b'y'; 3072]].concat();
    let bomb = [&b"\x82\x86\x84\x01\x04shop"[..], &kept, &[0xbe; 1000]].concat();
    frame(1, END_STREAM | END_HEADERS, stream, &bomb)
}

/// Sends rounds until the other side has ended the connection, or for long enough; how long it
/// took, if it did.
fn send(at: SocketAddr, round: Round) -> Option<Duration> {
    let mut stream = TcpStream::connect(at).unwrap();
    let mut read = stream.try_clone().unwrap();
    let reader = thread::spawn(move || {
        let mut space = [0; 65536];
        while read.read(&mut space).is_ok_and(|count| count > 0) {}
        // Who writes hears of it.
        let _ = read.shutdown(Shutdown::Both);
    });
    let first = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat();
    stream.write_all(&first).unwrap();
    let began = Instant::now();
    let mut number = 1;
    let mut ended = None;
    while ended.is_none() && began.elapsed() < ENDED_WITHIN / 5 * 4 && number < 1 << 30 {
        let mut batch = Vec::new();
        while batch.len() < BATCH_BYTES {
            batch.extend(round(number));
            number += 2;
        }
        ended = stream.write_all(&batch).is_err().then(|| began.elapsed());
    }
    println!("  {} frames or pairs, ended {ended:?}", number / 2);
    let _ = stream.shutdown(Shutdown::Both);
    reader.join().unwrap();
    ended
}

fn resident(trial: &Trial) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", trial.worker())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn flood(round: Round) {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(1, &route("-", &[&one]));
    server.wait_for(0, "serves 1");
    let at = trial.http();
    let load = Load::start(at, 2);
    load.wait_answered(200);
    let before = resident(&trial);
    let ended = thread::scope(|scope| {
        let all = [(); 4].map(|()| scope.spawn(|| send(at, round)));
        all.map(|one| one.join().unwrap())
    });
    load.wait_answered(100);
    let grown = resident(&trial).saturating_sub(before);
    let told = load.stop();
    let answered = told.answered.load(Ordering::Relaxed);
    println!("  others: {answered} answered; {} KiB more", grown / 1024);
    assert_eq!(*told.lost.lock().unwrap(), Vec::<String>::new());
    assert_eq!(told.refused.load(Ordering::Relaxed), 0);
    assert!(grown < MEMORY_MAX, "{grown} bytes more");
    assert!(ended.iter().all(Option::is_some), "{ended:?}");
    trial.end();
}

/// The kernel's timer of a connection, by its local or its other port (proc(5), `/proc/net/tcp`).
fn has_timer(local: bool, port: u16) -> bool {
    let text = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let wanted = format!(":{port:04X}");
    text.lines().skip(1).any(|line| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        // Established, and the timer is the one that asks.
        let here = words[if local { 1 } else { 2 }].ends_with(&wanted);
        here && words[3] == "01" && words[5].starts_with("02:")
    })
}

fn kept_alive() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let (instance, free) = (echo(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = free.local_addr().unwrap().port();
    drop(free);
    server.publish(1, &[format!("tcp {port} db - 0/db-1/v1={instance}")]);
    server.wait_for(0, "serves 1");
    trial.wait_value("tcp", |all| all.len() == 1);
    let mut user = TcpStream::connect(("127.0.0.1", port)).unwrap();
    user.write_all(b"?").unwrap();
    user.read_exact(&mut [0]).unwrap();
    let began = Instant::now();
    while !(has_timer(true, port) && has_timer(false, instance.port())) {
        let found = std::fs::read_to_string("/proc/net/tcp").unwrap();
        assert!(began.elapsed() < WAIT_MAX, "{found}");
    }
    drop(user);
    trial.end();
}
