//! Certificates from an authority by ACME (RFC 8555), each for one host of the table that no
//! certificate of the directory covers: ordered, proven by HTTP-01, kept and renewed in time.
//!
//! Never: asks any server but the one that was named; answers for a token that was not asked for;
//! asks again before its rest has passed, also after a restart; holds a request up.

#[cfg(test)]
#[allow(dead_code, reason = "others who include it use the rest")]
#[path = "../../tests/authority/mod.rs"]
mod authority;
mod hosts;
mod news;
mod order;
mod plan;
mod proofs;
mod run;
mod store;
#[cfg(test)]
mod test;
mod told;
mod web;

use std::path::{Path, PathBuf};

use hyper::Uri;

pub(crate) use plan::Pace;
pub(crate) use proofs::Proofs;
pub(crate) use run::Orders;

/// Bytes of an authority's address: its name is a directory's as well.
const URL_BYTES_MAX: usize = 200;

/// From whom certificates are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Its directory: `https://HOST/PATH`.
    pub(crate) url: String,
    /// Where it may write to: an address of mail.
    pub(crate) contact: Option<String>,
    /// Who vouches for the authority itself; absent: whoever the machine trusts.
    pub(crate) ca: Option<PathBuf>,
}

impl Settings {
    /// An authority by its directory's address, or what is wrong with that.
    pub(crate) fn at(url: String) -> Result<Settings, String> {
        let parsed: Option<Uri> = url.parse().ok();
        let fine = parsed.is_some_and(|uri| {
            let plain = uri.authority().is_some_and(|it| !it.as_str().contains('@'));
            uri.scheme_str() == Some("https") && plain && uri.host() != Some("")
        });
        match fine && url.len() <= URL_BYTES_MAX {
            true => Ok(Settings { url, contact: None, ca: None }),
            false => Err(format!("`{url}`: want https://HOST/PATH, {URL_BYTES_MAX} bytes at most")),
        }
    }

    /// Where its certificates are kept, in the edge's own directory: another authority's count
    /// for nothing.
    pub(crate) fn place(&self, edge: &Path) -> PathBuf {
        let name = self.url.trim_start_matches("https://");
        let fine = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        let name: String = name.chars().map(|c| if fine(c) { c } else { '-' }).collect();
        edge.join("acme").join(name.trim_matches(['.', '-']))
    }
}
