//! Health of instances: one probe and its answer in words, and the schedule that turns answers
//! into `healthy` and `unhealthy`.
//!
//! Never: decides what a failed probe means for an update, reuses a connection, runs a program
//! by itself (an [`Exec`] does that), reads a clock or chance in the schedule.

mod file;
mod http;
mod probe;
mod prober;
mod tcp;

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

pub use probe::probe;
pub use prober::{Next, Prober, Schedule, Verdict};

/// What is asked of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// `GET path` on `port` answers a status of 200 to 399.
    Http {
        /// Path with query, beginning with `/`.
        path: String,
        /// Port of the instance.
        port: u16,
    },
    /// A TCP connection to the port is accepted.
    Tcp {
        /// Port of the instance.
        port: u16,
    },
    /// The program, run inside the instance, exits with 0.
    Exec {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// The file inside the instance is there, readable, regular and not empty.
    File {
        /// Absolute path as the instance sees it.
        path: String,
    },
    /// The instance runs: always answered with yes, the schedule waits a second first.
    Running,
}

/// Where an instance is found.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its address, as traffic reaches it.
    pub address: IpAddr,
    /// Its root directory as this process sees it: `/proc/<pid>/root`.
    pub root: PathBuf,
}

impl Target {
    /// The instance at `address` whose first process is `pid`.
    pub fn new(address: IpAddr, pid: u32) -> Target {
        Target { address, root: PathBuf::from(format!("/proc/{pid}/root")) }
    }
}

/// The answer to one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it counts as healthy.
    pub ok: bool,
    /// One line of at most [`TEXT_BYTES_MAX`] bytes for people: `HTTP 503: starting`,
    /// `connection refused by 10.89.0.5:8080`.
    pub text: String,
}

/// The longest text of an answer.
pub const TEXT_BYTES_MAX: usize = 256;

/// What a program run inside an instance came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// The first bytes it printed.
    pub output: String,
}

/// The answer of an [`Exec`], boxed so that the caller may keep it as an object.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Ran, String>> + Send + 'a>>;

/// Runs programs inside one instance; the node does it through the instance's shim.
pub trait Exec: Send + Sync {
    /// Runs `argv` and kills it after `timeout`. The error says why it could not be run or that
    /// it took too long, for people to read.
    fn exec<'a>(&'a self, argv: &'a [String], timeout: Duration) -> Running<'a>;
}

/// `text` as one line of at most `bytes`: control characters and runs of blanks are one blank.
pub(crate) fn one_line(text: &str, bytes: usize) -> String {
    let blank = |c: char| c.is_control() || c.is_whitespace();
    let mut line = text.split(blank).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.truncate(line.floor_char_boundary(bytes));
    line
}
