//! The layer of a directory: all that is in it, in order of names, with owners, modes and whole
//! seconds of the last change. Sockets and devices are left out, and what is mounted below too.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{OFlags, fgetxattr, flistxattr};
use rustix::io::Errno;

use super::Size;
use super::layer::{Layer, Look};
use crate::pull::given_up;

/// Directories within each other.
const DEPTH_MAX: usize = 200;
/// Bytes of the names of a file's extended attributes, and of a value (xattr(7)).
const XATTR_BYTES_MAX: usize = 64 << 10;

/// Writes the layer of the directory `root`.
pub(super) fn write(out: impl Write, root: &Path) -> io::Result<()> {
    let device = fs::symlink_metadata(root)?.dev();
    let mut walk = Walk { layer: Layer::new(out), root, device, seen: HashMap::new() };
    walk.directory(Path::new(""), 0)?;
    walk.layer.finish()
}

/// What the layer of the directory `root` will take.
pub(super) fn size(root: &Path, stop: &AtomicBool) -> io::Result<Size> {
    let device = fs::symlink_metadata(root)?.dev();
    let (mut size, mut seen) = (Size::default(), HashSet::new());
    let mut todo = vec![(root.to_owned(), 0)];
    while let Some((dir, depth)) = todo.pop() {
        if stop.load(Ordering::Relaxed) {
            return Err(given_up());
        }
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let found = match entry.metadata() {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                found => found?,
            };
            size.entries += 1;
            // One that is too deep is refused when it is written.
            if found.is_dir() && found.dev() == device && depth < DEPTH_MAX {
                todo.push((entry.path(), depth + 1));
            } else if found.is_file() && (found.nlink() == 1 || seen.insert(found.ino())) {
                size.bytes = size.bytes.saturating_add(found.size());
            }
        }
    }
    Ok(size)
}

struct Walk<'a, W: Write> {
    layer: Layer<W>,
    root: &'a Path,
    device: u64,
    /// Files with more than one name, by inode.
    seen: HashMap<u64, PathBuf>,
}

impl<W: Write> Walk<'_, W> {
    fn directory(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            let why = format!("{}: more than {DEPTH_MAX} directories deep", path.display());
            return Err(io::Error::other(why));
        }
        let entries = fs::read_dir(self.root.join(path))?;
        let mut names = entries.map(|e| Ok(e?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        for name in names {
            let path = path.join(name);
            let found = fs::symlink_metadata(self.root.join(&path))
                .and_then(|found| self.entry(&path, &found, depth));
            found.map_err(|e| match e.raw_os_error() {
                // The file the system speaks of; our own errors name theirs.
                Some(_) => io::Error::new(e.kind(), format!("{}: {e}", path.display())),
                None => e,
            })?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, found: &Metadata, depth: usize) -> io::Result<()> {
        let look = look(found);
        let kind = found.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(self.root.join(path))?;
            return self.layer.symlink(path, &target, look);
        }
        if kind.is_dir() {
            let dir = File::open(self.root.join(path))?;
            self.layer.xattrs(&xattrs(&dir)?)?;
            self.layer.directory(path, look)?;
            return match found.dev() == self.device {
                true => self.directory(path, depth + 1),
                false => Ok(()),
            };
        }
        if kind.is_fifo() {
            return self.layer.fifo(path, look);
        }
        if !kind.is_file() {
            tracing::debug!("{}: left out", path.display());
            return Ok(());
        }
        if found.nlink() > 1 {
            if let Some(first) = self.seen.get(&found.ino()) {
                return self.layer.hardlink(path, first, look);
            }
            self.seen.insert(found.ino(), path.to_owned());
        }
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let flags = i32::try_from(flags.bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(self.root.join(path))?;
        self.layer.xattrs(&xattrs(&file)?)?;
        self.layer.file(path, look, found.size(), file)
    }
}

fn look(found: &Metadata) -> Look {
    Look {
        mode: found.mode() & 0o7777,
        uid: found.uid(),
        gid: found.gid(),
        mtime_s: u64::try_from(found.mtime()).unwrap_or(0),
    }
}

/// The attributes a layer may carry, sorted by name.
fn xattrs(file: &File) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; XATTR_BYTES_MAX];
    let n = match flistxattr(file, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        listed => listed?,
    };
    let mut found = Vec::new();
    for name in names[..n].split(|b| *b == 0) {
        // A name that is no text could not be written as a pax key.
        let Ok(text) = std::str::from_utf8(name) else { continue };
        if crate::unpack::allowed_xattr(name) && !text.contains('=') {
            let mut value = vec![0; XATTR_BYTES_MAX];
            let n = fgetxattr(file, text, &mut value[..])?;
            value.truncate(n);
            found.push((text.to_owned(), value));
        }
    }
    found.sort_unstable();
    Ok(found)
}
