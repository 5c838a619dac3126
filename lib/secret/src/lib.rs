//! Sealed values at rest: AES-256-GCM under a key that lies beside the store and not in it.
//!
//! A [`Value`] is bytes that are wiped when they are let go of, wherever they lay. [`Keys::seal`]
//! makes a [`Sealed`] of one, which may be stored and shown to anybody; it is bound to the name
//! and version of the secret (as additional data, RFC 5116, 2.1), so that no stored value can be
//! put in the place of another. The nonce of 96 bits is random: a key seals far fewer values
//! than the 2^32 that NIST SP 800-38D, 8.3, allows.
//!
//! The key file has one key, and two while it is being changed: [`Keys::renew`] puts a new one in
//! front, everything is sealed anew under it, and [`Keys::forget_old`] lets the old one go. A
//! crash at any point leaves a file with which everything can be opened.
//!
//! Never: prints a value, or gives it to anything that does; stores one; knows who may have it.

mod error;
mod file;
mod keys;
mod sealed;
mod value;

pub use error::Error;
pub use keys::{KEY_FILE, Keys};
pub use sealed::{KeyId, Sealed};
pub use value::{VALUE_BYTES_MAX, Value};
