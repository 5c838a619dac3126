//! The machine that is measured on: its name for the first line, and what has to be there.

use std::fs;

/// The machine in one line: cores, processor, kernel, and how busy it is with other things.
pub(crate) fn line() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    let build = if cfg!(debug_assertions) { ", A DEBUG BUILD: use --release" } else { "" };
    format!("machine: {cores} cores, {model}, Linux {}, load {load}{build}", kernel.trim())
}

/// Looks for what every measurement needs.
///
/// # Errors
/// What is missing, and what to do.
pub(crate) fn check() -> Result<(), String> {
    match nix::unistd::geteuid().is_root() {
        true => Ok(()),
        false => Err("containers need root: run this as root".to_string()),
    }
}

/// Lets this process, and those it starts, have that many files open.
///
/// # Errors
/// The machine does not let it.
pub(crate) fn more_files(count: u64) -> Result<(), String> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let set = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, count.max(soft), count.max(hard))
    });
    set.map_err(|error| format!("cannot have {count} files open: {error}"))
}

/// The processes whose first word after the program is `part` and that name `place`.
pub(crate) fn processes(part: &str, place: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let ours = |pid: &u32| {
        let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = words.split('\0').skip(1);
        words.next() == Some(part) && words.any(|word| word.starts_with(place))
    };
    pids.filter(ours).collect()
}
