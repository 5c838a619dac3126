//! The keys of a manifest: one table for parser, printer, diff and help.

use Id::*;

use crate::nearest::nearest;

/// One key of the language.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The key as it is written.
    pub name: &'static str,
    /// The words after it, for help.
    pub words: &'static str,
    /// What stands without it, for help.
    pub default: &'static str,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// Whether it may stand more than once.
    pub repeat: bool,
    /// Whether this version of deploy does what it says.
    pub when: When,
    /// What a change of it needs.
    pub effect: Effect,
    pub(crate) id: Id,
}

/// Whether a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It does.
    Ready,
    /// It is known and checked, and using it is an error.
    NotYet,
}

/// What a change of a key needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing restarts: instances never see the key.
    InPlace,
    /// Nothing restarts: instances that run keep what they were started with.
    NewOnes,
    /// Instances are replaced.
    Restart,
}

/// Which key it is: reading and showing match on this, so that neither can forget one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Id {
    Name,
    Image,
    Replicas,
    Command,
    User,
    Workdir,
    Env,
    Port,
    Cpu,
    Memory,
    Pids,
    Health,
    HealthInterval,
    HealthTimeout,
    HealthRetries,
    HealthDeadline,
    MinHealthyTime,
    Restart,
    MaxRestarts,
    Update,
    UpdateBatch,
    UpdatePause,
    UpdateFailure,
    ProgressDeadline,
    Validate,
    Drain,
    StopSignal,
    StopTimeout,
    Route,
    Volume,
    Secret,
    Config,
    Constraint,
    Network,
    ReadOnly,
    CapAdd,
    CapDrop,
    LogLines,
    LogSize,
    Source,
    Build,
}

