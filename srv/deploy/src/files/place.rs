//! A place in the tree: a row of the table and the names that vary above it. Whether it is there,
//! what is below it, and what stat says of it.

use super::Files;
use crate::audit;
use crate::grow::Grow;
use crate::logs::Whose;
use crate::record::Edition;
use crate::show;
use crate::table::{File, Shape};
use crate::world::{Service, World};
use ninep::{Kind, Stat};
use rollout::{Id, Instance, Version};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;

/// A place in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its row.
    pub file: File,
    /// The service it belongs to, or the manifest's name.
    pub service: Option<Arc<str>>,
    /// The version, instance, node or edge it belongs to.
    pub item: Option<Arc<str>>,
}

impl Place {
    /// The root.
    #[must_use]
    pub fn root() -> Place {
        Place { file: File::Root, service: None, item: None }
    }

    /// A place one step down, whether or not it is there.
    pub(super) fn below(&self, file: File, name: &str) -> Place {
        let mut place = Place { file, ..self.clone() };
        match varying(file) {
            Varying::Service => place.service = Some(name.into()),
            Varying::Item => place.item = Some(name.into()),
            Varying::Nothing => {}
        }
        place
    }

    pub(super) fn above(&self) -> Place {
        let mut place = Place { file: self.file.parent(), ..self.clone() };
        match varying(self.file) {
            Varying::Service => place.service = None,
            Varying::Item => place.item = None,
            Varying::Nothing => {}
        }
        place
    }

    fn name(&self) -> &str {
        let name = match varying(self.file) {
            Varying::Service => self.service.as_deref(),
            Varying::Item => self.item.as_deref(),
            Varying::Nothing if self.file == File::Root => Some("/"),
            Varying::Nothing => None,
        };
        name.unwrap_or(self.file.row().name())
    }

    pub(super) fn instance<'a>(&self, service: &'a Service) -> Option<&'a Instance> {
        let number = self.item.as_ref()?.parse().ok()?;
        service.at(number, crate::clock::now())
    }

    /// The task it belongs to.
    pub(super) fn number(&self) -> Option<u32> {
        self.item.as_ref()?.parse().ok()
    }

    pub(super) fn edition<'a>(&self, service: &'a Service) -> Option<(Version, &'a Edition)> {
        let name = self.item.as_deref()?;
        let mut versions = service.record.versions.iter();
        versions.find(|(_, edition)| edition.name == name).map(|(v, e)| (*v, e))
    }

    fn service_in<'a>(&self, world: &'a World) -> Option<&'a Service> {
        world.services.get(self.service.as_deref()?)
    }
}

impl Files {
    pub(super) fn is_there(&self, at: &Place) -> bool {
        if at.file == File::Draft {
            return at.service.as_deref().is_some_and(|name| self.draft_text(name).is_some());
        }
        let world = self.world.lock();
        let service = at.service_in(&world);
        if at.file == File::Job {
            drop(world);
            return at.item.as_deref().is_some_and(|name| self.job_text(name).is_some());
        }
        let item = match below_what(at.file) {
            Some(File::Task) => at.number().is_some_and(|number| world.tasks.has(number)),
            Some(File::Past) => service.is_some_and(|s| at.edition(s).is_some()),
            Some(File::Instance) => service.is_some_and(|s| at.instance(s).is_some()),
            Some(File::App) => {
                at.item.as_deref().is_some_and(|app| world.of_app(app).next().is_some())
            }
            Some(File::Volume) => {
                at.item.as_deref().is_some_and(|name| world.volumes.contains_key(name))
            }
            Some(File::Secret) => at.item.as_deref().is_some_and(|name| {
                world.secrets.all.contains_key(name) || self.making.has(&format!("secrets/{name}"))
            }),
            Some(File::Grant) => at.item.as_deref().is_some_and(|name| {
                world.secrets.grants.contains_key(name)
                    || world.services.contains_key(name)
                    || self.making.has(&format!("grants/{name}"))
            }),
            Some(File::Node) => at.item.as_deref() == Some(world.node.name.as_str()),
            Some(File::Edge) => {
                at.item.as_deref().is_some_and(|name| world.edges.all().contains_key(name))
            }
            Some(_) | None => true,
        };
        item && (at.service.is_none() || service.is_some())
    }

