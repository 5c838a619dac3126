//! Paths inside a container's root, resolved by the kernel so that no link leads out of it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, mkdirat};

use crate::error::Error;

/// The root directory of a container, held open.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens the directory.
    pub(crate) fn open(path: &Path) -> Result<Root, Error> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = open(path, flags, Mode::empty()).map_err(Error::os("open root", path))?;
        Ok(Root { fd, path: path.to_owned() })
    }

    fn resolve(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(self.fd.as_fd(), path, how)
    }

    /// The text of a regular file, at most `limit` bytes of it; none when there is no such file.
    pub(crate) fn read(&self, path: &str, limit: u64) -> Result<Option<String>, Error> {
        // A fifo in the image must not make the open wait.
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let fd = match self.resolve(Path::new(path), flags) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(why) => return Err(Error::os("open in image", path)(why)),
        };
        let file = File::from(fd);
        let regular = file.metadata().map_err(Error::io("stat in image", path))?.is_file();
        if !regular {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(Error::io("read in image", path))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Makes the directory `path` and what is missing above it, 0755 and root's.
    pub(crate) fn make_dir(&self, path: &Path) -> Result<(), Error> {
        let failed = |why| Error::os("make directory", self.path.join(relative(path)))(why);
        let directory = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let mut at = PathBuf::from("/");
        let mut parent = self.resolve(&at, directory).map_err(failed)?;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            at.push(name);
            let next = match self.resolve(&at, directory) {
                Err(Errno::ENOENT) => {
                    match mkdirat(parent.as_fd(), name, Mode::from_bits_truncate(0o755)) {
                        Ok(()) | Err(Errno::EEXIST) => self.resolve(&at, directory),
                        Err(why) => Err(why),
                    }
                }
                other => other,
            };
            parent = next.map_err(failed)?;
        }
        Ok(())
    }
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_leads_to_its_place_in_the_root_and_never_out() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("root");
        fs::create_dir_all(inside.join("real")).unwrap();
        fs::write(inside.join("real/passwd"), "inside").unwrap();
        fs::write(dir.path().join("secret"), "outside").unwrap();
        symlink("/real", inside.join("etc")).unwrap();
        symlink("../../../secret", inside.join("real/up")).unwrap();
        symlink(dir.path().join("secret"), inside.join("real/abs")).unwrap();
        let root = Root::open(&inside).unwrap();
        let read = |path| root.read(path, 100).unwrap();
        assert_eq!(read("/etc/passwd").as_deref(), Some("inside"));
        assert_eq!(read("/etc/up"), None);
        assert_eq!(read("/etc/abs"), None);
        assert_eq!(read("/etc"), None);
        assert_eq!(read("/real/passwd/x"), None);
        assert_eq!(root.read("/etc/passwd", 2).unwrap().as_deref(), Some("in"));
    }

    #[test]
    fn directories_are_made_behind_links_in_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let inside = dir.path().join("root");
        fs::create_dir_all(inside.join("real")).unwrap();
        symlink("/real", inside.join("link")).unwrap();
        let root = Root::open(&inside).unwrap();
        root.make_dir(Path::new("/link/a/b")).unwrap();
        root.make_dir(Path::new("/link/a/b")).unwrap();
        assert!(inside.join("real/a/b").is_dir());
        fs::write(inside.join("file"), "").unwrap();
        assert!(root.make_dir(Path::new("/file/x")).is_err());
    }
}
