//! Making one entry: the file itself, then owner, mode, attributes and times in the order in
//! which each survives the next.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat,
    fchmod, fchown, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::inside::{Fault, Inside, Place, is_whiteout, set_opaque, stat, step};
use super::path::{self, Name};
use super::{Link, Unpacked};
use crate::budget::Budget;
use crate::disk::Disk;
use crate::tarball::{Broken, Entry, Kind};

/// Bytes copied at a time.
const COPY_BYTES: usize = 128 << 10;

/// The attributes a layer may set. Others steer the kernel (`trusted.overlay.redirect`,
/// `user.overlay.*` and the like, security labels of another machine).
pub(crate) fn allowed_xattr(name: &[u8]) -> bool {
    name == b"security.capability"
        || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
}

/// True when what the name or the content asks for cannot be made in a file system.
pub(super) fn asks_too_much(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NAMETOOLONG | Errno::INVAL | Errno::NOTDIR | Errno::ISDIR)
            | Some(Errno::EXIST | Errno::LOOP | Errno::MLINK | Errno::XDEV)
    )
}

/// A layer in the making.
pub(super) struct Make<'a> {
    disk: &'a Disk,
    budget: &'a Budget,
    inside: Inside,
    done: Unpacked,
    /// Times of directories, set last: everything made in them changes theirs.
    times: HashMap<PathBuf, (i64, u32)>,
    buffer: Vec<u8>,
}

impl<'a> Make<'a> {
    pub(super) fn new(inside: Inside, disk: &'a Disk, budget: &'a Budget) -> Self {
        let (done, times, buffer) = (Unpacked::default(), HashMap::new(), vec![0; COPY_BYTES]);
        Self { disk, budget, inside, done, times, buffer }
    }

    /// Makes an entry; `data` gives its bytes.
    pub(super) fn entry(&mut self, entry: &Entry, data: &mut impl Read) -> Result<(), Broken> {
        let before = self.done.inodes + self.inside.made;
        let placed = self.place(entry, data);
        let made = self.done.inodes + self.inside.made - before;
        self.budget.charge(self.disk, 0, made)?;
        placed.map_err(|fault| match fault {
            Fault::Why(why) => Broken::entry(&entry.path, why),
            Fault::Io(e) if asks_too_much(&e) => Broken::entry(&entry.path, e.to_string()),
            Fault::Io(e) => Broken::Io(e),
        })
    }

    /// Sets the times of directories and says what is left for the layers below.
    pub(super) fn finish(mut self) -> io::Result<Unpacked> {
        for (path, time) in &self.times {
            let parts: Vec<OsString> = path.iter().map(OsStr::to_owned).collect();
            if let Ok(Some(place)) = self.inside.walk(&parts, false) {
                futimens(&*place.fd, &timestamps(*time))?;
            }
        }
        self.done.inodes += self.inside.made;
        self.done.implicit = self.inside.implicit.into_iter().collect();
        self.done.implicit.sort_unstable();
        Ok(self.done)
    }

    fn place(&mut self, entry: &Entry, data: &mut impl Read) -> Result<(), Fault> {
        match path::name(&entry.path)? {
            Name::Nothing => Ok(()),
            Name::Root if entry.kind == Kind::Directory => {
                let root = self.inside.root();
                self.describe(&root, entry)
            }
            Name::Root => Err("the root can only be a directory".into()),
            Name::Opaque(parents) if parents.is_empty() => {
                // Overlayfs takes no such mark on a layer's root; the layers below are left out.
                self.done.opaque = true;
                Ok(())
            }
            Name::Opaque(parents) => {
                let place = self.parent(&parents)?;
                Ok(set_opaque(&place.fd)?)
            }
            Name::Gone(parents, name) => {
                let place = self.parent(&parents)?;
                self.whiteout(&place, &name)
            }
            Name::Plain(parents, name) => {
                let place = self.parent(&parents)?;
                self.done.inodes += 1;
                self.plain(&place, &name, entry, data)
            }
        }
    }

    fn parent(&mut self, parents: &[OsString]) -> Result<Place, Fault> {
        self.inside.walk(parents, true)?.ok_or_else(|| "its directory is gone".into())
    }

    fn plain(
        &mut self,
        place: &Place,
        name: &OsStr,
        entry: &Entry,
        data: &mut impl Read,
    ) -> Result<(), Fault> {
        match entry.kind {
            Kind::Directory => self.directory(place, name, entry),
            Kind::Hardlink => self.hardlink(place, name, entry),
            Kind::File => self.file(place, name, entry, data),
            Kind::Symlink => self.symlink(place, name, entry),
            Kind::Fifo => self.fifo(place, name, entry),
            Kind::Device => Ok(()),
        }
    }

