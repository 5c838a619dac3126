//! Named volumes: what is kept of each, who uses it, who may, and how one is deleted.
//!
//! Law: a volume lasts until somebody removes it by name, and nobody can while anything that is
//! kept names it: an instance, what is deployed, what a rollback could go back to.
//!
//! Law: one that the node has and no record knows is taken into the records, and never removed by
//! itself: its bytes are somebody's.
//!
//! A volume that is not shared has one writer: one service, of one instance. Directories of the
//! machine are given only below those that this server's words allow; which one that is goes to
//! the node with each instance, so that it holds from the start of a server on, and not from that
//! of its node.

use crate::arrival::{Answer, Awaited, Order};
use crate::clock::{Millis, stamp};
use crate::turn::Turn;
use crate::world::{Service, World};
use manifest::units::show_size;
use manifest::{Manifest, VolumeSource};
use place::Want;
use rollout::Version;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

/// What is kept of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// The node it is on.
    pub node: String,
    /// Bytes that are counted for it; it never becomes smaller.
    pub bytes: u64,
    /// When it was made.
    pub at: Millis,
    /// Somebody has removed it, and the node has not told that it is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleting: bool,
}

/// Whether a manifest that uses a volume shares it; none of one that does not use it.
fn shares(manifest: &Manifest, volume: &str) -> Option<bool> {
    lasting(manifest).find(|(name, _)| *name == volume).map(|(_, shared)| shared)
}

/// The lasting volumes of a manifest.
fn lasting(manifest: &Manifest) -> impl Iterator<Item = (&str, bool)> {
    manifest.volumes.iter().filter_map(|one| match &one.source {
        VolumeSource::Named { name, ephemeral: false, shared, .. } => Some((&**name, *shared)),
        VolumeSource::Named { .. } | VolumeSource::Host { .. } => None,
    })
}

/// The allowed directory that one of the machine lies in.
#[must_use]
pub fn allowed<'a>(allow: &'a [String], dir: &str) -> Option<&'a str> {
    let found = allow.iter().find(|allowed| Path::new(dir).starts_with(allowed));
    found.map(String::as_str)
}