    /// The places directly below a directory.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others have rows of fixed names")]
    pub(super) fn below(&self, at: &Place) -> Vec<Place> {
        let names: Vec<String> = match at.file {
            File::Manifests => self.drafts(),
            File::Active => self.world.lock().services.keys().cloned().collect(),
            File::Jobs => self.jobs(),
            File::Tasks => {
                let numbers = self.world.lock().tasks.numbers();
                let tasks = numbers.iter().map(|n| at.below(File::Task, &n.to_string()));
                return [at.below(File::TaskClone, "")].into_iter().chain(tasks).collect();
            }
            File::Volumes => self.world.lock().volumes.keys().cloned().collect(),
            File::Secrets => self.world.lock().secrets.all.keys().cloned().collect(),
            File::Grants => {
                let world = self.world.lock();
                let names = world.services.keys().chain(world.secrets.grants.keys());
                names.cloned().collect::<BTreeSet<String>>().into_iter().collect()
            }
            File::Apps => self.world.lock().apps().into_iter().collect(),
            File::Edges => self.world.lock().edges.all().keys().cloned().collect(),
            File::Nodes => {
                let name = self.world.lock().node.name.clone();
                Some(name).filter(|name| !name.is_empty()).into_iter().collect()
            }
            File::History | File::Instances => {
                let world = self.world.lock();
                let Some(service) = at.service_in(&world) else { return Vec::new() };
                if at.file == File::History {
                    service.record.versions.values().map(|e| e.name.clone()).collect()
                } else {
                    show::shown(service).map(|i| i.number.to_string()).collect()
                }
            }
            _ => return at.file.children().map(|row| at.below(row.file, "")).collect(),
        };
        let varying = at.file.children().next();
        let places = varying.into_iter().flat_map(|row| names.iter().map(move |n| (row.file, n)));
        places.map(|(file, name)| at.below(file, name)).collect()
    }

    fn jobs(&self) -> Vec<String> {
        let mut names: Vec<String> = self.world.lock().jobs.keys().cloned().collect();
        names.extend(self.job_scratch.names());
        names.sort_unstable();
        names.dedup();
        names
    }

