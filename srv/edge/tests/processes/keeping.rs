//! What an edge keeps: its table, its sockets, its word to `deployfs`, whoever is killed.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::backend::{Backend, echo};
use crate::server::Deployfs;
use crate::trial::{Case, Trial, WAIT_MAX, kill_now, wait_gone};
use crate::users::{Load, User, get};

/// A worker that was killed has to be back by then.
const BACK_TIME_MAX: Duration = Duration::from_millis(200);

/// New connections that may be open at one moment: users that come every 2 ms, and an answer that
/// takes its time because tests share the processors.
const IN_FLIGHT_MAX: usize = 25;

/// A worker that lived for so long is started again without a rest.
const LIVED_MIN: Duration = Duration::from_millis(1_050);

pub(crate) const ALL: &[Case] = &[
    ("a table is served and acknowledged", a_table_is_served),
    ("a table that is broken is said and not acknowledged", a_broken_table),
    ("a table that cannot be kept is served, and acknowledged when it can be", an_unkept_table),
    ("an edge that starts serves its last table before deployfs answers", the_last_table),
    ("a killed worker is back at once", a_killed_worker),
    ("twenty killed workers cost only what was in flight", twenty_killed),
    ("an edge of which all was killed begins anew", all_killed),
    ("what a killed worker had on its way is counted by the next", counted),
    ("a crash loop is rested from", a_crash_loop),
    ("a server that comes back is told everything again", told_again),
    ("a port of a route comes and goes with the table and outlives the worker", a_port),
    ("a port of a route that is in use is had when it is free", a_taken_route),
    ("a port that is in use is done without", a_taken_port),
    ("a worker that is told to end ends the edge", a_worker_that_is_told),
    ("an edge that ends lets what is in flight end", an_end),
];

/// A table of one service for every host.
pub(crate) fn route(options: &str, backends: &[&Backend]) -> Vec<String> {
    let backends: String = backends.iter().map(|it| format!(" {}", it.text())).collect();
    vec![format!("* / web {options}{backends}")]
}

fn a_table_is_served() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let at = server.wait_for(0, "began 0");
    let (one, two) = (Backend::start("web-1"), Backend::start("web-2"));
    server.publish(7, &route("-", &[&one]));
    let at = server.wait_for(at, "serves 7");
    assert_eq!(get(trial.http(), "/").unwrap(), "web-1");
    server.publish(8, &route("-", &[&two]));
    let at = server.wait_for(at, "serves 8");
    server.wait_for(at, "drained web-1");
    assert_eq!(get(trial.http(), "/").unwrap(), "web-2");
    assert!(trial.read("routes").starts_with("generation 8\n"));
    assert!(trial.value("build").starts_with(env!("CARGO_PKG_VERSION")));
    assert_eq!(
        (trial.value("generation"), trial.value("deployfs")),
        ("8".into(), "connected".into())
    );
    assert!(trial.read("metrics").contains("# TYPE "));
    trial.end();
}

fn a_broken_table() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(1, &route("-", &[&one]));
    let at = server.wait_for(0, "serves 1");
    server.publish(2, &["nonsense".to_owned()]);
    trial.wait_value("last_error", |values| values == ["table line 2: path is missing"]);
    assert_eq!(get(trial.http(), "/").unwrap(), "web-1");
    server.publish(3, &route("-", &[&one]));
    server.wait_for(at, "serves 3");
    assert!(!server.said().contains(&"serves 2".to_owned()));
    assert_eq!(trial.value("last_error"), "");
    trial.end();
}

fn an_unkept_table() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let (one, two) = (Backend::start("web-1"), Backend::start("web-2"));
    server.publish(1, &route("-", &[&one]));
    let at = server.wait_for(0, "serves 1");
    // Nothing can be written where a directory is.
    let taken = trial.state().join("edge/routes.new");
    std::fs::create_dir(&taken).unwrap();
    server.publish(2, &route("-", &[&two]));
    let why = "keep the table: Is a directory (os error 21)";
    trial.wait_value("last_error", |values| values == [why]);
    assert_eq!(get(trial.http(), "/").unwrap(), "web-2");
    let told = format!("told {why}: it is served, and not acknowledged before it is kept");
    server.wait_for(at, &told);
    assert!(!server.said().contains(&"serves 2".to_owned()));
    server.stop();
    let server = Deployfs::start(&trial.state());
    let at = server.wait_for(0, "serves 1");
    std::fs::remove_dir(&taken).unwrap();
    server.wait_for(at, "serves 2");
    trial.wait_value("last_error", |values| values == [""]);
    assert!(!server.said().contains(&told), "it is told once");
    trial.end();
}

