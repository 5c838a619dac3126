//! One edge takes over from another, and nobody notices.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::keeping::route;
use crate::server::Deployfs;
use crate::trial::{Case, Edge, Trial, WAIT_MAX, kill_now, wait_gone};
use crate::users::{Load, User, get};

pub(crate) const ALL: &[Case] = &[
    ("twenty take-overs under load lose nothing", twenty_take_overs),
    ("of many new edges at once one is left and nothing is lost", many_at_once),
    ("names are answered all the time", names),
    ("an edge whose supervisor was killed serves on and is taken over", without_supervisor),
    ("a new edge that fails leaves the old one serving", a_failed_one),
    ("a new edge that is killed on its way changes nothing for users", a_killed_one),
    ("what an old process still uses has not drained", held_by_the_old),
    ("a killed worker does not make the older one forgotten", held_past_a_kill),
    ("what an old process cuts is told by the new one", cut_by_the_old),
    ("what is in flight may end in the old process", in_flight),
];

struct Scene {
    trial: Trial,
    server: Deployfs,
    one: Backend,
    edge: Edge,
}

fn scene(options: &str) -> Scene {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(1, &route(options, &[&one]));
    server.wait_for(0, "serves 1");
    Scene { trial, server, one, edge }
}

fn twenty_take_overs() {
    let Scene { trial, server, mut edge, .. } = scene("-");
    let at = trial.http();
    let load = Load::start(at, 8);
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        load.wait_answered(300);
        let began = Instant::now();
        let next = trial.start();
        longest = longest.max(began.elapsed());
        assert!(std::mem::replace(&mut edge, next).wait().success());
    }
    let told = load.stop();
    let answered = told.answered.load(Ordering::Relaxed);
    println!("  answered {answered}, longest start {longest:?}");
    assert_eq!(*told.lost.lock().unwrap(), Vec::<String>::new());
    assert_eq!(told.refused.load(Ordering::Relaxed), 0);
    assert_eq!(trial.http(), at);
    // Never did two speak to deployfs as one.
    assert_eq!(server.most_open(), 1);
    trial.end();
}

fn many_at_once() {
    let Scene { trial, server, edge, .. } = scene("-");
    let load = Load::start(trial.http(), 4);
    for _ in 0..3 {
        let mut new: Vec<_> = (0..4).map(|_| trial.command().spawn().unwrap()).collect();
        load.wait_answered(200);
        // Each has taken over from one before it, or found that another was about to.
        let began = Instant::now();
        while new.len() > 1 {
            new.retain_mut(|child| child.try_wait().unwrap().is_none());
            assert!(began.elapsed() < WAIT_MAX, "{} are left", new.len());
        }
        trial.wait_value("supervisor", |values| values[0] == new[0].id().to_string());
    }
    assert!(edge.wait().success());
    let told = load.stop();
    assert_eq!(*told.lost.lock().unwrap(), Vec::<String>::new());
    assert_eq!(told.refused.load(Ordering::Relaxed), 0);
    assert_eq!(server.most_open(), 1);
    trial.end();
}

fn names() {
    let trial = Trial::with(&["--dns", "127.0.0.1:0"]);
    let server = Deployfs::start(&trial.state());
    let mut edge = trial.start();
    let one = Backend::start("web-1");
    server.publish(1, &route("-", &[&one]));
    server.wait_for(0, "serves 1");
    let at: SocketAddr = trial.value("dns").parse().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let asking = std::thread::spawn({
        let stop = stop.clone();
        move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let (mut asked, mut answered) = (0_u16, 0);
            let mut answer = [0; 512];
            while !stop.load(Ordering::Relaxed) {
                asked += 1;
                let head = [asked.to_be_bytes(), [1, 0], [0, 1], [0, 0], [0, 0], [0, 0]].concat();
                let question = [&head[..], b"\x03web\x06deploy\0\0\x01\0\x01"].concat();
                socket.send_to(&question, at).unwrap();
                let Ok((count, _)) = socket.recv_from(&mut answer) else { continue };
                assert!(answer[..2] == asked.to_be_bytes() && answer[3] & 15 == 0);
                assert_eq!(answer[count - 4..count], [127, 0, 0, 1]);
                answered += 1;
            }
            (asked, answered)
        }
    });
    for _ in 0..5 {
        let next = trial.start();
        assert!(std::mem::replace(&mut edge, next).wait().success());
    }
    stop.store(true, Ordering::Relaxed);
    let (asked, answered) = asking.join().unwrap();
    println!("  asked {asked}, answered {answered}");
    assert_eq!(asked, answered);
    trial.end();
}

fn without_supervisor() {
    let Scene { trial, edge, .. } = scene("-");
    let load = Load::start(trial.http(), 8);
    let (supervisor, worker) = (edge.pid(), trial.worker());
    kill_now(supervisor);
    assert!(!edge.wait().success());
    load.wait_answered(100);
    // It starts a supervisor by itself, which takes over.
    trial.wait_value("supervisor", |values| {
        values.iter().all(|value| *value != "0" && *value != supervisor.to_string())
    });
    wait_gone(worker);
    let next = trial.start();
    load.wait_answered(100);
    assert_eq!(trial.value("supervisor"), next.pid().to_string());
    let told = load.stop();
    assert_eq!(*told.lost.lock().unwrap(), Vec::<String>::new());
    assert_eq!(told.refused.load(Ordering::Relaxed), 0);
    trial.end();
    assert!(next.wait().success());
}