    fn symlink(&mut self, place: &Place, name: &OsStr, entry: &Entry) -> Result<(), Fault> {
        if entry.link.is_empty() {
            return Err("a link to nothing".into());
        }
        self.inside.clear(place, name)?;
        symlinkat(OsStr::from_bytes(&entry.link), &place.fd, name)?;
        own(place, name, entry)?;
        Ok(utimensat(&place.fd, name, &timestamps(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn fifo(&mut self, place: &Place, name: &OsStr, entry: &Entry) -> Result<(), Fault> {
        self.inside.clear(place, name)?;
        mknodat(&place.fd, name, FileType::Fifo, Mode::empty(), 0)?;
        own(place, name, entry)?;
        // Just made by us in a directory only we write to: no link can be there.
        chmodat(&place.fd, name, mode(entry), AtFlags::empty())?;
        Ok(utimensat(&place.fd, name, &timestamps(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    fn file(
        &mut self,
        place: &Place,
        name: &OsStr,
        entry: &Entry,
        data: &mut impl Read,
    ) -> Result<(), Fault> {
        self.inside.clear(place, name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let private = Mode::RUSR | Mode::WUSR;
        let fd = openat(&place.fd, name, flags | OFlags::CLOEXEC, private)?;
        let mut file = File::from(fd);
        loop {
            let n = data.read(&mut self.buffer)?;
            if n == 0 {
                break;
            }
            self.budget.charge(self.disk, n as u64, 0)?;
            file.write_all(&self.buffer[..n])?;
        }
        self.done.bytes += entry.size;
        let fd = OwnedFd::from(file);
        attributes(&fd, entry)?;
        Ok(futimens(&fd, &timestamps(entry.mtime))?)
    }

    fn directory(&mut self, place: &Place, name: &OsStr, entry: &Entry) -> Result<(), Fault> {
        let fd = match step(&place.fd, name) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {
                let hidden = self.inside.clear(place, name)?;
                mkdirat(&place.fd, name, Mode::RWXU)?;
                let fd = step(&place.fd, name)?;
                if hidden {
                    set_opaque(&fd)?;
                }
                fd
            }
            Err(e) => return Err(e.into()),
        };
        let made = Place { fd: fd.into(), path: place.path.join(name) };
        self.describe(&made, entry)
    }

    /// Gives a directory what the archive says of it.
    fn describe(&mut self, place: &Place, entry: &Entry) -> Result<(), Fault> {
        attributes(&place.fd, entry)?;
        self.inside.implicit.remove(&place.path);
        if self.times.insert(place.path.clone(), entry.mtime).is_none() {
            self.inside.remember(&place.path)?;
        }
        Ok(())
    }

    fn hardlink(&mut self, place: &Place, name: &OsStr, entry: &Entry) -> Result<(), Fault> {
        let mut parents = path::components(&entry.link).map_err(|why| format!("link: {why}"))?;
        let target = parents.pop().ok_or("a link to the root")?;
        let path = place.path.join(name);
        let found = match self.inside.walk(&parents, false)? {
            None => None,
            Some(source) => match stat(&source.fd, &target) {
                Ok(found) => Some((source, found)),
                Err(Errno::NOENT) => None,
                Err(e) => return Err(e.into()),
            },
        };
        let Some((source, found)) = found else {
            self.inside.clear(place, name)?;
            let target: PathBuf = parents.iter().chain([&target]).collect();
            self.inside.remember(&path)?;
            self.inside.remember(&target)?;
            self.done.links.push(Link { path, target });
            return Ok(());
        };
        if source.path.join(&target) == path {
            return Err("a link to itself".into());
        }
        if is_whiteout(&found) {
            return Err("a link to a file this layer removes".into());
        }
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            return Err("a hard link to a directory".into());
        }
        self.inside.clear(place, name)?;
        Ok(linkat(&source.fd, &target, &place.fd, name, AtFlags::empty())?)
    }

    /// What is below is gone. What this layer itself put there stays: a whiteout speaks of the
    /// layers below only.
    fn whiteout(&mut self, place: &Place, name: &OsStr) -> Result<(), Fault> {
        match stat(&place.fd, name) {
            Err(Errno::NOENT) => {
                self.done.inodes += 1;
                Ok(mknodat(&place.fd, name, FileType::CharacterDevice, Mode::empty(), 0)?)
            }
            Err(e) => Err(e.into()),
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                Ok(set_opaque(&step(&place.fd, name)?)?)
            }
            Ok(_) => Ok(()),
        }
    }
}

/// Owner, then mode (a change of owner clears setuid), then attributes (it clears capabilities).
fn attributes(fd: &OwnedFd, entry: &Entry) -> Result<(), Fault> {
    fchown(fd, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))?;
    fchmod(fd, mode(entry))?;
    for (name, value) in &entry.xattrs {
        if !allowed_xattr(name) || name.contains(&0) {
            continue;
        }
        match fsetxattr(fd, OsStr::from_bytes(name), value, XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP) => {
                tracing::warn!("{}: not on this file system", String::from_utf8_lossy(name));
            }
            Err(Errno::RANGE | Errno::TOOBIG) => {
                return Err(format!("bad attribute {}", String::from_utf8_lossy(name)).into());
            }
            set => set?,
        }
    }
    Ok(())
}

/// The owner of what cannot be opened.
fn own(place: &Place, name: &OsStr, entry: &Entry) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    chownat(&place.fd, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn mode(entry: &Entry) -> Mode {
    Mode::from_raw_mode(entry.mode)
}

/// Last access is set to the last change: nobody keeps it in an archive.
pub(super) fn timestamps((tv_sec, nanoseconds): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec, tv_nsec: nanoseconds.into() };
    Timestamps { last_access: time, last_modification: time }
}
