//! The store in memory, for tests: time as data and faults from a seed.

/// A store in memory. Nothing happens by itself: time passes only through `pass`.
#[derive(Debug)]
pub struct Memory {}

/// How often what goes wrong, in thousandths, drawn from a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Where chance begins; equal seeds and equal calls give equal faults.
    pub seed: u64,
    /// Calls that fail with nothing done.
    pub unavailable: u32,
    /// Transactions whose answer is lost, done or not.
    pub unknown: u32,
    /// Batches a watch holds back for up to `slow_ms_max`.
    pub slow: u32,
    /// The longest a batch is held back.
    pub slow_ms_max: u64,
    /// Keepalives that find the lease gone.
    pub lease_loss: u32,
}

impl Memory {
    /// An empty store without faults.
    pub fn new() -> Memory {
        todo!()
    }

    /// An empty store with faults.
    pub fn with_faults(faults: Faults) -> Memory {
        todo!("{faults:?}")
    }

    /// Lets `ms` pass: leases end, held batches come free.
    pub fn pass(&self, ms: u64) {
        todo!("{ms}")
    }
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new()
    }
}
