//! Serials of instances as keys: numbers of our own making, counted up, that nobody can choose.

use std::hash::Hasher;

/// Scatters a count over all bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Serial(u64);

impl Hasher for Serial {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, serial: u64) {
        self.0 = (self.0 ^ serial).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
