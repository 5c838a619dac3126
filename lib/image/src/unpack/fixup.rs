//! What a layer owes to those below it, done when they are there: hard links into them, the look
//! of directories its archive did not name, and the moving of files that such a directory got
//! where below there is a link (`lib/x` over a `lib` that leads to `usr/lib`).

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, fchmod,
    fchown, fgetxattr, flistxattr, fsetxattr, fstat, futimens, linkat, openat, renameat, symlinkat,
    unlinkat,
};
use rustix::io::Errno;

use super::inside::{Fault, Inside, Place, is_opaque, is_whiteout, stat, step};
use super::lower::{Found, Lower, led_to};
use super::make::{allowed_xattr, asks_too_much};
use super::{Link, Unpacked};
use crate::budget::Budget;
use crate::digest::Digest;
use crate::disk::Disk;
use crate::tarball::shown;
use crate::{Error, Result};

/// Directories moved because of links below, so that links in a circle end.
const MOVES_MAX: u32 = 10_000;

/// A layer that is unpacked and the layers it stands over.
pub(crate) struct Over<'a> {
    pub(crate) disk: &'a Disk,
    /// What its pull may take.
    pub(crate) budget: &'a Budget,
    /// The digest the layer has in its manifest, for messages.
    pub(crate) layer: &'a Digest,
    pub(crate) root: &'a Path,
    /// Bottom first.
    pub(crate) below: &'a [PathBuf],
}

impl Over<'_> {
    /// Finishes the layer.
    pub(crate) fn complete(&self, unpacked: &mut Unpacked) -> Result<()> {
        let below = if unpacked.opaque { &[] } else { self.below };
        let lower = Lower::open(below).map_err(|e| self.failed(Path::new(""), e.into()))?;
        let inside = Inside::open(self.root).map_err(|e| self.failed(Path::new(""), e.into()))?;
        let (copied, disk, budget) = (HashMap::new(), self.disk, self.budget);
        let mut fixup = Fixup { disk, budget, inside, lower, copied, moves: 0, bytes: 0 };
        for link in std::mem::take(&mut unpacked.links) {
            fixup.link(&link).map_err(|e| self.failed(&link.path, e))?;
        }
        let mut todo: BTreeSet<_> = std::mem::take(&mut unpacked.implicit).into_iter().collect();
        // In order of names a directory comes before what is in it.
        while let Some(path) = todo.pop_first() {
            fixup.implicit(&path, &mut todo).map_err(|e| self.failed(&path, e))?;
        }
        unpacked.bytes += fixup.bytes;
        Ok(())
    }

    fn failed(&self, path: &Path, fault: Fault) -> Error {
        let entry = |why| Error::Entry {
            layer: self.layer.to_string(),
            entry: shown(path.as_os_str().as_bytes()),
            why,
        };
        match fault {
            Fault::Why(why) => entry(why),
            Fault::Io(e) if asks_too_much(&e) => entry(e.to_string()),
            Fault::Io(e) => self.disk.fail("finish", &self.root.join(path), e),
        }
    }
}

struct Fixup<'a> {
    disk: &'a Disk,
    budget: &'a Budget,
    inside: Inside,
    lower: Lower,
    /// What was copied from below, by its path there: a second link to it is a link to the copy,
    /// so a layer cannot ask for one big file a million times.
    copied: HashMap<Vec<OsString>, Place>,
    moves: u32,
    bytes: u64,
}

