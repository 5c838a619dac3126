//! Names by real processes: of one table with the routes, and asked of others under load.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

use crate::server::Deployfs;
use crate::trial::{Case, Trial, WAIT_MAX};
use crate::users::User;

pub(crate) const ALL: &[Case] = &[
    ("an answer for a name and a route are never of two tables", one_table),
    ("of five thousand questions for others none is lost", five_thousand),
    ("resolvers that say nothing hold up nobody", silent),
    ("who connects when there are no descriptors is not left waiting", no_descriptors),
];

/// A question for an address.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = [id.to_be_bytes(), [1, 0], [0, 1], [0; 2], [0; 2], [0; 2]].concat();
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap());
        message.extend(label.bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

fn asker(from: Ipv4Addr, at: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.set_read_timeout(Some(WAIT_MAX)).unwrap();
    socket.connect(at).unwrap();
    socket
}

/// The number, the code and the last four bytes of an answer: of one address, where there is one.
fn answer(socket: &UdpSocket) -> (u16, u8, Ipv4Addr) {
    let mut space = [0; 1500];
    let count = socket.recv(&mut space).expect("an answer in time");
    let last: [u8; 4] = space[count - 4..count].try_into().unwrap();
    (u16::from_be_bytes([space[0], space[1]]), space[3] & 15, last.into())
}

/// Where the instance of a generation is.
fn place(generation: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + generation)
}

fn generation(text: &str) -> u32 {
    let address: Ipv4Addr = text.parse().unwrap();
    u32::from(address) - u32::from(Ipv4Addr::new(127, 1, 0, 0))
}

/// An instance at every address of this host that answers with its own.
fn everywhere() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let own = stream.local_addr().unwrap().ip().to_string();
                let answer =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{own}", own.len());
                let mut space = [0; 4096];
                // A request is small and comes in one piece.
                while stream.read(&mut space).is_ok_and(|count| count > 0) {
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    port
}

fn one_table() {
    let trial = Trial::with(&["--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"]);
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let port = everywhere();
    // So many other names that it takes a while to make them.
    let others: Vec<String> = (0..3_000u32)
        .map(|n| format!("- - s{n} - 0/s{n}-1/v1={}:80", Ipv4Addr::from_bits((10 << 24) + n)))
        .collect();
    let publish = |number: u32| {
        let own = format!("* / web - 0/web-{number}/v1={}:{port}", place(number));
        server.publish(number.into(), &[&[own], &others[..]].concat());
        server.wait_for(0, &format!("serves {number}"));
    };
    publish(1);
    let (http, dns) = (trial.http(), trial.value("dns").parse().unwrap());
    let stop = Arc::new(AtomicBool::new(false));
    let asking = thread::spawn({
        let stop = stop.clone();
        move || {
            let (socket, mut user) =
                (asker(Ipv4Addr::LOCALHOST, dns), User::connect(http).unwrap());
            let (mut last, mut rounds) = (1, 0u64);
            while !stop.load(Ordering::Relaxed) {
                let routed = generation(&user.get("/").unwrap());
                assert!(routed >= last, "a route of {routed} after an answer of {last}");
                socket.send(&question(7, "web.deploy")).unwrap();
                let named = generation(&answer(&socket).2.to_string());
                assert!(named >= routed, "an answer of {named} after a route of {routed}");
                (last, rounds) = (named, rounds + 1);
            }
            (last, rounds)
        }
    });
    (2..=30).for_each(publish);
    stop.store(true, Ordering::Relaxed);
    let (last, rounds) = asking.join().unwrap();
    println!("  {rounds} pairs over 29 tables");
    assert!(last >= 29 && rounds >= 29, "{last} {rounds}");
    trial.end();
}

/// A resolver of the world: it answers for `N.example` with N as an address, or nothing.
struct Others {
    speaks: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
}

/// Makes this host's resolver one of ours, as long as this process lives.
fn others() -> Others {
    // Resolvers are asked at port 53, so each has an address of its own.
    static MADE: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let at = Ipv4Addr::new(127, 100 + MADE.fetch_add(1, Ordering::Relaxed), high, low);
    let socket = UdpSocket::bind((at, 53)).unwrap();
    setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resolv.conf");
    fs::write(&file, format!("nameserver {at}\n")).unwrap();
    let mounted = Command::new("mount").arg("--bind").arg(&file).arg("/etc/resolv.conf").status();
    assert!(mounted.unwrap().success());
    let others = Others { speaks: Arc::new(AtomicBool::new(true)), asked: Arc::default() };
    let (speaks, asked) = (others.speaks.clone(), others.asked.clone());
    thread::spawn(move || {
        let mut space = [0; 1500];
        while let Ok((count, from)) = socket.recv_from(&mut space) {
            let end = 12 + space[12..count].iter().position(|byte| *byte == 0).unwrap() + 5;
            let label = &space[13..13 + usize::from(space[12])];
            let number = std::str::from_utf8(label).unwrap().parse::<u32>();
            let Ok(number) = number else { continue };
            asked.fetch_add(1, Ordering::Relaxed);
            if !speaks.load(Ordering::Relaxed) {
                continue;
            }
            let head = [&space[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]].concat();
            let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4], &number.to_be_bytes()[..]];
            let told = [&head[..], &space[12..end], &record.concat()].concat();
            socket.send_to(&told, from).unwrap();
        }
    });
    others
}

