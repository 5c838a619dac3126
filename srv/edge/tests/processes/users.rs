//! Users: one request, and a load of many that counts what is lost.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::trial::WAIT_MAX;

/// Between two new connections of the open load.
const EVERY: Duration = Duration::from_millis(2);

/// A connection of a user.
pub(crate) struct User {
    read: BufReader<TcpStream>,
    write: TcpStream,
    /// The last answer said that the connection closes.
    pub(crate) closes: bool,
}

impl User {
    pub(crate) fn connect(at: SocketAddr) -> io::Result<User> {
        let write = TcpStream::connect(at)?;
        write.set_read_timeout(Some(WAIT_MAX))?;
        write.set_nodelay(true)?;
        Ok(User { read: BufReader::new(write.try_clone()?), write, closes: false })
    }

    /// Sends a request and does not wait.
    pub(crate) fn send(&mut self, path: &str) -> io::Result<()> {
        write!(self.write, "GET {path} HTTP/1.1\r\nHost: shop\r\n\r\n")
    }

    /// The answer's body; any status but 200 is an error.
    pub(crate) fn answer(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.read.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let status = line.trim().to_owned();
        let mut length = 0;
        loop {
            line.clear();
            self.read.read_line(&mut line)?;
            let lower = line.to_ascii_lowercase();
            if let Some(text) = lower.strip_prefix("content-length:") {
                length = text.trim().parse().map_err(io::Error::other)?;
            }
            self.closes |= lower.trim() == "connection: close";
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.read.read_exact(&mut body)?;
        match status.contains(" 200") {
            true => Ok(String::from_utf8_lossy(&body).into_owned()),
            false => Err(io::Error::other(status)),
        }
    }

    pub(crate) fn get(&mut self, path: &str) -> io::Result<String> {
        self.send(path)?;
        self.answer()
    }
}

/// One request on a connection of its own.
pub(crate) fn get(at: SocketAddr, path: &str) -> io::Result<String> {
    User::connect(at)?.get(path)
}

/// Many users: some open a connection for each request, at a steady rate whatever happens; some
/// keep theirs.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    told: Arc<Told>,
    threads: Vec<JoinHandle<()>>,
}

/// What came of their requests.
#[derive(Default)]
pub(crate) struct Told {
    /// Answered as they should be.
    pub(crate) answered: AtomicU64,
    /// Connections that could not be made.
    pub(crate) refused: AtomicU64,
    /// Requests without an answer, and why.
    pub(crate) lost: Mutex<Vec<String>>,
}

impl Load {
    /// Begins with so many who keep their connections, and one open stream of new ones.
    pub(crate) fn start(at: SocketAddr, keepers: usize) -> Load {
        let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Told::default()));
        let mut threads = Vec::new();
        for _ in 0..keepers {
            let (stop, told) = (stop.clone(), told.clone());
            threads.push(thread::spawn(move || keep(at, &stop, &told)));
        }
        let (stopped, heard) = (stop.clone(), told.clone());
        threads.push(thread::spawn(move || {
            let mut next = Instant::now();
            let mut running = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                // The pace of the load: users do not wait for each other.
                thread::sleep(next.saturating_duration_since(Instant::now()));
                next += EVERY;
                let told = heard.clone();
                running.push(thread::spawn(move || one(at, &told)));
                if running.len() > 512 {
                    running.drain(..256).for_each(|thread| thread.join().unwrap());
                }
            }
            running.into_iter().for_each(|thread| thread.join().unwrap());
        }));
        Load { stop, told, threads }
    }

    /// Waits until so many more were answered.
    pub(crate) fn wait_answered(&self, more: u64) {
        let until = self.told.answered.load(Ordering::Relaxed) + more;
        let began = Instant::now();
        while self.told.answered.load(Ordering::Relaxed) < until {
            assert!(began.elapsed() < WAIT_MAX, "no answers: {:?}", self.told.lost.lock().unwrap());
            thread::yield_now();
        }
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Arc<Told> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.told
    }
}

fn one(at: SocketAddr, told: &Told) {
    match User::connect(at) {
        Ok(mut user) => drop(asked(&mut user, told)),
        Err(_) => drop(told.refused.fetch_add(1, Ordering::Relaxed)),
    }
}

/// Asks again and again on one connection, on a new one when the answer said that it closes.
fn keep(at: SocketAddr, stop: &AtomicBool, told: &Told) {
    let mut kept: Option<User> = None;
    while !stop.load(Ordering::Relaxed) {
        let mut user = match kept.take().map_or_else(|| User::connect(at), Ok) {
            Ok(user) => user,
            Err(_) => {
                told.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        if asked(&mut user, told).is_ok() && !user.closes {
            kept = Some(user);
        }
        // Others need the processor too.
        thread::sleep(EVERY);
    }
}

fn asked(user: &mut User, told: &Told) -> Result<(), ()> {
    match user.get("/") {
        Ok(_) => {
            told.answered.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        Err(why) => {
            told.lost.lock().unwrap().push(why.to_string());
            Err(())
        }
    }
}