#[rustfmt::skip]
const KEYS: [Key; 41] = [
    key(Name, "name", "NAME", "the file's name",
        "the service; must equal the file's name").in_place(),
    key(Image, "image",
        "REPO:TAG | REPO@sha256:… | oci:DIR[:TAG] | \
         oci-archive:FILE[:TAG] | docker-archive:FILE[:TAG] | dir:DIR",
        "required", "the image instances run; REPO may begin with its registry"),
    key(Replicas, "replicas", "NUMBER", "1", "instances to keep running; 0 keeps none").in_place(),
    key(Command, "command", "PROGRAM [WORD…]", "the image's",
        "in place of the image's entry point and command"),
    key(User, "user", "USER[:GROUP]", "the image's", "names or numbers the program runs as"),
    key(Workdir, "workdir", "PATH", "the image's", "directory the program starts in"),
    key(Env, "env", "KEY=VALUE", "none", "a variable of the program's environment").repeat(),
    key(Port, "port", "NUMBER", "none",
        "TCP port the program listens on; it is also given as $PORT"),
    key(Cpu, "cpu", "CORES", "0.25", "cores of an instance, reserved and the limit"),
    key(Memory, "memory", "SIZE", "256M", "memory of an instance, reserved and the limit"),
    key(Pids, "pids", "NUMBER", "512", "most processes of an instance"),
    key(Health, "health", "http PATH [PORT] | tcp [PORT] | exec WORD… | file PATH",
        "tcp with a port, else running for 1 s",
        "how it is found out that an instance works; a bare /path means file"),
    key(HealthInterval, "health_interval", "TIME", "10",
        "time between two probes of an instance that was healthy once").of_new_ones(),
    key(HealthTimeout, "health_timeout", "TIME", "5, at most health_interval",
        "time one probe has").of_new_ones(),
    key(HealthRetries, "health_retries", "NUMBER", "3",
        "failed probes in a row that make an instance unhealthy").of_new_ones(),
    key(HealthDeadline, "health_deadline", "TIME", "30",
        "time from the start of the process to its first good probe").in_place(),
    key(MinHealthyTime, "min_healthy_time", "TIME", "0",
        "a new instance stays healthy this long before it counts").in_place(),
    key(Restart, "restart", "always | on-failure | never", "always",
        "what happens when an instance exits").in_place(),
    key(MaxRestarts, "max_restarts", "NUMBER", "5",
        "restarts within 60 s after which it is given up").in_place(),
    key(Update, "update", "rolling | replace | canary NUMBER | blue-green", "rolling",
        "how an update goes: batch by batch, or all stop and all start").in_place(),
    key(UpdateBatch, "update_batch", "NUMBER | PERCENT%", "1",
        "instances replaced at a time, and the surge").in_place(),
    key(UpdatePause, "update_pause", "TIME", "0", "wait between two batches").in_place(),
    key(UpdateFailure, "update_failure", "abort | rollback | pause", "abort",
        "what becomes of an update when a new instance fails").in_place(),
    key(ProgressDeadline, "progress_deadline", "TIME", "600",
        "longest time without any step forward in an update").in_place(),
    key(Validate, "validate", "TIME", "60",
        "watch after an update in which a crash loop rolls back; 0 is none").in_place(),
    key(Drain, "drain", "TIME", "15",
        "longest wait for requests in flight before a stop").in_place(),
    key(StopSignal, "stop_signal", "SIGNAL", "the image's, else TERM", "asks an instance to end"),
    key(StopTimeout, "stop_timeout", "TIME", "10", "time from that signal to SIGKILL").in_place(),
    key(Route, "route", "HOST PATH [websocket] | tcp PORT", "none",
        "a way from users to the service").repeat().in_place(),
    key(Volume, "volume", "NAME PATH [ephemeral] [SIZE] | host:DIR PATH [ro]", "none",
        "a directory that outlives the instance").repeat().not_yet(),
    key(Secret, "secret", "NAME [env KEY]", "none",
        "a sealed value, as the file /secret/NAME").repeat().not_yet(),
    key(Config, "config", "KEY=VALUE", "none",
        "a value, as the file /config/KEY").repeat().not_yet(),
    key(Constraint, "constraint",
        "LABEL=VALUE | LABEL!=VALUE | spread LABEL | affinity SERVICE | anti-affinity SERVICE",
        "none", "where instances may run").repeat().not_yet(),
    key(Network, "network", "bridge | host", "bridge",
        "with host the program must listen on $PORT"),
    key(ReadOnly, "read_only", "[on | off]", "off", "whether the root file system is read-only"),
    key(CapAdd, "cap_add", "CAPABILITY…", "none", "capabilities beside the default ones").repeat(),
    key(CapDrop, "cap_drop", "CAPABILITY…", "none", "capabilities taken away").repeat(),
    key(LogLines, "log_lines", "NUMBER", "1000",
        "lines of output kept in memory for an instance").in_place(),
    key(LogSize, "log_size", "SIZE [FILES]", "10M 5",
        "size of a log file, and how many are kept").of_new_ones(),
    key(Source, "source", "PATH", "none",
        "a git work tree on the user's side that must be clean").in_place(),
    key(Build, "build", "PROGRAM [WORD…]", "none",
        "run in source, or beside the file, before anything is applied").in_place(),
];

/// All keys, in the order of help and print.
#[must_use]
pub fn keys() -> &'static [Key] {
    &KEYS
}

/// The known key nearest to a word, when one is near enough to be what was meant.
#[must_use]
pub fn nearest_key(word: &str) -> Option<&'static str> {
    nearest(word, KEYS.iter().map(|key| key.name))
}

pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// A key that stands once, takes effect, and is seen by instances.
const fn key(
    id: Id,
    name: &'static str,
    words: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    let (when, effect) = (When::Ready, Effect::Restart);
    Key { name, words, default, meaning, repeat: false, when, effect, id }
}

impl Key {
    const fn repeat(self) -> Key {
        Key { repeat: true, ..self }
    }

    const fn in_place(self) -> Key {
        Key { effect: Effect::InPlace, ..self }
    }

    const fn of_new_ones(self) -> Key {
        Key { effect: Effect::NewOnes, ..self }
    }

    /// Whether a version is another one when the key changes. How an image came to be, and where
    /// on whose machine, is nothing that runs.
    pub(crate) fn is_of_version(&self) -> bool {
        !matches!(self.id, Name | Source | Build)
    }

    const fn not_yet(self) -> Key {
        Key { when: When::NotYet, ..self }
    }
}
