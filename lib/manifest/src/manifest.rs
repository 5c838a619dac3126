//! The one type both languages become: every key, with its default and its unit.

use std::collections::BTreeMap;

use crate::kinds::{
    Batch, Constraint, Health, Network, Restart, Route, Secret, Update, UpdateFailure, Volume,
    VolumeSource,
};
use crate::reference::Reference;

/// How long a task may run that does not say: an hour.
const TASK_TIMEOUT_MS: u64 = 60 * 60 * 1000;

/// What a service should be, or a task. Plain data: whoever got one from [`crate::parse`] can
/// rely on every check; whoever makes one by hand has to keep them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The service, `[a-z0-9-]`, 1 to 40 characters.
    pub name: String,
    /// The app it belongs to: what one file deploys together.
    pub app: Option<String>,
    /// Where the image is, as it was written.
    pub image: Reference,
    /// How many instances run.
    pub replicas: u32,
    /// Program and arguments in place of the image's; empty means the image's.
    pub command: Vec<String>,
    /// User in place of the image's: `name`, `uid`, or either with `:group`.
    pub user: Option<String>,
    /// Absolute working directory in place of the image's.
    pub workdir: Option<String>,
    /// Environment beside the image's.
    pub env: BTreeMap<String, String>,
    /// TCP port the program listens on.
    pub port: Option<u16>,
    /// Cores reserved for an instance and its limit, in thousandths.
    pub cpu_milli: u32,
    /// Memory reserved for an instance and its limit.
    pub memory_bytes: u64,
    /// Most processes of an instance.
    pub pids: u32,
    /// How health is found out.
    pub health: Health,
    /// Time between two probes of an instance that was healthy once.
    pub health_interval_ms: u64,
    /// Time a probe has; never longer than the interval.
    pub health_timeout_ms: u64,
    /// Failed probes in a row that make it unhealthy.
    pub health_retries: u32,
    /// Longest time from the process's start to its first good probe.
    pub health_deadline_ms: u64,
    /// How long a new instance stays healthy before it counts.
    pub min_healthy_ms: u64,
    /// What happens at an exit.
    pub restart: Restart,
    /// Restarts within 60 s after which it is given up.
    pub max_restarts: u32,
    /// How an update goes.
    pub update: Update,
    /// Instances replaced at a time.
    pub update_batch: Batch,
    /// Wait between two batches.
    pub update_pause_ms: u64,
    /// What becomes of an update when a new instance fails.
    pub update_failure: UpdateFailure,
    /// Longest time without any step forward in an update.
    pub progress_deadline_ms: u64,
    /// Watch after an update in which a crash loop rolls back; 0 is no watch.
    pub validate_ms: u64,
    /// Longest wait for requests in flight before a stop.
    pub drain_ms: u64,
    /// Signal that asks for an end, without `SIG`; `None` is the image's, else TERM.
    pub stop_signal: Option<String>,
    /// Time from that signal to SIGKILL.
    pub stop_timeout_ms: u64,
    /// Ways from users to the service.
    pub routes: Vec<Route>,
    /// Directories that outlive an instance.
    pub volumes: Vec<Volume>,
    /// Sealed values.
    pub secrets: Vec<Secret>,
    /// Files under `/config/`.
    pub config: BTreeMap<String, String>,
    /// Where instances may run.
    pub constraints: Vec<Constraint>,
    /// How an instance is reached.
    pub network: Network,
    /// Whether the root file system is read-only.
    pub read_only: bool,
    /// Capabilities beside the default ones, without `CAP_`, sorted; may be `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities taken away, without `CAP_`, sorted; may be `ALL`.
    pub cap_drop: Vec<String>,
    /// Lines of output kept in memory for an instance.
    pub log_lines: u32,
    /// Size at which a log file is turned over.
    pub log_size_bytes: u64,
    /// Log files kept for an instance.
    pub log_files: u32,
    /// A git work tree on the user's side, relative to the manifest's file.
    pub source: Option<String>,
    /// Command run in `source`, or in the directory of the manifest's file, before anything is
    /// applied; empty is none.
    pub build: Vec<String>,
    /// Longest run of a task; a service has none.
    pub timeout_ms: Option<u64>,
}

