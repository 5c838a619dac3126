//! The file tree as 9P sees it: places of the table, walked, listed, opened.

mod disk;
mod draft;
mod edge;
mod lock;
mod open;
mod place;
mod readers;
mod secret;
mod task;

use crate::arrival::{Arrival, Request};
use crate::clock;
use crate::edge::EdgeLink;
use crate::link::Link;
use crate::lock::{Asker, Hand};
use crate::logs::Logs;
use crate::metrics;
use crate::show;
use crate::table::{File, Shape};
use crate::vault::Vault;
use crate::world::Shared;
use bytes::Bytes;
use draft::{Draft, Scratch};
use edge::EdgeCtl;
use lock::LockFile;
use ninep::tree::Created;
use ninep::{Answer, Error, How, NewFile, Open, Result, Stat, Tree, User};
use nix::unistd::Group;
use open::{Ctl, Follow, Held, InstanceCtl, Wait, Watch};
use readers::Readers;
use secret::Making;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

pub use place::Place;

/// The tree, as served.
#[derive(Debug)]
pub struct Files {
    world: Shared,
    arrivals: mpsc::Sender<Arrival>,
    link: Link,
    edge: EdgeLink,
    /// Opens so far of files that are known by their opens.
    opens: AtomicU64,
    logs: Arc<Logs>,
    scratch: Arc<Scratch>,
    vault: Vault,
    making: Arc<Making>,
    readers: Arc<Readers>,
    job_scratch: Arc<Scratch>,
    gid: u32,
    group: String,
}

impl Files {
    /// The tree of a world; members of the group may write. A group that is not there leaves
    /// writing to root.
    #[must_use]
    pub fn new(
        world: Shared,
        arrivals: mpsc::Sender<Arrival>,
        (link, edge): (Link, EdgeLink),
        group: &str,
    ) -> Files {
        let found = Group::from_name(group).ok().flatten();
        let (gid, group) = found.map_or((0, "root".to_string()), |g| (g.gid.as_raw(), g.name));
        let logs = Arc::new(Logs::new(link.clone(), world.clone()));
        let (scratch, job_scratch, opens) = (Arc::default(), Arc::default(), AtomicU64::new(1));
        let (vault, making, readers) = (Vault::default(), Arc::default(), Arc::default());
        Files {
            world,
            arrivals,
            link,
            edge,
            opens,
            logs,
            scratch,
            job_scratch,
            vault,
            making,
            readers,
            gid,
            group,
        }
    }

    /// The same, with a place where secrets are sealed.
    #[must_use]
    pub fn with_vault(self, vault: Vault) -> Files {
        Files { vault, ..self }
    }

    /// The text of a plain file.
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are the service's own")]
    fn text(&self, at: &Place) -> Answer<Box<dyn Open>> {
        if matches!(at.file, File::Images | File::NodeStatus) {
            return self.node_text(at.file);
        }
        if matches!(at.file, File::EdgeStatus | File::EdgeMetrics | File::Metrics) {
            return self.edge_text(at);
        }
        let mut world = self.world.lock();
        if at.file == File::TaskClone {
            return Answer::Now(Ok(ninep::text(format!("{}\n", world.tasks.claim()))));
        }
        let now = clock::now();
        let Some(name) = &at.service else {
            let text = match (at.file, &at.item) {
                (File::App, Some(app)) => Some(show::app(&world, app)),
                (File::Volume, Some(volume)) => world.volume_text(volume),
                (File::TaskStatus, _) => at.number().and_then(|number| world.task_text(number)),
                (file, _) => show::at_root(&world, file, now),
            };
            let text = text.ok_or(Error::NotFound);
            return text.map(|text| ninep::text(Bytes::from(text))).into();
        };
        let found = world.services.get(&**name).ok_or(Error::NotFound);
        let text = found.and_then(|service| match at.file {
            File::InstanceStatus => {
                let instance = at.instance(service).ok_or(Error::NotFound)?;
                Ok(show::instance(name, service, instance))
            }
            File::Past => {
                let (version, edition) = at.edition(service).ok_or(Error::NotFound)?;
                Ok(show::past(version, edition, service.failures.get(&version)))
            }
            file => show::of_service(service, file, now).ok_or(Error::NotFound),
        });
        text.map(|text| ninep::text(Bytes::from(text))).into()
    }

