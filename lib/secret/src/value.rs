//! A value in memory: wiped wherever it lay, shown to nobody.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::error::Error;

/// Bytes of a value at most: a certificate chain with its key, many times over.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Bytes that nobody else is to see. They are wiped when it is dropped, and where they lay before
/// it grew.
#[derive(Default)]
pub struct Value(Zeroizing<Vec<u8>>);

impl Value {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Value {
        Value::default()
    }

    /// Room for so many bytes, so that it need not move.
    #[must_use]
    pub fn with_room(bytes: usize) -> Value {
        Value(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    /// Takes bytes over, which lie nowhere else.
    #[must_use]
    pub fn from_vec(bytes: Vec<u8>) -> Value {
        Value(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds bytes at the end.
    pub fn push(&mut self, data: &[u8]) {
        let end = self.0.len() + data.len();
        if end > self.0.capacity() {
            // A vector that grows by itself would leave what it held behind.
            let mut wider = Vec::with_capacity(end.next_power_of_two());
            wider.extend_from_slice(&self.0);
            *self = Value::from_vec(wider);
        }
        self.0.extend_from_slice(data);
    }

    /// Puts bytes at an offset, as a write to a file does.
    ///
    /// # Errors
    /// [`Error::TooLong`] where it would be longer than a value may be, or begin behind its end.
    pub fn put(&mut self, offset: u64, data: &[u8]) -> Result<(), Error> {
        let from = usize::try_from(offset).map_err(|_| Error::TooLong)?;
        let end = from.checked_add(data.len()).ok_or(Error::TooLong)?;
        if end > VALUE_BYTES_MAX || from > self.0.len() {
            return Err(Error::TooLong);
        }
        let (over, more) = data.split_at(data.len().min(self.0.len() - from));
        self.0[from..from + over.len()].copy_from_slice(over);
        self.push(more);
        Ok(())
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Wipes what is behind so many bytes.
    pub(crate) fn shorten(&mut self, length: usize) {
        if let Some(rest) = self.0.get_mut(length..) {
            rest.zeroize();
        }
        self.0.truncate(length);
    }

    /// Wipes it.
    pub fn clear(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Value {
    /// Not even its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_put_as_into_a_file_and_no_further_than_the_limit() {
        let mut value = Value::new();
        value.put(0, b"abc").unwrap();
        value.put(2, b"CDE").unwrap();
        assert_eq!(value.bytes(), b"abCDE");
        assert!(value.put(6, b"x").is_err());
        assert!(value.put(u64::MAX, b"x").is_err());
        value.put(5, &vec![b'x'; VALUE_BYTES_MAX - 5]).unwrap();
        assert!(value.put(VALUE_BYTES_MAX as u64, b"x").is_err());
        assert_eq!(value.len(), VALUE_BYTES_MAX);
        value.clear();
        assert!(value.is_empty());
    }

    #[test]
    fn a_value_shows_nothing_of_itself() {
        let value = Value::from_vec(b"hunter2".to_vec());
        assert_eq!(format!("{value:?} {value:#?}"), "Value Value");
    }
}