impl Manifest {
    /// A manifest with every default.
    #[must_use]
    pub fn new(name: &str, image: Reference) -> Manifest {
        Manifest {
            name: name.to_owned(),
            app: None,
            image,
            replicas: 1,
            command: Vec::new(),
            user: None,
            workdir: None,
            env: BTreeMap::new(),
            port: None,
            cpu_milli: 250,
            memory_bytes: 256_000_000,
            pids: 512,
            health: Health::Running,
            health_interval_ms: 10_000,
            health_timeout_ms: 5_000,
            health_retries: 3,
            health_deadline_ms: 30_000,
            min_healthy_ms: 0,
            restart: Restart::Always,
            max_restarts: 5,
            update: Update::Rolling,
            update_batch: Batch::Count(1),
            update_pause_ms: 0,
            update_failure: UpdateFailure::Abort,
            progress_deadline_ms: 600_000,
            validate_ms: 60_000,
            drain_ms: 15_000,
            stop_signal: None,
            stop_timeout_ms: 10_000,
            routes: Vec::new(),
            volumes: Vec::new(),
            secrets: Vec::new(),
            config: BTreeMap::new(),
            constraints: Vec::new(),
            network: Network::Bridge,
            read_only: false,
            cap_add: Vec::new(),
            cap_drop: Vec::new(),
            log_lines: 1000,
            log_size_bytes: 10_000_000,
            log_files: 5,
            source: None,
            build: Vec::new(),
            timeout_ms: None,
        }
    }

    /// A task with every default: it runs once.
    #[must_use]
    pub fn new_task(name: &str, image: Reference) -> Manifest {
        let restart = Restart::Never;
        let timeout_ms = Some(TASK_TIMEOUT_MS);
        Manifest { restart, timeout_ms, ..Manifest::new(name, image) }
    }

    /// Says of every secret by its name which version of its value is meant; 0 leaves it open.
    pub fn secrets_are(&mut self, version: impl Fn(&str) -> u32) {
        for secret in &mut self.secrets {
            secret.version = version(&secret.name);
        }
    }

    /// Whether it is a task's and no service's.
    #[must_use]
    pub fn is_task(&self) -> bool {
        self.timeout_ms.is_some()
    }

    /// The TCP port that is probed: the one `health` names, else `port`; `None` where health
    /// needs no port.
    #[must_use]
    pub fn health_port(&self) -> Option<u16> {
        match &self.health {
            Health::Http { port, .. } | Health::Tcp { port } => port.or(self.port),
            Health::Exec { .. } | Health::File { .. } | Health::Running => None,
        }
    }

    /// Bytes of the volumes that each instance has for itself.
    #[must_use]
    pub fn own_volume_bytes(&self) -> u64 {
        let bytes = |volume: &Volume| match &volume.source {
            VolumeSource::Named { ephemeral: true, size_bytes, .. } => size_bytes.unwrap_or(0),
            VolumeSource::Named { .. } | VolumeSource::Host { .. } => 0,
        };
        self.volumes.iter().map(bytes).fold(0, u64::saturating_add)
    }

    /// The volume that only one instance may write at a time: named, lasting, and not shared.
    #[must_use]
    pub fn lone_volume(&self) -> Option<&str> {
        self.volumes.iter().find_map(|volume| match &volume.source {
            VolumeSource::Named { name, ephemeral: false, shared: false, .. } => Some(&**name),
            VolumeSource::Named { .. } | VolumeSource::Host { .. } => None,
        })
    }

    /// How an update goes: as `update` says, but by `replace` where two instances would write
    /// what only one may.
    #[must_use]
    pub fn strategy(&self) -> Update {
        if self.lone_volume().is_some() { Update::Replace } else { self.update }
    }

    /// Why an update goes otherwise than `update` says, in words.
    #[must_use]
    pub fn strategy_note(&self) -> Option<String> {
        let name = self.lone_volume().filter(|_| self.update != Update::Replace)?;
        Some(format!("volume {name} has one writer and is not shared"))
    }

    /// How many instances are replaced at a time.
    #[must_use]
    pub fn batch(&self) -> u32 {
        self.update_batch.of(self.replicas)
    }

    /// The manifest with every default that this one's other keys imply: health is `tcp` where
    /// there is a port, and a probe's time is never longer than the interval.
    pub(crate) fn defaults(&self) -> Manifest {
        let new = if self.is_task() { Manifest::new_task } else { Manifest::new };
        let mut plain = new(&self.name, self.image.clone());
        plain.health = match self.port {
            Some(_) => Health::Tcp { port: None },
            None => Health::Running,
        };
        plain.health_timeout_ms = plain.health_timeout_ms.min(self.health_interval_ms);
        plain
    }
}
