//! Secrets as the world knows them: which there are, sealed, which version of each is the newest,
//! and which services may have them.
//!
//! Law: a number that a value has had is never another value's, so that a version of a service
//! that names it means the same bytes for ever.

use crate::clock::Millis;
use crate::record::Record;
use crate::turn::Turn;
use crate::world::World;
use manifest::Manifest;
use manifest::limits::LABEL_CHARS_MAX;
use rollout::Version;
use secret::{KeyId, Sealed};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Secrets a server keeps, at most.
const SECRETS_MAX: usize = 10_000;
/// Bytes that all their values have together, sealed, those that only the history needs included.
const SEALED_BYTES_MAX: usize = 64 << 20;
/// Names in the grants of a service: as many as a manifest may have.
const GRANTS_MAX: usize = 256;

type Result = std::result::Result<(), String>;

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// By name.
    pub all: BTreeMap<String, Secret>,
    /// By service, the names of those it may have.
    pub grants: BTreeMap<String, BTreeSet<String>>,
    /// The last number that a value was given.
    pub last: u32,
}

/// One secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// What is told of it.
    pub head: Head,
    /// Its values by version: the newest, and those that a version of a service means.
    pub values: BTreeMap<u32, Arc<Sealed>>,
}

/// What is told of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The newest version.
    pub current: u32,
    /// When that was set.
    pub at: Millis,
    /// The first version since it was made, which tells it from an earlier one of its name.
    pub born: u32,
}

/// What a user wants of secrets. No value is in it but sealed ones.
#[derive(Debug, Clone)]
pub enum Wish {
    /// A new value.
    Set {
        /// The secret.
        name: String,
        /// The number it was sealed for.
        version: u32,
        /// The value.
        sealed: Sealed,
    },
    /// Nothing of it is to be left.
    Delete {
        /// The secret.
        name: String,
    },
    /// What a service may have.
    Grant {
        /// The service.
        service: String,
        /// A name a line.
        text: String,
    },
    /// The same values under another key.
    Reseal {
        /// Name, version and value.
        values: Vec<(String, u32, Sealed)>,
    },
}

/// A value that is handed over to an instance: its secret, the version, and the variable where it
/// is to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover {
    /// The secret.
    pub name: String,
    /// The version of its value.
    pub version: u32,
    /// The variable; a file where there is none.
    pub env: Option<String>,
}

impl Secrets {
    /// Values that are not sealed under that key, a few at a time.
    #[must_use]
    pub fn not_under(&self, key: KeyId, most: usize) -> Vec<(String, u32, Arc<Sealed>)> {
        let each = self.all.iter().flat_map(|(name, secret)| {
            secret.values.iter().map(move |(version, sealed)| (name, *version, sealed))
        });
        let other = each.filter(|(_, _, sealed)| sealed.key() != key);
        other.take(most).map(|(name, version, it)| (name.clone(), version, it.clone())).collect()
    }

    /// A value, sealed.
    #[must_use]
    pub fn value(&self, name: &str, version: u32) -> Option<Arc<Sealed>> {
        self.all.get(name)?.values.get(&version).cloned()
    }

    /// The names a service may have, a line each.
    #[must_use]
    pub fn grants_of(&self, service: &str) -> String {
        let names = self.grants.get(service).into_iter().flatten();
        names.map(|name| format!("{name}\n")).collect()
    }

    fn bytes(&self) -> usize {
        let values = self.all.values().flat_map(|secret| secret.values.values());
        values.map(|sealed| sealed.stored_len()).sum()
    }
}

/// Whether a secret may have that name: one that can be a file in `/secret/`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LABEL_CHARS_MAX).contains(&name.len()) && name.bytes().all(known) && !name.starts_with('.')
}

/// Which version of each secret a manifest means, where it is known.
#[must_use]
pub fn versions(manifest: &Manifest) -> BTreeMap<String, u32> {
    let known = manifest.secrets.iter().filter(|secret| secret.version > 0);
    known.map(|secret| (secret.name.clone(), secret.version)).collect()
}

/// What an instance of a manifest is handed over.
#[must_use]
pub fn handovers(manifest: &Manifest) -> Vec<Handover> {
    let each = manifest.secrets.iter().map(|secret| Handover {
        name: secret.name.clone(),
        version: secret.version,
        env: secret.env.clone(),
    });
    each.collect()
}

