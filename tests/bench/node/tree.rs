//! The tree of the node that runs nothing, as far as a server looks.

use super::{DIGEST, Desk};
use bytes::Bytes;
use ninep::tree::Created;
use ninep::{Answer, Error, How, Kind, NewFile, Open, Stat, Tree, User};
use std::sync::Arc;

/// What it says it is, and has: more than anybody asks for.
const STATUS: &str = "name=many\ncapacity_cpu=4000000000\ncapacity_memory=4000000000000000\n";

/// The tree.
pub(super) struct NodeTree(Arc<Desk>);

/// A place in it; of an instance's, which one.
#[derive(Debug, Clone)]
pub(super) struct Spot(File, Arc<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    Root,
    Status,
    Events,
    Ctl,
    Gc,
    Instances,
    Logs,
    Instance,
    InstanceCtl,
    Spec,
    InstanceStatus,
    Log,
}

impl File {
    fn is_dir(self) -> bool {
        matches!(self, File::Root | File::Instances | File::Logs | File::Instance)
    }
}

impl NodeTree {
    pub(super) fn new(desk: Arc<Desk>) -> NodeTree {
        NodeTree(desk)
    }
}

impl Tree for NodeTree {
    type Node = Spot;

    fn attach(&self, _user: &User, _aname: &[u8]) -> ninep::Result<Spot> {
        Ok(Spot(File::Root, "".into()))
    }

    fn walk(&self, at: &Spot, name: &[u8]) -> ninep::Result<Spot> {
        let name = std::str::from_utf8(name).map_err(|_| Error::NotFound)?;
        let file = match (at.0, name) {
            (File::Root, "status") => File::Status,
            (File::Root, "events") => File::Events,
            (File::Root, "ctl") => File::Ctl,
            (File::Root, "gc") => File::Gc,
            (File::Root, "instances") => File::Instances,
            (File::Root, "logs") => File::Logs,
            (File::Instances, name) if self.0.lock().instances.contains_key(name) => {
                return Ok(Spot(File::Instance, name.into()));
            }
            (File::Instance, "ctl") => File::InstanceCtl,
            (File::Instance, "spec") => File::Spec,
            (File::Instance, "status") => File::InstanceStatus,
            (File::Instance, "log") => File::Log,
            _ => return Err(Error::NotFound),
        };
        Ok(Spot(file, Arc::clone(&at.1)))
    }

    fn parent(&self, at: &Spot) -> Spot {
        let root = || Spot(File::Root, "".into());
        match at.0 {
            File::Instance => Spot(File::Instances, "".into()),
            File::InstanceCtl | File::Spec | File::InstanceStatus | File::Log => {
                Spot(File::Instance, Arc::clone(&at.1))
            }
            File::Root
            | File::Status
            | File::Events
            | File::Ctl
            | File::Gc
            | File::Instances
            | File::Logs => root(),
        }
    }

    fn stat(&self, at: &Spot) -> ninep::Result<Stat> {
        let kind = if at.0.is_dir() { Kind::Dir } else { Kind::File };
        let mode = if kind == Kind::Dir { 0o755 } else { 0o666 };
        Ok(Stat::new(kind, at.1.as_bytes().to_vec(), at.0 as u64, mode))
    }

    fn entries(&self, at: &Spot) -> ninep::Result<Vec<Stat>> {
        if at.0 != File::Instances {
            return Ok(Vec::new());
        }
        let state = self.0.lock();
        let stat = |id: &String| Stat::new(Kind::Dir, id.clone(), File::Instance as u64, 0o755);
        Ok(state.instances.keys().map(stat).collect())
    }

    fn open(&self, at: &Spot, how: How, _user: &User) -> Answer<Box<dyn Open>> {
        let desk = Arc::clone(&self.0);
        Answer::Now(match at.0 {
            File::Status => Ok(ninep::text(STATUS)),
            File::Events => {
                let cursor = desk.lock().events.len();
                Ok(Box::new(Follow { desk, cursor: Arc::new(tokio::sync::Mutex::new(cursor)) }))
            }
            File::InstanceStatus => match desk.lock().instances.get(&*at.1) {
                Some(one) => Ok(ninep::text(one.status())),
                None => Err(Error::NotFound),
            },
            File::Log => Ok(ninep::text("")),
            File::Ctl | File::Gc | File::InstanceCtl | File::Spec if how.write => {
                Ok(Box::new(Writer { desk, at: at.clone() }))
            }
            File::Ctl | File::Gc | File::InstanceCtl | File::Spec => Err(Error::PermissionDenied),
            File::Root | File::Instances | File::Logs | File::Instance => Err(Error::IsDir),
        })
    }

    fn create(
        &self,
        dir: &Spot,
        name: &[u8],
        new: NewFile,
        _how: How,
        _user: &User,
    ) -> Answer<Created<Spot>> {
        let Ok(name) = std::str::from_utf8(name) else { return Answer::Now(Err(Error::BadName)) };
        if dir.0 != File::Instances || !new.dir {
            return Answer::Now(Err(Error::PermissionDenied));
        }
        let mut state = self.0.lock();
        if state.instances.contains_key(name) {
            return Answer::Now(Err(Error::Exists));
        }
        state.instances.insert(name.to_string(), super::Instance::default());
        Answer::Now(Ok((Spot(File::Instance, name.into()), None)))
    }
}

/// A file that takes orders.
struct Writer {
    desk: Arc<Desk>,
    at: Spot,
}

impl Open for Writer {
    fn write(&mut self, _offset: u64, data: &[u8]) -> Answer<u32> {
        let (desk, id) = (&self.desk, &*self.at.1);
        let text = String::from_utf8_lossy(data);
        let (verb, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match (self.at.0, verb) {
            (File::Spec, _) => {
                if let Some(one) = desk.lock().instances.get_mut(id) {
                    one.spec = data.to_vec();
                }
            }
            (File::InstanceCtl, "start") => desk.start(id),
            (File::InstanceCtl, "stop") => desk.end(&[id.to_string()], 0),
            (File::InstanceCtl, "remove") => desk.remove(id),
            (File::Ctl, "down") => drop(desk.down.send_replace(true)),
            (File::Ctl, "pull") => desk.tell([format!("pulled {rest} digest={DIGEST} bytes=1")]),
            _ => {}
        }
        Answer::Now(u32::try_from(data.len()).map_err(|_| Error::Length))
    }
}

/// The open events, from the moment of the open on.
struct Follow {
    desk: Arc<Desk>,
    cursor: Arc<tokio::sync::Mutex<usize>>,
}

impl Open for Follow {
    fn read(&mut self, _offset: u64, count: u32) -> Answer<Bytes> {
        let (desk, cursor) = (Arc::clone(&self.desk), Arc::clone(&self.cursor));
        Answer::later(async move {
            let mut told = desk.told.subscribe();
            let mut cursor = cursor.lock().await;
            let from = *cursor;
            // The sender is the desk's own, so that there is always one.
            let _ = told.wait_for(|end| *end > from).await;
            let state = desk.lock();
            let to = state.events.len().min(from + count as usize);
            *cursor = to;
            Ok(Bytes::copy_from_slice(&state.events[from..to]))
        })
    }

    fn stream(&self) -> bool {
        true
    }
}
