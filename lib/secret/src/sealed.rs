//! A sealed value as it is stored.

use std::fmt;

use ring::aead::NONCE_LEN;

use crate::error::Error;

/// The first byte of a stored value.
const FORM: u8 = 1;
/// Bytes before what is sealed: form, key, nonce.
const HEAD: usize = 1 + size_of::<u32>() + NONCE_LEN;

/// Which key: the first 32 bits of its SHA-256, which say nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(pub(crate) u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A value that only its key opens.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    pub(crate) key: KeyId,
    pub(crate) nonce: [u8; NONCE_LEN],
    /// What was sealed, and its tag.
    pub(crate) text: Vec<u8>,
}

impl Sealed {
    /// Which key opens it.
    #[must_use]
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// How many bytes it is stored in.
    #[must_use]
    pub fn stored_len(&self) -> usize {
        HEAD + self.text.len()
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.stored_len());
        bytes.push(FORM);
        bytes.extend_from_slice(&self.key.0.to_be_bytes());
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&self.text);
        bytes
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// [`Error::Form`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Sealed, Error> {
        let (head, text) = bytes.split_at_checked(HEAD).ok_or(Error::Form)?;
        let (form, head) = head.split_at(1);
        let (key, nonce) = head.split_at(size_of::<u32>());
        let key = key.try_into().map(u32::from_be_bytes).map_err(|_| Error::Form)?;
        let nonce = nonce.try_into().map_err(|_| Error::Form)?;
        match form {
            [FORM] => Ok(Sealed { key: KeyId(key), nonce, text: text.to_vec() }),
            _ => Err(Error::Form),
        }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({})", self.key)
    }
}
