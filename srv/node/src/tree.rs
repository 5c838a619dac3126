//! The table made a 9P tree: walks, stats and listings here, what is open in `open`.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use bytes::Bytes;
use ninep::tree::Created;
use ninep::{Answer, Error as Refusal, How, Kind, NewFile, Open, Stat, Tree, User};
use tokio::task::spawn_blocking;

use crate::desk::Desk;
use crate::error::Error;
use crate::fact::Request;
use crate::id::Id;
use crate::instance::Instance;
use crate::kept::{self, Kept, KeptFile};
use crate::open;
use crate::record;
use crate::table::{File, TREE, children, parent};
use crate::volumes;

/// The bits of a file's number that are its row's; the rest are its instance's.
const ROW_BITS: u32 = 8;

/// A place: a row and, below an instance, which one.
#[derive(Clone, Debug)]
pub(crate) struct Spot {
    pub(crate) row: usize,
    pub(crate) of: Option<Id>,
}

/// The node's tree.
pub(crate) struct NodeTree {
    desk: Arc<Desk>,
    uid: u32,
}

impl NodeTree {
    /// The tree over `desk`, for root and `uid`, the user the node runs as.
    pub(crate) fn new(desk: Arc<Desk>, uid: u32) -> NodeTree {
        NodeTree { desk, uid }
    }

    /// The stat of a row, for the instance it belongs to.
    fn stat_of(&self, row: usize, one: Option<&Instance>) -> Stat {
        let Some(entry) = TREE.get(row) else { return Stat::new(Kind::File, "", 0, 0) };
        let name = match one {
            Some(one) if entry.any() => one.id.to_string(),
            Some(_) | None => entry.name().to_owned(),
        };
        let kind = if entry.dir() { Kind::Dir } else { Kind::File };
        let serial = one.map_or(0, |one| one.serial);
        let mut stat = Stat::new(kind, name, serial << ROW_BITS | row as u64, entry.mode);
        (stat.uid, stat.mtime) = (self.uid, self.desk.started_s);
        stat.version = match (entry.file, one) {
            (File::Instances, _) => self.desk.world().version,
            (_, Some(one)) => one.version,
            // Whatever changes those texts is told as well.
            (_, None) => self.desk.ring.next() as u32,
        };
        match (entry.file, one) {
            (File::Spec, Some(one)) => {
                stat.length = one.written.as_ref().map_or(0, |written| written.text.len() as u64);
            }
            (File::Log, Some(one)) => self.stat_log(&one.id, &mut stat),
            _ => {}
        }
        stat
    }

    /// The log is the shim's file: as long as that, and another one after each rotation.
    fn stat_log(&self, id: &Id, stat: &mut Stat) {
        let path = self.desk.means.dirs.instance(id).join(record::LOG);
        let Ok(file) = std::fs::metadata(path) else { return };
        stat.path = number(&file, stat.path);
        stat.length = file.len();
        stat.version = file.len() as u32;
        stat.mtime = u32::try_from(file.mtime()).unwrap_or_default();
    }

    /// The stat of what is kept of an instance that is gone.
    fn stat_kept(&self, row: usize, id: &Id) -> Result<Stat, Refusal> {
        let found = kept::look(&self.desk.means.dirs.kept(id)).ok_or(Refusal::NotFound)?;
        let Kept { bytes, since, found } = found;
        let mut stat = self.stat_of(row, None);
        stat.name = Bytes::copy_from_slice(id.as_str().as_bytes());
        stat.path = number(&found, row as u64);
        (stat.length, stat.mtime) = (bytes, u32::try_from(since).unwrap_or_default());
        Ok(stat)
    }

    /// The stat of a volume. One that is removed and made again is another one by its birth.
    fn stat_volume(&self, row: usize, id: &Id) -> Result<Stat, Refusal> {
        let dir = self.desk.means.dirs.volumes().join(id.as_str());
        let found = std::fs::symlink_metadata(&dir).map_err(|_| Refusal::NotFound)?;
        let mut stat = self.stat_of(row, None);
        stat.name = Bytes::copy_from_slice(id.as_str().as_bytes());
        stat.path = number(&found, row as u64);
        Ok(stat)
    }

    /// The stat of what is named after no instance that is there.
    fn stat_beside(&self, row: usize, id: &Id) -> Result<Stat, Refusal> {
        match TREE[row].file == File::Kept {
            true => self.stat_kept(row, id),
            false => self.stat_volume(row, id),
        }
    }

    /// The stats of all that stand at a row of any name.
    fn stats_of_any(&self, row: usize) -> Vec<Stat> {
        if TREE[row].file == File::Volume {
            let ids = volumes::ids(&self.desk.means.dirs);
            return ids.iter().filter_map(|id| self.stat_volume(row, id).ok()).collect();
        }
        if TREE[row].file == File::Kept {
            let ids = kept::ids(&self.desk.means.dirs.logs());
            return ids.iter().filter_map(|id| self.stat_kept(row, id).ok()).collect();
        }
        let all: Vec<Instance> = self.desk.world().instances.values().cloned().collect();
        all.iter().map(|one| self.stat_of(row, Some(one))).collect()
    }

    /// The instance a place belongs to, as it is now.
    fn with<T>(&self, at: &Spot, f: impl FnOnce(Option<&Instance>) -> T) -> Result<T, Refusal> {
        let one = match &at.of {
            None => None,
            Some(_) if is_beside(at.row) => None,
            // A copy, so that nothing is locked while files are looked at.
            Some(id) => {
                Some(self.desk.world().instances.get(id).cloned().ok_or(Refusal::NotFound)?)
            }
        };
        Ok(f(one.as_ref()))
    }
}