/// Asks for so many names from `first` on, so many at a time; gives the codes, each with whether
/// the address was right.
fn ask(dns: SocketAddr, from: Ipv4Addr, first: u32, count: u32, at_a_time: u32) -> Vec<(u8, bool)> {
    let socket = asker(from, dns);
    let send = |at: u32| {
        let id = u16::try_from(at).unwrap();
        socket.send(&question(id, &format!("{}.example", first + at))).unwrap();
    };
    (0..at_a_time.min(count)).for_each(send);
    let mut told = Vec::new();
    for next in at_a_time..count + at_a_time {
        let (id, code, address) = answer(&socket);
        told.push((code, u32::from(address) == first + u32::from(id)));
        if next < count {
            send(next);
        }
    }
    told.truncate(count as usize);
    told
}

fn with_others() -> Option<(Trial, SocketAddr, Others)> {
    // Without the right to mount, this host's resolvers stay what they are.
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let others = others();
    let trial = Trial::with(&["--dns", "127.0.0.1:0"]);
    let _edge = trial.start();
    let dns = trial.value("dns").parse().unwrap();
    Some((trial, dns, others))
}

fn unmount() {
    assert!(Command::new("umount").args(["-l", "/etc/resolv.conf"]).status().unwrap().success());
}

fn five_thousand() {
    let Some((trial, dns, others)) = with_others() else { return };
    let began = Instant::now();
    let told: Vec<(u8, bool)> = thread::scope(|scope| {
        let all: Vec<_> = (0..10u8)
            .map(|user| {
                let first = 1_000_000 + u32::from(user) * 500;
                scope.spawn(move || ask(dns, Ipv4Addr::new(127, 0, 2, user + 1), first, 500, 60))
            })
            .collect();
        all.into_iter().flat_map(|user| user.join().unwrap()).collect()
    });
    println!("  {:?}; the resolver was asked {:?}", began.elapsed(), others.asked);
    assert_eq!(told.len(), 5_000);
    assert_eq!(told.iter().filter(|told| **told == (0, true)).count(), 5_000);
    trial.end();
    unmount();
}

fn silent() {
    let Some((trial, dns, others)) = with_others() else { return };
    others.speaks.store(false, Ordering::Relaxed);
    let began = Instant::now();
    thread::scope(|scope| {
        let crowd: Vec<_> = (0..4u8)
            .map(|user| {
                let first = 2_000_000 + u32::from(user) * 1_000;
                scope.spawn(move || ask(dns, Ipv4Addr::new(127, 0, 3, user + 1), first, 300, 300))
            })
            .collect();
        // Our own names are answered meanwhile, one behind the other.
        let socket = asker(Ipv4Addr::LOCALHOST, dns);
        for id in 0..1_000 {
            let asked = Instant::now();
            socket.send(&question(id, "nothing.deploy")).unwrap();
            assert_eq!(answer(&socket).1, 3);
            assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        }
        for user in crowd {
            let told = user.join().unwrap();
            assert!(told.iter().all(|(code, _)| *code == 2), "a failure is said: {told:?}");
        }
    });
    println!("  {:?} until all 1,200 were told", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(8));
    others.speaks.store(true, Ordering::Relaxed);
    let told = ask(dns, Ipv4Addr::new(127, 0, 3, 1), 3_000_000, 100, 10);
    assert!(told.iter().all(|told| *told == (0, true)), "{told:?}");
    trial.end();
    unmount();
}

fn no_descriptors() {
    let trial = Trial::with(&["--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"]);
    let _edge = trial.start();
    let (http, dns): (_, SocketAddr) = (trial.http(), trial.value("dns").parse().unwrap());
    let worker = trial.worker();
    let limit = |most: usize| {
        let words = ["--pid", &worker.to_string(), &format!("--nofile={most}:")].map(String::from);
        assert!(Command::new("prlimit").args(words).status().unwrap().success());
    };
    let open = fs::read_dir(format!("/proc/{worker}/fd")).unwrap();
    let numbers = open.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let last = numbers.map(|number| number.parse::<usize>().unwrap()).max().unwrap();
    limit(last + 1);
    // What is free below is used up by users.
    let _users: Vec<TcpStream> = (0..64).map(|_| TcpStream::connect(http).unwrap()).collect();
    let mut turned_away = TcpStream::connect(dns).unwrap();
    turned_away.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let asked = Instant::now();
    assert!(matches!(turned_away.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let socket = asker(Ipv4Addr::LOCALHOST, dns);
    socket.send(&question(1, "nothing.deploy")).unwrap();
    assert_eq!(answer(&socket).1, 3);
    limit(4096);
    let mut stream = TcpStream::connect(dns).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let message = question(2, "nothing.deploy");
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &message].concat()).unwrap();
    stream.read_exact(&mut [0; 14]).unwrap();
    trial.end();
}
