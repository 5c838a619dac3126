//! Ports for instances on the host's own network, round robin like addresses; the kernel is
//! asked whether a port is free, since everybody on the machine takes ports.

use std::ops::RangeInclusive;

use crate::Error;

/// Ports of 127.0.0.1 and who has them.
#[derive(Debug)]
pub struct Ports {
    range: RangeInclusive<u16>,
}

impl Ports {
    /// The usual range: below the kernel's ephemeral ports (32768 up), above what people choose.
    pub const USUAL: RangeInclusive<u16> = 20_000..=29_999;

    /// All ports of `range`.
    pub fn new(range: RangeInclusive<u16>) -> Ports {
        Ports { range }
    }

    /// The port free for longest on which nobody listens. Errors: none is free.
    pub fn take(&mut self) -> Result<u16, Error> {
        todo!()
    }

    /// Marks a port as taken, as found after a restart; false when it was taken already or does
    /// not lie in the range.
    pub fn claim(&mut self, port: u16) -> bool {
        todo!("{port}")
    }

    /// Gives a port back; it rests until the others were used.
    pub fn give_back(&mut self, port: u16) {
        todo!("{port}")
    }
}
