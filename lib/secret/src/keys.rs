//! The keys, and what they seal and open.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::error::Error;
use crate::file::{self, Bytes, KEY_BYTES};
use crate::sealed::{KeyId, Sealed};
use crate::value::{VALUE_BYTES_MAX, Value};

/// The file's name in a state directory.
pub const KEY_FILE: &str = "secret.key";

/// The keys of a state directory, the one that seals first.
pub struct Keys {
    path: PathBuf,
    keys: Mutex<Vec<Key>>,
    random: SystemRandom,
}

struct Key {
    id: KeyId,
    bytes: Bytes,
    cipher: LessSafeKey,
}

impl Keys {
    /// The keys of a state directory; where there is no key file, one with a new key is made.
    ///
    /// # Errors
    /// The file cannot be read or made, or others can read it.
    pub fn open(state: &Path) -> Result<Keys, Error> {
        let path = state.join(KEY_FILE);
        let random = SystemRandom::new();
        let bytes = match file::read(&path)? {
            Some(bytes) => bytes,
            None => {
                let bytes = fresh(&random)?;
                file::make(&path, &[&bytes])?;
                vec![bytes]
            }
        };
        let keys = bytes.into_iter().map(Key::new).collect::<Result<_, _>>()?;
        Ok(Keys { path, keys: Mutex::new(keys), random })
    }

    /// Seals a value, which is wiped, for that name and version.
    ///
    /// # Errors
    /// It is too long, or there are no random bytes.
    pub fn seal(&self, name: &str, version: u32, value: Value) -> Result<Sealed, Error> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(Error::TooLong);
        }
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| Error::Seal)?;
        // Room for the tag, so that nothing moves: what is sealed in place was the value.
        let mut text = Vec::with_capacity(value.len() + AES_256_GCM.tag_len());
        text.extend_from_slice(value.bytes());
        let keys = self.keys();
        let key = keys.first().ok_or(Error::Seal)?;
        let aad = Aad::from(bound_to(name, version));
        let once = Nonce::assume_unique_for_key(nonce);
        match key.cipher.seal_in_place_append_tag(once, aad, &mut text) {
            Ok(()) => Ok(Sealed { key: key.id, nonce, text }),
            Err(_) => {
                drop(Value::from_vec(text));
                Err(Error::Seal)
            }
        }
    }

    /// Opens a sealed value of that name and version.
    ///
    /// # Errors
    /// Its key is not there, or it is not what was sealed.
    pub fn open_sealed(&self, name: &str, version: u32, sealed: &Sealed) -> Result<Value, Error> {
        let keys = self.keys();
        let unknown = || Error::UnknownKey { name: name.to_owned(), version, key: sealed.key };
        let key = keys.iter().find(|key| key.id == sealed.key).ok_or_else(unknown)?;
        let changed = || Error::Changed { name: name.to_owned(), version };
        let aad = Aad::from(bound_to(name, version));
        let nonce = Nonce::assume_unique_for_key(sealed.nonce);
        // Wiped whatever comes of it.
        let mut text = Value::from_vec(sealed.text.clone());
        let long = key.cipher.open_in_place(nonce, aad, text.bytes_mut());
        let long = long.map_err(|_| changed())?.len();
        text.shorten(long);
        Ok(text)
    }

    /// The key that seals.
    #[must_use]
    pub fn newest(&self) -> Option<KeyId> {
        self.keys().first().map(|key| key.id)
    }

    /// Whether there is an older one: everything sealed under it waits to be sealed anew.
    #[must_use]
    pub fn has_old(&self) -> bool {
        self.keys().len() > 1
    }

    /// Puts a new key in front, on disk before anything is sealed under it. Where one is in front
    /// already and not all is sealed under it, that one stays.
    ///
    /// # Errors
    /// The file cannot be written; nothing has changed then.
    pub fn renew(&self) -> Result<(), Error> {
        let mut keys = self.keys();
        if keys.len() > 1 {
            return Ok(());
        }
        let key = Key::new(fresh(&self.random)?)?;
        let all: Vec<&Bytes> = [&key].into_iter().chain(&*keys).map(|key| &key.bytes).collect();
        file::replace(&self.path, &all)?;
        keys.insert(0, key);
        Ok(())
    }

    /// Lets every key go but the one that seals: nothing is sealed under them any more.
    ///
    /// # Errors
    /// The file cannot be written; the old keys stay then.
    pub fn forget_old(&self) -> Result<(), Error> {
        let mut keys = self.keys();
        let first: Vec<&Bytes> = keys.first().map(|key| &key.bytes).into_iter().collect();
        file::replace(&self.path, &first)?;
        keys.truncate(1);
        Ok(())
    }

    fn keys(&self) -> MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn new(bytes: Bytes) -> Result<Key, Error> {
        let cipher = UnboundKey::new(&AES_256_GCM, bytes.as_ref()).map_err(|_| Error::Seal)?;
        Ok(Key { id: file::id(&bytes), bytes, cipher: LessSafeKey::new(cipher) })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

fn fresh(random: &SystemRandom) -> Result<Bytes, Error> {
    let mut bytes = Bytes::new([0; KEY_BYTES]);
    random.fill(bytes.as_mut()).map_err(|_| Error::Seal)?;
    Ok(bytes)
}

/// What a sealed value belongs to. A name has no zero byte in it.
fn bound_to(name: &str, version: u32) -> Vec<u8> {
    [name.as_bytes(), &[0], &version.to_be_bytes()].concat()
}

#[cfg(test)]
#[path = "keys_test.rs"]
mod tests;
