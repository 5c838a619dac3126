//! Names to ask for, and dnsmasq, which knows the same.

use crate::backend::until;
use crate::program::{MEASURED_CORE, OTHER_CORE, Program, put};
use crate::table::{addresses, service};
use std::fmt::Write as _;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Names of each kind.
pub(crate) const NAMES: usize = 1_000;
/// Where the server is that both ask: at the port that resolvers have.
pub(crate) const UPSTREAM: &str = "127.0.77.53";
/// How long a server may take for its first answer.
const FIRST_MAX: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Addresses of services that are there.
    There,
    /// Of services that are not.
    Missing,
    /// Of somebody else's hosts.
    Others,
}

impl Question {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Question::There => "names that exist",
            Question::Missing => "names that do not",
            Question::Others => "names of others",
        }
    }

    /// The code of its answer, as dnsperf writes it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Question::There | Question::Others => "NOERROR",
            Question::Missing => "NXDOMAIN",
        }
    }

    /// Its questions, for dnsperf.
    pub(crate) fn file(self, dir: &Path) -> Result<PathBuf, String> {
        let mut text = String::new();
        for n in 0..NAMES {
            // A step that has no divisor in common with the count: names far apart in turn.
            let name = service(n * 389 % NAMES);
            let _ = match self {
                Question::There => writeln!(text, "{name}.deploy. A"),
                Question::Missing => writeln!(text, "{name}x.deploy. A"),
                Question::Others => writeln!(text, "{name}.example.com. A"),
            };
        }
        put(dir, self.name(), &text)
    }
}

/// dnsmasq with our names, which asks the other one for those of others.
pub(crate) fn dnsmasq(dir: &Path, port: u16) -> Result<Option<Program>, String> {
    let hosts = put(dir, "hosts", &hosts("deploy"))?.display().to_string();
    let own = ["--local=/deploy/".to_owned(), "--local-ttl=0".to_owned()];
    let other = [format!("--server={UPSTREAM}"), "--cache-size=10000".to_owned()];
    run(dir, MEASURED_CORE, port, "127.0.0.1", &hosts, own.into_iter().chain(other))
}

/// The server of the others' names.
pub(crate) fn upstream(dir: &Path) -> Result<Option<Program>, String> {
    let hosts = put(dir, "hosts", &hosts("example.com"))?.display().to_string();
    let words = ["--local-ttl=3600".to_owned()];
    run(dir, OTHER_CORE, 53, UPSTREAM, &hosts, words.into_iter())
}

fn run(
    dir: &Path,
    core: u32,
    port: u16,
    at: &str,
    hosts: &str,
    more: impl Iterator<Item = String>,
) -> Result<Option<Program>, String> {
    let words = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"];
    let words = words.into_iter().chain(["--bind-interfaces", "--user=root", "--pid-file="]);
    let named = [
        format!("--addn-hosts={hosts}"),
        format!("--port={port}"),
        format!("--listen-address={at}"),
    ];
    let words = words.map(str::to_owned).chain(named).chain(more);
    Program::start(core, "dnsmasq", words, dir)
}

/// A line an address, as hosts(5) has them.
fn hosts(zone: &str) -> String {
    let line = |n: usize| addresses(n).map(|at| format!("{at} {}.{zone}\n", service(n))).concat();
    (0..NAMES).map(line).collect()
}

/// Waits until the server at that port answers what it knows itself.
///
/// # Errors
/// It does not.
pub(crate) fn answers(port: u16) -> Result<(), String> {
    let ask = || -> std::io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(FIRST_MAX))?;
        socket.connect(("127.0.0.1", port))?;
        // One question for n0.deploy. A IN (RFC 1035, 4.1).
        let head = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        socket.send(&[&head[..], b"\x02n0\x06deploy\x00\x00\x01\x00\x01"].concat())?;
        let mut answer = [0; 512];
        match socket.recv(&mut answer)? {
            // Two records in it.
            count if count > 12 && answer[6..8] == [0, 2] => Ok(()),
            _ => Err(std::io::Error::other("another answer")),
        }
    };
    until(ask).map_err(|error| format!("DNS at port {port}: {error}"))
}
