//! Steps inside of one layer's directory: one component at a time with `openat2`, links resolved
//! here as if the directory were the root, missing directories made when asked for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, XattrFlags, fchmod, fsetxattr,
    mkdirat, openat, openat2, readlinkat, statat, unlinkat,
};
use rustix::io::Errno;

use super::path::DEPTH_MAX;

/// Links followed on the way to one file, Linux' own limit.
const LINKS_MAX: u32 = 40;
/// Open directories kept for the entries that follow.
const KEPT_MAX: usize = 64;
/// Bytes of the paths one layer may make us remember, with what each costs besides; a
/// distribution's hundred thousand directories take a tenth of it.
const REMEMBERED_BYTES_MAX: usize = 128 << 20;
/// What a remembered path costs besides its bytes, about.
const REMEMBERED_BYTES: usize = 64;
/// Mode of a directory the archive did not name, when there is none below it either.
const IMPLICIT_MODE: u32 = 0o755;
/// Says to overlayfs: this directory hides what is below.
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// A directory of a layer and its real path in it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) fd: Rc<OwnedFd>,
    /// Without links; empty for the root.
    pub(super) path: PathBuf,
}

/// Why a step cannot be done.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    Why(String),
}

impl From<Errno> for Fault {
    fn from(e: Errno) -> Self {
        Self::Io(e.into())
    }
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<String> for Fault {
    fn from(why: String) -> Self {
        Self::Why(why)
    }
}

impl From<&str> for Fault {
    fn from(why: &str) -> Self {
        Self::Why(why.to_owned())
    }
}

/// The directory of a layer.
pub(super) struct Inside {
    root: Rc<OwnedFd>,
    /// Places by the name they were asked for.
    kept: HashMap<Vec<OsString>, Place>,
    /// Directories made because a name went through them.
    pub(super) implicit: HashSet<PathBuf>,
    /// How many there were.
    pub(super) made: u64,
    /// What may still be remembered.
    pub(super) remember_bytes: usize,
}

impl Inside {
    /// Opens the directory at `path`, which is ours.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let root = Rc::new(openat(CWD, path, directory_flags(), Mode::empty())?);
        let implicit = HashSet::new();
        Ok(Self {
            root,
            kept: HashMap::new(),
            implicit,
            made: 0,
            remember_bytes: REMEMBERED_BYTES_MAX,
        })
    }

    /// Counts a path that is kept until the layer is done; an error when it is one too many.
    pub(super) fn remember(&mut self, path: &Path) -> Result<(), Fault> {
        let left = self.remember_bytes.checked_sub(path.as_os_str().len() + REMEMBERED_BYTES);
        self.remember_bytes = left.ok_or("the names of its layer are too many and too long")?;
        Ok(())
    }

    fn implied(&mut self, path: PathBuf) -> Result<(), Fault> {
        self.remember(&path)?;
        self.implicit.insert(path);
        Ok(())
    }

    pub(super) fn root(&self) -> Place {
        Place { fd: Rc::clone(&self.root), path: PathBuf::new() }
    }

