//! The access log of real processes: complete over restarts and take-overs, and nobody's trouble
//! when it cannot be written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::backend::Backend;
use crate::keeping::route;
use crate::server::Deployfs;
use crate::trial::{Case, Edge, Trial, WAIT_MAX, kill_now, wait_gone};
use crate::users::{Load, User, get};

/// Bytes of the edge's own log at which it begins the next file, and how many it keeps.
const OWN_BYTES_MAX: u64 = 10 << 20;
const OWN_FILES: usize = 5;

pub(crate) const ALL: &[Case] = &[
    ("every request has a line over take-overs, rotations and an end", every_request),
    ("the lines before a kill are kept and those after it follow", over_a_kill),
    ("a log that others rotate is opened anew without a word", others_rotate),
    ("a full disk costs lines and no request", full_disk),
    ("a log on standard output is whole lines also of two processes", standard_output),
    ("a supervisor that is started for a killed one writes no word into the log", no_word),
    ("no log is kept where none is asked for", no_log),
    ("status tells how each route and each instance does", figures),
];

fn scene(words: &[&str]) -> (Trial, Deployfs, Edge) {
    let trial = Trial::with(&[&["--http", "127.0.0.1:0"], words].concat());
    let server = Deployfs::start(&trial.state());
    let edge = trial.start();
    serve(&server);
    (trial, server, edge)
}

fn serve(server: &Deployfs) {
    server.publish(1, &route("-", &[&Backend::start("web-1")]));
    server.wait_for(0, "serves 1");
}

/// The paths that were asked for by the lines of a log, each of which must be whole.
fn paths(text: &str) -> Vec<String> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is not whole");
    let path = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let whole = fields.len() == 18 && line.starts_with("127.0.0.1 - - [");
        assert!(whole && fields[8..14] == ["200", "5", "\"-\"", "\"-\"", "shop", "web"], "{line}");
        assert_eq!(&fields[14..16], ["web-1", "v1"], "{line}");
        let (all, waited) = (fields[16].parse::<f64>(), fields[17].parse::<f64>());
        assert!(all.unwrap() >= waited.unwrap(), "{line}");
        fields[6].to_owned()
    };
    // Behind it stand the request's own name, and how it was cut.
    text.lines().map(|line| line.rsplitn(3, ' ').nth(2).unwrap()).map(path).collect()
}

/// Looks at a file until it has what is wanted.
fn wait_file(path: &Path, fits: impl Fn(&str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if fits(&text) {
            return text;
        }
        assert!(began.elapsed() < WAIT_MAX, "{}: {text}", path.display());
        std::thread::yield_now();
    }
}

fn metric(trial: &Trial, name: &str) -> u64 {
    let text = trial.read("metrics");
    let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found.unwrap().parse().unwrap()
}

fn own_files(trial: &Trial) -> Vec<PathBuf> {
    let dir = fs::read_dir(trial.state().join("edge")).unwrap();
    let paths = dir.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.to_str().unwrap().contains("access.log")).collect();
    paths.sort();
    paths
}

fn every_request() {
    let (trial, _server, mut edge) = scene(&[]);
    let log = trial.state().join("edge/access.log");
    assert_eq!(trial.value("access"), log.to_str().unwrap());
    let load = Load::start(trial.http(), 4);
    let mut asked = BTreeSet::new();
    // Long paths: the file is full after some thousand lines.
    let mut ask = |count: usize| {
        let mut user = User::connect(trial.http()).unwrap();
        for _ in 0..count {
            let path = format!("/{:05}-{}", asked.len(), "x".repeat(1900));
            user.get(&path).unwrap();
            if user.closes {
                user = User::connect(trial.http()).unwrap();
            }
            asked.insert(path);
        }
    };
    for _ in 0..4 {
        ask(1_500);
        load.wait_answered(100);
        let next = trial.start();
        assert!(std::mem::replace(&mut edge, next).wait().success());
    }
    ask(10);
    let told = load.stop();
    assert_eq!(*told.lost.lock().unwrap(), Vec::<String>::new());
    assert_eq!(metric(&trial, "deploy_access_lines_dropped_total"), 0);
    trial.end();
    assert!(edge.wait().success());
    let files = own_files(&trial);
    assert!((2..=OWN_FILES).contains(&files.len()), "{files:?}");
    let mut lines = Vec::new();
    for file in &files {
        assert!(fs::metadata(file).unwrap().len() <= OWN_BYTES_MAX);
        lines.extend(paths(&fs::read_to_string(file).unwrap()));
    }
    let short = lines.iter().filter(|path| *path == "/").count() as u64;
    assert_eq!(short, told.answered.load(Ordering::Relaxed));
    assert_eq!(lines.len() as u64 - short, asked.len() as u64);
    assert_eq!(lines.into_iter().filter(|path| path != "/").collect::<BTreeSet<_>>(), asked);
}