impl Tree for NodeTree {
    type Node = Spot;

    fn attach(&self, user: &User, aname: &[u8]) -> ninep::Result<Spot> {
        // The node's only client is the server that runs as the same user.
        if user.uid != 0 && user.uid != self.uid {
            return Err(Refusal::PermissionDenied);
        }
        let root = Spot { row: 0, of: None };
        let mut names = aname.split(|&b| b == b'/').filter(|name| !name.is_empty());
        names.try_fold(root, |at, name| self.walk(&at, name))
    }

    fn walk(&self, at: &Spot, name: &[u8]) -> ninep::Result<Spot> {
        if !TREE[at.row].dir() {
            return Err(Refusal::NotDir);
        }
        self.with(at, |_| ())?;
        for row in children(at.row) {
            if TREE[row].any() {
                let name = str::from_utf8(name).map_err(|_| Refusal::NotFound)?;
                if is_beside(row) {
                    let id: Id = name.parse().map_err(|_| Refusal::NotFound)?;
                    return self.stat_beside(row, &id).map(|_| Spot { row, of: Some(id) });
                }
                let world = self.desk.world();
                let (id, _) = world.instances.get_key_value(name).ok_or(Refusal::NotFound)?;
                return Ok(Spot { row, of: Some(id.clone()) });
            }
            if TREE[row].name().as_bytes() == name {
                return Ok(Spot { row, of: at.of.clone() });
            }
        }
        Err(Refusal::NotFound)
    }

    fn parent(&self, at: &Spot) -> Spot {
        let row = parent(at.row);
        let below = TREE[at.row].any();
        Spot { row, of: at.of.clone().filter(|_| !below) }
    }

    fn stat(&self, at: &Spot) -> ninep::Result<Stat> {
        match &at.of {
            Some(id) if is_beside(at.row) => self.stat_beside(at.row, id),
            Some(_) | None => self.with(at, |one| self.stat_of(at.row, one)),
        }
    }

    fn entries(&self, at: &Spot) -> ninep::Result<Vec<Stat>> {
        if !TREE[at.row].dir() {
            return Err(Refusal::NotDir);
        }
        self.with(at, |one| {
            let below = children(at.row).map(|row| match TREE[row].any() {
                true => self.stats_of_any(row),
                false => vec![self.stat_of(row, one)],
            });
            below.flatten().collect()
        })
    }

    fn open(&self, at: &Spot, how: How, _user: &User) -> Answer<Box<dyn Open>> {
        let file = TREE[at.row].file;
        if let (File::Volume, Some(id)) = (file, &at.of) {
            return Answer::Now(Ok(ninep::text(volumes::text(&self.desk.means.dirs, id))));
        }
        if let (File::Kept, Some(id)) = (file, &at.of) {
            let kept = self.desk.means.dirs.kept(id);
            let open = KeptFile::open(&kept).map(|file| Box::new(file) as Box<dyn Open>);
            return open.map_err(|error| open::refuse(&self.desk, error)).into();
        }
        match self.with(at, |one| open::open(&self.desk, file, one, how)) {
            Ok(answer) => answer,
            Err(refusal) => Answer::Now(Err(refusal)),
        }
    }

    fn create(
        &self,
        dir: &Spot,
        name: &[u8],
        new: NewFile,
        _how: How,
        _user: &User,
    ) -> Answer<Created<Spot>> {
        if TREE[dir.row].file != File::Instances || !new.dir {
            return Answer::Now(Err(Refusal::PermissionDenied));
        }
        let (desk, dir) = (self.desk.clone(), dir.clone());
        let name = Bytes::copy_from_slice(name);
        Answer::later(async move {
            let made = async {
                let id: Id = String::from_utf8_lossy(&name).parse()?;
                desk.ask(vec![Request::Make(id.clone())]).await?;
                Ok::<Id, Error>(id)
            };
            let id = made.await.map_err(|error| open::refuse(&desk, error))?;
            let row = children(dir.row).next().unwrap_or(dir.row);
            Ok((Spot { row, of: Some(id) }, None))
        })
    }

    fn remove(&self, at: &Spot, _user: &User) -> Answer<()> {
        let (true, Some(id)) = (is_beside(at.row), &at.of) else {
            return Answer::Now(Err(Refusal::PermissionDenied));
        };
        let (desk, id, volume) = (self.desk.clone(), id.clone(), TREE[at.row].file == File::Volume);
        Answer::later(async move {
            let dirs = desk.means.dirs.clone();
            if volume && let Some(by) = volumes::user(&id, desk.world().instances.values()) {
                let error = Error::VolumeUsed { volume: id.to_string(), by: by.to_string() };
                return Err(open::refuse(&desk, error));
            }
            let removed = spawn_blocking(move || match volume {
                true => volumes::remove(&dirs, &id),
                false => kept::remove(&dirs.kept(&id)),
            });
            let removed = removed.await;
            let removed = removed.unwrap_or(Err(Error::Ended));
            removed.map_err(|error| open::refuse(&desk, error))
        })
    }
}

/// Whether what stands at a row is named after no instance that is there.
fn is_beside(row: usize) -> bool {
    matches!(TREE[row].file, File::Kept | File::Volume)
}

/// The number of a file that is on the disk, where another of the same name may come to be; the
/// top bit keeps these apart from all that are made of serial and row.
fn number(found: &Metadata, own: u64) -> u64 {
    let born = found.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let born = born.map_or(0, |since| since.as_nanos() as u64);
    1 << 63 | (found.ino().rotate_left(40) ^ born ^ own << 20) >> 1
}

#[cfg(test)]
#[path = "tree_test.rs"]
pub(crate) mod tests;