    /// A text that only the node can give.
    fn node_text(&self, file: File) -> Answer<Box<dyn Open>> {
        let path = if file == File::Images { "images" } else { "status" };
        let (world, link) = (self.world.clone(), self.link.clone());
        Answer::later(async move {
            world.node_tried().await;
            let head = show::at_root(&world.lock(), file, 0).unwrap_or_default().into_bytes();
            let text = match link.client() {
                Some(client) => {
                    let read = client.read(path).await;
                    read.map_err(|error| Error::invalid(error.to_string()))?
                }
                None if file == File::NodeStatus => Vec::new(),
                None => {
                    return Err(Error::with(nix::errno::Errno::EIO as u32, "node does not answer"));
                }
            };
            Ok(ninep::text(Bytes::from([head, text].concat())))
        })
    }

    /// A text to which the machine's edge has something to say, where it answers.
    fn edge_text(&self, at: &Place) -> Answer<Box<dyn Open>> {
        let world = self.world.lock();
        let (path, head) = match &at.item {
            None => ("metrics", metrics::text(&world)),
            Some(name) if at.file == File::EdgeStatus => ("status", show::edge(&world, name)),
            Some(_) => ("metrics", String::new()),
        };
        let own = at.item.as_deref().is_none_or(|name| name == crate::edge::NAME);
        let edge = self.edge.clone();
        Answer::later(async move {
            let Some(client) = (if own { edge.reach().await } else { None }) else {
                return Ok(ninep::text(Bytes::from(head)));
            };
            // What an edge that has just ended would say is missing, and no error of this file.
            let text = client.read(path).await.unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            // Its name stands above already.
            let lines = text.lines().filter(|line| !line.starts_with("name="));
            let text: String = lines.map(|line| format!("{line}\n")).collect();
            Ok(ninep::text(Bytes::from(head + &text)))
        })
    }

    fn open_grow(&self, at: &Place) -> Answer<Box<dyn Open>> {
        if let Some(whose) = self.whose_log(at) {
            let logs = Arc::clone(&self.logs);
            return Answer::later(async move {
                let view = logs.open(whose).await;
                Ok(Box::new(Held::new(Follow::new(Arc::clone(&view.grow)), view)) as Box<dyn Open>)
            });
        }
        if at.file == File::Audit {
            return disk::open(self.audit());
        }
        match self.events(at) {
            Some(grow) => Answer::Now(Ok(Box::new(Follow::new(grow)))),
            None => Answer::Now(Err(Error::NotFound)),
        }
    }

    /// An edge makes itself known, or somebody makes a place for a service.
    fn make_dir(&self, dir: &Place, name: &[u8]) -> Answer<Created<Place>> {
        let name = std::str::from_utf8(name).ok().filter(|n| manifest::check_name(n).is_ok());
        let Some(name) = name.map(str::to_string) else { return Answer::Now(Err(Error::BadName)) };
        let (file, request) = match dir.file == File::Edges {
            true => (File::Edge, Request::Edge { name: name.clone() }),
            false => (File::Service, Request::Place { service: name.clone() }),
        };
        let (place, arrivals) = (dir.below(file, &name), self.arrivals.clone());
        Answer::later(async move {
            send(&arrivals, request).await.map_err(refusal)?;
            Ok((place, None))
        })
    }

    /// Open for reading it shows who has the lock, and never waits or stands in anybody's way.
    fn open_lock(&self, at: &Place, how: How, user: &User) -> Answer<Box<dyn Open>> {
        if !how.write && !how.truncate {
            return self.text(at);
        }
        let Some(service) = at.service.as_deref() else {
            return Answer::Now(Err(Error::NotFound));
        };
        let open = self.opens.fetch_add(1, Ordering::Relaxed);
        let asker = Asker { open, connection: user.connection, by: open::by(user) };
        // An open that empties is run to its end whoever gives it up, and so must not wait.
        let wait = at.file == File::Queue && !how.truncate;
        let (world, arrivals) = (self.world.clone(), self.arrivals.clone());
        LockFile::open(world, arrivals, service.to_string(), asker, wait)
    }

