//! How fields look in a trace: short, on one line, whatever bytes a peer sent.

use std::fmt::{Formatter, Result};

use super::field::Few;
use super::{Attr, Data, Lock, NewAttr, Qid, Record, StatFs, Uid, Wrapped};

/// Data of a read or a write is shown up to here, in bytes.
const DATA_SHOWN: usize = 40;

/// Names are shown up to here, in bytes.
const NAME_SHOWN: usize = 128;

/// A field's value in a trace.
pub(super) trait Show {
    fn show(&self, f: &mut Formatter<'_>) -> Result;
}

macro_rules! plain {
    ($($type:ty)*) => { $(
        impl Show for $type {
            fn show(&self, f: &mut Formatter<'_>) -> Result {
                write!(f, "{self}")
            }
        }
    )* };
}
plain!(u8 u16 u32 u64);

impl Show for &[u8] {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        cut(self, NAME_SHOWN, f)
    }
}

impl Show for Data<'_> {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} ", self.0.len())?;
        cut(self.0, DATA_SHOWN, f)
    }
}

impl Show for Uid {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.0.cast_signed())
    }
}

impl Show for Qid {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "({:x} {} {:02x})", self.path, self.version, self.kind)
    }
}

impl<T: Show + Copy + Default> Show for Few<T> {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.as_slice().len())?;
        for value in self.as_slice() {
            f.write_str(" ")?;
            value.show(f)?;
        }
        Ok(())
    }
}

impl Show for Wrapped<Record<'_>> {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        let record = &self.0;
        cut(record.name, NAME_SHOWN, f)?;
        f.write_str(" ")?;
        record.qid.show(f)?;
        write!(f, " {:o} {} {} ", record.mode, record.length, record.mtime)?;
        cut(record.uid, NAME_SHOWN, f)?;
        f.write_str(" ")?;
        cut(record.gid, NAME_SHOWN, f)
    }
}

impl Show for Attr {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        self.qid.show(f)?;
        let Self { mode, uid, gid, size, mtime_sec, .. } = self;
        write!(f, " {mode:o} {uid} {gid} {size} {mtime_sec}")
    }
}

impl Show for NewAttr {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        let Self { valid, mode, uid, gid, size, .. } = self;
        write!(f, "{valid:#x} {mode:o} {uid} {gid} {size}")
    }
}

impl Show for StatFs {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{:#x}", self.kind)
    }
}

impl Show for Lock<'_> {
    fn show(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}+{} by {} of ", self.start, self.length, self.proc_id)?;
        cut(self.client_id, NAME_SHOWN, f)
    }
}

/// A name with all but its first letter made small.
pub(super) const fn lower<const N: usize>(name: &str) -> [u8; N] {
    let (mut out, mut at) = ([0; N], 0);
    while at < N {
        let byte = name.as_bytes()[at];
        out[at] = if at == 0 { byte } else { byte.to_ascii_lowercase() };
        at += 1;
    }
    out
}

/// ASCII bytes as the text they are.
pub(super) const fn text(bytes: &'static [u8]) -> &'static str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}

fn cut(bytes: &[u8], most: usize, f: &mut Formatter<'_>) -> Result {
    let shown = &bytes[..bytes.len().min(most)];
    write!(f, "\"{}\"{}", shown.escape_ascii(), if shown.len() < bytes.len() { "..." } else { "" })
}
