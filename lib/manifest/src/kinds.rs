//! The values of a manifest that are more than a number: closed kinds, one an idea.

use std::fmt;

/// How it is found out that an instance works. A port of `None` is the manifest's `port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// A GET of `path` answers with a status below 400.
    Http {
        /// Path and query, beginning with `/`.
        path: String,
        /// TCP port, when it is another one than `port`.
        port: Option<u16>,
    },
    /// A TCP connection can be made.
    Tcp {
        /// TCP port, when it is another one than `port`.
        port: Option<u16>,
    },
    /// A command in the instance exits 0.
    Exec {
        /// Program and arguments, never empty.
        argv: Vec<String>,
    },
    /// A file in the instance is readable and not empty.
    File {
        /// Absolute path in the instance.
        path: String,
    },
    /// It has run for a second without an exit; the default where there is no port.
    Running,
}

/// What happens when an instance exits by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It is started again, whatever its exit code.
    Always,
    /// It is started again unless it exited with 0.
    OnFailure,
    /// It stays down.
    Never,
}

/// How an update goes from one version to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// New instances first, batch by batch; old ones go when new ones are healthy.
    Rolling,
    /// All old ones stop, then all new ones start: for services that keep state.
    Replace,
    /// This many new ones first, then a pause for a person to look.
    Canary(u32),
    /// A whole new set beside the old one, then one switch.
    BlueGreen,
}

/// Instances replaced at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// A number of instances, at least 1.
    Count(u32),
    /// Percent of the replicas, 1 to 100.
    Percent(u32),
}

impl Batch {
    /// The batch for this many replicas: percents are rounded up, and it is never 0, because
    /// an update with batches of nothing would never end.
    #[must_use]
    pub fn of(self, replicas: u32) -> u32 {
        match self {
            Batch::Count(count) => count.max(1),
            Batch::Percent(percent) => {
                let exact = (u64::from(replicas) * u64::from(percent)).div_ceil(100);
                u32::try_from(exact).unwrap_or(u32::MAX).max(1)
            }
        }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Batch::Count(count) => write!(f, "{count}"),
            Batch::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// What becomes of an update when a new instance fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateFailure {
    /// The new one is stopped, everything else stays as it is, the update has failed.
    Abort,
    /// As abort, then what was already updated is taken back.
    Rollback,
    /// The update waits for a person.
    Pause,
}

/// How an instance is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// An address of its own on the machine's bridge.
    Bridge,
    /// The machine's network; the program must listen on `$PORT`.
    Host,
}

/// A way from the users to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Requests for a host below a path prefix.
    Http {
        /// Host name, lower case; `*` stands for any.
        host: String,
        /// Path prefix, beginning with `/`.
        path: String,
        /// Whether connections may be upgraded to websockets.
        websocket: bool,
    },
    /// A plain stream on a port of the edge.
    Tcp {
        /// TCP port of the edge.
        port: u16,
    },
}

/// A directory that outlives the instance, or is shared with the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Where its bytes are.
    pub source: VolumeSource,
    /// Absolute path in the instance.
    pub path: String,
}

/// Where a volume's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// A named volume, made when it is first needed.
    Named {
        /// Its name, same letters as a service's.
        name: String,
        /// Whether it may be lost when the service moves to another node.
        ephemeral: bool,
        /// Whether several instances may write to it at once.
        shared: bool,
        /// How large it may grow; `None` is without limit.
        size_bytes: Option<u64>,
    },
    /// A directory of the machine.
    Host {
        /// Absolute path on the machine.
        dir: String,
        /// Whether the instance may only read it.
        read_only: bool,
    },
}

/// A sealed value the instance is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Its name; the file is `/secret/NAME`.
    pub name: String,
    /// The environment variable it is given as, in place of the file.
    pub env: Option<String>,
    /// Which version of its value: whoever resolves the manifest says so, as with the digest of
    /// its image. 0 until then; no text has it.
    pub version: u32,
}

/// Where instances may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// Only on nodes with this label and value.
    Equal {
        /// Label of a node.
        label: String,
        /// The value it must have.
        value: String,
    },
    /// Not on nodes with this label and value.
    NotEqual {
        /// Label of a node.
        label: String,
        /// The value it must not have.
        value: String,
    },
    /// Evenly over the values of a label.
    Spread {
        /// Label of a node.
        label: String,
    },
    /// Only where an instance of that service is.
    Affinity {
        /// Name of the other service.
        service: String,
    },
    /// Never where an instance of that service is.
    AntiAffinity {
        /// Name of the other service.
        service: String,
    },
}