impl World {
    /// Takes what a user wants of secrets.
    pub(crate) fn of_secrets(&mut self, wish: Wish, turn: &mut Turn) -> Result {
        let done = match wish {
            Wish::Set { name, version, sealed } => self.set_secret(&name, version, sealed, turn),
            Wish::Delete { name } => self.delete_secret(&name, turn),
            Wish::Grant { service, text } => self.grant(&service, &text, turn),
            Wish::Reseal { values } => {
                let secrets = self.touch_secrets(turn);
                for (name, version, sealed) in values {
                    let secret = secrets.all.get_mut(&name);
                    // It may have gone meanwhile.
                    let value = secret.and_then(|secret| secret.values.get_mut(&version));
                    value.into_iter().for_each(|value| *value = Arc::new(sealed.clone()));
                }
                Ok(())
            }
        };
        done.map_err(|text| self.refused(None, text))
    }

    /// The secrets to change, kept as they were when the turn first touched them.
    fn touch_secrets(&mut self, turn: &mut Turn) -> &mut Secrets {
        turn.secrets.get_or_insert_with(|| self.secrets.clone());
        &mut self.secrets
    }

    fn set_secret(&mut self, name: &str, version: u32, sealed: Sealed, turn: &mut Turn) -> Result {
        if !is_name(name) {
            return Err(format!("invalid argument: {name:?} is not a secret's name"));
        }
        if self.secrets.all.len() >= SECRETS_MAX && !self.secrets.all.contains_key(name) {
            return Err(format!("no room for another secret: {SECRETS_MAX} are kept"));
        }
        if self.secrets.bytes() + sealed.stored_len() > SEALED_BYTES_MAX {
            return Err(format!("no room: secrets have {SEALED_BYTES_MAX} bytes together at most"));
        }
        let at = turn.stamp;
        let secrets = self.touch_secrets(turn);
        secrets.last = secrets.last.max(version);
        let new = Head { current: 0, at, born: version };
        let secret = secrets.all.entry(name.to_string());
        let secret = secret.or_insert(Secret { head: new, values: BTreeMap::new() });
        if secret.head.current > version {
            // One that came behind this one was faster.
            return Ok(());
        }
        (secret.head.current, secret.head.at) = (version, at);
        secret.values.insert(version, Arc::new(sealed));
        turn.note(format!("secret {name}: version {version}"));
        for (service, old) in self.deployed_with(name) {
            turn.tell(&service, format!(
                "secret {name} has version {version}; version {old} is deployed, until the next \
                 apply"
            ));
        }
        self.collect_secrets(turn);
        Ok(())
    }

    /// The services whose deployed version has another version of a secret, and which.
    fn deployed_with(&self, name: &str) -> Vec<(String, u32)> {
        let with = |(service, one): (&String, &crate::world::Service)| {
            let edition = one.record.edition(one.record.rollout.current())?;
            Some((service.clone(), *edition.secrets.get(name)?))
        };
        self.services.iter().filter_map(with).collect()
    }

    fn delete_secret(&mut self, name: &str, turn: &mut Turn) -> Result {
        if !self.secrets.all.contains_key(name) {
            return Err(format!("file does not exist: secrets/{name}"));
        }
        let users = self.services.iter().filter_map(|(service, one)| {
            let how = used(&one.record, name)?;
            Some(format!("{service} ({how})"))
        });
        let users: Vec<String> = users.collect();
        if !users.is_empty() {
            let users = users.join(", ");
            return Err(format!("secret {name} is in use by {users}; deploy without it first"));
        }
        let secrets = self.touch_secrets(turn);
        secrets.all.remove(name);
        // One that is made later under this name is another one, which nobody was granted.
        secrets.grants.values_mut().for_each(|names| {
            names.remove(name);
        });
        secrets.grants.retain(|_, names| !names.is_empty());
        turn.note(format!("secret {name}: deleted"));
        Ok(())
    }

    fn grant(&mut self, service: &str, text: &str, turn: &mut Turn) -> Result {
        if let Err(error) = manifest::check_name(service) {
            return Err(format!("invalid argument: {error}"));
        }
        let names: BTreeSet<String> = text.split_whitespace().map(String::from).collect();
        let unknown = names.iter().find(|name| !self.secrets.all.contains_key(*name));
        if let Some(name) = unknown {
            return Err(format!("secret {name} does not exist; deploy secret set {name} first"));
        }
        if names.len() > GRANTS_MAX {
            return Err(format!("no room: a service has {GRANTS_MAX} grants at most"));
        }
        let told: Vec<&str> = names.iter().map(String::as_str).collect();
        turn.tell(
            service,
            match told.is_empty() {
                true => "may have no secrets".to_string(),
                false => format!("may have secrets {}", told.join(" ")),
            },
        );
        let secrets = self.touch_secrets(turn);
        match names.is_empty() {
            true => drop(secrets.grants.remove(service)),
            false => drop(secrets.grants.insert(service.to_string(), names)),
        }
        Ok(())
    }

