//! A user of HTTP/2 who grants no room for what he asked for, on one connection with one who has
//! nothing to take and one who takes little. The frames are made by hand: a client grants room.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::floods::frame;
use crate::server::Deployfs;
use crate::trial::{Case, Trial, WAIT_MAX};

/// How long a user may take nothing; `stall_time` of the limits.
const STALL_TIME: Duration = Duration::from_secs(60);
/// What the slow one takes at a time, and how often.
const SIP_BYTES: u32 = 1024;
const SIP_EVERY: Duration = Duration::from_millis(500);

pub(crate) const ALL: &[Case] =
    &[("a stream of HTTP/2 that is not taken is reset and its instance is free", not_taken)];

pub(crate) const DATA: u8 = 0;
const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

/// An instance that says one thing and is quiet then, or never ends what it says.
fn instance() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || drop(serve(stream)));
        }
    });
    address
}

fn serve(stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let mut write = stream;
    write.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n")?;
    while first.contains("/much") {
        write.write_all(&[&b"2000\r\n"[..], &[b'x'; 0x2000], b"\r\n"].concat())?;
    }
    // Until the other side has enough.
    while lines.next().transpose()?.is_some() {}
    Ok(())
}

fn grant(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

fn ask(stream: u32, path: &str) -> Vec<u8> {
    let path = [&[path.len() as u8], path.as_bytes()].concat();
    let fields = [&b"\x82\x86\x04"[..], &path, b"\x01\x04shop"].concat();
    frame(HEADERS, 5, stream, &fields)
}

/// What a user says who asks for one thing and takes all of it.
pub(crate) fn listen(path: &str) -> Vec<u8> {
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    [hello, frame(SETTINGS, 0, 0, &[]), ask(1, path)].concat()
}

/// The next frame but those that keep the connection up: its kind, its stream and what it says.
pub(crate) fn next(user: &mut TcpStream) -> (u8, u32, Vec<u8>) {
    loop {
        let mut head = [0; 9];
        user.read_exact(&mut head).unwrap();
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let mut said = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        user.read_exact(&mut said).unwrap();
        match kind {
            SETTINGS if flags == 0 => user.write_all(&frame(SETTINGS, 1, 0, &[])).unwrap(),
            PING if flags == 0 => user.write_all(&frame(PING, 1, 0, &said)).unwrap(),
            DATA | RESET => return (kind, u32::from_be_bytes([d, e, f, g]), said),
            _ => {}
        }
    }
}

fn not_taken() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let (one, two) = (instance(), instance());
    let other = format!("* / other - 0/other-1/v1={two}");
    server.publish(1, &[format!("* /much/never web - 0/web-1/v1={one}"), other.clone()]);
    let at = server.wait_for(0, "serves 1");
    let mut user = TcpStream::connect(trial.http()).unwrap();
    user.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let first = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]),
        [grant(0, 1 << 30), ask(1, "/quiet"), grant(1, 1000)].concat(),
        [ask(3, "/much/never"), ask(5, "/much"), grant(5, SIP_BYTES)].concat(),
    ];
    let began = Instant::now();
    user.write_all(&first.concat()).unwrap();
    // What the quiet one says comes once, and what the slow one takes again and again.
    let (mut heard, mut taken, mut sips) = (0, 0, 1);
    let reset = loop {
        match next(&mut user) {
            (DATA, 1, said) => heard += said.len(),
            (DATA, 5, said) => taken += said.len(),
            (kind, stream, said) => break (kind, stream, said),
        }
        if taken == sips * SIP_BYTES as usize {
            // The pace of a slow user.
            thread::sleep(SIP_EVERY);
            user.write_all(&grant(5, SIP_BYTES)).unwrap();
            sips += 1;
        }
    };
    let took = began.elapsed();
    println!("  reset after {took:?}; the slow one has {taken} bytes");
    assert_eq!(reset, (RESET, 3, vec![0, 0, 0, 8]));
    assert!((STALL_TIME..STALL_TIME + WAIT_MAX / 4).contains(&took), "{took:?}");
    assert_eq!(heard, "event".len());
    let metrics = trial.read("metrics");
    assert!(metrics.contains("deploy_requests_cut_total{reason=\"stall\"} 1\n"), "{metrics}");
    server.publish(2, &[other]);
    server.wait_for(at, "drained web-1");
    assert!(trial.read("metrics").contains("deploy_requests_cut_total{reason=\"drain\"} 0\n"));
    drop(user);
    trial.end();
}
