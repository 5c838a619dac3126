//! What is kept on disk of a service: everything a restarted server needs to go on.

use crate::bond::Bond;
use crate::clock::Millis;
use crate::lock::Notes;
use crate::past::End;
use crate::room::Way;
use crate::secrets;
use crate::world::Numbers;
use manifest::{Manifest, VersionName};
use rollout::{Id, OnFailure, Restart, Spec, Strategy, Version};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Versions of a service that are kept besides those in use. The sources ask for one at least.
pub const HISTORY_MAX: usize = 10;
/// Bytes of their manifests together: with those in use, and two thousand instances, a record is
/// still a value that a store takes.
const HISTORY_BYTES_MAX: usize = 256 << 10;

/// One service, as saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts services ever made, so that a service made again is another one.
    pub incarnation: u64,
    /// The first instance's; those before were of earlier services of the name.
    #[serde(default = "no_earlier")]
    pub first_id: Id,
    /// The text in `manifests/`.
    pub draft: Option<Draft>,
    /// By number; those in use and the last [`HISTORY_MAX`].
    pub versions: BTreeMap<Version, Edition>,
    /// The last number given out (law 10).
    pub last_version: u32,
    /// The version to which a rollback goes when nothing is in flight.
    pub previous: Option<Version>,
    /// An apply whose image is being fetched.
    pub preparing: Option<Preparing>,
    /// What ties it to services that it is applied with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<Bond>,
    /// How the last apply that never became an update ended: unchanged, or no image.
    pub outcome: Option<String>,
    /// Who asked for the update in flight, or the last one, or for its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<By>,
    /// The decision's own state.
    pub rollout: rollout::Service,
}

/// A manifest as it was written to `manifests/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The text, to the byte.
    pub text: String,
    /// When it was written.
    pub at: Millis,
}

/// Who did something: the uid behind the connection, and its name if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// User id.
    pub uid: u32,
    /// Login name, or the number again.
    pub name: String,
}

/// An apply that was accepted and waits for its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparing {
    /// The manifest's text at the moment of the apply.
    pub text: String,
    /// The image as the manifest names it.
    pub reference: String,
    /// Who asked.
    pub by: By,
    /// When.
    pub at: Millis,
    /// Of what, and for what.
    #[serde(default)]
    pub notes: Notes,
    /// The versions of its secrets, as they were at the moment of the apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, u32>,
}

/// One version: a manifest with its image resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edition {
    /// First 12 hex digits of the SHA-256 of the canonical form.
    pub name: String,
    /// The manifest as written.
    pub text: String,
    /// What the image's name resolved to.
    pub digest: String,
    /// Which version of each of its secrets it means.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, u32>,
    /// Who applied it.
    pub by: By,
    /// When it was applied.
    pub at: Millis,
    /// Of what, and for what.
    #[serde(default)]
    pub notes: Notes,
    /// How the update ended that made it what is deployed, or was to.
    pub ended: Option<String>,
    /// Every end of an update to it, or away from it: see [`crate::past`].
    #[serde(default)]
    pub ends: Vec<End>,
    /// Whether an update to it ever completed, and it held: only such a version is rolled back to.
    pub completed: bool,
    /// Whether the watch after its update ended well: rolled back to before all others.
    #[serde(default)]
    pub validated: bool,
}

impl Record {
    /// A service nobody has applied yet, that goes on with the numbers of one of its name that
    /// was removed.
    #[must_use]
    pub fn new(incarnation: u64, numbers: Numbers) -> Record {
        Record {
            incarnation,
            first_id: Id(numbers.next_id),
            draft: None,
            versions: BTreeMap::new(),
            last_version: numbers.last_version,
            previous: None,
            preparing: None,
            bond: None,
            outcome: None,
            asked: None,
            rollout: rollout::Service::new(Id(numbers.next_id)),
        }
    }

