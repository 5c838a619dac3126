//! Directories of the machine bound into a container: volumes, the machine's own, configuration.
//!
//! Law: a directory that is still empty is given to the program's user and group; from the first
//! file on nobody but programs changes its owner.
//!
//! Law: a directory of the machine lies below one that the server's configuration allows, with no
//! link on the way, and what was found there is what is mounted: by descriptor, not by its name
//! once more.
//!
//! Law: nothing of ours is ever removed below a directory that something is bound to; see
//! [`Site::binds`](crate::Site).

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown};

use crate::error::Error;
use crate::user::User;

/// What holds the places for directories of the machine; it is made of directories alone.
const STAGE_OPTIONS: &str = "size=1m,mode=700";

/// A directory bound into the container; set-user-id programs and devices in it mean nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where its bytes are.
    pub source: Source,
    /// Absolute path inside.
    pub target: String,
    /// The program may only read it.
    pub read_only: bool,
}

/// Where the bytes of a mount are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A volume's directory, which nobody but us can have put there.
    Volume(PathBuf),
    /// Files of ours, as they are; nothing in it can be executed.
    Files(PathBuf),
    /// A directory of the machine.
    Host {
        /// The allowed directory; none: it is allowed no more.
        below: Option<PathBuf>,
        /// It, or one below it.
        dir: PathBuf,
    },
}

impl Mount {
    /// What is mounted, and with which options, once it was made ready for that user. `stage` is
    /// a directory that nobody removes, in a mount namespace that ends with the container.
    pub(crate) fn ready(
        &self,
        at: usize,
        user: &User,
        stage: &Path,
    ) -> Result<(PathBuf, Vec<&'static str>), Error> {
        let mut options = vec!["bind", "nosuid", "nodev"];
        options.extend(self.read_only.then_some("ro"));
        let source = match &self.source {
            Source::Volume(dir) => {
                give(dir, user)?;
                dir.clone()
            }
            Source::Files(dir) => {
                options.push("noexec");
                dir.clone()
            }
            Source::Host { below, dir } => {
                let place = stage.join(at.to_string());
                bind(&host(below.as_deref(), dir)?, &place)?;
                place
            }
        };
        Ok((source, options))
    }
}

/// Makes the place for directories of the machine where one is needed. It must be in memory: on
/// disk, whoever tidied up could come through it to what is bound there.
pub(crate) fn stage(mounts: &[Mount], stage: &Path) -> Result<(), Error> {
    if !mounts.iter().any(|one| matches!(one.source, Source::Host { .. })) {
        return Ok(());
    }
    fs::create_dir_all(stage).map_err(Error::io("make directory", stage))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), stage, Some("tmpfs"), flags, Some(STAGE_OPTIONS))
        .map_err(Error::os("mount memory at", stage))
}

/// Gives a directory to the user while nothing is in it.
fn give(dir: &Path, user: &User) -> Result<(), Error> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = open(dir, flags, Mode::empty()).map_err(Error::os("open volume", dir))?;
    let mut entries = fs::read_dir(dir).map_err(Error::io("read volume", dir))?;
    if entries.next().is_some() {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    fchown(fd.as_fd(), Some(uid), Some(gid)).map_err(Error::os("give volume to its user", dir))
}

/// Opens a directory of the machine below an allowed one.
fn host(below: Option<&Path>, dir: &Path) -> Result<OwnedFd, Error> {
    let wrong = |why: &str| Error::HostDir { dir: dir.to_owned(), why: why.to_owned() };
    let below = below.ok_or_else(|| wrong("this server does not allow it; see --allow-host"))?;
    let rest = dir.strip_prefix(below).map_err(|_| wrong("it is not below what is allowed"))?;
    let rest = if rest.as_os_str().is_empty() { Path::new(".") } else { rest };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(below, flags, Mode::empty()).map_err(|why| wrong(why.desc()))?;
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let found = openat2(root.as_fd(), rest, OpenHow::new().flags(flags).resolve(resolve));
    found.map_err(|why| {
        if [Errno::ELOOP, Errno::EXDEV].contains(&why) {
            return wrong("a link is on the way, which is not followed");
        }
        wrong(if why == Errno::ENOENT { "it is not there; make it first" } else { why.desc() })
    })
}

/// Binds what was opened to a place; no mounts below it come along.
fn bind(fd: &OwnedFd, place: &Path) -> Result<(), Error> {
    fs::create_dir(place).map_err(Error::io("make directory", place))?;
    let from = format!("/proc/self/fd/{}", fd.as_raw_fd());
    mount(Some(from.as_str()), place, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .map_err(Error::os("bind to", place))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_directory_of_the_machine_is_found_below_what_is_allowed_and_through_no_link() {
        let root = tempfile::tempdir().unwrap();
        let allowed = root.path().join("allowed");
        fs::create_dir_all(allowed.join("a/b")).unwrap();
        fs::create_dir(root.path().join("other")).unwrap();
        fs::write(allowed.join("file"), "").unwrap();
        symlink(root.path().join("other"), allowed.join("out")).unwrap();
        symlink("a", allowed.join("in")).unwrap();
        let check = |below: Option<&Path>, dir: PathBuf, told: &str| {
            let found = host(below, &dir).map_or_else(|error| error.to_string(), |_| String::new());
            let wanted = if told.is_empty() { "" } else { told };
            assert!(found.contains(wanted) && found.is_empty() == told.is_empty(), "{found}");
        };
        check(Some(&allowed), allowed.clone(), "");
        check(Some(&allowed), allowed.join("a/b"), "");
        check(Some(&allowed), root.path().join("other"), "not below");
        check(Some(&allowed), allowed.join("out"), "a link is on the way");
        check(Some(&allowed), allowed.join("in/b"), "a link is on the way");
        check(Some(&allowed), allowed.join("../other"), "a link is on the way");
        check(Some(&allowed), allowed.join("none"), "make it first");
        check(Some(&allowed), allowed.join("file"), "Not a directory");
        check(None, allowed.clone(), "does not allow it");
    }

    #[test]
    fn a_volume_is_given_to_its_user_while_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let user = |uid| User { uid, gid: 7, groups: Vec::new(), home: String::new() };
        let owner = || {
            let found = fs::metadata(dir.path()).unwrap();
            (found.uid(), found.gid())
        };
        if !Uid::effective().is_root() {
            return;
        }
        give(dir.path(), &user(1000)).unwrap();
        assert_eq!(owner(), (1000, 7));
        give(dir.path(), &user(1001)).unwrap();
        assert_eq!(owner(), (1001, 7));
        fs::write(dir.path().join("file"), "").unwrap();
        give(dir.path(), &user(1002)).unwrap();
        assert_eq!(owner(), (1001, 7));
    }
}