fn over_a_kill() {
    let (trial, _server, _edge) = scene(&[]);
    let log = trial.state().join("edge/access.log");
    get(trial.http(), "/before").unwrap();
    wait_file(&log, |text| text.contains("/before"));
    let worker = trial.worker();
    kill_now(worker);
    wait_gone(worker);
    get(trial.http(), "/after").unwrap();
    let text = wait_file(&log, |text| text.contains("/after"));
    assert_eq!(paths(&text), ["/before", "/after"]);
    trial.end();
}

fn others_rotate() {
    let dir = tempfile::tempdir().unwrap();
    let (log, moved) = (dir.path().join("log"), dir.path().join("log.1"));
    let (trial, _server, _edge) = scene(&["--access-log", log.to_str().unwrap()]);
    get(trial.http(), "/one").unwrap();
    wait_file(&log, |text| text.contains("/one"));
    fs::rename(&log, &moved).unwrap();
    get(trial.http(), "/two").unwrap();
    assert_eq!(paths(&wait_file(&log, |text| text.contains("/two"))), ["/two"]);
    assert_eq!(paths(&fs::read_to_string(&moved).unwrap()), ["/one"]);
    fs::remove_file(&log).unwrap();
    get(trial.http(), "/three").unwrap();
    assert_eq!(paths(&wait_file(&log, |text| text.contains("/three"))), ["/three"]);
    assert_eq!(own_files(&trial), Vec::<PathBuf>::new());
    trial.end();
}

fn wait_dropped(trial: &Trial, least: u64) -> u64 {
    let began = Instant::now();
    loop {
        let dropped = metric(trial, "deploy_access_lines_dropped_total");
        if dropped >= least {
            return dropped;
        }
        assert!(began.elapsed() < WAIT_MAX, "{}", trial.read("metrics"));
    }
}

fn full_disk() {
    let (trial, _server, _edge) = scene(&["--access-log", "/dev/full"]);
    let mut user = User::connect(trial.http()).unwrap();
    for _ in 0..500 {
        user.get("/").unwrap();
    }
    trial.wait_value("warning", |told| {
        told == ["access log /dev/full: No space left on device (os error 28)"]
    });
    assert_eq!(wait_dropped(&trial, 500), 500);
    trial.end();
    small_disk();
}

/// A disk that is full in the middle of a batch, and then has room again.
fn small_disk() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = |words: &[&str]| {
        let mount = Command::new(words[0]).args(&words[1..]).arg(dir.path()).status();
        assert!(mount.unwrap().success(), "{words:?}");
    };
    // Seen by this process and its edge only.
    mount(&["mount", "-t", "tmpfs", "-o", "size=64k", "small"]);
    let (log, ballast) = (dir.path().join("log"), dir.path().join("ballast"));
    let (trial, _server, _edge) = scene(&["--access-log", log.to_str().unwrap()]);
    fs::write(&ballast, vec![0; 40 << 10]).unwrap();
    let mut user = User::connect(trial.http()).unwrap();
    for number in 0..500 {
        user.get(&format!("/{number}")).unwrap();
    }
    wait_dropped(&trial, 1);
    fs::remove_file(&ballast).unwrap();
    user.get("/after").unwrap();
    let lines = paths(&wait_file(&log, |text| text.contains("/after"))).len() as u64;
    let dropped = metric(&trial, "deploy_access_lines_dropped_total");
    assert!(dropped > 0 && lines + dropped == 501, "{lines} and {dropped}");
    trial.wait_value("warning", <[String]>::is_empty);
    trial.end();
    mount(&["umount", "-l"]);
}