    /// Whether nothing ever came to be in it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        let asked = self.draft.is_some() || self.preparing.is_some();
        !asked && self.versions.is_empty() && self.rollout.instances().is_empty()
    }

    /// What is kept of it when it goes; none where no number was used yet.
    #[must_use]
    pub fn numbers(&self) -> Option<Numbers> {
        let next_id = self.rollout.next_id().0;
        let numbers = Numbers { next_id, last_version: self.last_version };
        (numbers != Numbers::default()).then_some(numbers)
    }

    /// The edition with that number.
    #[must_use]
    pub fn edition(&self, version: Option<Version>) -> Option<&Edition> {
        self.versions.get(&version?)
    }

    /// The number of the version of that name, or of that count (`v3`), if it is kept.
    #[must_use]
    pub fn find(&self, word: &str) -> Option<Version> {
        let mut newest = self.versions.iter().rev();
        newest.find(|(v, e)| e.name == word || v.to_string() == word).map(|(v, _)| *v)
    }

    /// The number for a version: that of an equal one that is kept, else a new one.
    pub fn number(&mut self, edition: Edition) -> Version {
        match self.find(&edition.name) {
            Some(version) => {
                let known = self.versions.entry(version).or_insert_with(|| edition.clone());
                (known.text, known.by, known.at) = (edition.text, edition.by, edition.at);
                known.notes = edition.notes;
                version
            }
            None => {
                self.last_version += 1;
                let version = Version(self.last_version);
                self.versions.insert(version, edition);
                version
            }
        }
    }

    /// Lets go of versions that are neither in use nor among the last [`HISTORY_MAX`], fewer where
    /// their manifests are long.
    pub fn prune(&mut self) {
        let rollout = &self.rollout;
        let run = rollout.instances().values().map(|instance| instance.version);
        let in_use: BTreeSet<Version> =
            run.chain(rollout.current()).chain(rollout.target()).collect();
        let previous = self.previous;
        let (mut newer, mut bytes) = (0, 0);
        let old = self.versions.iter().rev().filter(|(_, edition)| {
            (newer, bytes) = (newer + 1, bytes + edition.text.len());
            newer > HISTORY_MAX || bytes > HISTORY_BYTES_MAX
        });
        let old: Vec<Version> = old.map(|(version, _)| *version).collect();
        for version in old {
            if !in_use.contains(&version) && previous != Some(version) {
                self.versions.remove(&version);
            }
        }
    }
}

impl Edition {
    /// The version of a manifest whose image resolved to `digest`.
    #[must_use]
    pub fn new(manifest: &Manifest, text: &str, digest: &str, by: By, at: Millis) -> Edition {
        let name: VersionName = manifest.version(digest);
        Edition {
            name: name.to_string(),
            text: text.to_string(),
            digest: digest.to_string(),
            secrets: secrets::versions(manifest),
            by,
            at,
            notes: Notes::default(),
            ended: None,
            ends: Vec::new(),
            completed: false,
            validated: false,
        }
    }
}

/// Of a record that an earlier program wrote.
fn no_earlier() -> Id {
    Id(0)
}

/// What the decision has to know of a manifest.
#[must_use]
pub fn spec(manifest: &Manifest, way: Way) -> Spec {
    Spec {
        replicas: manifest.replicas,
        strategy: match manifest.strategy() {
            manifest::Update::Replace => Strategy::Replace,
            // The other kinds are refused when the manifest is read.
            manifest::Update::Rolling
            | manifest::Update::Canary(_)
            | manifest::Update::BlueGreen => Strategy::Rolling,
        },
        batch: way.batch,
        pause_ms: manifest.update_pause_ms,
        on_failure: match manifest.update_failure {
            manifest::UpdateFailure::Abort => OnFailure::Abort,
            manifest::UpdateFailure::Rollback => OnFailure::Rollback,
            manifest::UpdateFailure::Pause => OnFailure::Pause,
        },
        health_deadline_ms: manifest.health_deadline_ms,
        progress_deadline_ms: manifest.progress_deadline_ms,
        validate_ms: manifest.validate_ms,
        drain_ms: manifest.drain_ms,
        stop_timeout_ms: manifest.stop_timeout_ms,
        restart: match manifest.restart {
            manifest::Restart::Always => Restart::Always,
            manifest::Restart::OnFailure => Restart::OnFailure,
            manifest::Restart::Never => Restart::Never,
        },
        max_restarts: manifest.max_restarts,
        turn_round: way.turn_round,
    }
}
