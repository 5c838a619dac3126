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
    /// How it is written in a block of the HCL language.
    pub hcl: &'static str,
    /// Whose key it is.
    pub of: Of,
    /// Whether it may stand more than once.
    pub repeat: bool,
    /// Whether this version of deploy does what it says.
    pub when: When,
    /// What a change of it needs.
    pub effect: Effect,
    pub(crate) id: Id,
    pub(crate) shape: Shape,
}

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Of services and tasks.
    Both,
    /// Of services alone.
    Service,
    /// Of tasks alone.
    Task,
}

impl Of {
    /// Whether a service, or else a task, may have it.
    #[must_use]
    pub fn has(self, task: bool) -> bool {
        match self {
            Of::Both => true,
            Of::Service => !task,
            Of::Task => task,
        }
    }
}

/// What a key's value is in HCL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One word: a string, a number or a boolean.
    Word,
    /// A list of words, or a string of them as in the flat language.
    Words,
    /// A directive: a string of words; or a list of such strings, a directive each.
    Lines,
    /// Names and values, in a block or an object.
    Map,
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
    App,
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
    Timeout,
}

#[rustfmt::skip]
const KEYS: [Key; 43] = [
    key(Name, "name", "NAME", "name = \"NAME\", else the block's label", "the file's name",
        "the service; must equal the file's name").in_place(),
    key(App, "app", "NAME", "app = \"NAME\" before all blocks", "none",
        "the app it belongs to: what one file deploys together").in_place(),
    key(Image, "image",
        "REPO:TAG | REPO@sha256:… | oci:DIR[:TAG] | \
         oci-archive:FILE[:TAG] | docker-archive:FILE[:TAG] | dir:DIR",
        "image = \"REPO:TAG\"",
        "required", "the image instances run; REPO may begin with its registry"),
    key(Replicas, "replicas", "NUMBER", "replicas = NUMBER", "1",
        "instances to keep running; 0 keeps none").in_place().service(),
    key(Command, "command", "PROGRAM [WORD…]", "command = [\"PROGRAM\", \"WORD\"…]",
        "the image's", "in place of the image's entry point and command").shape(Shape::Words),
    key(User, "user", "USER[:GROUP]", "user = \"USER\"", "the image's",
        "names or numbers the program runs as"),
    key(Workdir, "workdir", "PATH", "workdir = \"PATH\"", "the image's",
        "directory the program starts in"),
    key(Env, "env", "KEY=VALUE", "env { KEY = \"VALUE\" }", "none",
        "a variable of the program's environment").repeat().shape(Shape::Map),
    key(Port, "port", "NUMBER", "port = NUMBER", "none",
        "TCP port the program listens on; it is also given as $PORT").service(),
    key(Cpu, "cpu", "CORES", "cpu = CORES", "0.25",
        "cores of an instance, reserved and the limit"),
    key(Memory, "memory", "SIZE", "memory = \"SIZE\"", "256M",
        "memory of an instance, reserved and the limit"),
    key(Pids, "pids", "NUMBER", "pids = NUMBER", "512", "most processes of an instance"),
    key(Health, "health", "http PATH [PORT] | tcp [PORT] | exec WORD… | file PATH",
        "health { path = \"PATH\" } with tcp, exec, file, port",
        "tcp with a port, else running for 1 s",
        "how it is found out that an instance works; a bare /path means file")
        .service().shape(Shape::Words),
    key(HealthInterval, "health_interval", "TIME", "health { interval = \"TIME\" }", "10",
        "time between two probes of an instance that was healthy once").of_new_ones().service(),
    key(HealthTimeout, "health_timeout", "TIME", "health { timeout = \"TIME\" }",
        "5, at most health_interval", "time one probe has").of_new_ones().service(),
    key(HealthRetries, "health_retries", "NUMBER", "health { failure_threshold = NUMBER }", "3",
        "failed probes in a row that make an instance unhealthy").of_new_ones().service(),
    key(HealthDeadline, "health_deadline", "TIME", "health { deadline = \"TIME\" }", "30",
        "time from the start of the process to its first good probe").in_place().service(),
    key(MinHealthyTime, "min_healthy_time", "TIME", "update { min_healthy_time = \"TIME\" }", "0",
        "a new instance stays healthy this long before it counts").in_place().service(),
    key(Restart, "restart", "always | on-failure | never", "restart = \"always\"", "always",
        "what happens when an instance exits").in_place().service(),
    key(MaxRestarts, "max_restarts", "NUMBER", "max_restarts = NUMBER", "5",
        "restarts within 60 s after which it is given up").in_place().service(),
    key(Update, "update", "rolling | replace | canary NUMBER | blue-green",
        "update { strategy = \"rolling\" }", "rolling",
        "how an update goes: batch by batch, or all stop and all start")
        .in_place().service().shape(Shape::Words),
    key(UpdateBatch, "update_batch", "NUMBER | PERCENT%", "update { batch = NUMBER }", "1",
        "instances replaced at a time, and the surge").in_place().service(),
    key(UpdatePause, "update_pause", "TIME", "update { pause = \"TIME\" }", "0",
        "wait between two batches").in_place().service(),
    key(UpdateFailure, "update_failure", "abort | rollback | pause",
        "update { failure = \"abort\" }", "abort",
        "what becomes of an update when a new instance fails").in_place().service(),
    key(ProgressDeadline, "progress_deadline", "TIME",
        "update { progress_deadline = \"TIME\" }", "600",
        "longest time without any step forward in an update").in_place().service(),
    key(Validate, "validate", "TIME", "update { validate = \"TIME\" }", "60",
        "watch after an update in which a crash loop rolls back; 0 is none").in_place().service(),
    key(Drain, "drain", "TIME", "drain = \"TIME\"", "15",
        "longest wait for requests in flight before a stop").in_place().service(),
    key(StopSignal, "stop_signal", "SIGNAL", "stop_signal = \"SIGNAL\"",
        "the image's, else TERM", "asks an instance to end"),
    key(StopTimeout, "stop_timeout", "TIME", "stop_timeout = \"TIME\"", "10",
        "time from that signal to SIGKILL").in_place(),
    key(Route, "route", "HOST PATH [websocket] | tcp PORT",
        "route \"HOST\" { path = \"PATH\" } with websocket; route \"tcp\" { port = PORT }", "none",
        "a way from users to the service").repeat().in_place().service().shape(Shape::Lines),
    key(Volume, "volume", "NAME PATH [ephemeral] [shared] [SIZE] | host:DIR PATH [ro]",
        "volume \"NAME\" { path = \"PATH\" } with ephemeral, shared, size, ro", "none",
        "a directory that outlives the instance").repeat().shape(Shape::Lines),
    key(Secret, "secret", "NAME [env KEY]",
        "secret = \"NAME\"; env { KEY = \"${secret(NAME)}\" }", "none",
        "a sealed value, as the file /secret/NAME, or as a variable alone")
        .repeat().shape(Shape::Lines),
    key(Config, "config", "KEY=VALUE", "config { KEY = \"VALUE\" }", "none",
        "a value, as the file /config/KEY").repeat().shape(Shape::Map),
    key(Constraint, "constraint",
        "LABEL=VALUE | LABEL!=VALUE | spread LABEL | affinity SERVICE | anti-affinity SERVICE",
        "constraint = [\"LABEL=VALUE\"…]",
        "none", "where instances may run").repeat().not_yet().shape(Shape::Lines),
    key(Network, "network", "bridge | host", "network = \"bridge\"", "bridge",
        "with host the program must listen on $PORT"),
    key(ReadOnly, "read_only", "[on | off]", "read_only = true", "off",
        "whether the root file system is read-only"),
    key(CapAdd, "cap_add", "CAPABILITY…", "cap_add = [\"CAPABILITY\"…]", "none",
        "capabilities beside the default ones").repeat().shape(Shape::Words),
    key(CapDrop, "cap_drop", "CAPABILITY…", "cap_drop = [\"CAPABILITY\"…]", "none",
        "capabilities taken away").repeat().shape(Shape::Words),
    key(LogLines, "log_lines", "NUMBER", "log_lines = NUMBER", "1000",
        "lines of output kept in memory for an instance").in_place(),
    key(LogSize, "log_size", "SIZE [FILES]", "log_size = \"SIZE FILES\"", "10M 5",
        "size of a log file, and how many are kept").of_new_ones().shape(Shape::Words),
    key(Source, "source", "PATH", "source = \"PATH\"", "none",
        "a git work tree on the user's side that must be clean").in_place(),
    key(Build, "build", "PROGRAM [WORD…]", "build = [\"PROGRAM\", \"WORD\"…]", "none",
        "run in source, or beside the file, before anything is applied")
        .in_place().shape(Shape::Words),
    key(Timeout, "timeout", "TIME", "timeout = \"TIME\"", "3600",
        "longest run of a task").task(),
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

pub(crate) fn of(id: Id) -> &'static Key {
    // A test holds every key to the place its id says.
    &KEYS[id as usize]
}

/// A key of services and tasks that stands once, has one word, takes effect, and is seen by
/// instances.
const fn key(
    id: Id,
    name: &'static str,
    words: &'static str,
    hcl: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> Key {
    let (when, effect, of, shape) = (When::Ready, Effect::Restart, Of::Both, Shape::Word);
    Key { name, words, hcl, default, meaning, repeat: false, when, effect, of, id, shape }
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

    const fn not_yet(self) -> Key {
        Key { when: When::NotYet, ..self }
    }

    const fn service(self) -> Key {
        Key { of: Of::Service, ..self }
    }

    const fn task(self) -> Key {
        Key { of: Of::Task, ..self }
    }

    const fn shape(self, shape: Shape) -> Key {
        Key { shape, ..self }
    }

    /// Whether a version is another one when the key changes. How an image came to be, and where
    /// on whose machine, or with what else it is deployed, is nothing that runs.
    pub(crate) fn is_of_version(&self) -> bool {
        !matches!(self.id, Name | App | Source | Build)
    }

    /// Whether its words may have line ends in them: what programs are given is theirs.
    pub(crate) fn is_free(&self) -> bool {
        matches!(self.id, Command | Env | Health | Config | Build)
    }
}
