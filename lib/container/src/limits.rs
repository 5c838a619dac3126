//! The resources part of the runtime spec, as far as this machine has the controllers for it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use crate::error::Error;
use crate::plan::Limits;

/// The least memory a container is given, in bytes: Docker's. A runtime needs some of it itself;
/// at 320 kB and below the start breaks off without a reason.
pub const MEMORY_MIN_BYTES: u64 = 6 << 20;

/// The least processor time, in thousandths of a core: a quota below 1000 µs of a period of
/// 100 000 µs is refused by the kernel.
pub const CPU_MIN_MILLI: u64 = 10;

/// The period of the processor quota in microseconds (the kernel's default).
const PERIOD_US: u64 = 100_000;

/// The weight of one core (cgroup-v1 cpu.shares; libcontainer turns it into cpu.weight).
const SHARES_PER_CORE: u64 = 1024;

impl Limits {
    /// Refuses limits no container can live in.
    ///
    /// # Errors
    /// Names the limit and its least value.
    pub fn check(&self) -> Result<(), Error> {
        let least = [
            ("memory in bytes", self.memory_bytes, MEMORY_MIN_BYTES),
            ("cpu in thousandths of a core", self.cpu_milli, CPU_MIN_MILLI),
            ("pids", self.pids, 1),
        ];
        for (what, given, least) in least {
            if given < least {
                return Err(Error::Limit { what, given, least });
            }
        }
        Ok(())
    }

    /// The spec's `resources`, and a sentence for each limit that cannot be enforced here.
    pub(crate) fn resources(&self, controllers: &BTreeSet<String>) -> (Value, Vec<String>) {
        let mut resources = json!({});
        let mut warnings = Vec::new();
        let mut set = |controller: &str, key: &str, limit: String, value: Value| {
            if controllers.contains(controller) {
                resources[key] = value;
            } else {
                let warning = format!("no {controller} controller here: {limit} is not enforced");
                warnings.push(warning);
            }
        };
        let memory = json!({"limit": self.memory_bytes});
        set("memory", "memory", format!("the limit of {} bytes", self.memory_bytes), memory);
        let cpu = json!({
            "shares": (self.cpu_milli * SHARES_PER_CORE / 1000).max(2),
            "quota": self.cpu_milli * PERIOD_US / 1000,
            "period": PERIOD_US,
        });
        set("cpu", "cpu", format!("the limit of {} millicores", self.cpu_milli), cpu);
        let pids = json!({"limit": self.pids});
        set("pids", "pids", format!("the limit of {} processes", self.pids), pids);
        // Everything is denied first; libcontainer then allows null, zero, full, random, urandom,
        // tty, ptmx and pts. Version 2 has no such files: there nodev mounts must do.
        resources["devices"] = json!([{"allow": false, "access": "rwm"}]);
        (resources, warnings)
    }
}

/// Whether this machine swaps at all.
pub(crate) fn swaps() -> bool {
    // The first line is the heading.
    fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { cpu_milli: 250, memory_bytes: 64 << 20, pids: 512 };

    fn check(limits: Limits, part: &str) {
        let text = limits.check().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains(part) && part.is_empty() == text.is_empty(), "{text:?}");
    }

    #[test]
    fn limits_have_a_floor() {
        check(LIMITS, "");
        check(Limits { memory_bytes: 1 << 20, ..LIMITS }, "memory in bytes of 1048576 is below");
        check(Limits { cpu_milli: 9, ..LIMITS }, "cpu");
        check(Limits { pids: 0, ..LIMITS }, "pids");
    }

    #[test]
    fn a_missing_controller_is_a_warning_and_not_a_wish() {
        let all = ["cpu", "memory", "pids"].map(str::to_owned);
        let (resources, warnings) = LIMITS.resources(&BTreeSet::from(all));
        assert_eq!(warnings, [""; 0]);
        assert_eq!(resources["cpu"]["quota"], 25_000);
        assert_eq!(resources["cpu"]["shares"], 256);
        assert_eq!(resources["pids"]["limit"], 512);
        let (resources, warnings) = LIMITS.resources(&BTreeSet::from(["cpu".to_owned()]));
        assert_eq!(resources.get("memory"), None);
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].starts_with("no memory controller here"), "{warnings:?}");
    }
}