fn a_failed_one() {
    let Scene { trial, server, edge, .. } = scene("-");
    let load = Load::start(trial.http(), 4);
    // With so few descriptors it fails, sooner or later on its way.
    for descriptors in 4..=14 {
        let mut command = Command::new("sh");
        let words = trial.command();
        command.arg("-c").arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""));
        command.arg(words.get_program()).args(words.get_args());
        let told = command.stdout(Stdio::piped()).stderr(Stdio::null()).output().unwrap();
        assert!(!told.status.success() && told.stdout.is_empty(), "{descriptors} are enough");
        assert_eq!(trial.value("supervisor"), edge.pid().to_string());
        load.wait_answered(20);
    }
    let told = load.stop();
    assert_eq!(*told.lost.lock().unwrap(), Vec::<String>::new());
    assert_eq!(told.refused.load(Ordering::Relaxed), 0);
    assert_eq!(server.most_open(), 1);
    trial.end();
}

fn a_killed_one() {
    let Scene { trial, .. } = scene("-");
    let load = Load::start(trial.http(), 4);
    let mut taken = 0;
    for moment_ms in 0..30 {
        let before = trial.worker();
        let mut new = trial.command().spawn().unwrap();
        // Not a wait for something: it is killed at one moment of its way after another.
        std::thread::sleep(Duration::from_millis(moment_ms));
        new.kill().unwrap();
        new.wait().unwrap();
        load.wait_answered(20);
        trial.wait_value("supervisor", |values| values[0] != "0");
        taken += u32::from(trial.worker() != before);
    }
    println!("  killed 30 times, {taken} times when it had taken over");
    let told = load.stop();
    assert_eq!(*told.lost.lock().unwrap(), Vec::<String>::new());
    assert_eq!(told.refused.load(Ordering::Relaxed), 0);
    trial.end();
}

fn held_by_the_old() {
    let Scene { trial, server, one, edge } = scene("-");
    let mut slow = User::connect(trial.http()).unwrap();
    slow.send("/slow").unwrap();
    one.wait_slow(1);
    let old = trial.worker();
    let _next = trial.start();
    let two = Backend::start("web-2");
    server.publish(2, &route("-", &[&two]));
    let at = server.wait_for(0, "serves 2");
    assert_eq!(get(trial.http(), "/").unwrap(), "web-2");
    assert_eq!(trial.values("older"), [format!("{old} streams=1")]);
    // Another instance that only the new one has used comes and goes in the meantime.
    server.publish(3, &route("-", &[&Backend::start("web-3")]));
    let at = server.wait_for(at, "serves 3");
    server.wait_for(at, "drained web-2");
    assert!(!server.said().contains(&"drained web-1".to_owned()), "{:?}", server.said());
    one.release();
    assert_eq!(slow.answer().unwrap(), "web-1");
    server.wait_for(at, "drained web-1");
    assert!(edge.wait().success());
    trial.end();
}

fn held_past_a_kill() {
    let Scene { trial, server, one, .. } = scene("-");
    let mut slow = User::connect(trial.http()).unwrap();
    slow.send("/slow").unwrap();
    one.wait_slow(1);
    let _next = trial.start();
    let two = Backend::start("web-2");
    server.publish(2, &route("-", &[&two]));
    let at = server.wait_for(0, "serves 2");
    kill_now(trial.worker());
    let at = server.wait_for(at, "serves 2");
    server.publish(3, &route("-", &[&one, &two]));
    let at = server.wait_for(at, "serves 3");
    server.publish(4, &route("-", &[]));
    let at = server.wait_for(at, "serves 4");
    server.wait_for(at, "drained web-2");
    assert!(!server.said().contains(&"drained web-1".to_owned()), "{:?}", server.said());
    one.release();
    assert_eq!(slow.answer().unwrap(), "web-1");
    server.wait_for(at, "drained web-1");
    trial.end();
}

fn cut_by_the_old() {
    let Scene { trial, server, one, edge } = scene("drain=300");
    let mut slow = User::connect(trial.http()).unwrap();
    slow.send("/slow").unwrap();
    one.wait_slow(1);
    let _next = trial.start();
    server.publish(2, &route("drain=300", &[]));
    let at = server.wait_for(0, "serves 2");
    assert!(slow.answer().is_err());
    server.wait_for(at, "drained web-1");
    let cut = |line: &String| line.starts_with("cut web-1 1 ");
    assert_eq!(server.said().iter().filter(|line| cut(line)).count(), 1, "{:?}", server.said());
    assert!(edge.wait().success());
    trial.end();
}

fn in_flight() {
    let Scene { trial, server, one, edge } = scene("-");
    let mut slow = User::connect(trial.http()).unwrap();
    slow.send("/slow").unwrap();
    one.wait_slow(1);
    let mut kept = User::connect(trial.http()).unwrap();
    assert_eq!(kept.get("/").unwrap(), "web-1");
    assert!(!kept.closes);
    let next = trial.start();
    // A connection that rested at the old one is answered there and told to close.
    while !kept.closes {
        assert_eq!(kept.get("/").unwrap(), "web-1");
    }
    server.wait_for(1, "serves 1");
    // The edge ends when the old one has nothing left to do, too.
    let worker = trial.worker();
    trial.write("end");
    one.release();
    assert_eq!(slow.answer().unwrap(), "web-1");
    wait_gone(worker);
    assert!(next.wait().success() && edge.wait().success());
}
