//! Users, signals and capabilities: names the kernel or the image knows.

use crate::args::Args;
use crate::error::quoted;
use crate::limits::LABEL_CHARS_MAX;

/// Signals a program can be asked to end with, signal(7); KILL ends it without asking.
const SIGNALS: [&str; 14] = [
    "TERM", "INT", "QUIT", "HUP", "KILL", "USR1", "USR2", "ABRT", "ALRM", "CONT", "WINCH", "PIPE",
    "IO", "PWR",
];

/// Capabilities as capabilities(7) lists them, without `CAP_`.
#[rustfmt::skip]
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL", "AUDIT_READ", "AUDIT_WRITE", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE",
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER",
    "KILL", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN",
    "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW", "PERFMON", "SETFCAP", "SETGID", "SETPCAP",
    "SETUID", "SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "SYS_MODULE", "SYS_NICE",
    "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// Stands for every capability.
const ALL: &str = "ALL";

/// `name`, `uid`, or either with `:group`.
pub(super) fn user(args: &mut Args<'_>) -> Option<String> {
    let word = args.word()?;
    let (name, group) = match word.split_once(':') {
        Some((name, group)) => (name, Some(group)),
        None => (word, None),
    };
    if is_account(name) && group.is_none_or(is_account) {
        return Some(word.to_owned());
    }
    args.wrong(format!("{} is not a user; write NAME, NUMBER or USER:GROUP", quoted(word)))
}

/// A name of passwd(5), or a number below the one that means nobody at all.
fn is_account(text: &str) -> bool {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<u32>().is_ok_and(|id| id < u32::MAX);
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    text.len() <= LABEL_CHARS_MAX && text.bytes().all(known) && !text.starts_with('-')
}

/// A signal's name, with or without `SIG`, in any case.
pub(super) fn signal(args: &mut Args<'_>) -> Option<String> {
    let word = args.word()?;
    let upper = word.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if SIGNALS.contains(&name) {
        return Some(name.to_owned());
    }
    args.wrong(format!("{} is not a signal; write one of {}", quoted(word), SIGNALS.join(", ")))
}

/// Capabilities into a sorted list without doubles; `CAP_` before them is left out.
pub(super) fn capabilities(list: &mut Vec<String>, args: &mut Args<'_>) -> Option<()> {
    let mut word = args.word()?;
    loop {
        let upper = word.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name != ALL && !CAPABILITIES.contains(&name) {
            return args.wrong(format!(
                "{} is not a capability; write a name of capabilities(7) such as \
                 NET_BIND_SERVICE, or {ALL}",
                quoted(word)
            ));
        }
        list.push(name.to_owned());
        let Some(next) = args.maybe() else { break };
        word = next;
    }
    list.sort_unstable();
    list.dedup();
    Some(())
}
