//! Requests to the instances of a service, as fast as they are answered, while something happens.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Somebody who asks again and again.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    asker: JoinHandle<Count>,
}

/// What was answered.
#[derive(Debug, Default)]
struct Count {
    by_version: BTreeMap<String, u32>,
    failed: u32,
}

impl Load {
    /// Starts to ask; `endpoints` prints where the instances are.
    pub(crate) fn start(mut endpoints: Command) -> Result<Load, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let asker = std::thread::spawn(move || {
            let mut count = Count::default();
            while !stopped.load(Ordering::SeqCst) {
                let Ok(told) = endpoints.output() else { break };
                for address in serving(&String::from_utf8_lossy(&told.stdout)) {
                    count.add(ask(&address));
                }
            }
            count
        });
        Ok(Load { stop, asker })
    }

    /// Stops and says how it went.
    pub(crate) fn end(self) -> Result<String, String> {
        self.stop.store(true, Ordering::SeqCst);
        let count = self.asker.join().map_err(|_| "the requests broke off".to_string())?;
        let answered: Vec<String> =
            count.by_version.iter().map(|(version, n)| format!("{n} by {version}")).collect();
        Ok(format!("requests meanwhile: {} answered, {} failed", answered.join(", "), count.failed))
    }
}

impl Count {
    fn add(&mut self, answer: Option<String>) {
        match answer {
            Some(version) => *self.by_version.entry(version).or_default() += 1,
            None => self.failed += 1,
        }
    }
}

/// The addresses of instances that serve: the third word of lines whose last is `serving`.
fn serving(endpoints: &str) -> Vec<String> {
    let lines = endpoints.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let serving = lines.filter(|words| words.last() == Some(&"serving"));
    serving.filter_map(|words| words.get(2).map(ToString::to_string)).collect()
}

/// Asks one instance; gives the version that answered.
fn ask(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n").ok()?;
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let version = text.split("hello from ").nth(1)?.split(',').next()?;
    Some(version.to_string())
}
