//! Streams without an end, over the ends of the processes that began them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::backend::{Backend, echo};
use crate::server::Deployfs;
use crate::stalls;
use crate::trial::{Case, Edge, Trial, WAIT_MAX, kill_now, wait_gone};
use crate::users::get;

/// Cases that take their time, and leave the machine to others.
pub(crate) const BESIDE: &[Case] =
    &[("endless streams go on until their instance leaves, whoever follows", endless)];

pub(crate) const ALL: &[Case] = &[
    ("of too many older processes the oldest ends what it has", too_many),
    ("an edge that ends takes older processes along", an_end_for_all),
    ("an older process that is killed takes along what is counted", a_killed_older_one),
];

/// What a drain is where streams are cut.
const DRAIN: &str = "drain=300";
/// Until when streams were cut that had not ended by themselves: resting connections had six
/// seconds, and the drain came after those.
const LONG: Duration = Duration::from_secs(8);
/// Between two words of a user.
const WORD_EVERY: Duration = Duration::from_millis(250);

/// An instance that switches to what a user wants to speak and gives back what he says, or sends
/// events.
#[derive(Clone)]
pub(crate) struct Talker {
    address: SocketAddr,
    listening: Arc<Mutex<Vec<TcpStream>>>,
}

impl Talker {
    pub(crate) fn start() -> Talker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let talker = Talker { address: listener.local_addr().unwrap(), listening: Arc::default() };
        let serving = talker.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                thread::spawn(move || drop(serving.serve(stream)));
            }
        });
        talker
    }

    /// A table with it.
    pub(crate) fn route(&self, options: &str) -> String {
        format!("* / web websocket,{options} 0/web-1/v1={}", self.address)
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let mut write = stream.try_clone()?;
        if first.contains("/events") {
            write.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            self.listening.lock().unwrap().push(stream);
            return Ok(());
        }
        write.write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\
              Upgrade: websocket\r\n\r\n",
        )?;
        std::io::copy(&mut &stream, &mut write).map(drop)
    }

    /// Sends an event to all who listen.
    fn event(&self) {
        let write = |mut to: &TcpStream| to.write_all(b"4\r\ntick\r\n").is_ok();
        self.listening.lock().unwrap().retain(write);
    }
}

/// A user who has a stream.
pub(crate) struct Stream {
    read: BufReader<TcpStream>,
    write: TcpStream,
}

impl Stream {
    fn plain(at: SocketAddr) -> Stream {
        let write = TcpStream::connect(at).unwrap();
        write.set_read_timeout(Some(WAIT_MAX)).unwrap();
        Stream { read: BufReader::new(write.try_clone().unwrap()), write }
    }

    fn asking(at: SocketAddr, path: &str, fields: &str) -> Stream {
        let mut user = Stream::plain(at);
        write!(user.write, "GET {path} HTTP/1.1\r\nHost: shop\r\n{fields}\r\n").unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(user.read.read_line(&mut line).unwrap() > 0, "no answer");
        }
        user
    }

    /// A websocket, or what the edge takes for one.
    pub(crate) fn socket(at: SocketAddr) -> Stream {
        let mut user =
            Stream::asking(at, "/socket", "Connection: upgrade\r\nUpgrade: websocket\r\n");
        user.say();
        user
    }

    fn say(&mut self) {
        self.write.write_all(b"word").unwrap();
        self.hear(b"word");
    }

    fn hear(&mut self, want: &[u8]) {
        let mut told = vec![0; want.len()];
        self.read.read_exact(&mut told).unwrap();
        assert_eq!(told, want);
    }

    /// Waits for its end.
    fn ends(&mut self) {
        let mut rest = Vec::new();
        match self.read.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(why) => assert_eq!(why.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}

/// The streams of one user of each kind.
struct Streams {
    talker: Talker,
    socket: Stream,
    events: Stream,
    port: Stream,
    /// Over HTTP/2, where more than one share a connection.
    second: TcpStream,
}

impl Streams {
    fn open(talker: &Talker, at: SocketAddr, port: SocketAddr) -> Streams {
        let mut second = TcpStream::connect(at).unwrap();
        second.set_read_timeout(Some(WAIT_MAX)).unwrap();
        second.write_all(&stalls::listen("/events")).unwrap();
        let events = Stream::asking(at, "/events", "");
        let mut port = Stream::plain(port);
        port.say();
        let began = Instant::now();
        while talker.listening.lock().unwrap().len() < 2 {
            assert!(began.elapsed() < WAIT_MAX, "nobody listens");
            thread::yield_now();
        }
        Streams { talker: talker.clone(), socket: Stream::socket(at), events, port, second }
    }

    /// Each has a word.
    fn talk(&mut self) {
        self.socket.say();
        self.port.say();
        self.talker.event();
        self.events.hear(b"4\r\ntick\r\n");
        assert_eq!(stalls::next(&mut self.second), (stalls::DATA, 1, b"tick".to_vec()));
    }

    /// So does each for as long.
    fn talk_for(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.talk();
            // The pace of the conversation.
            thread::sleep(WORD_EVERY);
        }
    }

    fn end(&mut self) {
        self.socket.ends();
        self.port.ends();
        self.events.ends();
        assert_eq!(stalls::next(&mut self.second).0, stalls::RESET);
    }
}

fn older(trial: &Trial, pid: Pid, streams: u64) {
    trial.wait_value("older", |values| values == [format!("{pid} streams={streams}")]);
}