    /// Says which value of each secret a manifest means now.
    ///
    /// # Errors
    /// Those that do not exist, or that the service may not have, all of them.
    pub(crate) fn resolve_secrets(&self, service: &str, manifest: &mut Manifest) -> Result {
        let current = |name: &str| self.secrets.all.get(name).map(|secret| secret.head.current);
        manifest.secrets_are(|name| current(name).unwrap_or_default());
        let names: BTreeSet<&str> =
            manifest.secrets.iter().map(|secret| secret.name.as_str()).collect();
        let may = self.may_have(service, &names, |name| current(name).is_some());
        may.map_err(|why| format!("manifest refused: {service}: {why}"))
    }

    /// Refuses to go back to a version whose secrets are not kept, or not the service's any more.
    pub(crate) fn secrets_kept(&self, service: &str, version: Version) -> Result {
        let one = self.services.get(service);
        let edition = one.and_then(|one| one.record.edition(Some(version)));
        let Some(edition) = edition else { return Ok(()) };
        // What serves may go on serving.
        if one.is_some_and(|one| one.record.rollout.current() == Some(version)) {
            return Ok(());
        }
        let names = edition.secrets.keys().map(String::as_str).collect();
        self.may_have(service, &names, |name| {
            let version = edition.secrets.get(name).copied().unwrap_or_default();
            self.secrets.value(name, version).is_some()
        })
    }

    fn may_have(
        &self,
        service: &str,
        names: &BTreeSet<&str>,
        is_there: impl Fn(&str) -> bool,
    ) -> Result {
        let granted = self.secrets.grants.get(service);
        let (mut wrong, mut help) = (Vec::new(), Vec::new());
        for name in names {
            if !is_there(name) {
                wrong.push(format!("secret {name} does not exist"));
                help.push(format!("deploy secret set {name}"));
            }
            if granted.is_none_or(|granted| !granted.contains(*name)) {
                wrong.push(format!("secret {name} is not granted to {service}"));
                help.push(format!("deploy secret grant {name} {service}"));
            }
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(format!("{}; {}", wrong.join(", "), help.join("; "))),
        }
    }

    /// Lets go of values that no version of a service means any more.
    pub(crate) fn collect_secrets(&mut self, turn: &mut Turn) {
        if self.secrets.all.values().all(|secret| secret.values.len() <= 1) {
            return;
        }
        let mut needed: BTreeSet<(String, u32)> = BTreeSet::new();
        for service in self.services.values() {
            let record = &service.record;
            let kept = record.versions.values().map(|edition| &edition.secrets);
            let coming = record.preparing.as_ref().map(|preparing| &preparing.secrets);
            let all = kept.chain(coming).flatten();
            needed.extend(all.map(|(name, version)| (name.clone(), *version)));
        }
        let secrets = self.touch_secrets(turn);
        for (name, secret) in &mut secrets.all {
            let current = secret.head.current;
            secret.values.retain(|version, _| {
                *version == current || needed.contains(&(name.clone(), *version))
            });
        }
    }

    /// A service is gone, and with it what it may have; a place that nothing came of keeps it.
    pub(crate) fn forget_grants(&mut self, service: &str, turn: &mut Turn) {
        if self.secrets.grants.contains_key(service) {
            self.touch_secrets(turn).grants.remove(service);
        }
    }
}

/// What of a service means a secret, of all that may not lose it.
fn used(record: &Record, name: &str) -> Option<&'static str> {
    let means = |version: Option<Version>| {
        record.edition(version).is_some_and(|edition| edition.secrets.contains_key(name))
    };
    let coming = record.preparing.as_ref();
    if means(record.rollout.current()) {
        Some("deployed")
    } else if means(record.rollout.target())
        || coming.is_some_and(|preparing| preparing.secrets.contains_key(name))
        || record.rollout.instances().values().any(|one| means(Some(one.version)))
    {
        Some("in flight")
    } else if means(record.previous) {
        Some("what rollback goes to")
    } else {
        None
    }
}

#[cfg(test)]
#[path = "secrets_test.rs"]
mod tests;