    fn open_wait(&self, at: &Place) -> Answer<Box<dyn Open>> {
        if at.file == File::Wait {
            let name = at.service.as_deref().unwrap_or_default().to_string();
            return Answer::Now(Ok(Box::new(Wait::new(self.world.clone(), name))));
        }
        if let (File::TaskWait, Some(number)) = (at.file, at.number()) {
            let (world, text) = (self.world.clone(), Arc::default());
            return Answer::Now(Ok(Box::new(task::TaskWait { world, number, text })));
        }
        if let Some(whose) = self.whose_log(at) {
            let logs = Arc::clone(&self.logs);
            return Answer::later(async move {
                let view = logs.open(whose).await;
                Ok(Box::new(Held::new(Watch::new(Arc::clone(&view.grow)), view)) as Box<dyn Open>)
            });
        }
        match self.events(at) {
            Some(grow) => Answer::Now(Ok(Box::new(Watch::new(grow)))),
            None => Answer::Now(Err(Error::NotFound)),
        }
    }

    fn open_draft(&self, at: &Place, how: How, user: &User) -> Answer<Box<dyn Open>> {
        let Some(name) = at.service.clone() else { return Answer::Now(Err(Error::NotFound)) };
        let Some(text) = self.draft_text(&name) else { return Answer::Now(Err(Error::NotFound)) };
        let text = if how.truncate { Vec::new() } else { text };
        let by = (how, open::hand(user));
        if let (true, Err(refused)) = (how.write || how.truncate, self.unlocked(&name, by.1)) {
            return Answer::Now(Err(refused));
        }
        let draft = Draft::new(name, text, by, &self.scratch, &self.arrivals);
        Answer::Now(Ok(Box::new(draft)))
    }

    /// Refuses at the open what the loop would refuse at the close, where a shell does not look.
    fn unlocked(&self, name: &str, hand: Hand) -> Result<()> {
        let mut world = self.world.lock();
        let admitted = world.services.get(name).map_or(Ok(()), |service| service.lock.admits(hand));
        admitted.map_err(|refused| refusal(world.refused(Some(name), refused.to_string())))
    }

    /// The text of a manifest, one being written before one that is saved.
    fn draft_text(&self, name: &str) -> Option<Vec<u8>> {
        let saved = || {
            let world = self.world.lock();
            let draft = world.services.get(name)?.record.draft.as_ref()?;
            Some(draft.text.clone().into_bytes())
        };
        self.scratch.get(name).or_else(saved)
    }
}

impl Tree for Files {
    type Node = Place;

    fn attach(&self, _user: &User, aname: &[u8]) -> Result<Place> {
        let names = aname.split(|b| *b == b'/').filter(|name| !name.is_empty());
        names.into_iter().try_fold(Place::root(), |at, name| self.walk(&at, name))
    }

    fn walk(&self, at: &Place, name: &[u8]) -> Result<Place> {
        let name = std::str::from_utf8(name).map_err(|_| Error::NotFound)?;
        if at.file.row().shape != Shape::Dir {
            return Err(Error::NotDir);
        }
        let row = at.file.children().find(|row| row.varies() || row.name() == name);
        let place = at.below(row.ok_or(Error::NotFound)?.file, name);
        if self.is_there(&place) { Ok(place) } else { Err(Error::NotFound) }
    }

    fn parent(&self, at: &Place) -> Place {
        at.above()
    }

    fn stat(&self, at: &Place) -> Result<Stat> {
        if self.is_there(at) { Ok(self.stat_of(at)) } else { Err(Error::NotFound) }
    }

    fn entries(&self, at: &Place) -> Result<Vec<Stat>> {
        if !self.is_there(at) {
            return Err(Error::NotFound);
        }
        Ok(self.below(at).iter().map(|place| self.stat_of(place)).collect())
    }