    fn drafts(&self) -> Vec<String> {
        let world = self.world.lock();
        let saved = world.services.iter().filter(|(_, s)| s.record.draft.is_some());
        let mut names: Vec<String> = saved.map(|(name, _)| name.clone()).collect();
        names.extend(self.scratch.names());
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(super) fn stat_of(&self, at: &Place) -> Stat {
        let row = at.file.row();
        let kind = match row.shape {
            Shape::Dir => Kind::Dir,
            Shape::Grow => Kind::Append,
            Shape::Lock => Kind::Exclusive,
            Shape::Text | Shape::Wait | Shape::Ctl | Shape::Draft | Shape::Sealed => Kind::File,
        };
        let (length, which) = self.length(at);
        let world = self.world.lock();
        let service = at.service_in(&world);
        let mut path = DefaultHasher::new();
        (at.file, at.service.as_deref(), at.item.as_deref(), which).hash(&mut path);
        service.map(|service| service.record.incarnation).hash(&mut path);
        service.and_then(|service| at.instance(service)).map(|i| i.id).hash(&mut path);
        let head = at.item.as_deref().filter(|_| at.file == File::Secret);
        let head = head.and_then(|name| world.secrets.all.get(name)).map(|secret| secret.head);
        head.map(|head| head.born).hash(&mut path);
        let name = at.name().as_bytes().to_vec();
        let mut stat = Stat::new(kind, name, path.finish(), row.mode);
        let revision = service.map_or(*world.revision.borrow(), |service| service.revision);
        // Only that it changes matters, not by how much.
        #[allow(clippy::cast_possible_truncation, reason = "the low half changes with the whole")]
        let version = revision as u32;
        stat.version = version;
        stat.length = length;
        stat.gid = self.gid;
        stat.group = Cow::Owned(self.group.clone());
        let changed = service.map_or(world.started, |s| s.changed.max(world.started));
        stat.mtime = u32::try_from(changed / 1000).unwrap_or(u32::MAX);
        if let Some(head) = head {
            // All that is told of a secret.
            stat.version = head.current;
            stat.mtime = u32::try_from(head.at / 1000).unwrap_or(u32::MAX);
        }
        stat
    }

    /// The true length of files that have one, and which file of that name it is.
    fn length(&self, at: &Place) -> (u64, u64) {
        match at.file.row().shape {
            Shape::Grow if at.file == File::Audit => {
                self.audit().map_or((0, 0), |path| audit::length(&path))
            }
            Shape::Grow => match self.whose_log(at) {
                Some(whose) => self.logs.length(&whose),
                None => self.events(at).map_or((0, 0), |grow| {
                    let (length, generation) = grow.length();
                    (length, u64::from(generation))
                }),
            },
            Shape::Draft if at.file == File::TaskSpec => {
                (self.spec_text(at).map_or(0, |text| text.len() as u64), 0)
            }
            Shape::Draft if at.file == File::Job => {
                let text = at.item.as_deref().and_then(|name| self.job_text(name));
                (text.map_or(0, |text| text.len() as u64), 0)
            }
            Shape::Draft => {
                let text = at.service.as_deref().and_then(|name| self.draft_text(name));
                (text.map_or(0, |text| text.len() as u64), 0)
            }
            Shape::Dir | Shape::Text | Shape::Wait | Shape::Ctl | Shape::Sealed | Shape::Lock => {
                (0, 0)
            }
        }
    }

    /// Where the audit log lies.
    pub(super) fn audit(&self) -> Option<PathBuf> {
        self.world.lock().audit.clone()
    }

    /// The lines behind `events` and `watch`.
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other file has lines")]
    pub(super) fn events(&self, at: &Place) -> Option<Arc<Grow>> {
        let world = self.world.lock();
        match at.file {
            File::RootEvents | File::RootWatch => Some(Arc::clone(&world.events)),
            File::Events | File::Watch => at.service_in(&world).map(|s| Arc::clone(&s.events)),
            _ => None,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "no other file is a log")]
    pub(super) fn whose_log(&self, at: &Place) -> Option<Whose> {
        if matches!(at.file, File::TaskLog | File::TaskTail) {
            let id = Some(Id(u64::from(at.number()?)));
            return Some(Whose { service: crate::tasks::TASK.to_string(), incarnation: 0, id });
        }
        let of_instance = match at.file {
            File::Log | File::Tail => false,
            File::InstanceLog | File::InstanceTail => true,
            _ => return None,
        };
        let world = self.world.lock();
        let service = at.service_in(&world)?;
        let id = match of_instance {
            true => Some(at.instance(service)?.id),
            false => None,
        };
        let incarnation = service.record.incarnation;
        Some(Whose { service: at.service.as_deref()?.to_string(), incarnation, id })
    }

    pub(super) fn instance_of(&self, at: &Place) -> Option<(String, Id)> {
        let world = self.world.lock();
        let id = at.instance(at.service_in(&world)?)?.id;
        Some((at.service.as_deref()?.to_string(), id))
    }
}

/// What the name of a file's row stands for.
enum Varying {
    Nothing,
    Service,
    Item,
}

fn varying(file: File) -> Varying {
    if matches!(file, File::Service | File::Draft) {
        Varying::Service
    } else if file.row().varies() {
        Varying::Item
    } else {
        Varying::Nothing
    }
}

/// The directory with a varying name that a file is, or is in.
fn below_what(file: File) -> Option<File> {
    let mut at = file;
    while at != File::Root {
        if at.row().varies() {
            return Some(at);
        }
        at = at.parent();
    }
    None
}