fn the_last_table() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(5, &route("-", &[&one]));
    server.wait_for(0, "serves 5");
    server.stop();
    edge.signal(Signal::SIGTERM);
    assert!(edge.wait().success());
    let _edge = trial.start();
    assert_eq!(get(trial.http(), "/").unwrap(), "web-1");
    assert!(trial.value("deployfs") != "connected");
    let server = Deployfs::start(&trial.state());
    server.wait_for(0, "serves 5");
    trial.end();
}

fn a_killed_worker() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(5, &route("-", &[&one]));
    server.wait_for(0, "serves 5");
    let (at, before) = (trial.http(), trial.worker());
    server.stop();
    let began = Instant::now();
    kill_now(before);
    assert_eq!(get(at, "/").unwrap(), "web-1");
    let took = began.elapsed();
    println!("  back after {} ms", took.as_millis());
    assert!(took < BACK_TIME_MAX, "{took:?}");
    assert_ne!(trial.worker(), before);
    assert_eq!(trial.http(), at);
    trial.end();
}

fn twenty_killed() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(5, &route("-", &[&one]));
    server.wait_for(0, "serves 5");
    let (keepers, times) = (8, 20);
    let load = Load::start(trial.http(), keepers);
    let mut longest = Duration::ZERO;
    for _ in 0..times {
        let worker = trial.worker();
        let alive = Instant::now();
        // One that lives for less is taken for one that fails, and is rested from.
        while alive.elapsed() < LIVED_MIN {
            load.wait_answered(50);
        }
        kill_now(worker);
        let began = Instant::now();
        get(trial.http(), "/").unwrap();
        longest = longest.max(began.elapsed());
    }
    let told = load.stop();
    let lost = told.lost.lock().unwrap().len();
    let answered = told.answered.load(std::sync::atomic::Ordering::Relaxed);
    let refused = told.refused.load(std::sync::atomic::Ordering::Relaxed);
    println!("  answered {answered}, lost {lost}, refused {refused}, longest {longest:?}");
    assert_eq!(refused, 0);
    // A killed process takes its open connections along: those that were kept, and those that
    // were just being answered.
    assert!(lost <= times * (keepers + IN_FLIGHT_MAX), "{lost} lost");
    trial.end();
}

fn all_killed() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let edge = trial.start();
    let (one, two) = (Backend::start("web-1"), Backend::start("web-2"));
    server.publish(5, &route("-", &[&one]));
    server.wait_for(0, "serves 5");
    let worker = trial.worker();
    // The supervisor first, or it would start another worker.
    kill_now(edge.pid());
    kill_now(worker);
    edge.wait();
    wait_gone(worker);
    server.publish(6, &route("-", &[&two]));
    let from = server.said().len();
    let _edge = trial.start();
    assert!(get(trial.http(), "/").is_ok());
    let at = server.wait_for(from, "serves 5");
    let at = server.wait_for(at, "serves 6");
    server.wait_for(at, "drained web-1");
    trial.end();
}

fn counted() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(5, &route("-", &[&one]));
    server.wait_for(0, "serves 5");
    let at = trial.http();
    let killed = || {
        let metrics = trial.read("metrics");
        let line = |line: &str| {
            line.strip_prefix("deploy_requests_cut_total{reason=\"killed\"} ").map(str::to_owned)
        };
        metrics.lines().find_map(line).unwrap()
    };
    assert_eq!(killed(), "0");
    for total in ["3", "6"] {
        // Those that have ended are none of them.
        (0..5).for_each(|_| assert_eq!(get(at, "/").unwrap(), "web-1"));
        let mut slow: Vec<User> = (0..3).map(|_| User::connect(at).unwrap()).collect();
        slow.iter_mut().for_each(|user| user.send("/slow").unwrap());
        one.wait_slow(3);
        kill_now(trial.worker());
        slow.iter_mut().for_each(|user| assert!(user.answer().is_err()));
        assert_eq!(killed(), total);
        one.release();
    }
    trial.end();
}

fn a_crash_loop() {
    let trial = Trial::new();
    let _edge = trial.start();
    let began = Instant::now();
    for _ in 0..4 {
        kill_now(trial.worker());
    }
    let _ = trial.worker();
    // At once, then after 100, 200 and 400 ms.
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    trial.end();
}