fn value(trial: &Trial, key: &str) -> u64 {
    let metrics = trial.read("metrics");
    let line = metrics.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {key} in {metrics}")).parse().unwrap()
}

fn cut(trial: &Trial, reason: &str) -> u64 {
    value(trial, &format!("deploy_requests_cut_total{{reason=\"{reason}\"}}"))
}

fn follow(trial: &Trial, edge: &mut Edge) {
    let _ = std::mem::replace(edge, trial.start());
}

fn endless() {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let mut edge = trial.start();
    let (talker, free) = (Talker::start(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = free.local_addr().unwrap();
    drop(free);
    let db = format!("tcp {} db {DRAIN} 0/db-1/v1={}", port.port(), echo());
    server.publish(1, &[talker.route(DRAIN), db.clone()]);
    server.wait_for(0, "serves 1");
    trial.wait_value("tcp", |values| values.len() == 1);
    let mut streams = Streams::open(&talker, trial.http(), port);
    let (first, supervisor) = (trial.worker(), edge.pid());
    follow(&trial, &mut edge);
    older(&trial, first, 4);
    streams.talk_for(LONG);
    // Who keeps nothing but a process that needs nobody is gone.
    wait_gone(supervisor);
    older(&trial, first, 4);
    // The one in between has nothing to stay for.
    let second = trial.worker();
    follow(&trial, &mut edge);
    wait_gone(second);
    kill_now(trial.worker());
    older(&trial, first, 4);
    streams.talk_for(Duration::from_secs(1));
    // A table that leaves them alone does so in every process.
    let spare = Backend::start("web-2");
    let both = format!("{} {}", talker.route(DRAIN), spare.text());
    server.publish(2, &[both, db]);
    let at = server.wait_for(0, "serves 2");
    streams.talk();
    let one = format!("* / web websocket,{DRAIN} {}", spare.text());
    server.publish(3, &[one]);
    let at = server.wait_for(at, "serves 3");
    streams.talk();
    let (web, db) = (server.wait_for(at, "drained web-1"), server.wait_for(at, "drained db-1"));
    let said = server.said();
    let told = |id: &str, end: usize| {
        let cut = format!("cut {id} still on the way 300 ms after it left the table");
        assert!(said[..end].contains(&cut), "no {cut:?} before {end} of {said:?}");
    };
    told("web-1 3", web);
    told("db-1 1", db);
    streams.end();
    wait_gone(first);
    assert_eq!((cut(&trial, "drain"), cut(&trial, "killed")), (4, 0));
    assert_eq!(get(trial.http(), "/").unwrap(), "web-2");
    trial.end();
}

fn scene() -> (Trial, Deployfs, Edge) {
    let trial = Trial::new();
    let server = Deployfs::start(&trial.state());
    let edge = trial.start();
    server.publish(1, &[Talker::start().route(DRAIN)]);
    server.wait_for(0, "serves 1");
    (trial, server, edge)
}

fn too_many() {
    let (trial, server, mut edge) = scene();
    let (mut streams, first) = (vec![Stream::socket(trial.http())], trial.worker());
    let line = "cut web-1 1 its process of the edge was the oldest of too many";
    // One or another is begun at a process that is just being followed.
    while !server.said().iter().any(|said| said == line) {
        follow(&trial, &mut edge);
        streams.push(Stream::socket(trial.http()));
        let all = trial.values("older").len();
        assert!(all <= 10 && streams.len() < 30, "{all} older, {} streams", streams.len());
    }
    streams[0].ends();
    wait_gone(first);
    trial.wait_value("older", |values| values.len() == 8);
    let cut = |reason| cut(&trial, reason);
    assert_eq!((cut("drain"), cut("killed")), (0, 0));
    let here = || value(&trial, "deploy_route_inflight{service=\"web\",host=\"*\",path=\"/\"}");
    let began = Instant::now();
    while here() + cut("older") != streams.len() as u64 {
        assert!(began.elapsed() < WAIT_MAX, "{} and {}", here(), cut("older"));
    }
    streams.last_mut().unwrap().say();
    assert!(!server.said().contains(&"drained web-1".to_owned()), "{:?}", server.said());
    drop(streams);
    trial.wait_value("older", <[String]>::is_empty);
    trial.end();
}

fn an_end_for_all() {
    let (trial, _server, mut edge) = scene();
    let (mut stream, first) = (Stream::socket(trial.http()), trial.worker());
    follow(&trial, &mut edge);
    older(&trial, first, 1);
    stream.say();
    trial.end();
    stream.ends();
    wait_gone(first);
    assert!(edge.wait().success());
    let left = std::fs::read_dir(trial.state().join("edge")).unwrap();
    let mut left: Vec<_> = left.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["access.lock", "access.log", "left", "lock", "routes"]);
}

fn a_killed_older_one() {
    let (trial, _server, mut edge) = scene();
    let mut streams: Vec<Stream> = (0..3).map(|_| Stream::socket(trial.http())).collect();
    let first = trial.worker();
    follow(&trial, &mut edge);
    older(&trial, first, 3);
    kill_now(first);
    streams.iter_mut().for_each(Stream::ends);
    trial.wait_value("older", <[String]>::is_empty);
    assert_eq!(cut(&trial, "killed"), 3);
    // Whoever comes next has heard of it.
    kill_now(trial.worker());
    assert_eq!(cut(&trial, "killed"), 3);
    follow(&trial, &mut edge);
    assert_eq!(cut(&trial, "killed"), 3);
    trial.end();
}