    fn open(&self, at: &Place, how: How, user: &User) -> Answer<Box<dyn Open>> {
        if !self.is_there(at) {
            return Answer::Now(Err(Error::NotFound));
        }
        // For root, too, whom no mode holds up: what a file cannot do is refused at once.
        let mode = at.file.row().mode;
        let writes = how.write || how.truncate;
        if how.read && mode & 0o444 == 0 || writes && mode & 0o222 == 0 {
            return Answer::Now(Err(Error::PermissionDenied));
        }
        match at.file.row().shape {
            Shape::Dir => Answer::Now(Err(Error::IsDir)),
            Shape::Text => self.text(at),
            Shape::Grow => self.open_grow(at),
            Shape::Wait if at.file == File::EdgeRoutes => self.open_tables(at, user),
            Shape::Wait => self.open_wait(at),
            Shape::Ctl if at.file == File::EdgeAck => self.open_ack(at, user),
            Shape::Ctl if at.file == File::TaskCtl => match at.number() {
                Some(number) => {
                    let (hand, arrivals) = (open::hand(user), self.arrivals.clone());
                    Answer::Now(Ok(Box::new(task::TaskCtl { number, hand, arrivals })))
                }
                None => Answer::Now(Err(Error::NotFound)),
            },
            Shape::Ctl if at.file == File::EdgeCtl => Answer::Now(Ok(Box::new(EdgeCtl {
                hand: open::hand(user),
                arrivals: self.arrivals.clone(),
                link: self.edge.clone(),
                name: at.item.as_deref().unwrap_or_default().to_string(),
            }))),
            Shape::Ctl if at.file == File::InstanceCtl => match self.instance_of(at) {
                Some((service, id)) => Answer::Now(Ok(Box::new(InstanceCtl {
                    hand: open::hand(user),
                    arrivals: self.arrivals.clone(),
                    service,
                    id,
                }))),
                None => Answer::Now(Err(Error::NotFound)),
            },
            Shape::Ctl => Answer::Now(Ok(Box::new(Ctl {
                world: self.world.clone(),
                arrivals: self.arrivals.clone(),
                service: at.service.as_deref().map(String::from),
                by: open::by(user),
                hand: open::hand(user),
                push: None,
                vault: self.vault.clone(),
            }))),
            Shape::Sealed => self.open_secret(at, user),
            Shape::Draft if at.file == File::Grant => self.open_grant(at, how, user),
            Shape::Draft if at.file == File::TaskSpec => self.open_spec(at, how, user),
            Shape::Draft if at.file == File::Job => self.open_job(at, how, user),
            Shape::Draft => self.open_draft(at, how, user),
            Shape::Lock => self.open_lock(at, how, user),
        }
    }

    fn create(
        &self,
        dir: &Place,
        name: &[u8],
        new: NewFile,
        how: How,
        user: &User,
    ) -> Answer<Created<Place>> {
        if new.dir && matches!(dir.file, File::Edges | File::Active) {
            return self.make_dir(dir, name);
        }
        if !new.dir && matches!(dir.file, File::Secrets | File::Grants) {
            return self.create_secret(dir, name, user);
        }
        if dir.file == File::Jobs && !new.dir {
            return self.make_job(dir, name, how, user);
        }
        if dir.file != File::Manifests || new.dir {
            return Answer::Now(Err(Error::PermissionDenied));
        }
        let made = std::str::from_utf8(name).map_err(|_| Error::BadName).and_then(|name| {
            let by = (How { truncate: true, ..how }, open::hand(user));
            self.unlocked(name, by.1)?;
            self.scratch.make(name)?;
            let place = dir.below(File::Draft, name);
            let mut draft = Draft::new(name.into(), Vec::new(), by, &self.scratch, &self.arrivals);
            draft.made();
            Ok((place, Some(Box::new(draft) as Box<dyn Open>)))
        });
        made.into()
    }

