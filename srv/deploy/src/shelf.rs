//! Secrets as they lie in the store: what is told of each, its values sealed, and the grants.

use crate::save::Error;
use crate::secrets::{Head, Secret, Secrets};
use secret::Sealed;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Op, Store};

/// Then the secret's name.
const SECRET: &str = "secret/";
/// Then the secret's name, and the version.
const SEALED: &str = "sealed/";
/// Then the service.
const GRANTS: &str = "grants/";
const LAST: &str = "secrets-last";

/// The secrets as they were saved.
///
/// # Errors
/// The store cannot be read, or holds what this version does not know.
pub async fn load(store: &dyn Store) -> Result<Secrets, Error> {
    let mut secrets = Secrets::default();
    let strange = |key: &str| {
        let key = key.to_string();
        move |error| Error::Record(key, error)
    };
    for kv in store.list(SECRET).await?.0 {
        let head: Head = serde_json::from_slice(&kv.value).map_err(strange(&kv.key))?;
        let secret = Secret { head, values: BTreeMap::new() };
        secrets.all.insert(kv.key[SECRET.len()..].to_string(), secret);
    }
    for kv in store.list(SEALED).await?.0 {
        let of = kv.key[SEALED.len()..].rsplit_once('/');
        let of = of.and_then(|(name, version)| Some((name, version.parse::<u32>().ok()?)));
        let sealed = Sealed::from_bytes(&kv.value);
        match (of.and_then(|(name, version)| Some((secrets.all.get_mut(name)?, version))), sealed) {
            (Some((secret, version)), Ok(sealed)) => {
                secret.values.insert(version, Arc::new(sealed));
            }
            // Whoever needs it is told that it is not kept.
            (Some(_), Err(error)) => tracing::error!("{}: {error}", kv.key),
            (None, _) => tracing::warn!("{} belongs to no secret", kv.key),
        }
    }
    for kv in store.list(GRANTS).await?.0 {
        let names = serde_json::from_slice(&kv.value).map_err(strange(&kv.key))?;
        secrets.grants.insert(kv.key[GRANTS.len()..].to_string(), names);
    }
    if let Some(kv) = store.get(LAST).await?.0 {
        secrets.last = serde_json::from_slice(&kv.value).map_err(strange(&kv.key))?;
    }
    Ok(secrets)
}

/// What makes the store from the one what the other is.
#[must_use]
pub fn changes(before: &Secrets, now: &Secrets) -> Vec<Op> {
    let (old, new) = (lines(before), lines(now));
    let gone = old.keys().filter(|key| !new.contains_key(*key)).cloned();
    let mut changes: Vec<Op> = gone.map(Op::delete).collect();
    let differs = |(key, line): &(&String, &Line<'_>)| old.get(*key) != Some(*line);
    changes.extend(new.iter().filter(differs).map(|(key, line)| line.put(key)));
    changes
}

/// What a key of the store holds where the secrets are these; none where it is none of theirs, or
/// is not there.
#[must_use]
pub fn held(secrets: &Secrets, key: &str) -> Option<Op> {
    lines(secrets).get(key).map(|line| line.put(key))
}

/// What lies under a key.
#[derive(PartialEq, Eq)]
enum Line<'a> {
    Text(String),
    Sealed(&'a Sealed),
}

impl Line<'_> {
    fn put(&self, key: &str) -> Op {
        match self {
            Line::Text(text) => Op::put(key, text.clone()),
            Line::Sealed(sealed) => Op::put(key, sealed.to_bytes()),
        }
    }
}

fn lines(secrets: &Secrets) -> BTreeMap<String, Line<'_>> {
    let mut lines = BTreeMap::new();
    if secrets.last > 0 {
        lines.insert(LAST.to_string(), Line::Text(secrets.last.to_string()));
    }
    for (name, secret) in &secrets.all {
        lines.insert(format!("{SECRET}{name}"), text(&secret.head));
        for (version, sealed) in &secret.values {
            lines.insert(format!("{SEALED}{name}/{version}"), Line::Sealed(sealed));
        }
    }
    for (service, names) in &secrets.grants {
        lines.insert(format!("{GRANTS}{service}"), text(names));
    }
    lines
}

/// Plain data with text keys, which always has a JSON form.
fn text(of: &impl Serialize) -> Line<'static> {
    Line::Text(serde_json::to_string(of).unwrap_or_default())
}