impl Fixup<'_> {
    fn link(&mut self, link: &Link) -> Result<(), Fault> {
        let (Some(at), Some(name)) = (link.path.parent(), link.path.file_name()) else {
            return Ok(());
        };
        // Its directory may have been replaced by a later entry.
        let Some(place) = self.inside.walk(&parts(at), false)? else { return Ok(()) };
        let target = parts(&link.target);
        let missing = || format!("links to '{}', which is in no layer", shown(bytes(&link.target)));
        let (Some((last, above)), false) = (target.split_last(), target.is_empty()) else {
            return Err(missing().into());
        };
        if let Some(source) = self.inside.walk(above, false)? {
            match stat(&source.fd, last) {
                Ok(found) if is_whiteout(&found) => return Err(missing().into()),
                Ok(_) => return link_to(&source.fd, last, &place, name),
                Err(Errno::NOENT) => {}
                Err(e) => return Err(e.into()),
            }
        }
        match self.lower.resolve(&target)? {
            (_, Found::Nothing) => Err(missing().into()),
            (_, Found::Directory(_)) => Err("a hard link to a directory".into()),
            (_, Found::Link(text)) => Ok(symlinkat(&*text, &place.fd, name)?),
            (real, Found::File(source)) => {
                if let Some(copy) = self.copied.get(&real) {
                    let Some(first) = copy.path.file_name() else { return Ok(()) };
                    return link_to(&copy.fd, first, &place, name);
                }
                let Some(last) = real.last() else { return Err(missing().into()) };
                self.copy_up(&source, last, &place, name)?;
                let copy = Place { path: place.path.join(name), fd: place.fd };
                self.copied.insert(real, copy);
                Ok(())
            }
        }
    }

    /// Copies a file of a layer below with all that belongs to it.
    fn copy_up(
        &mut self,
        source: &OwnedFd,
        from: &OsStr,
        place: &Place,
        name: &OsStr,
    ) -> Result<(), Fault> {
        let found = stat(source, from)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err("a hard link to what is no file in a layer below".into());
        }
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let read = openat(source, from, OFlags::RDONLY | flags, Mode::empty())?;
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | flags;
        let write = openat(&place.fd, name, create, Mode::RUSR | Mode::WUSR)?;
        let (mut read, mut write) = (File::from(read), File::from(write));
        self.budget.charge(self.disk, u64::try_from(found.st_size).unwrap_or(u64::MAX), 1)?;
        self.bytes += io::copy(&mut read, &mut write)?;
        Ok(look_like(&OwnedFd::from(read), &OwnedFd::from(write))?)
    }

    /// Gives a directory nobody described the look it has below.
    fn implicit(&mut self, path: &Path, todo: &mut BTreeSet<PathBuf>) -> Result<(), Fault> {
        let parts = parts(path);
        let Some(fd) = self.here(&parts)? else { return Ok(()) };
        match self.lower.look(&parts)? {
            Found::Nothing | Found::File(_) => Ok(()),
            Found::Directory(below) => Ok(look_like(&below, &fd)?),
            Found::Link(target) => {
                self.moves += 1;
                if self.moves > MOVES_MAX {
                    return Err("too many symbolic links below".into());
                }
                self.move_to(path, &led_to(&parts, &target), todo)
            }
        }
    }

    /// The directory at these components when the layers below show through up to it.
    fn here(&self, parts: &[OsString]) -> Result<Option<OwnedFd>, Errno> {
        let mut fd = self.inside.root().fd.try_clone().map_err(|_| Errno::MFILE)?;
        for part in parts {
            fd = match step(&fd, part) {
                Ok(fd) if !is_opaque(&fd)? => fd,
                Ok(_) | Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => return Ok(None),
                Err(e) => return Err(e),
            };
        }
        Ok(Some(fd))
    }

    /// Moves what is in the directory at `path` to where the link below leads, and removes it.
    fn move_to(
        &mut self,
        path: &Path,
        target: &[OsString],
        todo: &mut BTreeSet<PathBuf>,
    ) -> Result<(), Fault> {
        if target.iter().collect::<PathBuf>().starts_with(path) {
            return Err("below it is a link that leads into itself".into());
        }
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let Some(from) = self.inside.walk(&parts(above), false)? else { return Ok(()) };
        let from_here = todo.range(path.to_owned()..);
        let moved: Vec<PathBuf> =
            from_here.take_while(|known| known.starts_with(path)).cloned().collect();
        let Some(to) = self.inside.walk(target, true)? else { return Ok(()) };
        merge(&from.fd, name, &to.fd)?;
        for known in moved {
            todo.remove(&known);
            if let Ok(rest) = known.strip_prefix(path) {
                todo.insert(to.path.join(rest));
            }
        }
        todo.extend(self.inside.implicit.drain());
        self.inside.forget(path);
        Ok(())
    }
}

/// Makes a hard link. What may not be linked (a directory, most of all) never may.
fn link_to(from: &OwnedFd, last: &OsStr, place: &Place, name: &OsStr) -> Result<(), Fault> {
    match linkat(from, last, &place.fd, name, AtFlags::empty()) {
        Err(Errno::PERM) => Err("a hard link to what cannot have one".into()),
        linked => Ok(linked?),
    }
}

/// Moves all that is in the directory `from`/`name` into `to`, directories into directories, and
/// removes it.
fn merge(from: &OwnedFd, name: &OsStr, to: &OwnedFd) -> Result<(), Fault> {
    let source = step(from, name)?;
    let names: Result<Vec<OsString>, Errno> = Dir::read_from(&source)?
        .map(|entry| Ok(OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned()))
        .collect();
    for name in names?.iter().filter(|name| *name != "." && *name != "..") {
        match step(to, name) {
            Ok(there) if step(&source, name).is_ok() => {
                drop(there);
                let there = step(to, name)?;
                merge(&source, name, &there)?;
            }
            Ok(_) | Err(Errno::LOOP | Errno::NOTDIR) => {
                return Err("below it is a link to a place where this layer has something".into());
            }
            Err(Errno::NOENT) => renameat(&source, name, to, name)?,
            Err(e) => return Err(e.into()),
        }
    }
    Ok(unlinkat(from, name, AtFlags::REMOVEDIR)?)
}

/// Copies owner, mode, allowed attributes and times.
fn look_like(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let found = fstat(from)?;
    fchown(to, Some(Uid::from_raw(found.st_uid)), Some(Gid::from_raw(found.st_gid)))?;
    fchmod(to, Mode::from_raw_mode(found.st_mode & 0o7777))?;
    copy_xattrs(from, to)?;
    let time = Timespec { tv_sec: found.st_mtime, tv_nsec: found.st_mtime_nsec as _ };
    futimens(to, &Timestamps { last_access: time, last_modification: time })
}

fn copy_xattrs(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    // Linux allows 64 KiB for all names and for each value.
    let mut names = vec![0_u8; 64 << 10];
    let mut value = vec![0_u8; 64 << 10];
    let n = match flistxattr(from, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        listed => listed?,
    };
    for name in names[..n].split(|b| *b == 0).filter(|name| allowed_xattr(name)) {
        let name = OsStr::from_bytes(name);
        let n = fgetxattr(from, name, &mut value[..])?;
        fsetxattr(to, name, &value[..n], XattrFlags::empty())?;
    }
    Ok(())
}

fn parts(path: &Path) -> Vec<OsString> {
    path.iter().map(OsStr::to_owned).collect()
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}
