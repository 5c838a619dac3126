//! What is in the directory of certificates: `NAME.crt` or `NAME.pem` with `NAME.key`, and
//! `NAME/fullchain.pem` with `NAME/privkey.pem`, as certbot lays them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::pair::{Pair, shown};
use super::set::Set;

/// Pairs that are read.
const PAIRS_MAX: usize = 10_000;
const KEY_MISSING: &str = "its key is not there";

/// What is to be served now, when that was served before. A pair that is wrong leaves the one
/// from the same files in its place; one whose files are both gone is not served any more.
pub(crate) fn look(dir: &Path, before: &Set, now: DateTime<Utc>) -> Set {
    let mut told = Vec::new();
    let pairs = match pairs(dir) {
        Ok(pairs) => pairs,
        Err(why) => {
            told.push((dir.display().to_string(), why.to_string()));
            return Set::of(before.all().to_vec(), told);
        }
    };
    if pairs.len() > PAIRS_MAX {
        let many = format!("{} pairs, of which the first {PAIRS_MAX} are read", pairs.len());
        told.push((dir.display().to_string(), many));
    }
    let mut all = Vec::new();
    for pair in pairs.into_iter().take(PAIRS_MAX) {
        let mut tell = |why: String| told.push((pair.file.clone(), why));
        let old = before.all().iter().find(|old| old.file == pair.file);
        let read = match (pair.stamp(), old) {
            (None, _) => Err(missing(&pair)),
            (Some(stamp), Some(old)) if old.stamp == stamp => Ok(Arc::clone(old)),
            (Some(stamp), _) => pair.read(stamp, now).map(Arc::new),
        };
        match (read, old) {
            (Ok(certificate), _) => {
                if certificate.valid.to < now {
                    tell(format!("it has expired: it held until {}", shown(certificate.valid.to)));
                }
                if certificate.open {
                    tell("others can read its key: take that right away (chmod o=)".to_owned());
                }
                all.push(certificate);
            }
            (Err(why), Some(old)) => {
                tell(format!("{why}; the one before is served"));
                all.push(Arc::clone(old));
            }
            (Err(why), None) => tell(format!("{why}; it is not served")),
        }
    }
    Set::of(all, told)
}

fn missing(pair: &Pair) -> String {
    match pair.chain.exists() {
        true => KEY_MISSING.to_owned(),
        false => "the certificate is not there, its key is".to_owned(),
    }
}

/// All pairs of which one file at least is there.
fn pairs(dir: &Path) -> io::Result<Vec<Pair>> {
    let mut found: BTreeMap<String, Pair> = BTreeMap::new();
    for path in entries(dir)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_dir() {
            let (chain, key) = (path.join("fullchain.pem"), path.join("privkey.pem"));
            if chain.exists() || key.exists() {
                let file = format!("{name}/fullchain.pem");
                found.insert(format!("{name}/"), Pair { file, chain, key });
            }
            continue;
        }
        let Some((stem, kind @ ("crt" | "pem" | "key"))) = name.rsplit_once('.') else { continue };
        let with = |kind: &str| dir.join(format!("{stem}.{kind}"));
        // The directory may have both; the key alone stands for the usual one.
        let kind = if kind == "pem" || with("pem").exists() { "pem" } else { "crt" };
        let kind = if with("crt").exists() { "crt" } else { kind };
        let file = format!("{stem}.{kind}");
        let (chain, key) = (with(kind), with("key"));
        found.insert(stem.to_owned(), Pair { file, chain, key });
    }
    Ok(found.into_values().collect())
}

/// Directories in which files of pairs can be.
pub(crate) fn places(dir: &Path) -> Vec<PathBuf> {
    let below = entries(dir).unwrap_or_default();
    [dir.to_owned()].into_iter().chain(below.into_iter().filter(|path| path.is_dir())).collect()
}

/// What is in a directory, but for what is hidden: files on their way have such names.
fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            all.push(entry.path());
        }
    }
    Ok(all)
}