    /// The directory these components lead to; none when it is missing and `make` is not set.
    pub(super) fn walk(&mut self, parts: &[OsString], make: bool) -> Result<Option<Place>, Fault> {
        if let Some(place) = self.kept.get(parts) {
            return Ok(Some(place.clone()));
        }
        let mut todo: VecDeque<OsString> = parts.to_vec().into();
        let mut at: Vec<(OsString, Rc<OwnedFd>)> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                at.pop();
                continue;
            }
            let here = at.last().map_or(&self.root, |(_, fd)| fd);
            let next = match step(here, &part) {
                Ok(fd) => fd,
                Err(Errno::NOENT) if !make => return Ok(None),
                Err(Errno::NOENT) => {
                    if at.len() >= DEPTH_MAX {
                        return Err(format!("more than {DEPTH_MAX} directories deep").into());
                    }
                    let fd = make_directory(here, &part)?;
                    let above: PathBuf = at.iter().map(|(name, _)| name).collect();
                    self.implied(above.join(&part))?;
                    self.made += 1;
                    fd
                }
                Err(Errno::LOOP | Errno::NOTDIR) => match link_target(here, &part)? {
                    Some(target) => {
                        links += 1;
                        if links > LINKS_MAX {
                            return Err("too many symbolic links on the way".into());
                        }
                        if target.as_bytes().starts_with(b"/") {
                            at.clear();
                        }
                        split(&target).into_iter().rev().for_each(|p| todo.push_front(p));
                        continue;
                    }
                    None if make && is_whiteout(&stat(here, &part)?) => {
                        unlinkat(here, &part, AtFlags::empty())?;
                        let fd = make_directory(here, &part)?;
                        set_opaque(&fd)?;
                        let above: PathBuf = at.iter().map(|(name, _)| name).collect();
                        self.implied(above.join(&part))?;
                        fd
                    }
                    None => return Err("a part of the way to it is no directory".into()),
                },
                Err(e) => return Err(e.into()),
            };
            at.push((part, Rc::new(next)));
        }
        let path = at.iter().map(|(name, _)| name).collect();
        let fd = at.pop().map_or_else(|| Rc::clone(&self.root), |(_, fd)| fd);
        let place = Place { fd, path };
        if self.kept.len() >= KEPT_MAX {
            self.kept.clear();
        }
        self.kept.insert(parts.to_vec(), place.clone());
        Ok(Some(place))
    }

    /// Makes room for a new `name`: whatever is there goes, a directory with all in it. True when
    /// it was a whiteout.
    pub(super) fn clear(&mut self, place: &Place, name: &OsStr) -> Result<bool, Fault> {
        let found = match statat(&place.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            found => found?,
        };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                self.forget(&place.path.join(name));
                remove_tree(&place.fd, name)?;
            }
            FileType::Symlink => {
                self.kept.clear();
                unlinkat(&place.fd, name, AtFlags::empty())?;
            }
            FileType::RegularFile
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => unlinkat(&place.fd, name, AtFlags::empty())?,
        }
        Ok(is_whiteout(&found))
    }

    /// Nothing is known of a directory and what is below it any more.
    pub(super) fn forget(&mut self, path: &Path) {
        self.kept.clear();
        self.implicit.retain(|known| !known.starts_with(path));
    }
}

/// Opens the directory `name` in `fd`: no link, no other file system, nothing above.
pub(super) fn step(fd: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(fd, name, directory_flags(), Mode::empty(), inside | ResolveFlags::NO_MAGICLINKS)
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

/// Makes and opens a directory with the mode of one nobody described.
pub(super) fn make_directory(fd: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    mkdirat(fd, name, Mode::from_raw_mode(IMPLICIT_MODE))?;
    let made = step(fd, name)?;
    fchmod(&made, Mode::from_raw_mode(IMPLICIT_MODE))?;
    Ok(made)
}

pub(super) fn set_opaque(fd: &OwnedFd) -> Result<(), Errno> {
    fsetxattr(fd, OPAQUE_XATTR, b"y", XattrFlags::empty())
}

/// True when the directory hides what is below it.
pub(super) fn is_opaque(fd: &OwnedFd) -> Result<bool, Errno> {
    let mut value = [0_u8; 2];
    match rustix::fs::fgetxattr(fd, OPAQUE_XATTR, &mut value[..]) {
        Ok(n) => Ok(n == 1 && value[0] == b'y'),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The state of `name` itself, were it a link.
pub(super) fn stat(fd: &OwnedFd, name: &OsStr) -> Result<Stat, Errno> {
    statat(fd, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// A character device 0:0 is overlayfs' whiteout.
pub(super) fn is_whiteout(found: &Stat) -> bool {
    FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice && found.st_rdev == 0
}

/// The text of a symbolic link; none when it is something else.
pub(super) fn link_target(fd: &OwnedFd, name: &OsStr) -> Result<Option<OsString>, Errno> {
    match readlinkat(fd, name, Vec::new()) {
        Ok(target) => Ok(Some(OsString::from_vec(target.into_bytes()))),
        Err(Errno::INVAL) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The components of a link's text; `..` stays.
pub(super) fn split(target: &OsStr) -> Vec<OsString> {
    let parts = target.as_bytes().split(|b| *b == b'/');
    let parts = parts.filter(|part| !part.is_empty() && *part != b".");
    parts.map(|part| OsStr::from_bytes(part).to_owned()).collect()
}

/// Removes a directory and all in it, never following a link.
pub(super) fn remove_tree(fd: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let directory = step(fd, name)?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        match unlinkat(&directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR | Errno::PERM) => remove_tree(&directory, name)?,
            gone => gone?,
        }
    }
    unlinkat(fd, name, AtFlags::REMOVEDIR)
}
