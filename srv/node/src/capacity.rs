//! What this machine is called, and what it has to give.

use std::thread::available_parallelism;

/// The machine's name; one that nobody named is `node`.
pub(crate) fn name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    fitting(&name.to_string_lossy()).to_owned()
}

/// The kernel says `(none)` where there is no name; a directory is called by it, so it is a word.
fn fitting(name: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let named = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if named && name.chars().all(fits) { name } else { "node" }
}

/// Thousandths of a processor core: those this process may use.
pub(crate) fn cpu_milli() -> u64 {
    cores() as u64 * 1000
}

/// Processor cores this process may use.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(1, |cores| cores.get())
}

/// Bytes of memory: `MemTotal` of proc_meminfo(5).
pub(crate) fn memory_bytes() -> u64 {
    std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text)).unwrap_or(0)
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_name_is_called_node() {
        for (machine, called) in
            [("(none)", "node"), ("", "node"), ("..", "node"), ("db-1.example", "db-1.example")]
        {
            assert_eq!(fitting(machine), called);
        }
    }

    #[test]
    fn the_memory_is_the_total() {
        assert_eq!(total("MemTotal:       24684544 kB\nMemFree: 1 kB\n"), Some(25_276_973_056));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(memory_bytes() > 0 && cpu_milli() >= 1000);
    }
}