    fn remove(&self, at: &Place, user: &User) -> Answer<()> {
        if let (File::Volume, Some(name)) = (at.file, &at.item) {
            let remove = Request::DropVolume { volume: name.to_string() };
            return ask(&self.arrivals, open::over(open::hand(user), remove));
        }
        if matches!(at.file, File::Secret | File::Grant) {
            return self.remove_secret(at, user);
        }
        if let (File::Job, Some(name)) = (at.file, &at.item) {
            if self.job_scratch.take(name).is_some()
                && !self.world.lock().jobs.contains_key(&**name)
            {
                return Answer::Now(Ok(()));
            }
            let remove = Request::DropJob { job: name.to_string() };
            return ask(&self.arrivals, open::over(open::hand(user), remove));
        }
        let (File::Draft, Some(name)) = (at.file, &at.service) else {
            return Answer::Now(Err(Error::PermissionDenied));
        };
        let scratch = self.scratch.take(name).is_some();
        if scratch && manifest::check_name(name).is_err() {
            return Answer::Now(Ok(()));
        }
        let unlink = Request::Unlink { service: name.to_string() };
        ask(&self.arrivals, open::over(open::hand(user), unlink))
    }

    fn rename(&self, at: &Place, dir: &Place, name: &[u8], user: &User) -> Answer<()> {
        let (File::Draft, File::Manifests, Some(old)) = (at.file, dir.file, &at.service) else {
            return Answer::Now(Err(Error::PermissionDenied));
        };
        let Ok(new) = std::str::from_utf8(name) else { return Answer::Now(Err(Error::BadName)) };
        let Some(text) = self.draft_text(old) else { return Answer::Now(Err(Error::NotFound)) };
        let saved =
            self.world.lock().services.get(&**old).is_some_and(|s| s.record.draft.is_some());
        let hand = open::hand(user);
        let unlink = saved.then(|| open::over(hand, Request::Unlink { service: old.to_string() }));
        let write = match manifest::check_name(new) {
            Ok(()) => Some(open::over(hand, draft::request(new, text))),
            Err(_) => match self.scratch.put(new, text) {
                Ok(()) => None,
                Err(error) => return Answer::Now(Err(error)),
            },
        };
        let (arrivals, scratch, old) = (self.arrivals.clone(), self.scratch.clone(), old.clone());
        Answer::later(async move {
            // The old name goes only when the new one is saved: nothing is lost on the way.
            if let Some(write) = write {
                draft::kept(send(&arrivals, write).await).map_err(refusal)?;
            }
            scratch.take(&old);
            if let Some(unlink) = unlink {
                send(&arrivals, unlink).await.map_err(refusal)?;
            }
            Ok(())
        })
    }
}

/// Asks the loop, and answers as it does.
fn ask(arrivals: &mpsc::Sender<Arrival>, request: Request) -> Answer<()> {
    let arrivals = arrivals.clone();
    Answer::later(async move { send(&arrivals, request).await.map_err(refusal) })
}

/// Sends a request to the loop and waits until it is saved, or refused.
pub(crate) async fn send(
    arrivals: &mpsc::Sender<Arrival>,
    request: Request,
) -> std::result::Result<(), String> {
    let (answer, answered) = oneshot::channel();
    let ending = || "server is ending; try again".to_string();
    arrivals.send(Arrival::Asked(request, answer)).await.map_err(|_| ending())?;
    answered.await.map_err(|_| ending())?
}

/// Whether a refusal is that somebody else has, or took, the lock.
fn is_of_lock(text: &str) -> bool {
    ["lock is ", "lock was "].iter().any(|words| text.contains(words))
}

/// A refusal's text with the number that fits it.
fn refusal(text: String) -> Error {
    use nix::errno::Errno;
    let errno = if text.contains("does not exist") {
        Errno::ENOENT
    } else if text.contains("no room") || text.contains("no space") {
        Errno::ENOSPC
    } else if text.contains("in flight") || text.contains("is in use by") || is_of_lock(&text) {
        Errno::EBUSY
    } else {
        Errno::EINVAL
    };
    Error::with(errno as u32, text)
}
