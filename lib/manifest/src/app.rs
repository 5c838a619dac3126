//! What one file deploys together, and what a new file changes of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::kinds::VolumeSource;
use crate::manifest::Manifest;

/// The services and tasks of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its name, of a service's letters: what its services know it by.
    pub name: String,
    /// The services, in the order of the file.
    pub services: Vec<Manifest>,
    /// The tasks, in the order of the file.
    pub tasks: Vec<Manifest>,
}

/// What becomes of a service of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was not there.
    Added,
    /// It has another version, or one that is not known yet.
    Changed,
    /// It has the same version.
    Unchanged,
    /// It is there and not in the file.
    Gone,
}

impl App {
    pub(crate) fn new(name: &str) -> App {
        App { name: name.to_owned(), services: Vec::new(), tasks: Vec::new() }
    }

    /// The names of all secrets that its services and tasks are given.
    #[must_use]
    pub fn secrets(&self) -> BTreeSet<&str> {
        let secrets = self.manifests().flat_map(|manifest| &manifest.secrets);
        secrets.map(|secret| secret.name.as_str()).collect()
    }

    /// The names of all named volumes, and who has each.
    #[must_use]
    pub fn volumes(&self) -> BTreeMap<&str, Vec<&Manifest>> {
        let mut all: BTreeMap<&str, Vec<&Manifest>> = BTreeMap::new();
        for manifest in self.manifests() {
            for volume in &manifest.volumes {
                match &volume.source {
                    VolumeSource::Named { name, .. } => all.entry(name).or_default().push(manifest),
                    VolumeSource::Host { .. } => {}
                }
            }
        }
        all
    }

    fn manifests(&self) -> impl Iterator<Item = &Manifest> {
        self.services.iter().chain(&self.tasks)
    }
}
