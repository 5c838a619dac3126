//! Numbers by which lists of records are turned. A count would not do: a client asks for A and
//! AAAA in pairs, so of two instances every client would be given the same one first.

use std::hash::{BuildHasher as _, RandomState};

/// A source of numbers that look random and need not be secret (xorshift64*, Vigna 2016).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// A source of its own.
    pub(crate) fn new() -> Chance {
        // Only 0 would stay where it is.
        Chance(RandomState::new().hash_one(0) | 1)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }
}
