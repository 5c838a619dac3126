//! A certificate that all proxies serve with: ECDSA with P-256, signed by itself.

use crate::server::took;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The name that it is for: one that every machine finds at its loopback address.
pub(crate) const NAME: &str = "localhost";

/// Its files, in a directory of their own.
pub(crate) struct Certificate {
    /// As the edge wants it.
    pub(crate) dir: PathBuf,
}

impl Certificate {
    /// Makes one.
    ///
    /// # Errors
    /// openssl is not there, or cannot.
    pub(crate) fn make(place: &Path) -> Result<Certificate, String> {
        let made = Certificate { dir: place.join("certs") };
        let failed = |error: std::io::Error| format!("{}: {error}", place.display());
        fs::create_dir_all(&made.dir).map_err(failed)?;
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-nodes", "-days", "2", "-subj", "/CN=localhost"]);
        openssl.args(["-addext", "subjectAltName=DNS:localhost", "-keyout"]).arg(made.key());
        openssl.arg("-out").arg(made.chain());
        took(&mut openssl)?;
        let both = [made.chain(), made.key()].map(fs::read_to_string);
        let [Ok(chain), Ok(key)] = both else { return Err("openssl wrote nothing".to_owned()) };
        fs::write(made.both(), chain + &key).map_err(failed)?;
        Ok(made)
    }

    /// The certificate.
    pub(crate) fn chain(&self) -> PathBuf {
        self.dir.join(format!("{NAME}.crt"))
    }

    /// Its key.
    pub(crate) fn key(&self) -> PathBuf {
        self.dir.join(format!("{NAME}.key"))
    }

    /// Both in one file, as haproxy wants them; not among the edge's.
    pub(crate) fn both(&self) -> PathBuf {
        self.dir.with_extension("pem")
    }
}
