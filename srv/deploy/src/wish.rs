//! What the node is told a container shall be: a manifest in the node's words.

use crate::world::{World, container};
use manifest::{Health, Manifest, Network, VolumeSource};
use rollout::{Id, Version};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The `spec` file of an instance on the node, which reads it strictly.
#[derive(Debug, Serialize)]
struct Wish<'a> {
    service: &'a str,
    image: String,
    digest: &'a str,
    command: Option<&'a [String]>,
    user: Option<&'a str>,
    workdir: Option<&'a str>,
    env: &'a BTreeMap<String, String>,
    port: Option<u16>,
    cpu_milli: u32,
    memory_bytes: u64,
    pids: u32,
    network: &'static str,
    read_only: bool,
    cap_add: &'a [String],
    cap_drop: &'a [String],
    health: Check<'a>,
    health_interval_ms: u64,
    health_timeout_ms: u64,
    health_retries: u32,
    min_healthy_ms: u64,
    stop_signal: Option<&'a str>,
    stop_timeout_ms: u64,
    log_size_bytes: u64,
    log_files: u32,
    hostname: String,
    /// Left out where nobody answers, which is how a node before there were edges knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<&'a str>,
    /// Left out where there are none, as above.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    config: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    volumes: Vec<Volume<'a>>,
    /// Left out where there are none, which is how a node before there were secrets knows it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<String>,
}

/// A directory that is more than the container's.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Volume<'a> {
    Named { name: &'a str, path: &'a str },
    Own { name: &'a str, path: &'a str },
    Host { dir: &'a str, below: Option<&'a str>, path: &'a str, read_only: bool },
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Check<'a> {
    Http { path: &'a str, port: u16 },
    Tcp { port: u16 },
    Exec { argv: &'a [String] },
    File { path: &'a str },
    Running {},
}

impl World {
    /// The text of the node's `spec` file for an instance, and the manifest it is of.
    #[must_use]
    pub fn container_spec(
        &self,
        name: &str,
        id: Id,
        version: Version,
    ) -> Option<(String, Arc<Manifest>)> {
        let service = self.services.get(name)?;
        let manifest = service.manifests.get(&version)?;
        let edition = service.record.versions.get(&version)?;
        let mut wish = wish(name, manifest, &edition.digest, container(name, id));
        wish.dns = self.names_at.as_deref();
        wish.volumes = manifest.volumes.iter().map(|one| volume(one, &self.allow_host)).collect();
        let spec = serde_json::to_string(&wish).ok()?;
        Some((spec, Arc::clone(manifest)))
    }

    /// The same for a task's.
    pub(crate) fn task_spec(&self, number: u32, task: &Manifest, digest: &str) -> Option<String> {
        let mut wish = wish(&task.name, task, digest, crate::tasks::name(number));
        wish.dns = self.names_at.as_deref();
        wish.volumes = task.volumes.iter().map(|one| volume(one, &self.allow_host)).collect();
        serde_json::to_string(&wish).ok()
    }

    /// How long an instance has from its signal to the kill: its version may have been given
    /// another time since it started.
    pub(crate) fn stop_timeout_ms(&self, name: &str, id: Id) -> Option<u64> {
        let service = self.services.get(name)?;
        let version = service.record.rollout.instances().get(&id)?.version;
        Some(service.manifests.get(&version)?.stop_timeout_ms)
    }

    /// Whether the node has told that it has a version's image.
    pub(crate) fn has_image(&self, name: &str, version: Version) -> bool {
        let service = self.services.get(name);
        let edition = service.and_then(|service| service.record.versions.get(&version));
        edition.is_some_and(|edition| self.node.images.contains(&edition.digest))
    }

    /// The reference that always means a version's image, whatever its tag points to by now.
    #[must_use]
    pub fn pinned(&self, name: &str, version: Version) -> Option<String> {
        let service = self.services.get(name)?;
        let manifest = service.manifests.get(&version)?;
        let edition = service.record.versions.get(&version)?;
        Some(manifest.image.at_digest(&edition.digest))
    }
}

/// A secret as people read it in a spec: never a value.
fn named(secret: &manifest::Secret) -> String {
    let env = secret.env.as_ref().map(|key| format!(" env {key}")).unwrap_or_default();
    format!("{} {}{env}", secret.name, secret.version)
}

fn wish<'a>(name: &'a str, m: &'a Manifest, digest: &'a str, hostname: String) -> Wish<'a> {
    let port = m.health_port().unwrap_or_default();
    Wish {
        service: name,
        image: m.image.at_digest(digest),
        digest,
        command: (!m.command.is_empty()).then_some(&m.command),
        user: m.user.as_deref(),
        workdir: m.workdir.as_deref(),
        env: &m.env,
        port: m.port,
        cpu_milli: m.cpu_milli,
        memory_bytes: m.memory_bytes,
        pids: m.pids,
        network: match m.network {
            Network::Bridge => "bridge",
            Network::Host => "host",
        },
        read_only: m.read_only,
        cap_add: &m.cap_add,
        cap_drop: &m.cap_drop,
        health: match &m.health {
            Health::Http { path, .. } => Check::Http { path, port },
            Health::Tcp { .. } => Check::Tcp { port },
            Health::Exec { argv } => Check::Exec { argv },
            Health::File { path } => Check::File { path },
            Health::Running => Check::Running {},
        },
        health_interval_ms: m.health_interval_ms,
        health_timeout_ms: m.health_timeout_ms,
        health_retries: m.health_retries,
        min_healthy_ms: m.min_healthy_ms,
        stop_signal: m.stop_signal.as_deref(),
        stop_timeout_ms: m.stop_timeout_ms,
        log_size_bytes: m.log_size_bytes,
        log_files: m.log_files,
        hostname,
        dns: None,
        config: &m.config,
        volumes: Vec::new(),
        secrets: m.secrets.iter().map(named).collect(),
    }
}

/// A volume in the node's words; one of the machine with what allows it today.
fn volume<'a>(one: &'a manifest::Volume, allow: &'a [String]) -> Volume<'a> {
    let path = one.path.as_str();
    match &one.source {
        VolumeSource::Named { name, ephemeral: false, .. } => Volume::Named { name, path },
        VolumeSource::Named { name, ephemeral: true, .. } => Volume::Own { name, path },
        VolumeSource::Host { dir, read_only } => {
            let below = crate::volumes::allowed(allow, dir);
            Volume::Host { dir, below, path, read_only: *read_only }
        }
    }
}
