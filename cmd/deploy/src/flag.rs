//! The flags: one table, from which the parser and help are made.

/// A flag as a user writes it.
#[derive(Debug)]
pub(crate) struct Flag {
    /// Which it is, for the parser.
    pub(crate) is: Is,
    /// Its letter.
    pub(crate) short: Option<char>,
    /// Its word.
    pub(crate) long: Option<&'static str>,
    /// What follows it, as help shows it.
    pub(crate) value: Option<&'static str>,
    /// What it does, in a few words.
    pub(crate) meaning: &'static str,
}

/// Which flag it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Is {
    Address,
    Json,
    Quiet,
    Help,
    Version,
    File,
    Detach,
    Env,
    Timeout,
    WaitLock,
    Force,
    Supersede,
    Message,
    ExitCode,
    Atomic,
    Prune,
    Follow,
    Since,
    Long,
}

/// Flags of every verb; they may also stand before it.
pub(crate) const EVERYWHERE: &[Flag] = &[
    flag(Is::Address, Some('a'), Some("address"), Some("ADDR"), "the server's address"),
    flag(Is::Json, None, Some("json"), None, "one JSON object a line, failures too"),
    flag(Is::Quiet, Some('q'), Some("quiet"), None, "say nothing but what went wrong"),
    flag(Is::Help, Some('h'), Some("help"), None, "explain the verb"),
    flag(Is::Version, Some('V'), Some("version"), None, "print name and version"),
];

/// `-f FILE`: manifests on this side.
pub(crate) const FILE: Flag =
    flag(Is::File, Some('f'), Some("file"), Some("FILE"), "a manifest to read; repeatable");
/// `--detach`.
pub(crate) const DETACH: Flag =
    flag(Is::Detach, None, Some("detach"), None, "end when the verb is accepted");
/// `--env KEY=VALUE`.
pub(crate) const ENV: Flag =
    flag(Is::Env, Some('e'), Some("env"), Some("KEY=VALUE"), "a variable for it; repeatable");
/// `--timeout` of a task.
pub(crate) const RUN_TIMEOUT: Flag =
    flag(Is::Timeout, None, Some("timeout"), Some("TIME"), "end it after that: 30s, 5m, 2h");
/// `--detach` of a task.
pub(crate) const RUN_DETACH: Flag =
    flag(Is::Detach, None, Some("detach"), None, "print its number and end when it is started");
/// `--timeout`.
pub(crate) const TIMEOUT: Flag =
    flag(Is::Timeout, None, Some("timeout"), Some("TIME"), "follow no longer: 30s, 5m, 2h; exit 7");
/// `--wait-lock`.
pub(crate) const WAIT_LOCK: Flag =
    flag(Is::WaitLock, None, Some("wait-lock"), Some("[=TIME]"), "wait for the lock, not for ever");
/// `--force`.
pub(crate) const FORCE: Flag =
    flag(Is::Force, None, Some("force"), None, "take a lock older than 5 minutes");
/// `--supersede`.
pub(crate) const SUPERSEDE: Flag =
    flag(Is::Supersede, None, Some("supersede"), None, "cancel the update in flight first");
/// `-m TEXT`.
pub(crate) const MESSAGE: Flag =
    flag(Is::Message, Some('m'), Some("message"), Some("TEXT"), "why, for the history");
/// `--atomic`.
pub(crate) const ATOMIC: Flag =
    flag(Is::Atomic, None, Some("atomic"), None, "all or none: one that fails takes all back");
/// `--prune`.
pub(crate) const PRUNE: Flag =
    flag(Is::Prune, None, Some("prune"), None, "remove what is gone from the file of its app");
/// `--exit-code`.
pub(crate) const EXIT_CODE: Flag =
    flag(Is::ExitCode, None, Some("exit-code"), None, "exit 2 when there are changes");
/// `-f`: go on with what comes.
pub(crate) const FOLLOW: Flag =
    flag(Is::Follow, Some('f'), Some("follow"), None, "go on with what comes");
/// `--since`.
pub(crate) const SINCE: Flag =
    flag(Is::Since, None, Some("since"), Some("TIME"), "only what is younger: 30s, 5m, 2h");
/// `-l`.
pub(crate) const LONG: Flag =
    flag(Is::Long, Some('l'), None, None, "with mode, owner, group and length");

const fn flag(
    is: Is,
    short: Option<char>,
    long: Option<&'static str>,
    value: Option<&'static str>,
    meaning: &'static str,
) -> Flag {
    Flag { is, short, long, value, meaning }
}

impl Flag {
    /// Whether what follows it may be left out.
    pub(crate) fn may_lack(&self) -> bool {
        self.value.is_some_and(|value| value.starts_with('['))
    }

    /// As help shows it: `-f, --file FILE`.
    pub(crate) fn usage(&self) -> String {
        let short = self.short.map(|letter| format!("-{letter}"));
        let long = self.long.map(|word| format!("--{word}"));
        let names: Vec<String> = short.into_iter().chain(long).collect();
        match self.value {
            Some(value) if self.may_lack() => format!("{}{value}", names.join(", ")),
            Some(value) => format!("{} {value}", names.join(", ")),
            None => names.join(", "),
        }
    }
}
