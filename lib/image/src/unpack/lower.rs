//! What the layers below show together, read without mounting them: the rules of overlayfs for
//! whiteouts and opaque directories, top-most layer first.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode, OFlags, openat};
use rustix::io::Errno;

use super::inside::{Fault, is_opaque, is_whiteout, link_target, split, stat, step};

/// Links followed on the way to one file, Linux' own limit.
const LINKS_MAX: u32 = 40;

/// The layers below one.
pub(super) struct Lower {
    /// Top-most first.
    roots: Vec<OwnedFd>,
}

/// What is at a path.
pub(super) enum Found {
    Nothing,
    Directory(OwnedFd),
    /// A symbolic link with this text.
    Link(OsString),
    /// Any other kind of file: the directory it is in.
    File(OwnedFd),
}

impl Lower {
    /// Opens the directories of the layers below, bottom first.
    pub(super) fn open(layers: &[PathBuf]) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &PathBuf| openat(rustix::fs::CWD, path, flags, Mode::empty());
        let roots = layers.iter().rev().map(open).collect::<Result<_, Errno>>()?;
        Ok(Self { roots })
    }

    /// What is at these components; only the last may be a link.
    pub(super) fn look(&self, parts: &[OsString]) -> Result<Found, Errno> {
        'layers: for root in &self.roots {
            let mut here = root.try_clone().map_err(|_| Errno::MFILE)?;
            let mut opaque = false;
            for (n, part) in parts.iter().enumerate() {
                opaque |= n > 0 && is_opaque(&here)?;
                let found = match stat(&here, part) {
                    Ok(found) => found,
                    Err(Errno::NOENT) if opaque => return Ok(Found::Nothing),
                    Err(Errno::NOENT) => continue 'layers,
                    Err(e) => return Err(e),
                };
                let last = n + 1 == parts.len();
                match FileType::from_raw_mode(found.st_mode) {
                    FileType::Directory => here = step(&here, part)?,
                    _ if is_whiteout(&found) || !last => return Ok(Found::Nothing),
                    FileType::Symlink => {
                        let target = link_target(&here, part)?;
                        return Ok(target.map_or(Found::Nothing, Found::Link));
                    }
                    FileType::RegularFile
                    | FileType::Fifo
                    | FileType::Socket
                    | FileType::CharacterDevice
                    | FileType::BlockDevice
                    | FileType::Unknown => return Ok(Found::File(here)),
                }
            }
            return Ok(Found::Directory(here));
        }
        Ok(Found::Nothing)
    }

    /// What is at these components when links on the way are followed, and its real path. A link
    /// at the end is not followed.
    pub(super) fn resolve(&self, parts: &[OsString]) -> Result<(Vec<OsString>, Found), Fault> {
        let mut todo: VecDeque<OsString> = parts.to_vec().into();
        let mut real: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop_front() {
            if part == ".." {
                real.pop();
                continue;
            }
            real.push(part);
            match self.look(&real)? {
                found if todo.is_empty() => return Ok((real, found)),
                Found::Directory(_) => {}
                Found::Nothing | Found::File(_) => return Ok((real, Found::Nothing)),
                Found::Link(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err("too many symbolic links on the way".into());
                    }
                    follow(&mut real, &target);
                    split(&target).into_iter().rev().for_each(|p| todo.push_front(p));
                }
            }
        }
        let found = self.look(&real)?;
        Ok((real, found))
    }
}

/// Where the text of the link at `real` is to be read from.
fn follow(real: &mut Vec<OsString>, target: &OsStr) {
    real.pop();
    if target.as_bytes().starts_with(b"/") {
        real.clear();
    }
}

/// The components that the text of a link at `link` leads to, `..` applied; for a link whose
/// directories are no links.
pub(super) fn led_to(link: &[OsString], target: &OsStr) -> Vec<OsString> {
    let mut real = link.to_vec();
    follow(&mut real, target);
    for part in split(target) {
        if part == ".." {
            real.pop();
        } else {
            real.push(part);
        }
    }
    real
}
