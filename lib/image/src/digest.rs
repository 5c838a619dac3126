//! SHA-256 digests, the names of everything in the store (image-spec `descriptor.md`), and chain
//! ids, the names of unpacked layers (image-spec `config.md`, "Layer ChainID").

use std::fmt;
use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};

/// Hexadecimal digits of a SHA-256.
const HEX_LEN: usize = 64;

/// A checked `sha256:<64 lower-case hexadecimal digits>`; safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digest(String);

impl Digest {
    /// Reads `sha256:…`; `None` for any other algorithm or form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("sha256:")?;
        let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (hex.len() == HEX_LEN && hex.bytes().all(plain)).then(|| Self(hex.to_owned()))
    }

    /// The digest of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut hash = Hash::default();
        hash.update(bytes);
        hash.finish()
    }

    /// The digits alone.
    pub(crate) fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// A digest in the making.
#[derive(Clone, Default)]
pub(crate) struct Hash(Sha256);

impl Hash {
    /// Takes more bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    pub(crate) fn finish(self) -> Digest {
        use fmt::Write as _;
        let mut hex = String::with_capacity(HEX_LEN);
        for byte in self.0.finalize() {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
        }
        Digest(hex)
    }
}

/// Passes bytes on and keeps their digest and number.
pub(crate) struct Hashed<R> {
    inner: R,
    hash: Hash,
    bytes: u64,
}

impl<R> Hashed<R> {
    /// Hashes what is read or written through it from now on.
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hash: Hash::default(), bytes: 0 }
    }

    /// The digest and number of the bytes that went through.
    pub(crate) fn finish(self) -> (Digest, u64) {
        (self.hash.finish(), self.bytes)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The chain ids of layers with these diff ids, bottom first: the first is the diff id itself,
/// each further one the digest of `<chain id below> <diff id>`.
pub(crate) fn chain(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut ids: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let id = match ids.last() {
            None => diff_id.clone(),
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        };
        ids.push(id);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn the_digest_of_abc_is_the_published_one() {
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
    }

    #[test]
    fn only_plain_lower_case_sha256_is_a_digest() {
        let check = |text: &str, good: bool| assert_eq!(Digest::parse(text).is_some(), good);
        check(ABC, true);
        check(&ABC.to_uppercase(), false);
        check(&ABC[..70], false);
        check(&ABC.replace("sha256", "sha512"), false);
        check(&ABC.replace("ba78", "../."), false);
        check("", false);
    }

    #[test]
    fn a_chain_id_names_the_layer_and_all_below_it() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let ids = chain(&[a.clone(), b.clone()]);
        assert_eq!(ids[0], a);
        assert_eq!(ids[1], Digest::of(format!("{a} {b}").as_bytes()));
        assert_ne!(chain(&[b, a])[1], ids[1]);
    }
}
