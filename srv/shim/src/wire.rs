//! What is said between node and shim: `shim.json`, the lines of the socket, the `exit` file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `DIR/shim.json`: everything the shim needs to know, written by the node before the spawn.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Config {
    /// Name of the instance; the last part of its cgroup.
    pub id: String,
    /// Absolute path of the cgroup all instances of this server live under.
    pub cgroup_parent: String,
    /// Unpacked layers, the top-most last.
    #[serde(default)]
    pub layers: Vec<PathBuf>,
    /// A directory used in place of layers; it is never written to.
    #[serde(default)]
    pub rootfs: Option<PathBuf>,
    /// The OCI image configuration (image-spec, config.md); null for a bare directory.
    #[serde(default)]
    pub image_config: Option<container::ImageConfig>,
    /// What the manifest asks for.
    pub spec: Spec,
    /// Address with prefix length, for information; the network is set up by the node.
    #[serde(default)]
    pub address: Option<String>,
    /// Gateway, for information.
    #[serde(default)]
    pub gateway: Option<String>,
    /// Descriptor of the network namespace; none: the machine's own network.
    #[serde(default)]
    pub netns_fd: Option<i32>,
    /// The directory in which named volumes lie.
    #[serde(default)]
    pub volumes_dir: PathBuf,
    /// Descriptor of a memory file of secrets, which nobody else has open when the shim runs.
    #[serde(default)]
    pub secrets_fd: Option<i32>,
    /// Text of `/etc/hosts`.
    #[serde(default)]
    pub hosts: String,
    /// Text of `/etc/resolv.conf`.
    #[serde(default)]
    pub resolv: String,
}

/// The instance spec, as far as the shim has to know it. Keys it does not know are the node's.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Spec {
    /// Name of the service, given to the program as `SERVICE`.
    pub service: String,
    /// Replaces the image's entry point and command.
    #[serde(default)]
    pub command: Option<Vec<String>>,
    /// `uid[:gid]` or names; none: the image's.
    #[serde(default)]
    pub user: Option<String>,
    /// Absolute working directory; none: the image's.
    #[serde(default)]
    pub workdir: Option<String>,
    /// Added to the image's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The port to listen on, given as `PORT`.
    #[serde(default)]
    pub port: Option<u16>,
    /// Limit of processor time in thousandths of a core.
    pub cpu_milli: u64,
    /// Limit of memory, swap included, in bytes.
    pub memory_bytes: u64,
    /// Limit of processes and threads.
    pub pids: u64,
    /// Mount the root read-only.
    #[serde(default)]
    pub read_only: bool,
    /// Capabilities beyond the short list, with or without `CAP_`.
    #[serde(default)]
    pub cap_add: Vec<String>,
    /// Capabilities taken away; `ALL` takes all.
    #[serde(default)]
    pub cap_drop: Vec<String>,
    /// Name or number of the signal that asks the program to end.
    #[serde(default)]
    pub stop_signal: Option<String>,
    /// Time between that signal and the kill, in milliseconds.
    #[serde(default = "default_stop_timeout_ms")]
    pub stop_timeout_ms: u64,
    /// Size at which the log is rotated, in bytes.
    #[serde(default = "default_log_size_bytes")]
    pub log_size_bytes: u64,
    /// Log files kept, the current one included.
    #[serde(default = "default_log_files")]
    pub log_files: u32,
    /// Host name seen inside.
    pub hostname: String,
    /// Files below `/config`, by name.
    #[serde(default)]
    pub config: BTreeMap<String, String>,
    /// Directories that are more than the container's.
    #[serde(default)]
    pub volumes: Vec<Volume>,
}

/// A directory bound into the container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Volume {
    /// A named volume, which outlives instances.
    Named {
        /// Its name, which is that of its directory.
        name: String,
        /// Absolute path inside.
        path: String,
    },
    /// The instance's own, in its directory.
    Own {
        /// Its name.
        name: String,
        /// Absolute path inside.
        path: String,
    },
    /// A directory of the machine.
    Host {
        /// Absolute path outside.
        dir: PathBuf,
        /// The allowed directory that it lies in; none: it is allowed no more.
        below: Option<PathBuf>,
        /// Absolute path inside.
        path: String,
        /// The program may only read it.
        read_only: bool,
    },
}

fn default_stop_timeout_ms() -> u64 {
    10_000
}

fn default_log_size_bytes() -> u64 {
    10_000_000
}

fn default_log_files() -> u32 {
    5
}

/// How an instance ended: the `exit` file, and a line of the socket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Exit {
    /// The program's status; 128 + number when a signal ended it; 125, 126, 127 when it never ran.
    pub code: i32,
    /// Name of the signal without `SIG`.
    pub signal: Option<String>,
    /// The kernel killed a process of it for want of memory.
    pub oom: bool,
    /// What is known beyond code and signal.
    pub reason: Option<String>,
    /// Unix time in milliseconds.
    pub finished_ms: u64,
    /// The program never ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// It never will: another try with the same spec and image fails in the same way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
}

/// A line from the shim about the instance.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// The container is being made.
    Starting,
    /// The program has been executed.
    Running {
        /// Its process number outside.
        pid: i32,
        /// Unix time in milliseconds.
        started_ms: u64,
        /// What this machine could not give, a sentence each.
        warnings: Vec<String>,
    },
    /// The program has ended.
    Exited(Exit),
    /// The program never ran.
    Failed {
        /// What was wrong and what to do.
        reason: String,
        /// Another try fails in the same way.
        permanent: bool,
    },
}

impl From<Exit> for State {
    fn from(exit: Exit) -> State {
        if exit.failed {
            let reason = exit.reason.unwrap_or_else(|| "not started".to_owned());
            State::Failed { reason, permanent: exit.permanent }
        } else {
            State::Exited(exit)
        }
    }
}

/// A line from the node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Request {
    /// Carried back by the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// What to do.
    #[serde(flatten)]
    pub order: Order,
}

/// What the node can ask for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Send a signal to the first process.
    Signal(String),
    /// Ask it to end, and kill it when it has not after a while.
    Stop(Stop),
    /// Kill every process of the instance.
    Kill(bool),
    /// Run a command in the container.
    Exec(Exec),
}

/// A stop in two steps; what is none comes from spec and image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Stop {
    /// Name or number.
    #[serde(default)]
    pub signal: Option<String>,
    /// Milliseconds until the kill.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

/// A command to run beside the first process, as the same user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Exec {
    /// Command and its words.
    pub argv: Vec<String>,
    /// Milliseconds until it is killed.
    pub timeout_ms: u64,
}

/// The answer to an exec or to a refused line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Answer {
    /// The request's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The command was run, or tried.
    Exec {
        /// Its status, by the rules of [`Exit::code`].
        code: i32,
        /// The first KiB of both its outputs.
        output: String,
    },
    /// The line was refused.
    Error(String),
}