fn standard_output() {
    let trial = Trial::with(&["--http", "127.0.0.1:0", "--access-log", "-"]);
    let server = Deployfs::start(&trial.state());
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // Open for reading first: who opens it for writing would wait for that.
    let reader = File::options().read(true).write(true).open(&pipe).unwrap();
    let mut read = BufReader::new(reader).lines().map(Result::unwrap);
    let start = || {
        let output = File::options().write(true).open(&pipe).unwrap();
        trial.command().stdin(Stdio::null()).stdout(output).spawn().unwrap()
    };
    let mut first = start();
    assert_eq!(read.next().unwrap(), "ready");
    serve(&server);
    let load = Load::start(trial.http(), 4);
    load.wait_answered(200);
    let mut next = start();
    let mut text = String::new();
    let mut take = |more: usize| {
        for line in read.by_ref().filter(|line| line != "ready").take(more) {
            text.push_str(&line);
            text.push('\n');
        }
    };
    take(200);
    assert!(first.wait().unwrap().success());
    take(200);
    let told = load.stop();
    assert_eq!(*told.lost.lock().unwrap(), Vec::<String>::new());
    let all = told.answered.load(Ordering::Relaxed) as usize;
    take(all - 400);
    assert_eq!(paths(&text).len(), all);
    trial.end();
    assert!(next.wait().unwrap().success());
}

fn no_word() {
    let trial = Trial::with(&["--http", "127.0.0.1:0", "--access-log", "-"]);
    let server = Deployfs::start(&trial.state());
    let output = tempfile::NamedTempFile::new().unwrap();
    let mut first = trial.command().stdout(output.reopen().unwrap()).spawn().unwrap();
    wait_file(output.path(), |text| text == "ready\n");
    serve(&server);
    let mut before = trial.value("supervisor");
    // Its own successor writes to the same place, and so does the one after that.
    for number in 0..2 {
        get(trial.http(), &format!("/{number}")).unwrap();
        wait_file(output.path(), |text| text.contains(&format!("/{number} ")));
        let worker = trial.worker();
        kill_now(nix::unistd::Pid::from_raw(before.parse().unwrap()));
        wait_gone(worker);
        trial.wait_value("supervisor", |now| now != ["0"] && now != [before.as_str()]);
        before = trial.value("supervisor");
        assert_eq!(trial.value("access"), "-");
    }
    get(trial.http(), "/after").unwrap();
    let text = wait_file(output.path(), |text| text.contains("/after "));
    assert_eq!(paths(text.strip_prefix("ready\n").unwrap()), ["/0", "/1", "/after"]);
    assert!(!first.wait().unwrap().success(), "it was killed");
    trial.end();
}

fn no_log() {
    let (trial, _server, _edge) = scene(&["--access-log", "none"]);
    get(trial.http(), "/").unwrap();
    assert_eq!(trial.value("access"), "none");
    trial.end();
    assert_eq!(own_files(&trial), Vec::<PathBuf>::new());
}

fn figures() {
    let (trial, server, _edge) = scene(&["--access-log", "none"]);
    let gone = "0/web-2/v2=127.0.0.1:1".to_owned();
    let missing = format!("shop /gone web - {gone}");
    server.publish(2, &[route("-", &[&Backend::start("web-1")]), vec![missing]].concat());
    server.wait_for(0, "serves 2");
    for _ in 0..7 {
        get(trial.http(), "/").unwrap();
    }
    assert!(get(trial.http(), "/gone/x").is_err());
    let check = |key: &str, text: &str| {
        let values = trial.values(key);
        let found = values.iter().find_map(|value| value.strip_prefix(text)?.strip_prefix(' '));
        let found = found.unwrap_or_else(|| panic!("no {text} in {values:?}"));
        let ms = |name: &str| {
            let value = found.split(' ').find_map(|word| word.strip_prefix(name));
            value.unwrap().parse::<f64>().unwrap()
        };
        assert!(ms("p50_ms=") > 0.0 && ms("p99_ms=") >= ms("p50_ms="), "{found}");
    };
    check("route", "web * / requests=7 errors=0 inflight=0");
    check("instance", "web web-1 v1 requests=7 errors=0 inflight=0");
    check("route", "web shop /gone requests=1 errors=1 inflight=0");
    trial.end();
}
