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

/// The weight of one core in version 1 (cpu.shares; the kernel's default of a cgroup).
const SHARES_PER_CORE: u64 = 1024;

/// The same in version 2 (cpu.weight), and the most it may be.
const WEIGHT_PER_CORE: u64 = 100;
const WEIGHT_MAX: u64 = 10_000;

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

    /// The spec's `resources`, and a sentence for each limit that cannot be enforced here. Those
    /// of processor and processes are not among them: see [`Limits::files`].
    pub(crate) fn resources(&self, controllers: &BTreeSet<String>) -> (Value, Vec<String>) {
        let mut resources = json!({});
        let mut warnings = Vec::new();
        for (controller, limit) in [
            ("memory", format!("the limit of {} bytes", self.memory_bytes)),
            ("pids", format!("the limit of {} processes", self.pids)),
            ("cpu", format!("the limit of {} millicores", self.cpu_milli)),
        ] {
            if !controllers.contains(controller) {
                warnings.push(not_enforced(controller, &limit));
            } else if controller == "memory" {
                resources[controller] = json!({ "limit": self.memory_bytes });
            }
        }
        // Everything is denied first; libcontainer then allows null, zero, full, random, urandom,
        // tty, ptmx and pts. Version 2 has no such files: there nodev mounts must do.
        resources["devices"] = json!([{"allow": false, "access": "rwm"}]);
        (resources, warnings)
    }

    /// The limits of processor and processes: controller, file of a cgroup, and what is written
    /// to it, in that order.
    ///
    /// Not for libcontainer: making a container takes several milliseconds of processor time, and
    /// processes of the runtime's, in the container's own cgroup. Out of a small quota that is
    /// most of a period or more of it, so these limits are set when the container is made and its
    /// program does not run yet.
    pub(crate) fn files(&self, unified: bool) -> Vec<(&'static str, &'static str, String)> {
        let quota_us = self.cpu_milli * PERIOD_US / 1000;
        let pids = ("pids", "pids.max", self.pids.to_string());
        if unified {
            let weight = (self.cpu_milli * WEIGHT_PER_CORE / 1000).clamp(1, WEIGHT_MAX);
            let max = format!("{quota_us} {PERIOD_US}");
            return vec![pids, ("cpu", "cpu.weight", weight.to_string()), ("cpu", "cpu.max", max)];
        }
        let shares = (self.cpu_milli * SHARES_PER_CORE / 1000).max(2);
        vec![
            pids,
            ("cpu", "cpu.shares", shares.to_string()),
            ("cpu", "cpu.cfs_period_us", PERIOD_US.to_string()),
            ("cpu", "cpu.cfs_quota_us", quota_us.to_string()),
        ]
    }
}

fn not_enforced(controller: &str, limit: &str) -> String {
    format!("no {controller} controller here: {limit} is not enforced")
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
        assert_eq!(resources["memory"]["limit"], 64 << 20);
        assert_eq!((resources.get("cpu"), resources.get("pids")), (None, None));
        let (resources, warnings) = LIMITS.resources(&BTreeSet::from(["cpu".to_owned()]));
        assert_eq!(resources.get("memory"), None);
        assert_eq!(warnings.len(), 2);
        assert!(warnings[0].starts_with("no memory controller here"), "{warnings:?}");
        let (_, warnings) = LIMITS.resources(&BTreeSet::new());
        assert!(warnings.iter().any(|text| text.contains("250 millicores")), "{warnings:?}");
    }

    #[test]
    fn processor_and_processes_are_limited_in_either_version() {
        let files = |cpu_milli, unified| {
            let files = Limits { cpu_milli, ..LIMITS }.files(unified);
            files.iter().map(|(_, name, text)| format!("{name}={text} ")).collect::<String>()
        };
        let one = "pids.max=512 cpu.shares=256 cpu.cfs_period_us=100000 cpu.cfs_quota_us=25000 ";
        assert_eq!(files(250, false), one);
        assert_eq!(files(250, true), "pids.max=512 cpu.weight=25 cpu.max=25000 100000 ");
        assert_eq!(files(10, true), "pids.max=512 cpu.weight=1 cpu.max=1000 100000 ");
        assert_eq!(files(200_000, true), "pids.max=512 cpu.weight=10000 cpu.max=20000000 100000 ");
    }
}
