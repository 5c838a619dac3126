//! A certificate and its key, from two files that belong together.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use webpki::EndEntityCert;

use super::validity::Validity;

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Certificates of one chain.
const CHAIN_MAX: usize = 16;

/// Two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// What it is known by: the certificate's file, as seen from the directory.
    pub(crate) file: String,
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// The edge has ordered it itself.
    pub(crate) ordered: bool,
}

/// Tells whether files are the ones that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([(u64, u64, i64, i64, i64, i64); 2]);

/// What was in the files.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// As the pair is known.
    pub(crate) file: String,
    /// Who it is for, in small letters; `*.` at the front for all one label below.
    pub(crate) names: Vec<String>,
    pub(crate) valid: Validity,
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) stamp: Stamp,
    /// Others on the machine can read the key.
    pub(crate) open: bool,
    /// The edge has ordered it itself.
    pub(crate) ordered: bool,
}

/// What a chain and its key come to.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) names: Vec<String>,
    pub(crate) valid: Validity,
    key: Arc<CertifiedKey>,
}

impl Pair {
    /// Which files they are now; none when one is not there.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        let of = |path: &Path| {
            let is = path.metadata().ok()?;
            Some((is.ino(), is.size(), is.mtime(), is.mtime_nsec(), is.ctime(), is.ctime_nsec()))
        };
        Some(Stamp([of(&self.chain)?, of(&self.key)?]))
    }

    /// Whether it held once, and does not any more.
    pub(crate) fn has_ended(&self, now: DateTime<Utc>) -> bool {
        let ends = bytes(&self.chain).ok().and_then(|(chain, _)| end(&chain));
        ends.is_some_and(|end| end < now)
    }

    /// Reads both, or says what is wrong with them, for the person who put them there.
    pub(crate) fn read(&self, stamp: Stamp, now: DateTime<Utc>) -> Result<Certificate, String> {
        let (chain, _) = bytes(&self.chain)?;
        let (key, mode) = bytes(&self.key)?;
        let key_file = self.key.file_name().unwrap_or_default().display().to_string();
        let Checked { names, valid, key } = check(&chain, &key, &key_file, now)?;
        let (file, open, ordered) = (self.file.clone(), mode & 0o004 != 0, self.ordered);
        Ok(Certificate { file, names, valid, key, stamp, open, ordered })
    }
}

/// What a chain and its key are, both in PEM, or what is wrong with them.
pub(crate) fn check(
    chain: &[u8],
    key: &[u8],
    key_file: &str,
    now: DateTime<Utc>,
) -> Result<Checked, String> {
    let chain = CertificateDer::pem_slice_iter(chain).take(CHAIN_MAX + 1);
    let chain: Vec<_> =
        chain.collect::<Result<_, _>>().map_err(|why| broken("it", "certificate", &why))?;
    let first = chain.first().ok_or("no certificate is in it")?;
    if chain.len() > CHAIN_MAX {
        return Err(format!("more than {CHAIN_MAX} certificates are in it"));
    }
    let names = names(first)?;
    let valid = Validity::of(first).ok_or("it does not say from when to when it holds")?;
    if now > valid.to {
        return Err(format!("it has expired: it held until {}", shown(valid.to)));
    }
    if now < valid.from {
        return Err(format!("it does not hold before {}", shown(valid.from)));
    }
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|why| broken(key_file, "private key", &why))?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider());
    let key = key.map_err(|why| {
        if let Error::InconsistentKeys(InconsistentKeys::KeyMismatch) = why {
            return format!("{key_file} is the key of another certificate");
        }
        format!("{key_file}: {why}")
    })?;
    Ok(Checked { names, valid, key: Arc::new(key) })
}

/// Until when the first certificate of a chain in PEM holds.
pub(crate) fn end(chain: &[u8]) -> Option<DateTime<Utc>> {
    let first = CertificateDer::pem_slice_iter(chain).next()?.ok()?;
    Validity::of(&first).map(|valid| valid.to)
}

fn broken(file: &str, what: &str, why: &pem::Error) -> String {
    if let pem::Error::NoItemsFound = why {
        return format!("no {what} is in {file}");
    }
    format!("{file} is not whole PEM: {why:?}")
}

/// Who a certificate is for. The name in its subject counts for no browser, nor here.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, String> {
    let parsed = EndEntityCert::try_from(certificate);
    let parsed = parsed.map_err(|why| format!("no certificate that can be used: {why}"))?;
    Ok(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// What is in a file, and its mode.
fn bytes(path: &Path) -> Result<(Vec<u8>, u32), String> {
    let name = path.file_name().unwrap_or_default().display().to_string();
    let read = || {
        let is = path.metadata()?;
        if !is.is_file() {
            return Err(io::Error::other("not a file"));
        }
        let mut text = Vec::new();
        File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
        if text.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("more than {FILE_BYTES_MAX} bytes")));
        }
        Ok((text, is.mode()))
    };
    read().map_err(|why| format!("{name}: {why}"))
}

/// A time as it stands in `status`.
pub(crate) fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Certificate {
    /// Whether it was read from the same files in the same state.
    pub(crate) fn is(&self, other: &Certificate) -> bool {
        (&self.file, self.stamp) == (&other.file, other.stamp)
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (names, until) = (self.names.join(","), shown(self.valid.to));
        write!(f, "{} names={names} not_after={until}", self.file)
    }
}