fn told_again() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let (one, two) = (Backend::start("web-1"), Backend::start("web-2"));
    server.publish(1, &route("-", &[&one]));
    server.wait_for(0, "serves 1");
    server.publish(2, &route("-", &[&two]));
    server.wait_for(0, "drained web-1");
    server.stop();
    let server = Deployfs::start(&trial.state());
    let at = server.wait_for(0, "serves 2");
    assert_eq!(at, 1, "{:?}", server.said());
    server.wait_for(at, "drained web-1");
    // A process that begins anew says so too of what left in the time of the one before.
    kill_now(trial.worker());
    let at = server.wait_for(2, "serves 2");
    server.wait_for(at, "drained web-1");
    trial.end();
}

fn a_port() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    server.publish(1, &[format!("tcp {port} db - 0/db-1/v1={}", echo())]);
    server.wait_for(0, "serves 1");
    let bound = format!("127.0.0.1:{port}");
    trial.wait_value("tcp", |values| values == [bound.clone()]);
    let say = || {
        let mut stream = TcpStream::connect(&bound).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.write_all(b"hello").unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello");
    };
    say();
    kill_now(trial.worker());
    say();
    let _next = trial.start();
    say();
    let counted = format!("db tcp {port} requests=");
    trial.wait_value("route", |values| values.iter().any(|line| line.starts_with(&counted)));
    assert_eq!(trial.values("missing"), Vec::<String>::new());
    server.publish(2, &[]);
    server.wait_for(0, "serves 2");
    trial.wait_value("tcp", <[String]>::is_empty);
    let began = Instant::now();
    // The supervisor closes it a moment after the worker.
    while TcpStream::connect(&bound).is_ok() {
        assert!(began.elapsed() < WAIT_MAX);
    }
    trial.end();
}

fn a_taken_route() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let _edge = trial.start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let lines = [format!("tcp {} db - 0/db-1/v1={}", at.port(), echo())];
    server.publish(1, &lines);
    let missing = format!("tcp {}: Address already in use (os error 98)", at.port());
    trial.wait_value("missing", |values| values == [missing.clone()]);
    // Whoever hears that the table is served has heard of this before.
    let why = "Address already in use (os error 98)";
    let told = server.wait_for(0, &format!("told route tcp {} is not served: {why}", at.port()));
    assert!(server.wait_for(0, "serves 1") > told, "{:?}", server.said());
    drop(taken);
    server.publish(2, &lines);
    trial.wait_value("tcp", |values| values == [at.to_string()]);
    assert_eq!(trial.values("missing"), Vec::<String>::new());
    trial.end();
}

fn a_worker_that_is_told() {
    let trial = Trial::new();
    let edge = trial.start();
    nix::sys::signal::kill(trial.worker(), Signal::SIGTERM).unwrap();
    assert!(edge.wait().success());
}

fn a_taken_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let words = ["--http", "127.0.0.1:0", "--https", &at, "--certs", "/", "--dns", "127.0.0.1"];
    let trial = Trial::with(&words);
    // Where names are asked for is taken as well; there is another port for that.
    let names = std::net::UdpSocket::bind("127.0.0.1:53");
    let _edge = trial.start();
    let missing = format!("https {at}: Address already in use (os error 98)");
    assert_eq!(trial.values("missing"), [missing]);
    assert!(trial.values("http").len() == 1 && trial.values("https").is_empty());
    assert_eq!(trial.value("dns"), "127.0.0.1:5353");
    drop(names);
    trial.end();
}

fn an_end() {
    for by_signal in [true, false] {
        let trial = Trial::new();
        let server = Deployfs::start(&trial.state());
        let edge = trial.start();
        let one = Backend::start("web-1");
        server.publish(1, &route("-", &[&one]));
        server.wait_for(0, "serves 1");
        let (at, worker) = (trial.http(), trial.worker());
        let mut slow = User::connect(at).unwrap();
        slow.send("/slow").unwrap();
        one.wait_slow(1);
        match by_signal {
            true => edge.signal(Signal::SIGTERM),
            false => trial.write("end"),
        }
        let began = Instant::now();
        while TcpStream::connect(at).is_ok() {
            assert!(began.elapsed() < WAIT_MAX, "it still takes connections");
        }
        one.release();
        assert_eq!(slow.answer().unwrap(), "web-1");
        assert!(slow.closes);
        assert!(edge.wait().success());
        wait_gone(worker);
        let left = |name: &str| trial.state().join(name).exists();
        assert!(!left("edge.sock") && !left("edge.up"));
    }
}