impl World {
    /// Whether a manifest may have its volumes, before anything is done for it.
    pub(crate) fn volumes_free(&self, name: &str, manifest: &Manifest) -> Result<(), String> {
        for one in &manifest.volumes {
            if let VolumeSource::Host { dir, .. } = &one.source
                && allowed(&self.allow_host, dir).is_none()
            {
                let all = match &self.allow_host[..] {
                    [] => "none is".to_string(),
                    some => format!("allowed: {}", some.join(" ")),
                };
                return Err(format!(
                    "volume host:{dir} is not below a directory that this server allows \
                     (deployfs --allow-host): {all}"
                ));
            }
        }
        for (volume, shared) in lasting(manifest) {
            if self.volumes.get(volume).is_some_and(|known| known.deleting) {
                return Err(format!("volume {volume} is being removed; wait for its end"));
            }
            let others = self.services.iter().filter(|(other, _)| *other != name);
            for (other, service) in others {
                let mut theirs = service.wanted().filter_map(|manifest| shares(manifest, volume));
                if theirs.any(|theirs| !(theirs && shared)) {
                    return Err(format!(
                        "volume {volume} is of service {other}, and has one writer unless both \
                         say shared; say so in both, or take another name"
                    ));
                }
            }
            let tasks =
                self.tasks.active().filter(|(number, _)| crate::tasks::name(*number) != name);
            for (number, task) in tasks {
                let theirs = task.manifest().and_then(|manifest| shares(&manifest, volume));
                if theirs.is_some_and(|theirs| !(theirs && shared)) {
                    return Err(format!(
                        "volume {volume} is of task {number} ({}), which runs, and has one writer \
                         unless both say shared",
                        task.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// An instance was placed: its lasting volumes are where it is, and at least as large.
    pub(crate) fn bind_volumes(&mut self, want: &Want, node: &str, turn: &mut Turn) {
        for volume in want.volumes.iter().filter(|volume| !volume.ephemeral) {
            let known = self.volumes.get(&volume.name);
            if known.is_some_and(|known| known.bytes >= volume.bytes) {
                continue;
            }
            turn.volumes.entry(volume.name.clone()).or_insert_with(|| known.cloned());
            let new = Volume { node: node.to_string(), bytes: 0, at: turn.stamp, deleting: false };
            let one = self.volumes.entry(volume.name.clone()).or_insert(new);
            one.bytes = one.bytes.max(volume.bytes);
        }
    }

    /// What the node tells of its disk when it answers.
    pub(crate) fn disk(
        &mut self,
        node: &str,
        bytes: u64,
        there: &BTreeSet<String>,
        turn: &mut Turn,
    ) {
        self.node.volume_bytes = bytes;
        for name in there {
            if !self.volumes.contains_key(name) {
                turn.note(format!("volume {name} was found on node {node}"));
                turn.volumes.entry(name.clone()).or_insert(None);
                let (node, at) = (node.to_string(), turn.stamp);
                let one = Volume { node, bytes: 0, at, deleting: false };
                self.volumes.insert(name.clone(), one);
            }
        }
        let going = self.volumes.iter().filter(|(_, one)| one.deleting && one.node == node);
        let going: Vec<String> = going.map(|(name, _)| name.clone()).collect();
        for volume in going {
            match there.contains(&volume) {
                true => turn.orders.push(Order::DropVolume { volume }),
                false => self.volume_gone(&volume, Ok(()), turn),
            }
        }
    }

    /// Somebody removes a volume: answered when the node has done it.
    pub(crate) fn drop_volume(&mut self, volume: &str, answer: Answer, turn: &mut Turn) {
        let known = self.volumes.get(volume).cloned();
        let may = match &known {
            None => Err(format!("file does not exist: volumes/{volume}")),
            Some(known) if known.deleting => {
                Err(format!("volume {volume} is being removed; wait for its end"))
            }
            Some(_) => match self.volume_users(volume).first() {
                Some(user) => Err(format!("volume {volume} is in use by {user}; nothing was done")),
                None if !self.node.up => Err("node does not answer; try again".to_string()),
                None => Ok(()),
            },
        };
        if let Err(text) = may {
            turn.answers.push((answer, Err(self.refused(None, text))));
            return;
        }
        turn.volumes.entry(volume.to_string()).or_insert(known);
        if let Some(one) = self.volumes.get_mut(volume) {
            one.deleting = true;
        }
        turn.orders.push(Order::DropVolume { volume: volume.to_string() });
        turn.awaited.push((Awaited::DropVolume(volume.to_string()), answer));
    }

    /// The node has removed a volume, or says why it did not: then it stays.
    pub(crate) fn volume_gone(&mut self, volume: &str, told: Result<(), String>, turn: &mut Turn) {
        let Some(known) = self.volumes.get(volume).filter(|one| one.deleting).cloned() else {
            return;
        };
        turn.volumes.entry(volume.to_string()).or_insert(Some(known));
        let told = match told {
            Ok(()) => {
                self.volumes.remove(volume);
                turn.note(format!("volume {volume} removed"));
                Ok(())
            }
            Err(why) => {
                if let Some(one) = self.volumes.get_mut(volume) {
                    one.deleting = false;
                }
                turn.note(format!("volume {volume} is not removed: {why}"));
                Err(self.refused(None, format!("volume {volume}: {why}")))
            }
        };
        turn.came.push((Awaited::DropVolume(volume.to_string()), told));
    }

    /// Whoever uses a volume, each in words, those that run before those that only could.
    #[must_use]
    pub fn volume_users(&self, volume: &str) -> Vec<String> {
        let (mut now, mut later) = (Vec::new(), Vec::new());
        for (name, service) in &self.services {
            let uses = |manifest: &Manifest| shares(manifest, volume).is_some();
            let (rollout, record) = (&service.record.rollout, &service.record);
            let run: BTreeSet<Version> =
                rollout.instances().values().map(|instance| instance.version).collect();
            for (version, _) in service.manifests.iter().filter(|(_, one)| uses(one)) {
                let is = |one: Option<Version>| one == Some(*version);
                let (list, what) = if is(rollout.current()) {
                    (&mut now, "deployed")
                } else if run.contains(version) || is(rollout.target()) {
                    (&mut now, "in its instances")
                } else if is(record.previous) {
                    (&mut later, "the one rollback goes to")
                } else {
                    (&mut later, "in its history")
                };
                list.push(format!("service {name}, version {version} ({what})"));
            }
            if service.coming.as_ref().is_some_and(|(_, manifest)| uses(manifest)) {
                now.push(format!("service {name} (an apply in flight)"));
            }
        }
        for (number, task) in self.tasks.active() {
            if task.manifest().is_some_and(|manifest| shares(&manifest, volume).is_some()) {
                now.push(format!("task {number} ({})", task.name));
            }
        }
        now.extend(later);
        now
    }

    /// Bytes of all lasting volumes on a node, each.
    pub(crate) fn volumes_on(&self, node: &str) -> BTreeMap<String, u64> {
        let here = self.volumes.iter().filter(|(_, one)| one.node == node);
        here.map(|(name, one)| (name.clone(), one.bytes)).collect()
    }

    /// Bytes of volumes that are reserved on the node: those that last, and those of instances.
    #[must_use]
    pub fn allocated_volumes(&self) -> u64 {
        let own = self.services.values().map(|one| one.reserved(&self.node.name, None).own_bytes);
        self.volumes_on(&self.node.name)
            .into_values()
            .chain(own)
            .fold(self.tasks.reserved().1, u64::saturating_add)
    }

    /// The text of a volume's file.
    #[must_use]
    pub fn volume_text(&self, volume: &str) -> Option<String> {
        let one = self.volumes.get(volume)?;
        let state = match (one.deleting, self.volume_users(volume).is_empty()) {
            (true, _) => "removing",
            (false, true) => "free",
            (false, false) => "in use",
        };
        let size = if one.bytes == 0 { String::new() } else { show_size(one.bytes) };
        let (node, made) = (&one.node, stamp(one.at));
        let mut text = format!("state={state}\nnode={node}\nsize={size}\nmade={made}\n");
        for user in self.volume_users(volume) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "used_by={user}");
        }
        Some(text)
    }
}

impl Service {
    /// The manifests of what it runs, goes to, or is about to be.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &Manifest> {
        let rollout = &self.record.rollout;
        let run = rollout.instances().values().map(|instance| instance.version);
        let versions: BTreeSet<Version> =
            run.chain(rollout.current()).chain(rollout.target()).collect();
        let known = versions.into_iter().filter_map(|version| self.manifests.get(&version));
        let coming = self.coming.iter().map(|(_, manifest)| manifest);
        known.chain(coming).map(|manifest| &**manifest)
    }
}
