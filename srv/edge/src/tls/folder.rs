//! What is in the directory of certificates: `NAME.crt` or `NAME.pem` with `NAME.key`, and
//! `NAME/fullchain.pem` with `NAME/privkey.pem`, as certbot lays them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::pair::{Certificate, Pair, shown};
use super::set::Set;

/// Pairs that are read.
const PAIRS_MAX: usize = 10_000;
/// What those that were ordered are told by.
const ORDERED: &str = "acme";
const KEY_MISSING: &str = "its key is not there";

/// Where certificates are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// The directory that people keep.
    pub(crate) given: Option<PathBuf>,
    /// The one of those that the edge has ordered: `HOST.pem`, with key and chain.
    pub(crate) ordered: Option<PathBuf>,
}

/// What is to be served now, when that was served before. A pair that is wrong leaves the one
/// from the same files in its place; one whose files are both gone is not served any more.
pub(crate) fn look(places: &Places, before: &Set, now: DateTime<Utc>) -> Set {
    let mut found = Found { all: Vec::new(), told: Vec::new(), before, now };
    if let Some(dir) = &places.given {
        found.take(dir, pairs(dir), false);
    }
    if let Some(dir) = &places.ordered {
        match ordered(dir) {
            // It is made with the first of them.
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            pairs => found.take(dir, pairs, true),
        }
    }
    Set::of(found.all, found.told, now)
}

struct Found<'a> {
    all: Vec<Arc<Certificate>>,
    told: Vec<(String, String)>,
    before: &'a Set,
    now: DateTime<Utc>,
}

impl Found<'_> {
    fn take(&mut self, dir: &Path, pairs: io::Result<Vec<Pair>>, ordered: bool) {
        let pairs = match pairs {
            Ok(pairs) => pairs,
            Err(why) => {
                self.told.push((dir.display().to_string(), why.to_string()));
                let before = self.before.all().iter().filter(|it| it.ordered == ordered);
                return self.all.extend(before.cloned());
            }
        };
        if pairs.len() > PAIRS_MAX {
            let many = format!("{} pairs, of which the first {PAIRS_MAX} are read", pairs.len());
            self.told.push((dir.display().to_string(), many));
        }
        pairs.into_iter().take(PAIRS_MAX).for_each(|pair| self.add(&pair));
    }

    fn add(&mut self, pair: &Pair) {
        let (now, told) = (self.now, &mut self.told);
        let mut tell = |why: String| told.push((pair.file.clone(), why));
        let old = self.before.all().iter().find(|old| old.file == pair.file);
        let read = match (pair.stamp(), old) {
            (None, _) => Err(missing(pair)),
            (Some(stamp), Some(old)) if old.stamp == stamp => Ok(Arc::clone(old)),
            (Some(stamp), _) => pair.read(stamp, now).map(Arc::new),
        };
        match (read, old) {
            // Whoever ordered it knows, and orders another.
            (Ok(certificate), _) if pair.ordered && certificate.valid.to < now => {}
            (Ok(certificate), _) => {
                if certificate.valid.to < now {
                    tell(format!("it has expired: it held until {}", shown(certificate.valid.to)));
                }
                if certificate.open {
                    tell("others can read its key: take that right away (chmod o=)".to_owned());
                }
                self.all.push(certificate);
            }
            (Err(why), Some(old)) => {
                tell(format!("{why}; the one before is served"));
                self.all.push(Arc::clone(old));
            }
            (Err(_), None) if pair.ordered && pair.has_ended(now) => {}
            (Err(why), None) => tell(format!("{why}; it is not served")),
        }
    }
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
                found.insert(format!("{name}/"), Pair { file, chain, key, ordered: false });
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
        found.insert(stem.to_owned(), Pair { file, chain, key, ordered: false });
    }
    Ok(found.into_values().collect())
}

/// All that the edge has ordered.
fn ordered(dir: &Path) -> io::Result<Vec<Pair>> {
    let mut found = Vec::new();
    for path in entries(dir)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.ends_with(".pem") {
            let file = format!("{ORDERED}/{name}");
            found.push(Pair { file, chain: path.clone(), key: path, ordered: true });
        }
    }
    Ok(found)
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
