//! What this machine has to give.

use std::thread::available_parallelism;

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
    fn the_memory_is_the_total() {
        assert_eq!(total("MemTotal:       24684544 kB\nMemFree: 1 kB\n"), Some(25_276_973_056));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(memory_bytes() > 0 && cpu_milli() >= 1000);
    }
}
