//! What is left of a node, as one number that nodes are ordered by.

use crate::place::Resources;

/// Memory in bytes that counts as much as one core when what is left over is compared: 4 GiB a
/// core is how most machines are built.
pub const CORE_BYTES: u64 = 4 << 30;

impl Resources {
    /// Whether this much fits into what is free.
    pub(crate) fn fits(self, free: Resources) -> bool {
        self.cpu_milli <= free.cpu_milli && self.memory_bytes <= free.memory_bytes
    }

    /// Cores and memory in one number. One more instance lowers it by as much on every node, so
    /// that the order of nodes is the same whatever is wanted.
    pub(crate) fn weight(self) -> u64 {
        // A thousandth of a core is rounded down, for every node alike.
        const MILLI_BYTES: u64 = CORE_BYTES / 1000;
        (u64::from(self.cpu_milli) * MILLI_BYTES).saturating_add(self.memory_bytes)
    }

    /// How many such instances what is free can hold.
    pub(crate) fn times_in(self, free: Resources) -> u64 {
        let by_cpu = free.cpu_milli.checked_div(self.cpu_milli).map_or(u64::MAX, u64::from);
        let by_memory = free.memory_bytes.checked_div(self.memory_bytes).unwrap_or(u64::MAX);
        by_cpu.min(by_memory)
    }
}
